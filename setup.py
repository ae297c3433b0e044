"""Builds the C core once per ISA and dtype, and the Cython modules above it.

Everything else is in pyproject.toml.
"""

import os
import platform
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# No -ffast-math, -march or LTO: results must not depend on the machine (ARCHITECTURE.md).
FLAGS = ["-std=gnu11", "-O3", "-ffp-contract=off", "-fno-lto", "-fno-fast-math", "-g0"]
FLAGS += ["-UNDEBUG" if os.environ.get("FASTBP_ASSERT") else "-DNDEBUG"]
CORE = ["src/dispatch.c", "src/memory.c", "src/threads.c"]
# What the modules include; the compiler lists what goes into a kernel object.
HEADERS = ["src/phases.h", *map(str, sorted(Path("src").glob("fbp*.h")))]
RUNTIME = "fastbp.engine.runtime"  # the only extension that links the core
MODULES = [f"fastbp.engine.{path.stem}" for path in sorted(Path("fastbp/engine").glob("*.pyx"))]
# Scalar kernels spend their time in fma(): -O1 makes them no slower and halves the compilation.
ISAS = {
    "x86_64": {
        "avx512": ["-mavx512f", "-mavx512dq", "-mfma"],
        "avx2": ["-mavx2", "-mfma"],
        "scalar": ["-O1"],
    },
    "aarch64": {"neon": [], "scalar": ["-O1"]},
}
# The parts of src/kernels.h, the longest to compile first. The loop of a tile fills two lines of
# the instruction cache; where it lies across three, as it may, dense steps take 2 to 5% longer.
PARTS = {"STREAM": [], "DENSE": ["-falign-loops=64"], "ROWS": []}
MACHINES = {"AMD64": "x86_64", "arm64": "aarch64"}


def machine() -> str:
    """The target's machine; cross builds of macOS name it in ARCHFLAGS."""
    for name in ("arm64", "x86_64"):
        if name in os.environ.get("ARCHFLAGS", ""):
            return MACHINES.get(name, name)
    name = platform.machine()
    return MACHINES.get(name, name)


def processes() -> int:
    """How many compilers may run at once."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Build(build_ext):
    """Adds what depends on the compiler: OpenMP if it works, and the kernel objects.

    Extensions and kernel objects are compiled side by side.
    """

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or processes()

    def build_extensions(self):
        openmp = self.openmp_flags()
        for extension in self.extensions:
            extension.extra_compile_args = [*FLAGS, *openmp]
            extension.extra_link_args = openmp
            if extension.name == RUNTIME:
                extension.extra_objects = self.kernel_objects()
                extension.depends += extension.extra_objects
        super().build_extensions()

    def openmp_flags(self) -> list[str]:
        """``-fopenmp`` where the compiler links it and FASTBP_NO_OPENMP is not set."""
        if os.environ.get("FASTBP_NO_OPENMP"):
            return []
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text(
                "#include <omp.h>\nint main(void) { return omp_get_num_threads() != 1; }\n"
            )
            try:
                objects = self.compiler.compile(
                    [str(source)], output_dir=folder, extra_postargs=["-fopenmp"]
                )
                self.compiler.link_executable(
                    objects, "probe", output_dir=folder, extra_postargs=["-fopenmp"]
                )
            except Exception as error:  # every compiler class has errors of its own
                print(
                    f"fastbp: building without OpenMP, one thread only ({error})", file=sys.stderr
                )
                return []
        return ["-fopenmp"]

    def kernel_objects(self) -> list[str]:
        """src/kernels_<isa>.c compiled for each part, ISA of the machine and dtype."""
        isas = ISAS.get(machine(), {"scalar": ["-O1"]})
        kernels = [(part, isa, bits) for part in PARTS for isa in isas for bits in (32, 64)]
        with ThreadPoolExecutor(processes()) as pool:
            return list(pool.map(lambda kernel: self.kernel_object(isas, *kernel), kernels))

    def kernel_object(self, isas: dict[str, list[str]], part: str, isa: str, bits: int) -> str:
        """One kernel object, compiled again only if a file that went into it has changed.

        It is kept for the next build in a folder of its own for each compiler and its flags.
        """
        flags = [*FLAGS, *isas[isa], *PARTS[part]]
        command = " ".join([*self.compiler.compiler_so, *flags, machine()])
        folder = Path(
            "build/kernels", sha256(command.encode()).hexdigest()[:16], f"f{bits}", part.lower()
        )
        target = folder / f"src/kernels_{isa}.o"
        if self.force or is_stale(target):
            self.compiler.compile(
                [f"src/kernels_{isa}.c"],
                output_dir=str(folder),
                macros=[("FBP_REAL_BITS", str(bits)), ("FBP_PART", f"FBP_{part}")],
                extra_postargs=[*flags, "-MMD"],
            )
        return str(target)


def is_stale(target: Path) -> bool:
    """Whether an object is missing, or older than a file of the list that its compiler wrote."""
    listed = target.with_suffix(".d")
    if not target.exists() or not listed.exists():
        return True
    sources = listed.read_text().split(":", 1)[1].replace("\\\n", " ").split()
    return any(
        not Path(source).exists() or Path(source).stat().st_mtime > target.stat().st_mtime
        for source in sources
    )


def extension(name: str) -> Extension:
    return Extension(
        name,
        [f"{name.replace('.', '/')}.pyx", *(CORE if name == RUNTIME else [])],
        include_dirs=["src", np.get_include()],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")],
        depends=[*HEADERS],
    )


setup(
    ext_modules=cythonize(
        [extension(name) for name in MODULES],
        build_dir="build/cython",
        nthreads=processes(),
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
        },
    ),
    cmdclass={"build_ext": Build},
)
