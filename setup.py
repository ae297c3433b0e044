"""Builds the C core once per ISA and dtype, and the Cython modules above it.

Everything else is in pyproject.toml.
"""

import os
import platform
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# No -ffast-math, -march or LTO: results must not depend on the machine (ARCHITECTURE.md).
FLAGS = ["-std=gnu11", "-O3", "-ffp-contract=off", "-fno-lto", "-fno-fast-math", "-g0"]
CORE = ["src/dispatch.c", "src/memory.c", "src/threads.c"]
HEADERS = [str(path) for path in sorted(Path("src").glob("*.h"))]
RUNTIME = "fastbp.engine.runtime"  # the only extension that links the core
MODULES = [f"fastbp.engine.{path.stem}" for path in sorted(Path("fastbp/engine").glob("*.pyx"))]
ISAS = {
    "x86_64": {
        "avx512": ["-mavx512f", "-mavx512dq", "-mfma"],
        "avx2": ["-mavx2", "-mfma"],
        "scalar": [],
    },
    "aarch64": {"neon": [], "scalar": []},
}
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
        """src/kernels_<isa>.c compiled for each ISA of the machine and each dtype."""
        isas = ISAS.get(machine(), {"scalar": []})
        with ThreadPoolExecutor(processes()) as pool:
            compiled = pool.map(
                lambda kernel: self.compiler.compile(
                    [f"src/kernels_{kernel[0]}.c"],
                    output_dir=str(Path(self.build_temp, f"f{kernel[1]}")),
                    macros=[("FBP_REAL_BITS", str(kernel[1]))],
                    extra_postargs=[*FLAGS, *isas[kernel[0]]],
                    depends=HEADERS,
                ),
                [(isa, bits) for isa in isas for bits in (32, 64)],
            )
            return [path for paths in compiled for path in paths]


def extension(name: str) -> Extension:
    return Extension(
        name,
        [f"{name.replace('.', '/')}.pyx", *(CORE if name == RUNTIME else [])],
        include_dirs=["src", np.get_include()],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")],
        depends=HEADERS,
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
