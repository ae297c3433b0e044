"""`Target`: the task that a person would choose, labels as they are written, numbers in units."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

from fastbp.errors import ConfigError, FastbpError, LabelError  # noqa: E402
from fastbp.tables import Target  # noqa: E402

RNG = np.random.default_rng(0)
C, R = "classification", "regression"


def series(values):
    return pd.Series(values, name="y")


def texts(values):
    return [str(value) for value in values]


def fitted(values, **options):
    return Target(**options).fit(series(values))


def reloaded(target):
    return Target.from_json(json.loads(json.dumps(target.to_json(), allow_nan=False)))


def drawn(shares, n):
    return RNG.choice(len(shares), n, p=np.array(shares) / sum(shares))


TASKS = {
    "two words": (["a", "b"] * 20, C),
    "two numbers": ([0, 1] * 20, C),
    "two numbers with fractions": (["0.5", "1.5"] * 20, C),
    "two far numbers": ([0, 1000] * 20, C),
    "bools": ([True, False] * 20, C),
    "words": (["low", "middle", "high"] * 20, C),
    "ranges": (["<5", "5-9", "10+"] * 20, C),
    "codes with zeros in front": (["00210", "02139", "10001", "94110"] * 20, C),
    "numbers and words": (["1", "2", "x"] * 20, C),
    "class codes 0..9 in 60,000 rows": (RNG.integers(0, 10, 60000), C),
    "digits 0..9 in 1,797 rows": (texts(RNG.integers(0, 10, 1797)), C),
    "iris 0, 1, 2": ([0.0, 1.0, 2.0] * 50, C),
    "the class of wine 1, 2, 3": (np.repeat([1, 2, 3], [59, 71, 48]), C),
    "glass 1, 2, 3, 5, 6, 7": (np.repeat([1, 2, 3, 5, 6, 7], [70, 76, 17, 13, 9, 29]), C),
    "heart disease 0..4": (np.repeat([0, 1, 2, 3, 4], [164, 55, 36, 35, 13]), C),
    "cover types 1..7": (np.repeat(range(1, 8), [2118, 2833, 357, 27, 94, 173, 205]), C),
    "shuttle 1..7, mostly 1": (np.repeat(range(1, 8), [45586, 50, 171, 8903, 3267, 10, 13]), C),
    "letters as 0..25": (np.tile(range(26), 700), C),
    "faces 0..39, ten each": (np.repeat(range(40), 10), C),
    "100 classes of 500": (np.repeat(range(100), 500), C),
    "ratings 1..5 in 5,000 rows": (1 + drawn([2, 4, 10, 20, 14], 5000), C),
    "cylinders": (np.repeat([4, 6, 8], [11, 7, 14]), C),
    "-1, 0, 1": ([-1, 0, 1] * 30, C),
    "fractions": (RNG.normal(size=50), R),
    "few different fractions": ([0.5, 1.0, 1.5, 2.0] * 30, R),
    "percent": ([f"{v}%" for v in RNG.integers(0, 100, 50)], R),
    "money": ([f"${v}" for v in RNG.integers(0, 10**6, 50)], R),
    "counts 0..20 in 50 rows": ([*range(21), *RNG.integers(0, 21, 29)], R),
    "counts 0..20 in 5,000 rows": (RNG.poisson(6, 5000), R),
    "goals": (np.repeat(range(8), [3000, 4500, 3600, 1900, 800, 260, 70, 20]), R),
    "siblings": (np.repeat([0, 1, 2, 3, 4, 5, 8], [608, 209, 28, 16, 18, 5, 7]), R),
    "years": (RNG.integers(1990, 2000, 5000), R),
    "ages": (RNG.integers(18, 66, 5000), R),
    "ages of children": (RNG.integers(6, 13, 5000), R),
    "all ages": (np.minimum(RNG.gamma(4, 9, 20000), 95).astype(int), R),
    "round prices": (RNG.integers(1, 9, 5000) * 100, R),
    "grades 0..20": (np.clip(RNG.normal(11, 4, 395), 0, 20).astype(int), R),
    "scores 0..100": (RNG.integers(0, 101, 5000), R),
    "an integer of its own in every row": (range(200), R),
    "carburetors in 32 rows": (np.repeat([1, 2, 3, 4, 6, 8], [7, 10, 3, 10, 1, 1]), R),
    "few rows": ([1, 2, 3, 4, 5, 6], R),
}


@pytest.mark.parametrize("name", TASKS)
def test_the_task_is_what_a_person_says(name):
    values, task = TASKS[name]
    values = values if isinstance(values, list) else np.asarray(values)
    target = fitted(values)
    assert target.task == task, target.note
    other = R if task == C else C
    # Text cannot be a quantity.
    can_change = pd.to_numeric(series(texts(values)).str.strip("%$"), errors="coerce").notna().all()
    assert (f"(--task {other} changes that)" in target.note) == can_change
    text = fitted(texts(values)) if not isinstance(values, list) else target
    assert text.task == task
    y = target.transform(series(values))
    assert y.dtype == (np.int64 if task == C else np.float32)
    assert reloaded(target).transform(series(values)).tobytes() == y.tobytes()


def test_the_task_can_be_chosen():
    target = fitted([1, 2, 3] * 9, task="regression")
    assert target.task == "regression" and target.classes == ()
    assert target.note == "target 'y': a quantity, as asked for"
    target = fitted([0.5, 1.5, 2.5, 7] * 9, task="classification")
    assert target.classes == ("0.5", "1.5", "2.5", "7")
    assert target.note == "target 'y': 4 classes, as asked for"
    dates = ["2020-01-01", "2021-01-01", "2022-01-01"] * 9
    assert fitted(dates, task="classification").classes == tuple(dates[:3])


@pytest.mark.parametrize(
    "values, classes",
    [
        (["b", "a", "B"] * 9, ("B", "a", "b")),
        (["yes", "no"] * 9, ("no", "yes")),
        (["TRUE", "FALSE"] * 9, ("FALSE", "TRUE")),
        (["00210", "1", "00021"] * 9, ("00021", "00210", "1")),
        (["007", "7.0", "8"] * 9, ("007", "7.0", "8")),
        (["10", "9", "1"] * 9, ("1", "9", "10")),
        (["1.0", "1.0", "1", "2", "0"] * 9, ("0", "1.0", "2")),
        (["1,0", "2,0"] * 9, ("1,0", "2,0")),
        ([3.0, 1.0, 2.0] * 9, ("1", "2", "3")),
        ([True, False] * 9, ("False", "True")),
        (["☃", "é", "z"] * 9, ("z", "é", "☃")),
    ],
)
def test_labels_come_back_as_they_are_written(values, classes):
    target = fitted(values, decimal="," if "1,0" in values else ".", task="classification")
    assert target.classes == classes
    codes = target.transform(series(values))
    assert sorted(set(codes.tolist())) == list(range(len(classes)))
    labels = target.labels(codes)
    assert labels.dtype == object
    first = {}
    for value, label in zip(texts(values), labels, strict=True):
        first.setdefault(value, label)
    assert all(float(k.replace(",", ".")) == float(v.replace(",", ".")) if k[0] in "0123456789"
               else k == v for k, v in first.items())  # fmt: skip
    assert (target.values(series(values)) == labels).all()
    assert (reloaded(target).labels(codes) == labels).all()


def test_a_label_is_known_by_its_value_or_its_text():
    target = fitted(["0", "1", "2"] * 9)
    assert target.transform(series(["2.0", "1"])).tolist() == [2, 1]
    assert target.transform(series([2, 0])).tolist() == [2, 0]
    assert target.known(series(["1", "3", "x", None])).tolist() == [True, False, False, False]
    with pytest.raises(LabelError, match=r"target 'y': got '3' in row 1, wanted .* '0', '1', '2'"):
        target.transform(series(["1", "3"]))
    numbers = fitted([1.5, 2.5, 7])
    assert numbers.known(series(["1", "x", None, "inf"])).tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    "values, options, text",
    [
        (["a"] * 20, {}, "target 'y': got 'a' in every row, wanted two different values or more"),
        ([5] * 20, {}, "got '5' in every row"),
        (["1", "1.0"] * 9, {"task": C}, "got '1' in every row"),
        (["1", "1.0"] * 9, {"task": R}, "got '1' in every row"),
        ([1.0, None, 2.0], {}, "got a missing cell in row 1, wanted rows with a target alone"),
        ([1.5, np.inf, 2.0], {}, "got 'inf' in row 1, wanted finite numbers: drop the rows"),
        (["1.5", "inf", "2"], {}, r"got 'inf' in row 1, wanted finite numbers"),
        (["1", "2", "x"] * 9, {"task": R}, "got 'x' in row 2, wanted numbers for regression"),
        ([f"name {i}" for i in range(30)], {}, "got 30 different values in 30 rows, such as"),
        (
            pd.date_range("2020", periods=30).astype(str),
            {},
            "got dates such as '2020-01-01', wanted classes or",
        ),
        ([*texts(RNG.normal(size=40)), "n.d."], {}, "got 'n.d.' in row 40 among numbers"),
        ([], {}, "got no row with a target"),
        ([1, 2], {"task": "ranking"}, "task: got 'ranking', wanted one of classification"),
        ([1, 2], {"decimal": ";"}, "decimal: got ';'"),
    ],
)
def test_what_cannot_be_learned_is_a_named_error(values, options, text):
    with pytest.raises(FastbpError, match=text):
        fitted(values, **options)


def test_what_can_hardly_be_learned_is_a_warning():
    target = fitted([*["a", "b"] * 20, "c"])
    assert target.warnings[0].startswith("target 'y': 'c' occurs once, so that nothing")
    assert fitted(["a", "b"] * 20).warnings == ()
    (few,) = fitted(["a", "b", "a", "b"]).warnings
    assert few.startswith("target 'y': 4 rows are too few")


@pytest.mark.parametrize("size", [1e-310, 1e-9, 1.0, 1e9, 1e300])
def test_numbers_become_standard_ones_and_come_back(size):
    values = RNG.normal(3, 2, 100) * size
    target = fitted(values)
    y = target.transform(series(values)).astype(float)
    assert abs(y.mean()) < 1e-6 and y.std() == pytest.approx(1, rel=1e-6)
    np.testing.assert_allclose(target.in_units(y), values, rtol=2e-6, atol=1e-6 * size)
    np.testing.assert_array_equal(target.values(series(values)), values)
    assert reloaded(target).in_units(y).tobytes() == target.in_units(y).tobytes()


@pytest.mark.parametrize(
    "values, log",
    [
        (np.exp(RNG.normal(10, 2, 300)), True),
        (1e9 * RNG.pareto(1.5, 300) + 1e6, True),
        (np.where(RNG.random(300) < 0.2, 0, np.exp(RNG.normal(3, 1.5, 300))), True),
        (RNG.normal(100, 5, 300), False),
        (RNG.uniform(0, 1e6, 300), False),
        (np.exp(RNG.normal(0, 2, 300)) * RNG.choice([-1, 1], 300), False),
        (-np.exp(RNG.normal(0, 2, 300)), False),
    ],
)
def test_heavy_tails_are_learned_by_their_logarithms(values, log):
    target = fitted(values)
    assert target.log is log
    assert ("logarithm" in target.note) is log
    y = target.transform(series(values))
    np.testing.assert_allclose(target.in_units(y), values, rtol=1e-4, atol=1e-6)
    far = target.in_units([-3e38, -1e3, 1e3, 3e38])
    assert np.isfinite(far).all()
    if log:
        assert far.max() <= values.max() * 12 and far.min() >= 0
        below = target.transform(series([0.0, -1.0]))
        assert np.isfinite(below).all()


def test_rows_with_a_target_are_told():
    assert Target.rows(series(["1", None, "", "NA", "x"])).tolist() == [True, *[False] * 3, True]
    assert Target.rows(series([1.0, np.nan])).tolist() == [True, False]


def test_a_call_before_fit_is_a_named_error():
    for call in (Target().to_json, lambda: Target().labels([0]), lambda: Target().in_units([0])):
        with pytest.raises(ConfigError, match="before fit"):
            call()


def test_what_is_no_description_is_a_named_error_or_works():
    for target in (fitted(["a", "b", "c"] * 9), fitted(np.exp(RNG.normal(0, 2, 50)))):
        described = target.to_json()
        for key, value in described.items():
            bad = (
                None,
                -1,
                2**70,
                "x",
                [],
                {},
                ["x", "x"],
                [1, 2],
                True,
                1e300,
                float("nan"),
                [value],
            )
            for other in bad:
                try:
                    loaded = Target.from_json(described | {key: other})
                except (ValueError, LookupError, TypeError):
                    continue
                if loaded.task == "classification":
                    loaded.labels([0, 1])
                else:
                    assert np.isfinite(loaded.in_units([0.0, 3e38])).all()
            with pytest.raises(ValueError):
                Target.from_json({k: v for k, v in described.items() if k != key})


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=20),
    st.lists(st.floats(allow_nan=False, width=32), max_size=5),
)
def test_any_numbers_have_finite_targets_and_predictions(values, outputs):
    try:
        target = fitted(values, task="regression")
    except LabelError:
        assert len(set(values)) == 1
        return
    y = target.transform(series(values))
    assert np.isfinite(y).all()
    assert np.isfinite(target.in_units(y)).all() and np.isfinite(target.in_units(outputs)).all()
    assert reloaded(target).transform(series(values)).tobytes() == y.tobytes()
