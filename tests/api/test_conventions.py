"""docs/conventions.md line by line: what scikit-learn, PyTorch and Keras compute, from ours."""

from __future__ import annotations

import os

import numpy as np
import pytest

import fastbp as fb

ROWS, N_INPUTS, HIDDEN, N_OUTPUTS = 12, 3, 4, 3
ALPHA, RATE = 0.3, 0.1
CLOSE = {"rtol": 1e-12, "atol": 1e-13}


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def keras(torch):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    found = pytest.importorskip("keras")
    found.config.set_floatx("float64")
    return found


@pytest.fixture(scope="module")
def neural():
    pytest.importorskip("sklearn")
    import sklearn.neural_network

    return sklearn.neural_network


@pytest.fixture
def weight(rng):
    return rng.uniform(0.1, 3, ROWS)


def network(output, units=N_OUTPUTS):
    bias = fb.initializers.Normal(0.5)
    layers = [fb.Dense(HIDDEN, "tanh", bias_init=bias), fb.Dense(units, output, bias_init=bias)]
    return fb.Network(N_INPUTS, layers, dtype="float64", seed=3)


def rows(kind, rng):
    """Inputs and targets: "classes", "bits" or "reals"."""
    x = rng.standard_normal((ROWS, N_INPUTS))
    y = {
        "classes": lambda: np.arange(ROWS) % N_OUTPUTS,
        "bits": lambda: rng.integers(0, 2, (ROWS, N_OUTPUTS)).astype(float),
        "reals": lambda: rng.standard_normal((ROWS, N_OUTPUTS)),
        "counts": lambda: rng.poisson(2.0, (ROWS, N_OUTPUTS)).astype(float),
        "signs": lambda: rng.choice([-1.0, 1.0], (ROWS, N_OUTPUTS)),
    }[kind]()
    return x, y


def loss_of(net, x, y, loss, **options):
    return fb.Trainer(net, loss, **options).evaluate(x, y)["loss"]


# Ours, the output layer, the targets; then theirs by the outputs p and the logits z, and how many
# of ours make one of theirs.
TORCH_MEANS = {
    "mse": ("linear", "reals", lambda F, p, z, t: F.mse_loss(p, t), 1),
    "mae": ("linear", "reals", lambda F, p, z, t: F.l1_loss(p, t), 1),
    "huber": ("linear", "reals", lambda F, p, z, t: F.huber_loss(p, t), 1),
    "cross_entropy": ("softmax", "classes", lambda F, p, z, t: F.cross_entropy(z, t), 1),
    "binary_cross_entropy": (
        "sigmoid",
        "bits",
        lambda F, p, z, t: F.binary_cross_entropy(p, t),
        N_OUTPUTS,
    ),
    "poisson": (
        "linear",
        "counts",
        lambda F, p, z, t: F.poisson_nll_loss(z, t, log_input=True),
        N_OUTPUTS,
    ),
    "multiclass_hinge": (
        "linear",
        "classes",
        lambda F, p, z, t: F.multi_margin_loss(z, t),
        N_OUTPUTS,
    ),
}


def outputs_and_logits(net, x):
    linear = fb.Network(N_INPUTS, [net.layers[0], fb.Dense(net.n_outputs)], dtype="float64", seed=0)
    linear.parameters = net.parameters
    return net.predict(x), linear.predict(x)


@pytest.mark.parametrize("loss", list(TORCH_MEANS))
def test_torch_means(loss, torch, rng):
    output, kind, theirs, share = TORCH_MEANS[loss]
    net, (x, y) = network(output), rows(kind, rng)
    p, z = (torch.tensor(array) for array in outputs_and_logits(net, x))
    wanted = float(theirs(torch.nn.functional, p, z, torch.tensor(y)))
    np.testing.assert_allclose(loss_of(net, x, y, loss) / share, wanted, **CLOSE)


