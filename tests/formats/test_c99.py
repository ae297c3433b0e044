"""Networks as C99: the engine's bits, on every compiler, without a heap or a library but fma."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import numpy as np
import pytest
from c_exports import SHARED, WARNINGS, compiled, compiler, dense, run, vjp_of
from gate_networks import STACKS

import fastbp as fb
from fastbp.activations import ELU, LeakyReLU
from fastbp.engine.runtime import ACTIVATIONS
from fastbp.formats import c99_functions, to_c, to_c_header, to_fortran

pytestmark = pytest.mark.skipif("sys.platform == 'win32'", reason="its compilers are no gcc")

DTYPES = ("float32", "float64")
FUNCTIONS = [*(name for name in ACTIVATIONS if name != "softmax"), LeakyReLU(0.25), ELU(0.3)]
RNG = np.random.default_rng(7)
X = RNG.standard_normal((9, 5)) * [1, 2, 1, 0.1, 1] + [0, 3, 0, 1, -1]
MAPS = {
    "center": fb.preprocess.Center().fit(X),
    "standardize": fb.preprocess.Standardize().fit(X),
    "minmax": fb.preprocess.MinMax().fit(X),
    "pca": fb.preprocess.PCA(3).fit(X),
    "whiten": fb.preprocess.Whiten(zca=True).fit(X),
    "affine": fb.preprocess.Affine(X[0], RNG.standard_normal((5, 17)) / 30),
    "columns": fb.preprocess.Affine(X[1], RNG.standard_normal(5) / 30),
}


def functions(dtype):
    """A network for each activation that computes it and nothing else."""
    nets = {}
    for i, f in enumerate(FUNCTIONS):
        nets[f"f{i}"] = net = fb.Network(1, [fb.Dense(1, f)], dtype=dtype, seed=0)
        net.layers[0].weight[...] = 1
    return nets


def gates(dtype):
    """Networks of all kinds of layers, widths that fill no line and gates of most activations."""
    nets = {}
    for i, stack in enumerate(STACKS.values()):
        nets[f"stack{i}"] = fb.Network(5, stack, dtype=dtype, seed=i)
    for i in range(3):
        layers = []
        for f in FUNCTIONS[i::3]:
            inner = [dense(18, f, dropout=0.2), fb.Maxout(21, 3)]
            layers += [fb.Gated(18, f), fb.Residual(inner)]
        nets[f"gate{i}"] = fb.Network(5, [*layers, dense(3, "softmax")], dtype=dtype, seed=i)
    return nets


def mapped(dtype):
    """Networks behind every preprocessing; the data go more than one way."""
    return {
        name: fb.Network(
            5,
            [fb.Residual([fb.Residual([dense(map_.n_outputs, "gelu")]), dense(9)]), dense(2)],
            dtype=dtype,
            seed=1,
            preprocessing=map_,
        )
        for name, map_ in MAPS.items()
    }


def assert_same_bits(nets, exported, x):
    for name, net in nets.items():
        rows = x.astype(net.dtype)
        outputs = net.predict(rows)
        assert np.ptp(outputs) > 0
        assert exported[name].predict(rows).tobytes() == outputs.tobytes(), name
        v = RNG.standard_normal(net.n_outputs).astype(net.dtype)
        for row, wanted in zip(rows[:2], outputs[:2], strict=True):
            y, dx = exported[name].vjp(row, v)
            assert y.tobytes() == wanted.tobytes()
            assert dx.tobytes() == vjp_of(net, row, v).tobytes(), name


@pytest.mark.parametrize("dtype", DTYPES)
def test_activations_have_the_engines_bits(tmp_path, dtype):
    """Functions and slopes, so that the header and what is made of it never part."""
    nets = functions(dtype)
    exported = compiled(tmp_path, nets, "-O0")
    ends = np.finfo(dtype)
    x = np.concatenate(
        [
            np.exp2(np.linspace(ends.minexp, ends.maxexp - 1, 400)),
            np.linspace(0, 30, 400),
            [0.0, ends.max],
        ]
    ).astype(dtype)
    x = np.concatenate([x, -x])[:, None]
    for name, net in nets.items():
        found, wanted = exported[name].predict(x), net.predict(x)
        different = found.view(f"i{x.itemsize}") != wanted.view(f"i{x.itemsize}")
        # The engine's denormal numbers are zero.
        assert np.abs(found[different]).max(initial=0) < ends.tiny, net
        assert not wanted[different].any()
        for z in x[::40, 0]:
            _, dx = exported[name].vjp(np.array([z]), np.ones(1, dtype))
            engine = vjp_of(net, np.array([z]), np.ones(1, dtype))
            assert dx.tobytes() == engine.tobytes() or abs(dx[0] - engine[0]) < ends.tiny, (net, z)


def test_the_table_of_the_header_is_read_whole():
    for is_double in (False, True):
        texts, table = c99_functions.functions(is_double)
        assert set(table) - {"saved_slope"} == set(ACTIVATIONS) - {"softmax"}
        needed = c99_functions.Definitions(texts).needed("".join(f + g for f, g in table.values()))
        assert not re.search(r"\bv_|\b(vec|ivec)\b|__", "".join(needed))
        # Every name of the header that a definition uses is one.
        used = {name for text in needed for name in re.findall(r"@(\w+)", text)}
        assert used <= {*texts, "real"}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", [gates, mapped])
def test_layers_and_maps_have_the_engines_bits(tmp_path, make, dtype):
    nets, cc = make(dtype), {"float32": "gcc", "float64": "clang"}[dtype]
    assert_same_bits(nets, compiled(tmp_path, nets, "-O0", cc=cc), X)


@pytest.mark.slow
@pytest.mark.parametrize("cc", ["gcc", "clang", "g++", "clang++"])
@pytest.mark.parametrize("flags", [("-O2",), ("-O3", "-march=x86-64-v3")])
def test_every_compiler_gives_the_bits(tmp_path, cc, flags):
    if len(flags) > 1 and not has_fma():
        pytest.skip("no such processor")
    language = "c++" if "+" in cc else "c"
    flags = ("-std=c++17", *flags) if "+" in cc else flags
    for dtype in DTYPES:
        for make in (gates, mapped):
            nets = make(dtype)
            exported = compiled(tmp_path, nets, *flags, cc=cc, language=language)
            assert_same_bits(nets, exported, X)


def mixed(dtype="float32", **options):
    """A network with some of everything."""
    layers = [
        dense(16, "gelu"),
        fb.Residual([fb.Gated(12, "silu"), fb.Maxout(11, 3)]),
        dense(10, "softplus"),
        dense(3, "softmax"),
    ]
    return fb.Network(5, layers, dtype=dtype, seed=3, **{"preprocessing": MAPS["pca"], **options})


# (command, language, standard)
COMPILERS = [
    ("gcc", "c", "-std=c99"),
    ("gcc", "c", "-std=gnu11"),
    ("clang", "c", "-std=c99"),
    ("g++", "c++", "-std=c++17"),
    ("clang++", "c++", "-std=c++17"),
]


@pytest.mark.parametrize(("cc", "language", "standard"), COMPILERS)
def test_no_compiler_warns_and_products_stay_products(tmp_path, cc, language, standard):
    """GCC's own standards join products and sums where the processor can."""
    nets = {"net": mixed()}
    flags = (standard, "-O1", *(["-mfma"] if has_fma() else []))
    assert_same_bits(nets, compiled(tmp_path, nets, *flags, cc=cc, language=language), X)


