"""``fastbp train``: train on one part of a data set, score on the other, save the model."""

from __future__ import annotations

import argparse
import io
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from .. import plot
from ..datasets import split
from ..errors import ConfigError, InputError
from ..formats import atomicfile
from ..history import History
from .interrupts import Interrupts, stoppable
from .options import add_reading, positive, widths
from .output import require_outputs
from .problem import files_of
from .progress import Lines, draws_bar
from .work import TEST_FRACTION, Work, work_of

__all__ = ["EXAMPLES", "add_arguments", "run", "screen_width", "size_of"]

EXAMPLES = """examples:
  fastbp train digits
      the digits of the package; writes digits.safetensors
  fastbp train houses.csv --target price --drop id --report houses.html
      a table; the page shows what was learnt, and which columns matter
  fastbp train sales.csv.gz --target sold --time-column day --ensemble 5 --out sales.safetensors
      the latest fifth of the rows is for the score; five networks, averaged
"""
TASKS = ["classification", "regression"]
OPTIMIZERS = ["adam", "adamw", "sgd", "rmsprop", "adagrad"]
PICTURES = (".png", ".svg", ".pdf")
MOST_COLUMNS = 120


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fastbp train``."""
    add = parser.add_argument
    add("dataset", metavar="DATASET", help="a table (csv, tsv, parquet, xlsx, ..., - for stdin), "
        "a .npz file, digits or mnist")  # fmt: skip
    add("--out", metavar="FILE", help="the model (DATASET.safetensors, in this folder)")
    add("--force", action="store_true", help="replace an output that is no model")
    add("--quiet", action="store_true", help="no progress and no table of the columns")
    add("--config", metavar="FILE", help="a TOML file whose keys are these options, such as "
        "learning-rate = 0.01; the command line wins")  # fmt: skip
    _add_data(parser)
    add_reading(parser)
    _add_training(parser)
    _add_files(parser)


def _add_data(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what is learnt from what").add_argument
    add("--target", metavar="COLUMN", help="to predict: a name or a position (the last column)")
    add("--task", choices=TASKS, help="what the target is (text and few integers are classes)")
    several: dict[str, Any] = {"action": "append", "default": [], "metavar": "COLUMNS"}
    add("--drop", **several, help="leave these out: names with commas between; may be repeated")
    add("--features", **several, help="use these alone (all but the target)")
    add("--categorical", **several, help="take these for categories")
    add("--numeric", **several, help="take these for numbers")
    add("--date", **several, help="take these for dates or times")
    add("--test", metavar="FILE", help="score on the rows of this file")
    share = f"of the rows held out for the score ({TEST_FRACTION}); each class has its share"
    add("--test-fraction", type=float, metavar="X", help=share)
    add("--time-column", metavar="COLUMN", help="the rows held out are the latest by this column")
    folds = "score by cross-validation with N folds, then train one model on all rows"
    add("--folds", type=_folds, metavar="N", help=folds)


def _add_training(parser: argparse.ArgumentParser) -> None:
    group = "training (what is not given suits the table: see fastbp.models.tabular)"
    add = parser.add_argument_group(group).add_argument
    add("--hidden", type=widths, metavar="N,N", help="units of the hidden layers")
    add("--activation", metavar="NAME", help="relu, gelu, tanh, sigmoid, ...")
    add("--loss", metavar="NAME", help="cross_entropy, mse, mae, huber, ...")
    add("--optimizer", choices=OPTIMIZERS, help="the update rule")
    add("--learning-rate", type=float, metavar="X", help="the highest; it falls over the run")
    add("--epochs", type=positive, metavar="N", help="passes over the rows")
    add("--batch-size", type=positive, metavar="N", help="rows of a step")
    add("--momentum", type=float, metavar="X", help="of sgd")
    add("--l2", type=float, metavar="X", help="penalty on weights")
    add("--dropout", type=float, metavar="X", help="share of hidden units left out of each step")
    patience = (
        "end after N epochs without an improvement; the best epoch counts in any case (never)"
    )
    add("--patience", type=positive, metavar="N", help=patience)
    ensemble = "networks of different seeds, averaged (%(default)s)"
    add("--ensemble", type=positive, default=1, metavar="N", help=ensemble)
    add("--seed", type=_seed, default=0, metavar="N", help="from which all follows (%(default)s)")
    add("--threads", type=positive, metavar="N", help="no more than these (what there is); they do "
        "not change the result")  # fmt: skip


def _add_files(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("more files").add_argument
    add("--plot", metavar="FILE", help="learning curves: .png, .svg or .pdf")
    add("--report", metavar="FILE", help="a page about data, training and scores: .html")
    checkpoint = "where the training is written on its way, and after Ctrl-C"
    add("--checkpoint", metavar="FILE", help=checkpoint)
    resume = "go on from a checkpoint, to the same bits, with the same data and options"
    add("--resume", metavar="FILE", help=resume)


def run(arguments: argparse.Namespace) -> int:
    """Train on the training part, score the test part with the model that is saved."""
    out = Path(arguments.out or default_out(arguments.dataset))
    _require_files(arguments, out)
    work = work_of(arguments)
    print(work.title, flush=True)
    for note in work.notes:
        print(f"- {note}", flush=True)
    training = _Training(arguments, work)
    started = time.perf_counter()
    with stoppable(training.stop) as interrupts:
        training.run(interrupts)
        model = training.model
        model.save(out)
        for note in model.notes:
            if note not in work.notes:
                print(f"- {note}")
        training.print_scores()
        model.save(out)
        _draw(arguments, training)
    seconds = time.perf_counter() - started
    print(f"model written to {out} ({size_of(out)}), {seconds:.1f} s")
    if interrupts.stopped:
        print("interrupted: this is the model of the epochs that were done")
    return 130 if interrupts.stopped else 0


def default_out(source: str) -> str:
    """Return the name of a data set's model: in this folder, without the suffixes of tables."""
    if source == "-":
        return "model.safetensors"
    path = Path(source)
    if path.suffix.lower() in (".gz", ".bz2", ".xz", ".zip", ".zst"):
        path = path.with_suffix("")
    return path.with_suffix(".safetensors").name