KERAS_MEANS = {
    "mse": ("linear", "reals", "MeanSquaredError", 1),
    "mae": ("linear", "reals", "MeanAbsoluteError", 1),
    "huber": ("linear", "reals", "Huber", 1),
    "cross_entropy": ("softmax", "classes", "SparseCategoricalCrossentropy", 1),
    "binary_cross_entropy": ("sigmoid", "bits", "BinaryCrossentropy", N_OUTPUTS),
    "hinge": ("linear", "signs", "Hinge", N_OUTPUTS),
}


@pytest.mark.parametrize("loss", list(KERAS_MEANS))
def test_keras_means(loss, keras, rng):
    output, kind, theirs, share = KERAS_MEANS[loss]
    net, (x, y) = network(output), rows(kind, rng)
    wanted = float(getattr(keras.losses, theirs)()(y, net.predict(x)))
    # Keras computes in float32 here and there and clips probabilities at 1e-7.
    np.testing.assert_allclose(loss_of(net, x, y, loss) / share, wanted, rtol=1e-6)


SKLEARN_MEANS = {
    "mse": ("linear", "reals", "squared_loss", 2),
    "cross_entropy": ("softmax", "classes", "log_loss", 1),
    "binary_cross_entropy": ("sigmoid", "bits", "binary_log_loss", 1),
}


@pytest.mark.parametrize("loss", list(SKLEARN_MEANS))
def test_sklearn_means(loss, neural, rng):
    output, kind, theirs, share = SKLEARN_MEANS[loss]
    net, (x, y) = network(output), rows(kind, rng)
    targets = np.eye(N_OUTPUTS)[y] if kind == "classes" else y
    wanted = getattr(neural._base, theirs)(targets, net.predict(x))
    np.testing.assert_allclose(loss_of(net, x, y, loss) / share, wanted, **CLOSE)


def sklearn_twin(neural, net, x, y, classifier=False, **options):
    """A scikit-learn network with our parameters, ready for a step on all rows."""
    kind = neural.MLPClassifier if classifier else neural.MLPRegressor
    theirs = kind(
        hidden_layer_sizes=(HIDDEN,),
        activation="tanh",
        solver="sgd",
        learning_rate_init=RATE,
        batch_size=ROWS,
        shuffle=False,
        random_state=0,
        **{"alpha": 0.0, "momentum": 0.0, "nesterovs_momentum": False} | options,
    )
    theirs.partial_fit(x, y, **({"classes": np.arange(N_OUTPUTS)} if classifier else {}))
    theirs._optimizer.velocities = [np.zeros_like(v) for v in theirs._optimizer.velocities]
    for i, layer in enumerate(net.layers):
        theirs.coefs_[i][...] = layer.weight
        theirs.intercepts_[i][...] = layer.bias
    return theirs


def assert_sklearn_has(theirs, net):
    for i, layer in enumerate(net.layers):
        np.testing.assert_allclose(layer.weight, theirs.coefs_[i], **CLOSE)
        np.testing.assert_allclose(layer.bias, theirs.intercepts_[i], **CLOSE)


def trainer(net, loss, optimizer=None, **options):
    optimizer = fb.SGD(RATE) if optimizer is None else optimizer
    return fb.Trainer(net, loss, optimizer, ROWS, shuffle=False, **options)


