"""Arrows go one way, without circles, and faces import libraries lazily: read from the sources.

An arrow is an import: at the head of a file, inside a function, under ``TYPE_CHECKING``, or a
``cimport``.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE, SRC = ROOT / "fastbp", ROOT / "src"
C_FILES = sorted([*SRC.glob("*.c"), *SRC.glob("*.h")])
PY_FILES = sorted(PACKAGE.rglob("*.py"))
CYTHON_FILES = sorted([*PACKAGE.rglob("*.pyx"), *PACKAGE.rglob("*.pxd")])

# From top to bottom: a module imports from its own line and those below it. A package stands for
# those of its modules that have no line of their own.
FLOORS = [
    line.split()
    for line in """
    __main__
    cli
    __init__
    tables
    tables.report
    tables.page tables.figures
    tables.importance tables.reliability
    tables.portable
    tables.model
    tables.training
    sklearn
    sklearn.classifier sklearn.regressor
    sklearn.base
    sklearn.building sklearn.recording sklearn.compat
    gradcheck models many interchange embedding
    many.jobs
    many.data many.results many.pool
    many.configs
    trainer
    callbacks
    training.batches training.lbfgs
    training.fit training.runs training training.objective
    training.state training.divergence
    training.accumulated
    training.custom
    history plot
    network preprocess
    formats.onnx formats.torch formats.sklearn
    formats.chain
    trace _affine _parameters formats
    gates
    layers
    losses testing activations initializers
    optimizers schedules
    _monitor
    tables.scores
    metrics
    datasets datasets.split
    tables.target tables.columns
    tables.encoders
    tables.scaling tables.described
    tables.kinds
    tables.table
    tables.formats
    tables.reading
    tables.layout
    tables.source tables.dates
    tables.cells
    tables.libraries
    tables.wording
    _labels
    _check
    _frames
    _objects _sparse
    engine.doors
    engine.builder engine.config
    engine.run engine.probe
    engine.workspace engine.team engine.derivative
    engine.costmodel engine.stream
    engine.split engine.wide engine.given engine.averaging
    engine.limits engine.signals engine.guard
    engine.plan engine.kernels
    engine.model engine.backward
    engine.forward engine.arrays engine.rows
    engine.runtime
    engine.cpus engine.contention engine.threadpool engine
    errors
    """.strip().splitlines()
]
FACES = {  # the files or packages that may import each optional or slow library
    "google": "formats.onnx",  # protocol buffers, which onnx brings
    "matplotlib": "plot tables.figures",
    "mpi4py": "mpi",
    "narwhals": "_frames",
    "onnx": "formats.onnx",
    "openpyxl": "tables.libraries",
    "pandas": "many.results tables.libraries",
    "pyarrow": "tables.libraries",
    "safetensors": "formats.modelfile",
    "scipy": "training.lbfgs",
    "sklearn": "sklearn formats.sklearn tables.libraries",
    "threadpoolctl": "engine.threadpool",
    "torch": "formats.torch",
    "tqdm": "training.fit",
}
LAZY_EVEN_IN_ITS_FACE = {"matplotlib", "mpi4py", "narwhals", "pandas", "safetensors"}
LAZY_EVEN_IN_ITS_FACE |= {"openpyxl", "pyarrow", "scipy", "threadpoolctl", "tqdm"}
# No Python, OpenMP or stdio; OpenMP in team.c alone.
KERNEL_HEADERS = {
    "assert.h",
    "float.h",
    "math.h",
    "stddef.h",
    "stdint.h",
    "string.h",
}
SYSTEM_HEADERS = KERNEL_HEADERS | {"stdlib.h", "immintrin.h", "arm_neon.h"}
SYSTEM_HEADERS |= {"cpuid.h", "sched.h", "limits.h", "time.h", "unistd.h", "windows.h", "malloc.h"}
SYSTEM_HEADERS |= {"intrin.h"}
SYSTEM_HEADERS |= {
    "linux/futex.h",
    "pthread.h",
    "signal.h",
    "fcntl.h",
    "sys/mman.h",
    "sys/syscall.h",
}
ISA_NAMES = re.compile(r"avx|neon|sse\d", re.IGNORECASE)


def names(paths):
    return [path.name for path in paths]


def c_code(path):
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(), flags=re.DOTALL)


def includes(path):
    return set(re.findall(r'#\s*include\s*[<"]([^>"]+)[>"]', c_code(path)))


def cython_code(path):
    return re.sub(r'""".*?"""|#(?!include|ifdef|else|endif|define)[^\n]*', "", path.read_text(),
                  flags=re.DOTALL)  # fmt: skip


def module_of(path):
    """The dotted name of a file below fastbp; of a package's ``__init__`` that of the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {module_of(path) for path in [*PY_FILES, *CYTHON_FILES]}


