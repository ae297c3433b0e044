"""Builds the C core once per ISA and dtype, and the Cython modules above it.

Everything else is in pyproject.toml. Environment variables:

FASTBP_THREADS=...       what a team of threads is: openmp, pthread (a team of fastbp's own) or none
                         (one thread only). Default: openmp under Linux with glibc and Windows,
                         pthread elsewhere, and where the compiler cannot link OpenMP
FASTBP_REQUIRE_OPENMP=1  an error where openmp is the default and the compiler cannot link it
FASTBP_ASSERT=1          kernels that check their shapes and codes
"""

import os
import platform
import re
import shlex
import sys
import sysconfig
import tempfile
import tomllib
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
CORE = ["src/dispatch.c", "src/memory.c", "src/threads.c"]  # and team.c, which has flags of its own
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
# The parts of src/kernels.h, the longest to compile first. The loop of a tile fills two lines of
# the instruction cache; where it lies across three, as it may, dense steps take 2 to 5% longer.
PARTS = {"STREAM": [], "DENSE": ["-falign-loops=64"], "ROWS": []}
MACHINES = {"AMD64": "x86_64", "arm64": "aarch64", "i586": "i386", "i686": "i386"}
# What a team of threads may be, and the flags of its source and of the module that has it.
PTHREAD = [] if sys.platform == "win32" else ["-pthread"]  # src/threads.c needs it in any case
TEAMS = {"openmp": ["-fopenmp", *PTHREAD], "none": PTHREAD}
if sys.platform != "win32":
    TEAMS["pthread"] = PTHREAD


def usual_team() -> str:
    """The team of a build that asks for none.

    Apple's compiler has no OpenMP, and musl's systems no library of it; a second one beside that of
    PyTorch may end the process.
    """
    libc = f"{sysconfig.get_config_var('SOABI')} {sysconfig.get_config_var('HOST_GNU_TYPE')}"
    return "pthread" if sys.platform == "darwin" or "musl" in libc else "openmp"


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
        flags, team = [*FLAGS, *BASELINE.get(machine(), [])], self.team()
        for extension in self.extensions:
            extension.include_dirs = ["src", np.get_include()]
            extension.extra_compile_args = [*flags]
            extension.extra_link_args = ["-lm"]
            if extension.name == RUNTIME:
                extension.extra_link_args += TEAMS[team]
                extension.extra_objects = [
                    *self.kernel_objects(flags),
                    self.team_object(team, flags),
                ]
                extension.depends += [*extension.extra_objects, self.note(team)]
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
                "freethreading_compatible": True,
                "boundscheck": False,
                "wraparound": False,
                "cdivision": True,
                "initializedcheck": False,
            },
        )
        sources = {extension.name: extension.sources for extension in translated}
        for extension in self.extensions:
            extension.sources = sources[extension.name]

    def team(self) -> str:
        """What a team of threads is in this build."""
        wanted = os.environ.get("FASTBP_THREADS", "")
        if wanted not in ("", *TEAMS):
            raise SystemExit(
                f"fastbp: got FASTBP_THREADS={wanted}, wanted one of {', '.join(TEAMS)}"
            )
        if (wanted or usual_team()) == "openmp":
            problem = self.problem_with_openmp()
            if problem and (wanted or is_set("FASTBP_REQUIRE_OPENMP")):
                raise SystemExit(f"fastbp: the compiler cannot link OpenMP ({problem})")
            if problem:
                wanted = "none" if sys.platform == "win32" else "pthread"
                print(f"fastbp: building with FASTBP_THREADS={wanted} ({problem})", file=sys.stderr)
        return wanted or usual_team()

    def problem_with_openmp(self) -> Exception | None:
        """Why the compiler cannot link OpenMP."""
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
                return error
        return None

    def team_object(self, team: str, flags: list[str]) -> str:
        """src/team.c compiled for the team."""
        return self.object(
            "src/team.c", team, [*flags, *TEAMS[team]], [(f"FBP_{team.upper()}", "1")]
        )

    def note(self, team: str) -> str:
        """A file that is newer than what was linked with another team."""
        file = self.folder / "team"
        if not file.exists() or file.read_text() != team:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(team)
        return str(file)

    def kernel_objects(self, flags: list[str]) -> list[str]:
        """src/kernels_<isa>.c compiled for each part, ISA of the machine and dtype."""
        isas = ISAS.get(machine(), {"scalar": ["-O1"]})
        kernels = [
            (isa, bits, part, [*flags, *added, *PARTS[part]])
            for part in PARTS
            for isa, added in isas.items()
            for bits in (32, 64)
        ]
        with ThreadPoolExecutor(processes()) as pool:
            return list(pool.map(lambda kernel: self.kernel_object(*kernel), kernels))

    def kernel_object(self, isa: str, bits: int, part: str, flags: list[str]) -> str:
        """The kernels of one part, ISA and dtype."""
        macros = [("FBP_REAL_BITS", str(bits)), ("FBP_PART", f"FBP_{part}")]
        return self.object(f"src/kernels_{isa}.c", f"f{bits}/{part.lower()}", flags, macros)

    def object(self, source: str, name: str, flags: list[str], macros: list) -> str:
        """An object of the core, compiled again only if a file that went into it has changed.

        It is kept for the next build in a folder of its own for each compiler and its flags.
        """
        command = " ".join([*self.compiler.compiler_so, *flags, machine()])
        key = sha256(command.encode()).hexdigest()[:16]
        folder = self.folder / "kernels" / key / name
        target = (folder / source).with_suffix(".o")
        if self.force or is_stale(target):
            self.compiler.compile(
                [source],
                output_dir=str(folder),
                macros=macros,
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


def requirements() -> list[str]:
    """The dependencies that pyproject.toml lists, those that this Python can have."""
    listed = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["tool"]["fastbp"]
    without = "safetensors" if sysconfig.get_config_var("Py_GIL_DISABLED") else None
    return [line for line in listed["dependencies"] if line.split(">=")[0] != without]


def places() -> dict[str, dict[str, str]]:
    """Where the build writes: beside the sources, or in a folder of its own if it may not there."""
    if os.access(".", os.W_OK):
        return {}
    folder = tempfile.mkdtemp(prefix="fastbp-build-")
    return {"build": {"build_base": folder}, "egg_info": {"egg_base": folder}}


setup(
    install_requires=requirements(),
    ext_modules=[extension(name) for name in MODULES],
    cmdclass={"build_ext": Build},
    options=places(),
)
