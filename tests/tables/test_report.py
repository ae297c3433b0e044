"""The report: what is on the page, that it is escaped and loads nothing, how a browser sees it."""

from __future__ import annotations

import copy
import html
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("pandas")

from fastbp import History, errors
from fastbp.tables.importance import importances
from fastbp.tables.model import TableModel
from fastbp.tables.reliability import reliability_bins
from fastbp.tables.report import report
from fastbp.tables.table import Table

HOSTILE = {
    "<script>alert('1')</script>": "number",
    "\"quotes' & ampersands;</td>": "number",
    "$\\frac{1}{2}$ of $x$": "number",
    "שם של עמודה": "number",
    "\u202eturned \x07\x1b[31m": "number",
    "a very long name " * 30: "number",
    "日本語": "number",
    'id="figure_1" url(#x)': "number",
}
VOID = {"meta", "link", "br", "img", "input", "hr"}


def hostile(n_rows, n_classes, rng):
    """A table of names that a page must not act on; the classes follow from two of the columns."""
    names = list(HOSTILE)
    frame = {name: rng.normal(size=n_rows) for name in names}
    frame["<b>kind</b>"] = rng.choice(["<i>a</i>", "b & c", "$x^2$"], n_rows)
    order = np.argsort(np.argsort(frame[names[0]] + frame[names[3]]))
    codes = order * n_classes // n_rows
    labels = np.array([f"<class {code}> & $c$" for code in codes], object)
    labels[-10:], labels[-20:-10] = "new", None  # in the test part
    return frame | {"<u>target</u> & $y$": labels}