class TestSampleWeights:
    def test_sklearn(self, neural, rng, weight):
        net, (x, y) = network("softmax"), rows("classes", rng)
        theirs = sklearn_twin(neural, net, x, y, classifier=True)
        theirs.partial_fit(x, y, sample_weight=weight)
        trainer(net, "cross_entropy").step(x, y, weight)
        assert_sklearn_has(theirs, net)

    def test_torch_class_weights(self, torch, rng):
        net, (x, y) = network("softmax"), rows("classes", rng)
        by_class = np.array([0.5, 2.0, 3.0])
        z = torch.tensor(outputs_and_logits(net, x)[1])
        wanted = torch.nn.CrossEntropyLoss(weight=torch.tensor(by_class))(z, torch.tensor(y))
        ours = trainer(net, "cross_entropy", class_weight=dict(enumerate(by_class)))
        np.testing.assert_allclose(ours.step(x, y), float(wanted), **CLOSE)

    def test_torch_by_hand(self, torch, rng, weight):
        """(weight * losses).mean(), as many loops have it: the division by rows."""
        from torch_twin import row_losses, tensors

        net, (x, y) = network("softmax"), rows("classes", rng)
        pairs, one_hot = tensors(net), torch.tensor(np.eye(N_OUTPUTS)[y])
        losses = row_losses(net, pairs, torch.tensor(x), one_hot, "cross_entropy")
        (torch.tensor(weight) * losses).mean().backward()
        wanted = [p - RATE * p.grad for pair in pairs for p in pair]
        trainer(net, "cross_entropy", average="rows").step(x, y, weight)
        for got, p in zip(net._arrays(), wanted, strict=True):
            np.testing.assert_allclose(got, p.detach().numpy(), **CLOSE)

    @pytest.mark.parametrize(
        ("average", "reduction"),
        [("rows", "sum_over_batch_size"), ("weights", "mean_with_sample_weight")],
    )
    def test_keras(self, average, reduction, keras, rng, weight):
        net, (x, y) = network("linear"), rows("reals", rng)
        theirs = keras.losses.MeanSquaredError(reduction=reduction)
        wanted = float(theirs(y, net.predict(x), sample_weight=weight))
        # The reported loss is the weighted mean; the gradient is that of theirs.
        share = weight.sum() / ROWS if average == "rows" else 1.0
        gradient = flat_gradient(net, x, y, "mse", weight) * share
        before, ours = net.parameters, trainer(net, "mse", average=average)
        np.testing.assert_allclose(ours.step(x, y, weight) * share, wanted, rtol=1e-6)
        np.testing.assert_allclose(net.parameters, before - RATE * gradient, **CLOSE)


class TestPenalties:
    def test_sklearn_alpha(self, neural, rng):
        net, (x, y) = network("linear"), rows("reals", rng)
        theirs = sklearn_twin(neural, net, x, y, alpha=ALPHA)
        theirs.partial_fit(x, y)
        # It reports the mean over outputs, and descends their sum.
        trainer(net, "squared_error", l2=ALPHA / (2 * ROWS)).step(x, y)
        assert_sklearn_has(theirs, net)

    def test_sklearn_alpha_of_a_classifier(self, neural, rng):
        net, (x, y) = network("softmax"), rows("classes", rng)
        theirs = sklearn_twin(neural, net, x, y, classifier=True, alpha=ALPHA)
        theirs.partial_fit(x, y)
        trainer(net, "cross_entropy", l2=ALPHA / (2 * ROWS)).step(x, y)
        assert_sklearn_has(theirs, net)

    def test_torch_weight_decay(self, torch, rng):
        net, (x, y) = network("linear"), rows("reals", rng)
        parameters = torch.tensor(net.parameters, requires_grad=True)
        parameters.grad = torch.tensor(flat_gradient(net, x, y, "mse"))
        torch.optim.SGD([parameters], RATE, weight_decay=ALPHA).step()
        trainer(net, "mse", l2=ALPHA / 2, penalize_bias=True).step(x, y)
        np.testing.assert_allclose(net.parameters, parameters.detach().numpy(), **CLOSE)

    def test_keras_regularizer(self, keras, rng):
        net = network("linear")
        theirs = sum(float(keras.regularizers.L2(ALPHA)(layer.weight)) for layer in net.layers)
        x, y = rows("reals", rng)
        gradient = flat_gradient(net, x, y, "mse")
        before, ours = net.parameters, trainer(net, "mse", l2=ALPHA)
        np.testing.assert_allclose(ours._objective.value(net), theirs, rtol=1e-6)
        ours.step(x, y)
        weights = np.concatenate(
            [part for layer in net.layers for part in (np.ones(layer.weight.size), 0 * layer.bias)]
        )
        slope = gradient + 2 * ALPHA * before * weights
        np.testing.assert_allclose(net.parameters, before - RATE * slope, **CLOSE)