def has_fma():
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            return " fma " in file.read()
    except OSError:
        return False


@pytest.mark.parametrize("cc", ["gcc", "clang"])
def test_it_needs_nothing_but_fma(tmp_path, cc):
    (tmp_path / "net.c").write_text(to_c(mixed(), "net", gradients=True))
    run(compiler(cc), "-O2", *SHARED[1:], "-c", tmp_path / "net.c", "-o", tmp_path / "net.o")
    undefined = run(compiler("nm"), "-u", tmp_path / "net.o").split()
    assert set(undefined) - {"U", "_GLOBAL_OFFSET_TABLE_"} == {"fma", "fmaf"}


@pytest.mark.parametrize("cc", ["gcc", "clang"])
@pytest.mark.parametrize("flag", ["-ffast-math", "-Ofast", "-ffinite-math-only"])
def test_flags_that_change_results_are_refused(tmp_path, cc, flag):
    (tmp_path / "net.c").write_text(to_c(mixed(), "net"))
    with pytest.raises(AssertionError, match="net: got -ffast-math or a part of it"):
        run(compiler(cc), flag, "-fsyntax-only", tmp_path / "net.c")


@pytest.mark.parametrize("dtype", DTYPES)
def test_without_fma_the_last_digits_differ(tmp_path, dtype):
    net = mixed(dtype)
    exported = compiled(tmp_path, {"net": net}, "-O1", "-DFASTBP_NO_FMA")["net"]
    wanted = net.predict(X.astype(dtype))
    most = {"float32": 1e-6, "float64": 1e-14}[dtype]
    assert np.abs(exported.predict(X) / wanted - 1).max() < most
    assert run(compiler("nm"), "-u", exported.library._name).count(" fma") == 0


