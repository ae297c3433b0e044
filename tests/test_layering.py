"""Arrows go one way, faces import libraries lazily, files stay small: read from the sources."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from compiled_modules import COMPILED

ROOT = Path(__file__).parents[1]
PACKAGE, SRC = ROOT / "fastbp", ROOT / "src"
C_FILES = sorted([*SRC.glob("*.c"), *SRC.glob("*.h")])
PY_FILES = sorted(PACKAGE.glob("*.py"))
CYTHON_FILES = sorted([*PACKAGE.glob("*.pyx"), *PACKAGE.glob("*.pxd")])

MAX_LINES = {".c": 400, ".h": 400, ".py": 250, ".pyx": 250, ".pxd": 250}
MAX_FUNCTION_LINES = 80

FLOORS = ["_engine", "network", "trainer", "cli"]  # nothing may import what stands on a later one
FACES = {  # the one file that may import each optional or slow library
    "matplotlib": "plot",
    "mpi4py": "mpi",
    "onnx": "onnx",
    "safetensors": "_modelfile",
    "sklearn": "sklearn",
    "tqdm": "_progress",
}
LAZY_EVEN_IN_ITS_FACE = {"matplotlib", "mpi4py", "onnx", "tqdm"}
KERNEL_HEADERS = {"assert.h", "stddef.h", "stdint.h", "string.h"}  # no Python, OpenMP or stdio
SYSTEM_HEADERS = KERNEL_HEADERS | {"stdatomic.h", "stdlib.h", "immintrin.h", "arm_neon.h"}
SYSTEM_HEADERS |= {"sched.h", "limits.h", "time.h", "unistd.h", "windows.h", "malloc.h"}
SYSTEM_HEADERS |= {"linux/futex.h", "sys/mman.h", "sys/syscall.h"}
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


def is_type_checking(node):
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def imported(node):
    """Dotted names that an import statement brings in; of this package as ".name"."""
    if isinstance(node, ast.Import):
        return {re.sub(r"^fastbp(\.|$)", ".", alias.name) for alias in node.names}
    inside = node.level or (node.module or "").split(".")[0] == "fastbp"
    module = (node.module or "") if node.level else re.sub(r"^fastbp\.?", "", node.module)
    if not inside:
        return {node.module}
    if module:
        return {"." + module}
    modules = {path.stem for path in [*PY_FILES, *CYTHON_FILES]}
    return {"." + (alias.name if alias.name in modules else "") for alias in node.names}


def imports(path, lazy):
    """What a file imports when it is loaded, and with `lazy` inside its functions too."""
    found, todo = set(), [ast.parse(path.read_text())]
    while todo:
        for node in ast.iter_child_nodes(todo.pop()):
            if isinstance(node, ast.Import | ast.ImportFrom):
                found |= imported(node)
            elif not is_type_checking(node) and (
                lazy or not isinstance(node, ast.FunctionDef | ast.Lambda)
            ):
                todo.append(node)
    return found


def package_imports(module, lazy):
    path = PACKAGE / f"{module}.py"
    found = imports(path, lazy) if path.exists() else {"." + m for m in COMPILED.get(module, ())}
    return {name[1:].split(".")[0] or "__init__" for name in found if name[0] == "."}


def reachable(module, lazy):
    found, todo = set(), [module]
    while todo:
        new = package_imports(todo.pop(), lazy) - found
        found |= new
        todo += new
    return found


def test_the_parsers_see_what_is_there():
    assert {"fbp.h", "stddef.h"} <= includes(SRC / "vec.h") | includes(SRC / "kernels_set.h")
    assert ".network" in imports(PACKAGE / "trainer.py", lazy=False)
    assert "_engine" in reachable("trainer", lazy=False)
    assert "numpy" in imports(PACKAGE / "reference.py", lazy=False)
    assert len(C_FILES) > 8
    assert len(PY_FILES) > 10
    assert len(CYTHON_FILES) > 5


@pytest.mark.parametrize("path", C_FILES, ids=names(C_FILES))
def test_the_core_is_plain_c(path):
    found = includes(path)
    assert found <= SYSTEM_HEADERS | set(names(C_FILES))
    code = c_code(path)
    assert not re.search(r"\bPy_?[A-Z]\w*|#\s*pragma omp|\bomp_\w+|\bf?printf\s*\(", code)
    if path.name != "memory.c":
        assert not re.search(r"\b(malloc|calloc|realloc|posix_memalign|aligned_alloc|free)\(", code)


def test_the_arrows_of_the_core():
    ours = {path.name: includes(path) & set(names(C_FILES)) for path in C_FILES}
    for name, found in ours.items():
        if name.startswith("fbp_"):
            assert all(f.startswith("fbp_") for f in found)
    assert ours["fbp.h"] == {name for name in ours if name.startswith("fbp_")}
    assert ours["vec.h"] == set()
    assert ours["activations.h"] <= {"fbp.h", "vec.h"}
    for name in ("dispatch.c", "memory.c", "threads.c"):
        assert ours[name] == {"fbp.h"}
    for name, found in ours.items():
        if re.match(r"kernels_\w+\.c", name):
            assert found == {"kernels.h"}
        if name.startswith("kernels") and name.endswith(".h"):
            assert all(re.match(r"(fbp|vec|activations|kernels_\w+)\.h", f) for f in found)
            assert includes(SRC / name) - found <= KERNEL_HEADERS


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
def test_the_arrows_of_the_compiled_modules(path):
    code = cython_code(path)
    if path.stem == "__init__":  # the door for Cython users: plain C types only
        assert not re.search(r"\bc?import\b.*fastbp", code)
        return
    found = set(re.findall(r"\bfrom fastbp\.(\w+) c?import", code))
    found |= set(re.findall(r"\bc?import fastbp\.(\w+)", code))
    assert not re.search(r"\bfrom \.|\bfrom fastbp c?import", code), "say fastbp.<module>"
    assert found - {path.stem} <= COMPILED[path.stem]
    if path.stem != "_runtime":
        assert '"fbp.h"' not in code


@pytest.mark.parametrize("floor", range(len(FLOORS)))
def test_no_floor_imports_one_above_it(floor):
    above = set(FLOORS[floor + 1 :]) | {"__init__"}
    if floor < FLOORS.index("trainer"):
        above |= {"_fit", "_runs", "callbacks", "_divergence"}
    if FLOORS[floor] != "cli":
        above |= {"sklearn", "mpi", "plot"}
        assert not reachable(FLOORS[floor], lazy=False) & above


def test_network_never_sees_trainer_not_even_later():
    assert not reachable("network", lazy=True) & {"trainer", "_fit", "cli", "sklearn", "mpi"}


def test_only_the_command_imports_the_whole_package():
    users = {p.stem for p in PY_FILES if "__init__" in package_imports(p.stem, lazy=False)}
    assert users <= {"cli", "__main__"}


def test_nothing_imports_the_reference():
    for path in PY_FILES:
        found = {name for name in imports(path, lazy=True) if name.startswith(".reference")}
        assert not found or path.stem.startswith("reference"), path.name
    for path in CYTHON_FILES:
        assert "reference" not in cython_code(path), path.name


@pytest.mark.parametrize("library", list(FACES))
def test_each_optional_library_is_imported_by_its_face_alone(library):
    for path in PY_FILES:
        if library in {name.split(".")[0] for name in imports(path, lazy=True)}:
            assert path.stem == FACES[library]
        if library in LAZY_EVEN_IN_ITS_FACE or path.stem != FACES[library]:
            assert library not in {n.split(".")[0] for n in imports(path, lazy=False)}


def test_importing_the_package_loads_no_optional_library_and_no_reference():
    code = "import fastbp, sys; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert not set(result.stdout.split()) & {*FACES, "fastbp.reference", "fastbp.cli"}


def sources():
    folders = [SRC, PACKAGE, ROOT / "tests", ROOT / "bench", ROOT / "examples"]
    return [p for folder in folders for p in sorted(folder.glob("*")) if p.suffix in MAX_LINES]


@pytest.mark.parametrize("path", sources(), ids=names(sources()))
def test_files_and_functions_stay_small(path):
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_LINES[path.suffix]
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < MAX_FUNCTION_LINES, node.name
