"""``fastbp export`` to C, Fortran and ONNX: compiled and run, beside ``fastbp predict``."""

from __future__ import annotations

import ctypes
import json
import re

import numpy as np
import pytest
from c_exports import SHARED, WARNINGS, Compiled, compiler, vjp_of
from c_exports import run as shell

import fastbp as fb
from fastbp.tables import Table, TableModel

pytestmark = pytest.mark.skipif("sys.platform == 'win32'", reason="its compilers are no gcc")
X = np.random.default_rng(3).normal([5, -1, 1000], [2, 0.1, 300], (7, 3))
FORTRAN = """\
program main
  use my_net
  use, intrinsic :: iso_c_binding, only: c_double
  implicit none
  real(c_double) :: y(my_net_n_outputs), dx(my_net_n_inputs)
  call my_net_vjp([{x}], [1d0, 0d0], y, dx)
  print *, y, dx
end program main
"""


@pytest.fixture
def net(here):
    """A network behind a preprocessing, in a file."""
    net = fb.Network(
        3,
        [fb.Dense(9, "tanh"), fb.Dense(2)],
        seed=0,
        preprocessing=fb.preprocess.Standardize().fit(X),
    )
    net.save(here / "my-net.safetensors")
    return net


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with models of a table: of classes, of a value, of one with a long tail, of two."""
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    folder, rng = tmp_path_factory.mktemp("models"), np.random.default_rng(7)
    lines = ["length,colour,sold,kind,price"]
    for i in range(45):
        kind, colour = ("007", "tu*/lip", "lily@")[i % 3], ("red", "blue", "??/")[i * 7 % 11 % 3]
        sold = ("", "yes", "no")[i % 5 % 3]
        lines.append(f"{rng.normal(9, 1):.3f},{colour},{sold},{kind},{np.exp(rng.normal(3, 2))}")
    (folder / "t.csv").write_text("\n".join(lines))
    table = Table.read(folder / "t.csv")
    for out, target, n in (
        ("kind", "kind", 1),
        ("length", "length", 1),
        ("price", "price", 1),
        ("two", "length", 2),
    ):
        TableModel(target, ensemble=n, epochs=2, hidden=(9,)).fit(table).save(folder / out)
    return folder


def loaded(folder, source="out.c"):
    """The library that a file of C makes."""
    library = folder / "library.so"
    shell(compiler("gcc"), "-std=c99", *WARNINGS, "-O1", *SHARED, source, "-o", library, "-lm")
    return ctypes.CDLL(str(library))


def test_c_with_gradients(run, net, here):
    output = run("export", "my-net.safetensors", "--to", "c", "--gradients")
    assert output == "written to my-net.c and my-net.h\n"
    user = '#include <stddef.h>\n#include "my-net.h"\n#include "my-net.c"\n'
    (here / "user.c").write_text(user)  # the two agree
    made = Compiled(loaded(here, here / "user.c"), "my_net", net)
    x = X.astype("f4")
    assert made.predict(x).tobytes() == net.predict(x).tobytes()
    v = np.array([0.3, -2], "f4")
    assert made.vjp(x[0], v)[1].tobytes() == vjp_of(net, x[0], v).tobytes()


def test_name_and_dtype(run, net, here):
    run("export", "my-net.safetensors", "--to", "c", "--name", "f", "--dtype", "double",
        "--out", "out.c")  # fmt: skip
    double = net.copy("float64")
    made = Compiled(loaded(here), "f", double)
    assert made.predict(X).tobytes() == double.predict(X).tobytes()
    assert not hasattr(made.library, "f_vjp")


def test_fortran(run, net, here):
    options = "--to", "fortran", "--gradients", "--dtype", "double"
    output = run("export", "my-net.safetensors", *options)
    assert output == "written to my-net.f90 and my-net.c\n"
    x = ", ".join(f"{value!r}d0" for value in X[0].tolist())
    (here / "main.f90").write_text(FORTRAN.replace("{x}", x))
    shell(compiler("gcc"), "-O1", "-c", "my-net.c", "-o", "net.o")
    flags = "-std=f2003", "-Wall", "-Werror"
    shell(compiler("gfortran"), *flags, "my-net.f90", "main.f90", "net.o", "-o", "main", "-lm")
    found = np.array(shell(here / "main").split(), float)
    double = net.copy("float64")
    wanted = [*double.predict(X[:1])[0], *vjp_of(double, X[0], np.array([1.0, 0]))]
    np.testing.assert_allclose(found, wanted, rtol=1e-15)


@pytest.mark.parametrize("dtype", [None, "float"])
def test_onnx(run, net, here, dtype):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    run("export", "my-net.safetensors", "--to", "onnx", *(["--dtype", dtype] if dtype else []))
    session = runtime.InferenceSession("my-net.onnx")
    x = X.astype("f4" if dtype else "f8")
    np.testing.assert_allclose(session.run(["y"], {"x": x})[0], net.predict(x), rtol=1e-5)


def encoded(folder):
    """The rows of the table as inputs, and a model's answer by the command."""
    model = TableModel.load(folder)
    return model, model.columns.transform(Table.read(folder.parent / "t.csv"))