def test_jacobian_is_that_of_central_differences(tmp_path):
    net, step = mixed("float64"), 1e-5
    exported = compiled(tmp_path, {"net": net})["net"]
    for row in X[:3]:
        y, jacobian = exported.jacobian(row)
        assert y.tobytes() == net.predict(row[None])[0].tobytes()
        steps = step * np.eye(5)
        numeric = (net.predict(row + steps) - net.predict(row - steps)).T / (2 * step)
        assert np.abs(jacobian - numeric).max() < 1e-7 * np.abs(numeric).max()


def test_real_is_the_type_of_another_dtype(tmp_path):
    net = mixed("float64")
    for real, dtype in (("float", "float32"), ("double", "float64")):
        text = to_c(net, "net", real=real)
        assert text == to_c(net.copy(dtype), "net")
        assert f"typedef {real} net_real;" in text
    assert to_c(net, "net") == to_c(net, "net", real="double")


def test_wide_networks_take_their_scratch_from_the_caller(tmp_path):
    net = fb.Network(1, [dense(20_000, "relu"), dense(1)], seed=0)
    header = to_c_header(net, "net", gradients=True)
    assert "void net_predict(const float *x, float *y, float *scratch);" in header
    assert "net_predict_scratch = 20000," in header
    assert "80000 bytes of scratch" in header
    assert "scratch);" not in to_c_header(mixed(), "net", gradients=True)
    exported = compiled(tmp_path, {"net": net}, "-O0", gradients=False)["net"]
    x, y = np.ones(1, "f4"), np.empty(1, "f4")
    scratch = np.empty(20_000 + 16, "f4")
    scratch[20_000:] = 7
    exported._call("predict", x, y, scratch)
    assert y.tobytes() == net.predict(x[None])[0].tobytes()
    assert (scratch[20_000:] == 7).all()
    assert "real(c_float), intent(out) :: scratch(20000)" in to_fortran(net, "net")


DRIVER = r"""
#include "net.h"
#include <math.h>
#include <stdio.h>
int main(void)
{
    float x[4][5] = {{0, 1, 2, 3, 4}, {-1e38f, 1e38f, 0}, {NAN}, {INFINITY}};
    float y[4][3], dx[5], jacobian[3][5], v[3] = {1, -1, 0.5f};
    int i;
    net_predict_rows(x[0], y[0], 4);
    for (i = 0; i < 4; i++) {
        net_vjp(x[i], v, y[i], dx);
        net_jacobian(x[i], y[i], jacobian[0]);
        printf("%a %d\n", (double)y[i][0], net_n_inputs);
    }
    printf("%s\n", net_classes[2]);
    return 0;
}
"""