def _require_files(arguments: argparse.Namespace, out: Path) -> None:
    """See that all files can be written, and that none takes the place of another one."""
    inputs = [*files_of(arguments.dataset)]
    inputs += [Path(path) for path in (arguments.test, arguments.config) if path is not None]
    outputs: dict[str, str | Path | None] = {
        "--out": out,
        "--plot": arguments.plot,
        "--report": arguments.report,
    }
    resumed = [] if arguments.resume is None else [Path(arguments.resume)]
    require_outputs(outputs, [*inputs, *resumed], arguments.force)
    # A run that goes on may write where it was read.
    require_outputs(outputs | {"--checkpoint": arguments.checkpoint}, inputs, arguments.force)
    if arguments.plot is not None and Path(arguments.plot).suffix.lower() not in PICTURES:
        raise ConfigError(f"--plot: got {arguments.plot}, wanted a name with {', '.join(PICTURES)}")
    if arguments.folds is not None and (arguments.checkpoint or arguments.resume):
        raise ConfigError("--folds: got it beside a checkpoint, wanted one of the two")
    if arguments.plot is not None or arguments.report is not None:
        plot.library()


class _Training:
    """One model, or those of all folds and one on all rows."""

    def __init__(self, arguments: argparse.Namespace, work: Work) -> None:
        self._arguments, self._work = arguments, work
        self.model = work.make()
        self.train, self.test = work.rows, work.test
        self._folds: list[Any] = []

    def stop(self, reason: str) -> None:
        """End after the step that is running."""
        self.model.stop(reason)

    def run(self, interrupts: Interrupts) -> None:
        """Train, until it is done or interrupted.

        Raises
        ------
        KeyboardInterrupt
            It was interrupted before there was anything to save.
        """
        work, arguments = self._work, self._arguments
        if arguments.folds is not None:
            self._cross_validate(interrupts)
        if not interrupts.stopped:
            self.model = work.make()
            files = arguments.checkpoint, arguments.resume
            self._fit(interrupts, work.rows, work.validation, files)
            self.train, self.test = work.rows, work.test
        if not self.model.networks:
            raise KeyboardInterrupt

    def _cross_validate(self, interrupts: Interrupts) -> None:
        work, k = self._work, self._arguments.folds
        n = len(work.rows)
        if k > n:
            raise InputError(f"--folds: got {k} for {n} rows, wanted {n} at most")
        rng = np.random.Generator(np.random.PCG64(self._arguments.seed))
        for i, (rows, held) in enumerate(split.folds(n, k, rng, work.codes), start=1):
            self.model = work.make()
            self.train, self.test = work.rows.take(rows), work.rows.take(held)
            self._fit(interrupts, self.train, None, (None, None), f"fold {i}/{k}")
            if interrupts.stopped:
                print(f"interrupted in fold {i} of {k}: the model is that of this fold")
                return
            self._folds.append(self.model.evaluate(self.test, strict=False))

    def _fit(
        self,
        interrupts: Interrupts,
        rows: Any,
        validation: Any,
        files: tuple[str | None, str | None],
        name: str = "",
    ) -> None:
        arguments, model = self._arguments, self.model
        quiet = arguments.quiet

        def watch(trainer: Any, history: History) -> str | None:
            """Stop if Ctrl-C came between two trainings."""
            return "Ctrl-C" if interrupts.stopped else None

        callbacks: list[Any] = [watch]
        if not quiet:
            if name:
                print(name, flush=True)
            callbacks.append(Decisions(model, not name))
            if not draws_bar():
                callbacks.append(Lines(model, arguments.ensemble))
        bar = not quiet and draws_bar()
        model.fit(rows, validation, bar, callbacks, *files)

    def print_scores(self) -> None:
        """Print the scores of the test and the training rows beside the baseline."""
        model, width = self.model, screen_width()
        train = model.evaluate(self.train, strict=False)
        model.record["scores"] = {"training": train.to_json()}
        if self._folds:
            print(_of_folds(self._folds))
        if self.test is None:
            print(train.text(width, name="training"))
            return
        test = model.evaluate(self.test, self._arguments.test is not None)
        model.record["scores"]["test"] = test.to_json()
        print(test.text(width, training=train))