def quantity(n_rows, rng):
    x = rng.normal(size=(n_rows, 3))
    y = 100 + 30 * x[:, 0] + 5 * x[:, 1] + rng.normal(size=n_rows)
    return {"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "price in $": y}


def made(frame, n_train, **options):
    """A trained model, its tables, and its page."""
    table = Table(frame, name="<file>.csv")
    train, test = (table.take(rows) for rows in np.split(np.arange(len(table)), [n_train]))
    model = TableModel(seed=0, epochs=3, **options).fit(train)
    return model, train, test


@pytest.fixture(scope="module")
def classes():
    return made(hostile(300, 25, np.random.default_rng(0)), 200)


@pytest.fixture(scope="module")
def of_classes(classes):
    return report(*classes, command="fastbp train '<file>.csv' --seed 0")


@pytest.fixture(scope="module")
def values():
    """A model of values, and frames."""
    model, train, test = made(quantity(1400, np.random.default_rng(1)), 200, ensemble=2)
    return model, train.frame, test.frame


@pytest.fixture(scope="module")
def of_values(values):
    return report(*values)


class Page(HTMLParser):
    """Elements and text of a page; every element but the void ones must be closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text = [], [], {}
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.text[self.open[-1]] = self.text.get(self.open[-1], "") + data

    def tags(self):
        return {tag for tag, _ in self.elements}


@pytest.fixture(params=["of_classes", "of_values"])
def page(request):
    return Page(request.getfixturevalue(request.param))


def test_nothing_is_loaded_or_run(page):
    assert not page.tags() & {
        "script",
        "iframe",
        "object",
        "embed",
        "img",
        "base",
        "form",
        "b",
        "u",
    }
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            target = attributes.get(name, "#")
            assert target.startswith(("#", "data:")), (tag, target)
        assert not re.search(r"url\((?!#)", attributes.get("style") or "")
    assert "://" not in page.text["style"]
    assert not re.search(r"@import|url\(", page.text["style"])
    policy = next(a["content"] for tag, a in page.elements if "http-equiv" in a)
    assert policy.startswith("default-src 'none';")


def test_identifiers_are_those_of_one_element(page):
    found = [a["id"] for _, a in page.elements if "id" in a]
    assert len(found) == len(set(found))
    named = {"#" + name for name in found}
    links = {a["href"] for _, a in page.elements if a.get("href", "").startswith("#")}
    assert links <= named
    inside = {
        ref
        for _, a in page.elements
        for v in a.values()
        for ref in re.findall(r"url\((#[^)]+)", v or "")
    }
    assert inside
    assert inside <= named


def test_every_figure_has_a_title_and_a_caption(page):
    figures = [tag for tag, _ in page.elements if tag == "figure"]
    pictures = [a for tag, a in page.elements if tag == "svg"]
    assert len(figures) == len(pictures) >= 3
    ids = {a["id"] for tag, a in page.elements if tag == "title" and "id" in a}
    assert {a["aria-labelledby"] for a in pictures} == ids
    assert all(a["role"] == "img" and "width" not in a for a in pictures)


def test_sections(of_classes, of_values):
    for text, wanted in (
        (of_classes, "Scores Errors Calibration Columns that matter Training Data"),
        (of_values, "Scores Errors Columns that matter Training Data"),
    ):
        titles = re.findall("<h2>(.*?)</h2>", text)
        assert titles == [
            *re.split(" (?=[A-Z])", wanted),
            "What became of the columns",
            "To do it again",
        ]


def test_names_are_escaped_and_stay_readable(of_classes):
    text = Page(of_classes).text
    told = "".join(text.values())
    for name in list(HOSTILE)[:4]:
        assert name in told
    assert "<class 3> & $c$" in told
    assert "\\u202eturned \\x07\\x1b[31m" in told
    assert not re.search("[\u202e\x07\x1b]", of_classes)
    assert "a very long name a very" in told
    assert "a very long name " * 4 not in told
    # matplotlib has drawn the dollars, and read no mathematics between them.
    assert "$\\frac{1}{2}$ of $x$" in text["text"]


def test_more_classes_than_a_table_has_room_for_are_joined(of_classes):
    assert "The 20 most frequent of 25 classes" in of_classes
    assert "all others" in of_classes
    assert "And 5 more classes." in of_classes


def test_many_points_are_a_picture(of_values):
    assert of_values.count("data:image/png;base64") == 2
    assert len(of_values) < 1_000_000
    assert "The outputs of 2 networks are averaged" in of_values


@pytest.mark.slow
def test_the_same_model_and_tables_give_the_same_page_whatever_the_style_is(values, of_values):
    import matplotlib

    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path"}):
        assert report(*values) == of_values
        assert matplotlib.rcParams["font.size"] == 30


def test_rows_without_a_target_and_labels_that_training_lacks(of_classes):
    assert "Training did not have the label of 10 rows: counted as wrong." in of_classes
    cells = "</bdi></td><td><bdi>".join(["of them without a target, left out", "0", "10<"])
    assert cells in of_classes


@pytest.mark.parametrize(
    ("argument", "value", "error", "message"),
    [
        ("model", None, errors.ConfigError, "model: got None, wanted a TableModel"),
        ("model", TableModel(), errors.ConfigError, "fit"),
        ("command", 3, errors.ConfigError, "command: got 3, wanted a string"),
        ("test", {"a": [1.0]}, errors.FastbpError, "price in"),
        ("train", 3, errors.FastbpError, "wanted a frame"),
    ],
)
def test_an_argument_that_cannot_be_is_named(values, argument, value, error, message):
    arguments = dict(zip(("model", "train", "test"), values, strict=True)) | {argument: value}
    with pytest.raises(error, match=message):
        report(**arguments)


def stopped(model):
    """The model as it would be if training had been interrupted in the first epoch."""
    found, n = copy.copy(model), len(model.networks)
    found.histories, found.best_epochs = (History(),) * n, (0,) * n
    return found


def test_values_that_cannot_be_squared_or_drawn(values):
    model, train, _ = values
    test = {
        "a": [0.0, 1.0, 1.0],
        "b": [0.0] * 3,
        "c": [0.0] * 3,
        "price in $": [100, 1e200, -1e200],
    }
    text = report(stopped(model), train, test)
    assert "RMSE, R2: not defined: errors are too large." in text
    assert "Left out: 2 rows, with values too large to draw." in text
    assert "The weights are those of epoch 0 of 0, 0 of 0." in text
    assert text.count("<svg") == 3  # of them no curves


def test_rows_that_are_all_of_unknown_labels(classes):
    model, train, _ = classes
    test = hostile(20, 2, np.random.default_rng(7)) | {"<u>target</u> & $y$": ["other"] * 20}
    text = report(stopped(model), train, test)
    assert "no row has a label that training had" in text
    assert not {"Calibration", "Columns that matter"} & set(re.findall("<h2>(.*?)</h2>", text))


def test_without_matplotlib_it_says_what_to_install(monkeypatch, values):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(errors.MissingDependencyError, match=r'pip install "fastbp\[plot\]"'):
        report(*values)


def test_importance_is_that_of_shuffled_columns():
    """By hand: a model that goes by one column of three, one of which is two inputs."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(400, 4))
    before = x.copy()
    y = x[:, 1] + x[:, 2]

    def loss(rows):
        return float(np.mean((rows[:, 1] + rows[:, 2] - y) ** 2))

    found = importances(loss, x, ["a", "b", "b", "c"], n_repeats=20)
    assert found[0].column == "b"
    # Of two independent orders of a variable of variance 2 the squared difference is 4.
    assert found[0].mean == pytest.approx(4, rel=0.15)
    assert 0 < found[0].spread < 0.6
    assert [(f.mean, f.spread) for f in found[1:]] == [(0, 0), (0, 0)]
    assert (x == before).all()
    assert found == importances(loss, x, ["a", "b", "b", "c"], n_repeats=20)


def test_reliability_is_that_of_rows_counted_by_numpy():
    rng = np.random.default_rng(5)
    p = rng.random(500)
    y = (rng.random(500) < p**2).astype(np.int64)
    bins = reliability_bins(y, np.stack([1 - p, p], axis=1))
    counts, sums, means = (np.histogram(p, 10, (0, 1), weights=w)[0] for w in (None, y, p))
    assert [b.n_rows for b in bins] == counts.tolist()
    assert [b.share for b in bins] == pytest.approx(sums / counts)
    assert [b.probability for b in bins] == pytest.approx(means / counts)
    assert all(b.low <= b.share <= b.high for b in bins)
    # Of more classes: how often the answer is right, by its probability.
    bins = reliability_bins(
        np.array([0, 1, 1]), np.array([[1, 0, 0], [0.5, 0.3, 0.2], [0.1, 0.56, 0.34]])
    )
    assert [(b.n_rows, b.share) for b in bins] == [(2, 0.5), (1, 1.0)]


@pytest.fixture
def browser(tmp_path):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no chromium")

    def run(text, *options):
        """What chromium writes to stdout and stderr about a page."""
        (tmp_path / "page.html").write_text(text, encoding="utf-8")
        command = [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}",
            *options, f"file://{tmp_path / 'page.html'}",
        ]  # fmt: skip
        return subprocess.run(command, capture_output=True, text=True, timeout=400, check=True)

    return run


