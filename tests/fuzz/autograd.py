"""Random networks trained beside PyTorch: autograd and torch.optim do the same steps, in float64.

``python -m fuzz.autograd --seed 3 --networks 400``, with tests and tests/helpers on the path; exit
code 1 for a difference.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator, Sequence

import numpy as np
from torch_twin import TORCH_LOSSES, row_losses, tensors, torch

import fastbp as fb
from fuzz.__main__ import CASES_OF_A_SEED
from fuzz.cases import Case, Rows, case_of

STEPS = 20
TOLERANCE = 1e-9  # of the largest parameter, or of 1


def cases(seed: int) -> Iterator[Case]:
    """Random cases whose losses and optimizers PyTorch has, without dropout, in float64."""
    for number in range(seed * CASES_OF_A_SEED, (seed + 1) * CASES_OF_A_SEED):
        case = case_of(number)
        if not case.drops and getattr(case.loss, "name", None) in TORCH_LOSSES:
            yield dataclasses.replace(case, dtype="float64")


def difference(case: Case) -> str | None:
    """Where the parameters or a loss are further apart than the tolerance, after which step."""
    net = case.network()
    trainer, twin = case.trainer(net, n_threads=2), Twin(case, net)
    batches = case.batches
    for step in range(STEPS):
        rows = batches[step % len(batches)]
        rate = float(trainer.optimizer.learning_rates(step, 1, 0)[0])
        wanted = twin.step(rows, rate)
        if not np.isfinite(wanted):
            return None  # training diverged
        losses = trainer.step(*rows), wanted
        if not _near(*map(np.array, losses)):
            return f"step {step}: loss {losses[0]!r}, by torch {losses[1]!r}"
        for i, (layer, pair) in enumerate(zip(net.weighted_layers, twin.pairs, strict=True)):
            for name, got, true in zip(
                ("weight", "bias"), (layer.weight, layer.bias), pair, strict=True
            ):
                if not _near(got, true.detach().numpy()):
                    return f"step {step}: {name} {i}"
    return None


def _near(got: np.ndarray, true: np.ndarray) -> bool:
    return bool(np.abs(got - true).max() <= TOLERANCE * max(1.0, np.abs(true).max()))


class Twin:
    """The same network, optimizer and options in PyTorch."""

    def __init__(self, case: Case, net: fb.Network) -> None:
        self._case, self._net = case, net
        self._options = case.options
        self.pairs = tensors(net)
        for layer, pair in zip(net.weighted_layers, self.pairs, strict=True):
            for p in pair:
                p.requires_grad_(layer.trainable)
        self._trained = [
            (layer, p, is_bias)
            for layer, pair in zip(net.weighted_layers, self.pairs, strict=True)
            for is_bias, p in enumerate(pair)
            if layer.trainable
        ]
        self._optimizer = self._make_optimizer()

    def _make_optimizer(self) -> torch.optim.Optimizer:
        optimizer = self._case.optimizer
        own = optimizer.hyperparameters
        groups = []
        for layer, p, is_bias in self._trained:
            group = {"params": [p], "lr": 1.0}  # `step` sets it
            if "weight_decay" in own:
                decays = own["decay_bias"] or not is_bias
                group["weight_decay"] = own["weight_decay"] * layer.decay_factor * decays
            groups.append(group)
        momentum, square = own.get("momentum", 0.0), own.get("square_decay", 0.0)
        kinds = {
            fb.SGD: lambda: torch.optim.SGD(
                groups, momentum=momentum, nesterov=optimizer.rule == "nesterov"
            ),
            fb.Adagrad: lambda: torch.optim.Adagrad(groups, eps=own["eps"]),
            fb.RMSprop: lambda: torch.optim.RMSprop(groups, alpha=square, eps=own["eps"]),
            fb.Adam: lambda: torch.optim.Adam(groups, betas=(momentum, square), eps=own["eps"]),
            fb.AdamW: lambda: torch.optim.AdamW(groups, betas=(momentum, square), eps=own["eps"]),
        }
        return kinds[type(optimizer)]()

    def step(self, rows: Rows, rate: float) -> float:
        """Do a step; return the weighted mean loss before it."""
        for group, (layer, _, _) in zip(self._optimizer.param_groups, self._trained, strict=True):
            group["lr"] = rate * layer.learning_rate_factor
        self._optimizer.zero_grad()
        value = self._loss(rows)
        value.backward()
        self._clip()
        self._penalise()
        self._optimizer.step()
        self._limit()
        return float(value.detach())

    def _loss(self, rows: Rows) -> torch.Tensor:
        net, case = self._net, self._case
        x = np.asarray(rows.x, np.float64)
        if net.preprocessing is not None:
            x = (x - net.preprocessing.mean) @ _matrix(net.preprocessing)
        t, weight = rows.y, np.ones(len(x)) if rows.sample_weight is None else rows.sample_weight
        if t.ndim == 1 and net.n_outputs > 1:
            weight = weight * self._class_weights(t)
            t = np.eye(net.n_outputs)[t]
        values = row_losses(
            net, self.pairs, torch.tensor(x), torch.tensor(t.astype(float)), case.loss
        )
        w = torch.tensor(weight)
        return (w * values).sum() / w.sum()

    def _class_weights(self, classes: np.ndarray) -> np.ndarray:
        given = self._case.class_weight
        if given is None:
            return np.ones(len(classes))
        if given == "balanced":
            counts = np.bincount(classes)
            return len(classes) / (np.count_nonzero(counts) * counts[classes])
        return np.array([given.get(int(c), 1.0) for c in classes])

    def _clip(self) -> None:
        parameters = [p for _, p, _ in self._trained if p.grad is not None]
        if "clip_value" in self._options:
            torch.nn.utils.clip_grad_value_(parameters, self._options["clip_value"])
        if "clip_norm" in self._options:
            norm = torch.sqrt(sum((p.grad**2).sum() for p in parameters))
            if norm > self._options["clip_norm"]:
                for p in parameters:
                    p.grad *= self._options["clip_norm"] / norm

    def _penalise(self) -> None:
        """Add the penalties' gradient: like torch's weight decay, after clipping."""
        l1, l2 = self._options.get("l1", 0.0), self._options.get("l2", 0.0)
        for layer, p, is_bias in self._trained:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
            if not is_bias or self._options.get("penalize_bias"):
                with torch.no_grad():
                    p.grad += layer.decay_factor * (l1 * torch.sign(p) + 2 * l2 * p)

    @torch.no_grad()
    def _limit(self) -> None:
        if "max_norm" not in self._options:
            return
        for _, p, is_bias in self._trained:
            if not is_bias:
                norm = torch.sqrt((p**2).sum(dim=0, keepdim=True))
                p *= torch.where(norm > 0, self._options["max_norm"] / norm, 1.0).clamp(max=1.0)


def _matrix(affine) -> np.ndarray:
    return affine.matrix if affine.matrix.ndim == 2 else np.diag(affine.matrix)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz.autograd", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--networks", type=int, default=400)
    options = parser.parse_args(arguments)
    different = 0
    for case, _ in zip(cases(options.seed), range(options.networks), strict=False):
        found = difference(case)
        if found:
            different += 1
            print(f"{found}\n{case!r}", flush=True)
    print(f"{options.networks} networks, {different} with differences")
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main())
