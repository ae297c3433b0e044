"""The peers of fastbp, each training the same network in its strongest plain form.

Each is made from a `Problem` and a number of threads. `train(epochs)` runs shuffled epochs of
plain SGD with rows gathered from the full data, `output(n)` predicts the first n rows. Libraries
are imported on construction, for each peer has a process of its own (worker.py).
"""

import warnings
from collections.abc import Callable

import numpy as np
from problems import LEARNING_RATE, Problem


class NumPy:
    """Whole-batch matrix products and in-place updates; also the reference for validation."""

    def __init__(self, problem: Problem, n_threads: int, dtype: str | None = None) -> None:
        self.problem, self.batch = problem, problem.shape.batch
        dtype = dtype or problem.dtype
        self.x, self.y = problem.x.astype(dtype, copy=False), problem.y.astype(dtype, copy=False)
        self.weights = [w.astype(dtype) for w in problem.weights]
        self.biases = [np.zeros(w.shape[1], dtype) for w in problem.weights]
        self.rng = np.random.default_rng(1)

    def train(self, epochs: int) -> None:
        for _ in range(epochs):
            order = self.rng.permutation(len(self.x))
            for start in range(0, len(order), self.batch):
                self.step(order[start : start + self.batch])

    def step(self, rows: np.ndarray) -> None:
        activations = self._forward(self.x[rows])
        delta = activations.pop()
        delta -= self.y[rows]
        delta *= delta.dtype.type(self._scale())
        for weight, bias, a in zip(
            self.weights[::-1], self.biases[::-1], activations[::-1], strict=True
        ):
            gradient, bias_gradient = a.T @ delta, delta.sum(0)
            if weight is not self.weights[0]:
                delta = delta @ weight.T
                delta *= a > 0
            gradient *= LEARNING_RATE
            weight -= gradient
            bias -= LEARNING_RATE * bias_gradient

    def output(self, n: int) -> np.ndarray:
        return self.predict(self.x[:n])

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self._forward(x)[-1]

    def _scale(self) -> float:
        if self.problem.shape.classifies:
            return 1 / self.batch
        return 2 / self.batch / self.y.shape[1]

    def _forward(self, a: np.ndarray) -> list[np.ndarray]:
        """Return the input and every layer's output."""
        activations = [a]
        for weight, bias in zip(self.weights, self.biases, strict=True):
            a = a @ weight
            a += bias
            if weight is not self.weights[-1]:
                np.maximum(a, 0, out=a)
            activations.append(a)
        if self.problem.shape.classifies:
            a -= a.max(1, keepdims=True)
            np.exp(a, out=a)
            a /= a.sum(1, keepdims=True)
        return activations


class Torch:
    """Eager PyTorch."""

    def __init__(self, problem: Problem, n_threads: int) -> None:
        import torch

        torch.set_num_threads(n_threads)
        self.torch, self.batch = torch, problem.shape.batch
        layers: list[torch.nn.Module] = []
        for weight in problem.weights:
            linear = torch.nn.Linear(*weight.shape, dtype=getattr(torch, problem.dtype))
            linear.weight.data = torch.from_numpy(weight.T.copy())
            torch.nn.init.zeros_(linear.bias)
            layers += [linear, torch.nn.ReLU()]
        self.network = torch.nn.Sequential(*layers[:-1])
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=LEARNING_RATE)
        self.classifies = problem.shape.classifies
        functions = torch.nn.functional
        self.loss = functions.cross_entropy if self.classifies else functions.mse_loss
        self.x = torch.from_numpy(problem.x)
        self.y = torch.from_numpy(problem.labels if self.classifies else problem.y)

    def train(self, epochs: int) -> None:
        for _ in range(epochs):
            order = self.torch.randperm(len(self.x))
            for start in range(0, len(order), self.batch):
                rows = order[start : start + self.batch]
                loss = self.loss(self.network(self.x[rows]), self.y[rows])
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                self.optimizer.step()

    def output(self, n: int) -> np.ndarray:
        with self.torch.no_grad():
            z = self.network(self.x[:n])
            return (self.torch.softmax(z, 1) if self.classifies else z).numpy()