def predicted(run, folder, *options):
    lines = run("predict", folder, folder.parent / "t.csv", *options).split()[1:]
    return np.array([line.split(",")[-3:] if options else [line] for line in lines], float)


def test_classes_of_a_table(run, models, here):
    run("export", models / "kind", "--to", "c", "--name", "kind", "--out", "out.c")
    model, x = encoded(models / "kind")
    y = Compiled(loaded(here), "kind", model.networks[0]).predict(x)
    np.testing.assert_array_equal(y, predicted(run, models / "kind", "--proba").astype("f4"))
    text = (here / "out.h").read_text()
    comment, declarations = text.split("*/", 1)
    for i, (name, formula) in enumerate(
        zip(model.columns.names_out, model.columns.formulas_out, strict=True)
    ):
        if "*" not in name + formula and "?" not in name:
            assert f"x[{i}]  {name}: {formula}\n" in comment
    assert "the probability of each class of 'kind'" in comment
    assert "kind_n_classes = 3" in declarations


@pytest.mark.parametrize("dtype", ["float", "double"])
def test_quantity_of_a_table_is_in_its_unit(run, models, here, dtype):
    run("export", models / "length", "--to", "c", "--dtype", dtype, "--name", "length",
        "--out", "out.c")  # fmt: skip
    model, x = encoded(models / "length")
    net = model.networks[0].copy({"float": "float32", "double": "float64"}[dtype])
    y = Compiled(loaded(here), "length", net).predict(x)
    rtol = 1e-6 if dtype == "float" else 1e-7  # that of the model is a float32
    np.testing.assert_allclose(y, predicted(run, models / "length"), rtol=rtol)


def test_quantity_by_its_logarithm(run, models, here):
    run("export", models / "price", "--to", "c", "--name", "price", "--out", "out.c")
    model, x = encoded(models / "price")
    y = Compiled(loaded(here), "price", model.networks[0]).predict(x).astype(float)
    (formula,) = re.findall(r"follows from: exp\(y\), of y within (\S+) and (\S+)\n",
                            (here / "out.c").read_text())  # fmt: skip
    value = np.exp(np.clip(y, *map(float, formula)))
    np.testing.assert_allclose(value, predicted(run, models / "price"), rtol=1e-5)