def flat_gradient(net, x, y, loss, weight=None):
    _, pairs = net.gradients(x, y, loss, sample_weight=weight)
    return np.concatenate([array.ravel() for pair in pairs for array in pair])


class TestMomentum:
    @pytest.mark.parametrize("nesterov", [False, True])
    def test_sklearn(self, nesterov, neural, rng):
        net, (x, y) = network("softmax"), rows("classes", rng)
        theirs = sklearn_twin(
            neural, net, x, y, classifier=True, momentum=0.9, nesterovs_momentum=nesterov
        )
        ours = trainer(net, "cross_entropy", fb.SGD(RATE, momentum=0.9, nesterov=nesterov))
        for _ in range(5):
            theirs.partial_fit(x, y)
            ours.step(x, y)
        assert_sklearn_has(theirs, net)

    @pytest.mark.parametrize("nesterov", [False, True])
    def test_torch_with_a_schedule(self, nesterov, torch, rng):
        rates = [0.1, 0.1, 0.01, 0.01]
        steps_of(
            fb.SGD(rates.__getitem__, momentum=0.9, nesterov=nesterov),
            lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=nesterov),
            rates, torch, rng,
        )  # fmt: skip

    @pytest.mark.parametrize("nesterov", [False, True])
    def test_keras_while_the_rate_is_constant(self, nesterov, keras, rng):
        keras_steps(
            fb.SGD(RATE, momentum=0.9, nesterov=nesterov),
            keras.optimizers.SGD(RATE, momentum=0.9, nesterov=nesterov), 5, rng,
        )  # fmt: skip


def steps_of(ours, theirs, rates, torch, rng):
    """The same steps by torch.optim, from our gradients."""
    net, (x, y) = network("linear"), rows("reals", rng)
    p = torch.tensor(net.parameters, requires_grad=True)
    optimizer, own = theirs([p]), trainer(net, "mse", ours)
    for rate in rates:
        optimizer.param_groups[0]["lr"] = rate
        p.grad = torch.tensor(flat_gradient(net, x, y, "mse"))
        optimizer.step()
        own.step(x, y)
    np.testing.assert_allclose(net.parameters, p.detach().numpy(), **CLOSE)


def keras_steps(ours, theirs, steps, rng, keep=None):
    """The same steps by a Keras optimizer, from our gradients."""
    import keras

    net, (x, y) = network("linear"), rows("reals", rng)
    p = keras.Variable(net.parameters, dtype="float64")
    theirs.build([p])
    own = trainer(net, "mse", ours)
    for _ in range(steps):
        theirs.apply([keras.ops.convert_to_tensor(flat_gradient(net, x, y, "mse"))], [p])
        own.step(x, y)
    np.testing.assert_allclose(net.parameters, p.value.detach().numpy(), rtol=1e-6)