class JAX:
    """A whole epoch in one `jit`: `scan` over the steps, donated parameters."""

    def __init__(self, problem: Problem, n_threads: int) -> None:
        import jax

        jax.config.update("jax_enable_x64", problem.dtype == "float64")
        self.jax = jax
        self.key = jax.random.PRNGKey(0)
        self.classifies = problem.shape.classifies
        self.x, self.y = jax.numpy.asarray(problem.x), jax.numpy.asarray(problem.y)
        self.parameters = [
            (jax.numpy.asarray(w), jax.numpy.zeros(w.shape[1], w.dtype)) for w in problem.weights
        ]
        self.epoch = jax.jit(self._epoch(problem.shape.batch), donate_argnums=0)

    def train(self, epochs: int) -> None:
        for _ in range(epochs):
            self.key, key = self.jax.random.split(self.key)
            self.parameters = self.epoch(self.parameters, key, self.x, self.y)
        self.jax.block_until_ready(self.parameters)

    def output(self, n: int) -> np.ndarray:
        z = self._forward(self.parameters, self.x[:n])
        return np.asarray(self.jax.nn.softmax(z) if self.classifies else z)

    def _forward(self, parameters, a):
        for weight, bias in parameters[:-1]:
            a = self.jax.nn.relu(a @ weight + bias)
        weight, bias = parameters[-1]
        return a @ weight + bias

    def _loss(self, parameters, x, y):
        jnp, z = self.jax.numpy, self._forward(parameters, x)
        if self.classifies:
            return -jnp.mean(jnp.sum(self.jax.nn.log_softmax(z) * y, 1))
        return jnp.mean((z - y) ** 2)

    def _epoch(self, batch: int) -> Callable:
        jax = self.jax

        def epoch(parameters, key, x, y):
            order = jax.random.permutation(key, len(x))

            def step(parameters, start):
                rows = jax.lax.dynamic_slice(order, (start,), (batch,))
                gradients = jax.grad(self._loss)(parameters, x[rows], y[rows])
                updated = jax.tree.map(lambda p, g: p - LEARNING_RATE * g, parameters, gradients)
                return updated, None

            starts = jax.numpy.arange(0, len(x), batch)
            return jax.lax.scan(step, parameters, starts)[0]

        return epoch


class ScikitLearn:
    """`partial_fit` of MLPClassifier or MLPRegressor, which is one shuffled epoch."""

    def __init__(self, problem: Problem, n_threads: int) -> None:
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        warnings.filterwarnings("ignore")
        shape = problem.shape
        self.x, self.classifies = problem.x, shape.classifies
        self.y = problem.labels if self.classifies else problem.y.squeeze()
        self.options = {"classes": np.arange(shape.widths[-1])} if self.classifies else {}
        self.model = (MLPClassifier if self.classifies else MLPRegressor)(
            hidden_layer_sizes=shape.widths[1:-1],
            solver="sgd",
            momentum=0.0,
            batch_size=shape.batch,
            # Its regression loss is half the sum over outputs, that of the others their mean.
            learning_rate_init=LEARNING_RATE * (1 if self.classifies else 2 / shape.widths[-1]),
            alpha=0.0,
            tol=0,
            random_state=0,
        )
        # The first call makes the arrays; two classes get one output, where the weights do not fit.
        self.model.partial_fit(self.x[: shape.batch], self.y[: shape.batch], **self.options)
        self.own_weights = shape.widths[-1] == 2
        if not self.own_weights:
            for mine, given in zip(self.model.coefs_, problem.weights, strict=True):
                mine[...] = given
            for bias in self.model.intercepts_:
                bias[...] = 0

    def train(self, epochs: int) -> None:
        for _ in range(epochs):
            self.model.partial_fit(self.x, self.y, **self.options)

    def output(self, n: int) -> np.ndarray:
        if self.classifies:
            return self.model.predict_proba(self.x[:n])
        return self.model.predict(self.x[:n]).reshape(n, -1)


PEERS = {"numpy": NumPy, "torch": Torch, "jax": JAX, "sklearn": ScikitLearn}
