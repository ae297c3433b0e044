"""Builds the C core once per ISA and dtype, and the Cython modules above it.

Everything else is in pyproject.toml. Environment variables:

FASTBP_NO_OPENMP=1       one thread only
FASTBP_REQUIRE_OPENMP=1  an error, not one thread, where the compiler cannot link OpenMP
FASTBP_ASSERT=1          kernels that check their shapes and codes
"""

import os
import platform
import re
import shlex
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext


def is_set(name: str) -> bool:
    """Whether an environment variable says yes."""
    return os.environ.get(name, "0").lower() not in ("", "0", "no", "off", "false")


# No -ffast-math, -march=native or LTO: results must not depend on the machine (ARCHITECTURE.md).
FLAGS = ["-std=gnu11", "-O3", "-ffp-contract=off", "-fno-lto", "-fno-fast-math", "-g0"]
FLAGS += ["-fvisibility=hidden", "-UNDEBUG" if is_set("FASTBP_ASSERT") else "-DNDEBUG"]
# Flags that CFLAGS and LDFLAGS may hold and that change results; some act even where a later one
# takes them back: linked with -ffast-math, a module flushes denormals of whoever imports it.
HARMFUL = re.compile(
    r"-Ofast|-ffast-math|-f(unsafe|finite)-math-.*|-f(associative|reciprocal)-math|-flto(=.*)?"
    r"|-fno-(signed-zeros|math-errno|trapping-math)|-ffp-(contract|model|exception-behavior)=.*"
    r"|-fsingle-precision-constant|-mrecip(=.*)?|-mfpmath=387|-march=native|-mcpu=native"
)
CORE = ["src/dispatch.c", "src/fma.c", "src/memory.c", "src/threads.c"]
# What the modules include; the compiler lists what goes into a kernel object.
HEADERS = ["src/phases.h", *map(str, sorted(Path("src").glob("fbp*.h")))]
RUNTIME = "fastbp.engine.runtime"  # the only extension that links the core
MODULES = [f"fastbp.engine.{path.stem}" for path in sorted(Path("fastbp/engine").glob("*.pyx"))]
# What every processor of the machine has, whatever CFLAGS say, and what a kernel set adds. Scalar
# kernels spend their time in fma(): -O1 makes them no slower and halves the compilation.
BASELINE = {"x86_64": ["-march=x86-64-v2", "-mtune=generic"], "i386": ["-msse2", "-mfpmath=sse"]}
ISAS = {
    "x86_64": {
        "avx512": ["-mavx512f", "-mavx512dq", "-mfma"],
        "avx2": ["-mavx2", "-mfma"],
        "scalar": ["-O1"],
    },
    "aarch64": {"neon": [], "scalar": ["-O1"]},
}
# What a build for another machine says; see docs/reliability.md.
UNSUPPORTED = (
    "got the machine {}, wanted x86_64 or aarch64, the supported ones: building the scalar kernels "
    "alone, which are many times slower; check the result by `fastbp info --check`"
)
PARTS = ["STREAM", "DENSE", "ROWS"]  # of src/kernels.h, the longest to compile first
MACHINES = {"AMD64": "x86_64", "arm64": "aarch64", "i586": "i386", "i686": "i386"}


def machine() -> str:
    """The target's machine; cross builds of macOS name it in ARCHFLAGS."""
    named = set(re.findall(r"-arch[ =](\w+)", os.environ.get("ARCHFLAGS", "")))
    if len(named) > 1:
        raise SystemExit(
            f"fastbp: got {' and '.join(sorted(named))} in ARCHFLAGS, wanted one "
            "architecture: kernels are compiled for one machine; build twice and join the wheels "
            "with delocate-merge"
        )
    name = named.pop() if named else platform.machine()
    return MACHINES.get(name, name)


def flags_of_part(part: str, machine: str) -> list[str]:
    """What a part of the kernels adds.

    The loop of a tile fills two lines of the instruction cache of x86-64; where it lies across
    three, as it may, dense steps take 2 to 5% longer. For Windows on ARM64 Clang fails at the flag.
    """
    return ["-falign-loops=64"] if part == "DENSE" and machine == "x86_64" else []