def is_type_checking(node):
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def imported(node, path):
    """Dotted names that an import statement brings in; of this package with a dot before them."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif node.level:
        above = ("fastbp", *path.relative_to(PACKAGE).parts[: -node.level])
        base = ".".join([*above, node.module] if node.module else above)
        names = [f"{base}.{alias.name}" for alias in node.names]
    else:
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    return {ours(name) if name.split(".")[0] == "fastbp" else name for name in names}


def ours(name):
    """A name of the package as its module: ".network" for "fastbp.network.Network"."""
    parts = name.split(".")[1:]
    while parts and ".".join(parts) not in MODULES:
        parts.pop()
    return "." + (".".join(parts) or "__init__")


@cache
def imports(path, lazy=True, annotations=True):
    """What a file imports; not `lazy`: when it is loaded, not `annotations`: when it runs."""
    if path.suffix != ".py":
        names = re.findall(r"^\s*from (fastbp[\w.]*) c?import", cython_code(path), re.MULTILINE)
        return {ours(name) for name in names}
    found, todo = set(), [ast.parse(path.read_text())]
    while todo:
        for node in ast.iter_child_nodes(todo.pop()):
            if isinstance(node, ast.Import | ast.ImportFrom):
                found |= imported(node, path)
            elif (annotations or not is_type_checking(node)) and (
                lazy or not isinstance(node, ast.FunctionDef | ast.Lambda)
            ):
                todo.append(node)
    return found


@cache
def arrows():
    """For each module those that it imports."""
    found = {module: set() for module in MODULES}
    for path in [*PY_FILES, *CYTHON_FILES]:
        module = module_of(path)
        found[module] |= {name[1:] for name in imports(path) if name[0] == "."} - {module}
    return found


@cache
def reachable(module):
    found, todo = set(), [module]
    while todo:
        new = arrows()[todo.pop()] - found
        found |= new
        todo += new
    return found


def floor_of(module):
    """The line of `FLOORS` on which a module or its package stands."""
    for name in (module, module.rpartition(".")[0]):
        for floor, line in enumerate(FLOORS):
            if name in line:
                return floor
    raise AssertionError(f"{module} stands on no floor")


def test_the_parsers_see_what_is_there():
    assert {"fbp.h", "stddef.h"} <= includes(SRC / "vec.h") | includes(SRC / "kernels_set.h")
    assert ".network" in imports(PACKAGE / "trainer.py", lazy=False)
    assert ".plot" in imports(PACKAGE / "history.py")
    assert ".plot" not in imports(PACKAGE / "history.py", lazy=False)
    assert "matplotlib.figure.Figure" in imports(PACKAGE / "history.py", lazy=False)
    assert "matplotlib.figure.Figure" not in imports(PACKAGE / "history.py", annotations=False)
    assert ".engine.plan" in imports(PACKAGE / "engine/limits.pxd")
    assert "engine.run" in reachable("trainer")
    assert "numpy.typing.NDArray" in imports(PACKAGE / "reference/network.py")
    assert len(C_FILES) > 8
    assert len(PY_FILES) > 10
    assert len(CYTHON_FILES) > 5


@pytest.mark.parametrize("path", C_FILES, ids=names(C_FILES))
def test_the_core_is_plain_c(path):
    openmp = {"omp.h"} if path.name == "team.c" else set()
    assert includes(path) <= SYSTEM_HEADERS | openmp | set(names(C_FILES))
    code = c_code(path)
    assert not re.search(r"\bPy_?[A-Z]\w*|\bf?printf\s*\(", code)
    assert openmp or not re.search(r"#\s*pragma omp|\bomp_\w+", code)
    if path.name != "memory.c":
        assert not re.search(r"\b(malloc|calloc|realloc|posix_memalign|aligned_alloc|free)\(", code)


def test_the_arrows_of_the_core():
    ours = {path.name: includes(path) & set(names(C_FILES)) for path in C_FILES}
    for name, found in ours.items():
        if name.startswith("fbp_"):
            assert all(f.startswith("fbp_") for f in found)
    assert ours["fbp.h"] == {name for name in ours if name.startswith("fbp_")}
    assert ours["vec.h"] == {"fbp_fma.h", "fbp_msvc.h"}
    assert ours["activations.h"] <= {"fbp.h", "vec.h"}
    for name in ("dispatch.c", "fma.c", "memory.c"):
        assert ours[name] - {"x86.h"} == {"fbp.h"}
    for name in ("team.c", "threads.c"):
        assert ours[name] == {"fbp.h", "platform.h"}
    assert ours["platform.h"] == set()
    for name, found in ours.items():
        if re.match(r"kernels_\w+\.c", name):
            assert found == {"kernels.h"}
        if name.startswith("kernels") and name.endswith(".h"):
            assert all(re.match(r"(fbp|vec|activations|kernels_\w+)\.h", f) for f in found)
            assert includes(SRC / name) - found <= KERNEL_HEADERS


def test_an_unknown_code_is_no_other_ones_default():
    """The compiler warns of a code without a case only where there is no default."""
    users = {path.name for path in C_FILES if re.search(r"\bdefault\s*:", c_code(path))}
    # Switches over shapes, whose default is an assert.
    assert users == {"kernels_tile.h", "kernels_sparse.h"}


def test_only_dispatch_knows_the_list_of_isas():
    for path in C_FILES:
        found = {m.group().lower() for m in ISA_NAMES.finditer(c_code(path))}
        own = re.match(r"kernels_(\w+)\.c", path.name)
        if own:  # its own name, no other
            code = re.sub(rf"\b{own[1]}\b|arm_neon\.h", "", c_code(path))
            assert not ISA_NAMES.search(code), path.name
        elif path.name != "dispatch.c":
            assert not found, path.name
    for path in CYTHON_FILES:
        assert not ISA_NAMES.search(cython_code(path)), path.name
    for path in PY_FILES:
        tree = ast.parse(path.read_text())
        docs = {ast.get_docstring(n, clean=False) for n in ast.walk(tree)
                if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef)}  # fmt: skip
        strings = {n.value for n in ast.walk(tree)
                   if isinstance(n, ast.Constant) and isinstance(n.value, str)}  # fmt: skip
        assert not any(ISA_NAMES.search(s) for s in strings - docs), path.name


@pytest.mark.parametrize("path", CYTHON_FILES, ids=names(CYTHON_FILES))
def test_compiled_modules_are_named_in_full_and_one_knows_the_core(path):
    code = cython_code(path)
    found = re.findall(r"^\s*(?:from|c?import) +(\.|fastbp)\S* *(c?import)?", code, re.MULTILINE)
    assert all(start == "fastbp" and verb for start, verb in found), "say from fastbp.<module>"
    assert not imports(path) & {".__init__", ".engine"}
    if module_of(path) != "engine.runtime":
        assert '"fbp.h"' not in code


def test_there_are_no_circles():
    circles = {
        frozenset({module} | {other for other in reachable(module) if module in reachable(other)})
        for module in MODULES
        if module in reachable(module)
    }
    assert not circles


@pytest.mark.parametrize("module", sorted(m for m in MODULES if not m.startswith("reference")))
def test_arrows_go_down(module):
    for other in arrows()[module]:
        assert floor_of(module) <= floor_of(other), other


def test_every_name_on_a_floor_is_a_module():
    names = [name for line in FLOORS for name in line]
    assert set(names) <= MODULES
    assert len(names) == len(set(names))


def test_the_top_of_the_package_is_seen_at_a_glance():
    assert len(list(PACKAGE.glob("*.py"))) <= 30


def test_only_the_command_imports_the_whole_package():
    users = {p for p in PY_FILES if ".__init__" in imports(p, lazy=False, annotations=False)}
    assert users <= set((PACKAGE / "cli").glob("*.py"))


def test_nothing_imports_the_reference_and_it_imports_nothing():
    for module, found in arrows().items():
        others = {other for other in found if not other.startswith("reference")}
        assert not (others if module.startswith("reference") else found - others), module


def is_of(module, faces):
    """Whether a module is one of the faces or, if that is a package, in it."""
    return any(module == face or module.startswith(f"{face}.") for face in faces.split())


@pytest.mark.parametrize("library", list(FACES))
def test_each_optional_library_is_imported_by_its_faces_alone(library):
    for path in PY_FILES:
        if library in {name.split(".")[0] for name in imports(path, annotations=False)}:
            assert is_of(module_of(path), FACES[library])
        if library in LAZY_EVEN_IN_ITS_FACE or not is_of(module_of(path), FACES[library]):
            loaded = imports(path, lazy=False, annotations=False)
            assert library not in {name.split(".")[0] for name in loaded}


def test_importing_the_package_loads_no_optional_library_and_no_reference():
    code = "import fastbp, sys; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert not set(result.stdout.split()) & {*FACES, "fastbp.reference", "fastbp.cli"}