def test_sanitizers_find_nothing_and_the_header_is_enough(tmp_path):
    """Also for rows that predict refuses: what is not a number comes out as none."""
    net = mixed(preprocessing=None)
    net.classes = ["a", "b", 'c"??/\n']
    (tmp_path / "net.c").write_text(to_c(net, "net", gradients=True))
    (tmp_path / "net.h").write_text(to_c_header(net, "net", gradients=True))
    (tmp_path / "main.c").write_text(DRIVER)
    sources = tmp_path / "net.c", tmp_path / "main.c"
    flags = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1", "-std=c99")
    run(compiler("gcc"), *WARNINGS, *flags, *sources, "-o", tmp_path / "main", "-lm")
    printed = run(tmp_path / "main").splitlines()
    first = net.predict([[0, 1, 2, 3, 4]])[0, 0]
    assert printed[0] == f"{re.sub(r'0*p', 'p', float(first).hex())} 5"
    assert ["nan" in line for line in printed[2:4]] == [True, True]
    assert "\n".join(printed[4:]) == 'c"??/\n'


NAMES = [
    'a"b',
    "back\\slash",
    "new\nline",
    "*/ end",
    "/* begin",
    "??/",
    "größe",
    "日本",
    "@",
    "a??)b",
]


def test_names_of_columns_and_classes_are_no_code(tmp_path):
    net = fb.Network(len(NAMES), [fb.Dense(len(NAMES), "softmax")], seed=0)
    net.columns, net.classes = NAMES, NAMES
    nets = {"net": net}
    exported = compiled(tmp_path, nets, "-O0", "-std=c99")["net"]
    pointers = (ctypes.c_char_p * len(NAMES)).in_dll(exported.library, "net_classes")
    assert [pointer.decode("utf-8") for pointer in pointers] == NAMES
    x = RNG.standard_normal((3, len(NAMES))).astype("f4")
    assert exported.predict(x).tobytes() == net.predict(x).tobytes()
    for one_output in ([False, True], [-1, 1], ["no", "yes"]):
        net = fb.Network(2, [fb.Dense(1, "sigmoid")], seed=0)
        net.classes = one_output
        assert f'"{one_output[0]}",\n    "{one_output[1]}"' in to_c(net, "net")


@pytest.mark.parametrize("label", ["zero\0byte", "long" * 2000])
def test_a_class_that_is_no_string_of_c_is_refused(label):
    net = fb.Network(2, [fb.Dense(2, "softmax")], seed=0)
    net.classes = ["plain", label]
    with pytest.raises(fb.errors.ConfigError, match="classes: got"):
        to_c(net, "net")


@pytest.mark.parametrize("write", [to_c, to_c_header, to_fortran])
@pytest.mark.parametrize("name", ["", "1st", "a b", "a-b", "_a", "größe", "int", "class", "a" * 41])
def test_what_is_no_name_is_refused(write, name):
    with pytest.raises(fb.errors.ConfigError, match="name: got"):
        write(mixed(), name)


@pytest.mark.parametrize("write", [to_c, to_c_header, to_fortran])
def test_what_cannot_be_written_is_refused(write):
    with pytest.raises(fb.errors.ConfigError, match="net: got"):
        write(fb.Trainer(mixed(), "cross_entropy"), "net")
    with pytest.raises(fb.errors.ConfigError, match="real: got 'float32', wanted one of float, d"):
        write(mixed(), "net", real="float32")
    net = mixed("float64")
    net.layers[0].weight[0, 0] = 1e39
    write(net, "net")
    with pytest.raises(fb.errors.InputError, match="not finite in float,"):
        write(net, "net", real="float")
    net.layers[0].weight[0, 0] = np.nan
    with pytest.raises(fb.errors.InputError, match="not finite in double"):
        write(net, "net")