def processes() -> int:
    """How many compilers may run at once."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Build(build_ext):
    """Translates the modules, and adds what depends on the compiler: OpenMP, the kernel objects.

    Extensions and kernel objects are compiled side by side.
    """

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or processes()

    def build_extensions(self):
        import numpy as np

        self.folder = Path(self.get_finalized_command("build").build_base)
        self.remove_harmful_flags()
        self.translate()
        flags, openmp = [*FLAGS, *BASELINE.get(machine(), [])], self.openmp_flags()
        for extension in self.extensions:
            extension.include_dirs = ["src", np.get_include()]
            extension.extra_compile_args = [*flags, *openmp]
            extension.extra_link_args = [*openmp, "-lm"]
            if extension.name == RUNTIME:
                extension.extra_objects = self.kernel_objects(flags)
                extension.depends += extension.extra_objects
        if machine() not in ISAS:
            print(f"fastbp: {UNSUPPORTED.format(machine())}", file=sys.stderr)
        super().build_extensions()

    def remove_harmful_flags(self) -> None:
        """Take the flags that change results out of the compiler's commands."""
        for name in ("compiler", "compiler_so", "compiler_cxx", "linker_so", "linker_exe"):
            command = getattr(self.compiler, name, None) or []
            harmful = [flag for flag in command if HARMFUL.fullmatch(flag)]
            if harmful:
                setattr(self.compiler, name, [flag for flag in command if flag not in harmful])
                print(
                    f"fastbp: left out {' '.join(harmful)}, which would change results",
                    file=sys.stderr,
                )

    def translate(self) -> None:
        """Turn the modules into C, those that changed."""
        from Cython.Build import cythonize

        translated = cythonize(
            self.extensions,
            build_dir=str(self.folder / "cython"),
            nthreads=processes(),
            force=self.force or None,
            compiler_directives={
                "language_level": 3,
                "boundscheck": False,
                "wraparound": False,
                "cdivision": True,
                "initializedcheck": False,
            },
        )
        sources = {extension.name: extension.sources for extension in translated}
        for extension in self.extensions:
            extension.sources = sources[extension.name]

    def openmp_flags(self) -> list[str]:
        """``-fopenmp`` where the compiler links it and FASTBP_NO_OPENMP is not set."""
        if is_set("FASTBP_NO_OPENMP"):
            return []
        # LDFLAGS are in the command that links modules, but not in that for programs, which tells
        # a library that is missing.
        linking = [*shlex.split(os.environ.get("LDFLAGS", "")), "-fopenmp"]
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
                    objects, "probe", output_dir=folder, extra_postargs=linking
                )
            except Exception as error:  # every compiler class has errors of its own
                if is_set("FASTBP_REQUIRE_OPENMP"):
                    raise
                print(
                    f"fastbp: building without OpenMP, one thread only ({error})", file=sys.stderr
                )
                return []
        return ["-fopenmp"]

    def kernel_objects(self, flags: list[str]) -> list[str]:
        """src/kernels_<isa>.c compiled for each part, ISA of the machine and dtype."""
        isas = ISAS.get(machine(), {"scalar": ["-O1"]})
        kernels = [
            (isa, bits, part, [*flags, *added, *flags_of_part(part, machine())])
            for part in PARTS
            for isa, added in isas.items()
            for bits in (32, 64)
        ]
        with ThreadPoolExecutor(processes()) as pool:
            return list(pool.map(lambda kernel: self.kernel_object(*kernel), kernels))

    def kernel_object(self, isa: str, bits: int, part: str, flags: list[str]) -> str:
        """One kernel object, compiled again only if a file that went into it has changed.

        It is kept for the next build in a folder of its own for each compiler and its flags.
        """
        command = " ".join([*self.compiler.compiler_so, *flags, machine()])
        key = sha256(command.encode()).hexdigest()[:16]
        folder = self.folder / "kernels" / key / f"f{bits}" / part.lower()
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
    sources = listed.read_text().split(":", 1)[1].replace("\\\n", " ")
    return any(
        not Path(source).exists() or Path(source).stat().st_mtime > target.stat().st_mtime
        for source in shlex.split(sources)
    )


def extension(name: str) -> Extension:
    return Extension(
        name,
        [f"{name.replace('.', '/')}.pyx", *(CORE if name == RUNTIME else [])],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")],
        depends=[*HEADERS],
    )


def places() -> dict[str, dict[str, str]]:
    """Where the build writes: beside the sources, or in a folder of its own if it may not there."""
    if os.access(".", os.W_OK):
        return {}
    folder = tempfile.mkdtemp(prefix="fastbp-build-")
    return {"build": {"build_base": folder}, "egg_info": {"egg_base": folder}}


setup(
    ext_modules=[extension(name) for name in MODULES],
    cmdclass={"build_ext": Build},
    options=places(),
)