def test_onnx_of_a_table(run, models, here):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    run("export", models / "kind", "--to", "onnx")
    session = runtime.InferenceSession("kind.onnx")
    model, x = encoded(models / "kind")
    y, label = session.run(["y", "label"], {"x": x})
    assert label.tolist() == model.predict(Table.read(models / "t.csv")).tolist()
    np.testing.assert_allclose(y, model.outputs(x), atol=1e-6)
    notes = json.loads(session.get_modelmeta().custom_metadata_map["fastbp.metadata"])
    lines = json.loads(notes["fastbp.table"])
    assert sum(formula in line for formula in model.columns.formulas_out for line in lines) > 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--to npz --name f", "--name: got it for npz, wanted it for c or fortran only"),
        ("--to json --dtype float", "--dtype: got it for json, wanted it for c or fortran or onnx"),
        ("--to onnx --gradients", "--gradients: got it for onnx"),
        ("--to c --name 2", "name: got '2', wanted a name of C"),
        ("--to c --name int", "name: got 'int'"),
        ("--to c --dtype half", "invalid choice: 'half'"),
        ("--to c --out my-net.h", "--out: got my-net.h, which is the file beside it"),
        ("--to fortran --out my-net.c", "--out: got my-net.c, which is the file beside it"),
        ("--to onnx --out my-net.safetensors", "which is read too"),
        ("--to c --out no/a.c", "no/a.c, wanted a file in a folder that exists"),
    ],
)
def test_wrong_use_writes_nothing(fail, net, here, options, message):
    before = (here / "my-net.safetensors").read_bytes()
    assert message in fail("export", "my-net.safetensors", *options.split())
    assert [path.name for path in here.iterdir()] == ["my-net.safetensors"]
    assert (here / "my-net.safetensors").read_bytes() == before


def test_values_beyond_the_range_of_float(run, fail, here):
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    table = {"a": np.cos(np.arange(20)), "y": np.linspace(-1, 1, 20) * 1e300}
    model = TableModel("y", "regression", epochs=2, hidden=(4,)).fit(table)
    model.save("huge")
    assert "values of 'y' beyond the range of float32" in fail("export", "huge", "--to", "c")
    options = "--dtype", "double", "--out", "out.c", "--name", "huge"
    run("export", "huge", "--to", "c", *options)
    made = Compiled(loaded(here), "huge", model.networks[0].copy("float64"))
    found = made.predict(model.columns.transform(table)).ravel()
    np.testing.assert_allclose(found, model.predict(table), rtol=1e-5)
    assert np.abs(found).max() > 1e298


def test_an_ensemble_is_refused(fail, models, here):
    for form in ("c", "fortran"):
        assert "an ensemble of 2 networks" in fail("export", models / "two", "--to", form)
    assert not list(here.iterdir())


def test_files_that_are_not_named_are_kept(run, fail, net, here):
    (here / "my-net.h").write_text("int mine;\n")
    (here / "my-net.json").write_text('{"mine": 1}')
    for options in ("--to c", "--to c --out my-net.c", "--to json"):
        assert "which is no export of fastbp" in fail(
            "export", "my-net.safetensors", *options.split()
        )
    assert (here / "my-net.h").read_text() == "int mine;\n"
    assert (here / "my-net.json").read_text() == '{"mine": 1}'
    assert not (here / "my-net.c").exists()
    run("export", "my-net.safetensors", "--to", "json", "--out", "my-net.json")  # as it is named
    for _ in range(2):  # what is ours may be replaced
        for form in ("npz", "json", "fortran", "c --out other.c"):
            run("export", "my-net.safetensors", "--to", *form.split())


def test_the_model_is_not_taken_for_a_header(run, fail, net, here):
    net.save("m.h")
    before = (here / "m.h").read_bytes()
    assert "m.h, which is read too" in fail("export", "m.h", "--to", "c")
    assert (here / "m.h").read_bytes() == before
    assert not (here / "m.c").exists()


@pytest.mark.parametrize(
    ("stem", "name"),
    [("2 a.b", "net_2_a_b"), ("int", "net_int"), ("é", "net__"), ("a" * 50, "a" * 40)],
)
def test_the_name_follows_from_that_of_the_file(run, net, here, stem, name):
    run("export", "my-net.safetensors", "--to", "c", "--out", f"{stem}.c")
    assert f"void {name}_predict(" in (here / f"{stem}.h").read_text()
