"""Many independent networks on the same data, trained side by side: one on each core."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import Any, cast

from numpy.typing import ArrayLike

from .. import _check
from ..callbacks import Callback
from ..engine import threadpool
from ..engine.contention import FITS
from ..engine.runtime import get_num_threads
from ..errors import ConfigError, brief
from ..optimizers import LBFGS
from ..trainer import Batch, Trainer
from ..training.fit import HOOKS, networks_bar
from . import pool
from .data import data_of, folds_of
from .jobs import Job, Making, require_own
from .results import Trained, TrainedNetworks

__all__ = ["Trained", "TrainedNetworks", "train_many"]


def train_many(
    configs: Iterable[Any],
    x: ArrayLike,
    y: ArrayLike,
    epochs: int = 1,
    validation_data: Batch | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool = False,
    sample_weight: ArrayLike | None = None,
    validation_split: float | None = None,
    *,
    build: Callable[[Any], Trainer] | None = None,
    folds: Any = None,
    n_jobs: int | None = None,
    on_error: str = "record",
    **options: Any,
) -> TrainedNetworks:
    """Train independent networks side by side, each on a core; each has the bits it has alone.

    They share the data, which are not copied but for folds, and run in threads of this process.

    Parameters
    ----------
    configs : iterable of dict, Trainer or anything that `build` takes
        A dict has the options of `Trainer` by name, of which `seed` is also that of the initial
        weights and `loss` has a default: "cross_entropy" for labels that are strings, bools,
        integers or categories, else "squared_error". Of the network it has ``hidden``, the widths
        of the hidden layers, with ``activation`` ("relu") and ``dropout`` of all of them: the
        output layer is then that of the loss and of `y`. Or it has ``layers``, which are all
        layers. It may have ``dtype`` and ``preprocessing``; a map of `fastbp.preprocess` that is
        not fitted is fitted to the rows that the network is trained on. ``epochs`` and
        ``callbacks`` replace and follow those of the call.
    x, y, epochs, validation_data, sample_weight, validation_split
        As for `Trainer.fit`.
    callbacks : sequence of Callback
        Each network has copies of them, but for functions, which are called by several threads.
    progress : bool
        Whether to draw a progress bar of all epochs on stderr.
    build : callable, optional
        Returns a new trainer of a configuration, which may be anything then.
    folds : int, splitter or iterable of (train, test), optional
        Train each configuration once on each fold, with the rows held out as validation data. A
        number makes folds of a random order, the same in each call, in which each class has its
        share; an object with ``split(x, y)``, such as scikit-learn's KFold, or pairs of row
        numbers give their own.
    n_jobs : int, optional
        Networks at a time. Default: `get_num_threads`. Where they are fewer than the cores, each
        has its share of threads.
    on_error : {"record", "raise"}
        Whether an error of a network, such as a `DivergenceError`, is noted in its entry while the
        others go on, or ends all.
    **options
        Of all configurations that are dicts, where they do not name them.

    Returns
    -------
    TrainedNetworks
        A sequence of `fastbp.many.Trained`, by configuration and fold, with ``table()``,
        ``to_frame()`` and ``best("val_accuracy")``.

    Raises
    ------
    InputError, LabelError, ShapeError, DTypeError, ConfigError
        An argument or a configuration cannot be used; nothing has been trained.
    KeyboardInterrupt
        And any error that a function of your own raises, such as a callback: it ends all within
        about 50 ms, or as soon as a function of your own or a validation returns. What has been
        trained so far is its attribute ``results``.

    Examples
    --------
    >>> import fastbp as fb
    >>> x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> configs = [{"hidden": [8], "seed": seed} for seed in range(4)]
    >>> found = fb.train_many(configs, x, y, epochs=100, optimizer=fb.SGD(0.5), activation="tanh")
    >>> found.best("accuracy").metrics["accuracy"]
    1.0
    """
    on_error = _check.choice(on_error, ("record", "raise"), "on_error")
    progress = _check.flag(progress, "progress")
    n_jobs = _check.optional_int(n_jobs, "n_jobs")
    epochs = _check.positive_int(epochs, "epochs")
    if build is not None and not callable(build):
        raise ConfigError(f"build: got {brief(build)}, wanted a function of a configuration")
    listed = _listed(configs, options, build)
    data = data_of(x, y, sample_weight, validation_data, validation_split)
    parts = [data] if folds is None else folds_of(folds, data, len(listed))
    making = Making(data, build, epochs, _check.callbacks(callbacks, HOOKS))
    # Fold after fold, so that the rows of one or two are held at a time.
    jobs = [making.job(i, config, part) for part in parts for i, config in enumerate(listed)]
    require_own([job.entry for job in jobs])
    entries = sorted((job.entry for job in jobs), key=lambda entry: (entry.index, entry.fold))
    results = TrainedNetworks(entries)
    cores = get_num_threads()
    n_threads = min(n_jobs or cores, len(jobs))

    def train(job: Job) -> None:
        with FITS.entered(cores, max(1, cores // n_threads)):
            job.train(on_error)

    def cancel() -> None:
        making.cancelled.append(True)
        for job in jobs:  # ends a long step
            job.entry.trainer.stop()

    with networks_bar(progress, len(jobs), sum(job.epochs for job in jobs)) as bar:

        def tick() -> None:
            ended = [job for job in jobs if job.entry.seconds]
            left = sum(job.epochs - job.guard.epochs for job in ended)
            n_epochs = sum(job.guard.epochs for job in jobs) + left
            bar.show(n_epochs, len(ended), len(results.errors))

        try:
            with _blas(jobs):
                pool.run([partial(train, job) for job in jobs], n_threads, tick, cancel)
        except BaseException as error:
            vars(error)["results"] = results
            raise
    return results


def _blas(jobs: Iterable[Job]) -> AbstractContextManager[Any]:
    """Return what keeps BLAS to one thread as long as any L-BFGS may run.

    That is of the whole process: the first one to end would free the others from it.
    """
    if any(isinstance(job.entry.trainer.optimizer, LBFGS) for job in jobs):
        with suppress(ModuleNotFoundError):  # each of them says what is missing
            return cast(AbstractContextManager[Any], threadpool.limits()(1, "blas"))
    return nullcontext()


def _listed(configs: Any, options: Mapping[str, Any], build: Any) -> list[Any]:
    """Return the configurations, those that are dicts with the options of all."""
    try:
        listed = [configs] if isinstance(configs, Mapping) else list(configs)
    except TypeError:
        listed = [configs]
    if not listed:
        raise ConfigError("configs: got none, wanted one at least")
    for i, config in enumerate(listed):
        if build is None and not isinstance(config, Mapping | Trainer):
            raise ConfigError(
                f"configs[{i}]: got {brief(config)}, wanted a dict of options or a Trainer, or a "
                "function build(config) that makes one"
            )
        if isinstance(config, Mapping):
            listed[i] = {**options, **config}
        elif options:
            raise ConfigError(
                f"{next(iter(options))}: got an option beside configs[{i}], {brief(config)}, "
                "wanted configurations that are dicts"
            )
    return listed