class TestAdam:
    EPS = 1e-3  # large, so that it shows where it stands

    def test_torch(self, torch, rng):
        steps_of(
            fb.Adam(RATE, eps=self.EPS),
            lambda p: torch.optim.Adam(p, RATE, eps=self.EPS),
            [RATE] * 5, torch, rng,
        )  # fmt: skip

    def test_torch_adamw(self, torch, rng):
        steps_of(
            fb.AdamW(RATE, eps=self.EPS, weight_decay=0.1, decay_bias=True),
            lambda p: torch.optim.AdamW(p, RATE, eps=self.EPS, weight_decay=0.1),
            [RATE] * 5, torch, rng,
        )  # fmt: skip

    def test_keras_adds_eps_before_the_correction(self, keras, rng):
        """In step t theirs is ours with eps / sqrt(1 - beta2^t)."""
        ours = fb.Adam(RATE, betas=(0.9, 0.99), eps=self.EPS / np.sqrt(1 - 0.99))
        theirs = keras.optimizers.Adam(RATE, beta_1=0.9, beta_2=0.99, epsilon=self.EPS)
        keras_steps(ours, theirs, 1, rng)

    def test_sklearn_adds_eps_before_the_correction(self, neural, rng):
        net, (x, y) = network("linear"), rows("reals", rng)
        p, gradient = net.parameters, flat_gradient(net, x, y, "mse")
        adam = neural._stochastic_optimizers.AdamOptimizer([p], RATE, 0.9, 0.99, self.EPS)
        adam.update_params([p], [gradient])
        trainer(
            net, "mse", fb.Adam(RATE, betas=(0.9, 0.99), eps=self.EPS / np.sqrt(1 - 0.99))
        ).step(x, y)
        np.testing.assert_allclose(net.parameters, p, **CLOSE)


def test_dropout_is_the_share_that_is_dropped():
    """As p of torch and rate of Keras: the others are multiplied by 1 / (1 - p)."""
    units, p = 4000, 0.25
    net = fb.Network(1, [fb.Dense(units, dropout=p), fb.Dense(1)], dtype="float64", seed=0)
    net.parameters = np.concatenate(
        [np.ones(units), np.zeros(units), np.full(units, 1 / units), [0.0]]
    )
    loss = fb.Trainer(net, "squared_error", fb.SGD(0), seed=0).step([[1.0]], [0.0])
    kept = np.sqrt(2 * loss) * units * (1 - p)
    assert abs(kept - round(kept)) < 1e-6
    assert abs(kept - units * (1 - p)) < 4 * np.sqrt(units * p * (1 - p))
    assert net.predict([[1.0]])[0, 0] == pytest.approx(1)  # nothing is dropped, nothing scaled


def test_a_short_last_batch_is_a_step_with_the_mean_of_its_rows(rng):
    """As scikit-learn, Keras and torch's DataLoader have it; the epoch's loss is by rows."""
    net, (x, y) = network("linear"), rows("reals", rng)
    twin = net.copy()
    epoch = fb.Trainer(net, "mse", fb.SGD(RATE), 5, shuffle=False).fit(x, y)
    by_hand = trainer(twin, "mse")
    losses = [by_hand.step(x[i : i + 5], y[i : i + 5]) for i in (0, 5, 10)]
    np.testing.assert_array_equal(net.parameters, twin.parameters)
    np.testing.assert_allclose(epoch["loss"], np.average(losses, weights=[5, 5, 2]), rtol=1e-14)


class TestAccuracy:
    def test_sklearn_wants_all_outputs_right(self, rng):
        metrics = pytest.importorskip("sklearn.metrics")
        net, (x, y) = network("sigmoid"), rows("bits", rng)
        wanted = metrics.accuracy_score(y, net.predict(x) > 0.5)
        ours = fb.Trainer(net, "binary_cross_entropy").evaluate(x, y)["accuracy"]
        assert ours == fb.metrics.accuracy(y, net.predict(x)) == wanted

    def test_keras_counts_single_outputs(self, keras, rng):
        net, (x, y) = network("sigmoid"), rows("bits", rng)
        theirs = keras.metrics.BinaryAccuracy()
        theirs.update_state(y, net.predict(x))
        ours = fb.metrics.binary_accuracy(y, net.predict(x))
        assert ours == pytest.approx(float(theirs.result()), rel=1e-6)

    def test_classes(self, keras, rng):
        net, (x, y) = network("softmax"), rows("classes", rng)
        theirs = keras.metrics.SparseCategoricalAccuracy()
        theirs.update_state(y, net.predict(x))
        ours = fb.Trainer(net, "cross_entropy").evaluate(x, y)["accuracy"]
        assert ours == pytest.approx(float(theirs.result()), rel=1e-6)