def said(result):
    """What the page has brought the browser to say in its console."""
    return [line for line in result.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["of_classes", "of_values"])
def test_a_browser_sees_it(browser, tmp_path, request, name):
    image = pytest.importorskip("PIL.Image")
    text = request.getfixturevalue(name)
    picture = tmp_path / "page.png"
    result = browser(text, "--window-size=1000,3000", f"--screenshot={picture}")
    assert said(result) == []
    with image.open(picture) as seen:
        shades = np.asarray(seen.convert("L"))
    assert shades.shape == (3000, 1000)
    for part in np.split(shades, 5):  # all the way down
        assert 0.003 < (part < 128).mean() < 0.5
    # On the screen of a telephone nothing hangs over: tables scroll within themselves.
    measured = (
        f'<iframe id="f" width="400" height="800" srcdoc="{html.escape(text)}"></iframe><script>'
        'const f = document.getElementById("f"); f.onload = () => { const d = f.contentDocument;'
        "f.title = d.documentElement.scrollWidth + ' ' + d.querySelectorAll('table').length }"
        "</script>"
    )
    result = browser(measured, "--dump-dom", "--virtual-time-budget=5000")
    width, n_tables = map(int, re.search(r'title="(\d+) (\d+)"', result.stdout).groups())
    assert 0 < width <= 400
    assert n_tables >= 5


@pytest.mark.slow
def test_the_browser_says_what_it_does_not_load(browser, of_values):
    planted = of_values.replace("<main>", '<main><img src="http://127.0.0.1:9/x.png">')
    assert any("Content Security Policy" in line for line in said(browser(planted, "--dump-dom")))