class Decisions:
    """A callback that prints what becomes of the columns before the first step."""

    def __init__(self, model: Any, wanted: bool) -> None:
        self._model, self._wanted = model, wanted

    def on_fit_begin(self, trainer: Any, x: Any, y: Any, validation_data: Any) -> None:
        """Print, once."""
        text = self._model.summary(screen_width()) if self._wanted else ""
        self._wanted = False
        if text:
            print(text, flush=True)


def _of_folds(folds: list[Any]) -> str:
    """Return the mean and the spread of each score over the folds."""
    lines = [f"{len(folds)} folds: mean and standard deviation of each score on the rows held out"]
    found: dict[str, list[float]] = {}
    for scores in folds:
        for name, value in scores.items():
            found.setdefault(name, []).append(value)
    for name, values in found.items():
        spread = f" +- {np.std(values, ddof=1):.2g}" if len(values) > 1 else " (one fold)"
        lines.append(f"  {name:<28}{np.mean(values):>10.4g}{spread}")
    return "\n".join(lines)


def _draw(arguments: argparse.Namespace, training: _Training) -> None:
    """Write the pictures that are wanted."""
    model = training.model
    if arguments.plot is not None:
        from ..plot import plot_histories

        content = io.BytesIO()
        figure = plot_histories(model.histories, model.best_epochs)
        figure.savefig(content, format=Path(arguments.plot).suffix[1:].lower())
        atomicfile.write(arguments.plot, content.getvalue())
        print(f"learning curves written to {arguments.plot}")
    if arguments.report is not None:
        from ..tables import report

        page = report(model, training.train, training.test, command=arguments.line)
        atomicfile.write(arguments.report, page.encode())
        print(f"report written to {arguments.report}")


def screen_width() -> int:
    """Return how many columns what is printed may take."""
    return min(shutil.get_terminal_size().columns, MOST_COLUMNS)


def size_of(path: str | Path) -> str:
    """Return the size of a file in words."""
    size = Path(path).stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def _folds(text: str) -> int:
    n = positive(text)
    if n < 2:
        raise argparse.ArgumentTypeError(f"{text!r} is less than 2")
    return n


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer >= 0")
    return int(text)