def test_the_text_depends_on_the_network_alone():
    net = mixed()
    text = to_c(net, "net", gradients=True)
    assert text == to_c(net.copy(), "net", gradients=True)
    net.layers[0].trainable = False
    assert text == to_c(net, "net", gradients=True)
    net.layers[0].weight[0, 0] += 1
    assert text != to_c(net, "net", gradients=True)
    assert text.isascii()
    # No weight has lost a digit.
    numbers = re.search(r"weight_5\[.*?\{(.*?)\}", to_c(net, "net"), re.DOTALL)[1]
    found = [float.fromhex(n.strip(" \nf")) for n in numbers.split(",")]
    assert found == net.layers[-1].weight.ravel().tolist()


FORTRAN = """
program main
  use net
  use, intrinsic :: iso_c_binding, only: c_float, c_size_t
  implicit none
  real(c_float) :: x(5, 2), y(3, 2), dx(5), jacobian(5, 3)
  x = reshape([0., 1., 2., 3., 4., 4., 3., 2., 1., 0.], [5, 2])
  call net_predict_rows(x, y, 2_c_size_t)
  print "(6es24.16)", y
  call net_vjp(x(:, 2), [1., 0., 0.], y(:, 1), dx)
  call net_jacobian(x(:, 2), y(:, 1), jacobian)
  call net_predict(x(:, 1), y(:, 1))
  print "(3es24.16)", y(:, 1)
  print "(2i3, l2)", net_n_inputs, net_n_outputs, maxval(abs(jacobian(:, 1) - dx)) < 1e-30
end program main
"""


def test_fortran_calls_it(tmp_path):
    net = mixed()
    fortran = compiler("gfortran")
    (tmp_path / "net.c").write_text(to_c(net, "net", gradients=True))
    (tmp_path / "net_module.f90").write_text(to_fortran(net, "net", gradients=True))
    (tmp_path / "main.f90").write_text(FORTRAN)
    run(compiler("gcc"), "-c", tmp_path / "net.c", "-o", tmp_path / "net.o")
    flags = ("-std=f2003", *WARNINGS, "-J", tmp_path)
    sources = tmp_path / "net_module.f90", tmp_path / "main.f90"
    run(fortran, *flags, *sources, tmp_path / "net.o", "-o", tmp_path / "main", "-lm")
    *numbers, last = run(tmp_path / "main").splitlines()
    rows = np.array([[0, 1, 2, 3, 4], [4, 3, 2, 1, 0]], "f4")
    wanted = net.predict(rows)
    found = np.array(" ".join(numbers).split(), "f4")
    assert found.tobytes() == np.concatenate([wanted.ravel(), wanted[0]]).tobytes()
    assert last.split() == ["5", "3", "T"]


def test_the_page_is_right(tmp_path, monkeypatch):
    """Its programs, compiled by its commands, print what its Python does."""
    page = (Path(__file__).parents[2] / "docs/export.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    programs = {"c": "main.c", "fortran": "main.f90"}
    for name in ("gcc", "gfortran"):
        compiler(name)
    monkeypatch.chdir(tmp_path)
    wanted = commands = ""
    for language, text in blocks:
        if language == "python":
            exec(text, {})
        elif language == "text":
            wanted = text.split()
        elif language in programs:
            Path(programs[language]).write_text(text)
        else:
            commands = text if has_fma() else text.replace(" -mfma", "")
            run("sh", "-ec", commands)
            assert [f"{float(word):.6g}" for word in run("./a.out").split()] == [
                f"{float(word):.6g}" for word in wanted
            ]
    assert "main.f90" in commands


def test_names_of_the_longest_kind_fit_into_fortran(tmp_path):
    name = "a" * 40
    text = to_fortran(mixed(), name, gradients=True)
    (tmp_path / "net.f90").write_text(text)
    run(compiler("gfortran"), "-std=f2003", *WARNINGS, "-J", tmp_path, "-fsyntax-only",
        tmp_path / "net.f90")  # fmt: skip
