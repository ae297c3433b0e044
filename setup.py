"""Builds the C core once per ISA and dtype, and the Cython modules above it.

Everything else is in pyproject.toml. Environment variables:

CC=clang-cl              on Windows, for vector kernels; Microsoft's compiler has scalar ones
FASTBP_THREADS=...       what a team of threads is: openmp, pthread (a team of fastbp's own) or none
                         (one thread only). Default: openmp under Linux with glibc, pthread
                         elsewhere, and where the compiler cannot link OpenMP
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
from setuptools.command.build_py import build_py


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
    r"|/GL|/LTCG(:.*)?|/fp:.*|/arch:.*"
)
# Flags are written as GCC and Clang know them. Microsoft's compiler has few of them: /O2 comes from
# setuptools, and the warning is about "#pragma GCC unroll".
MSVC = {
    "-std=gnu11": ["/std:c11", "/wd4068"],
    "-ffp-contract=off": ["/fp:precise"],
    "-DNDEBUG": ["/DNDEBUG"],
    "-UNDEBUG": ["/UNDEBUG"],
}
# And team.c, which has flags of its own.
CORE = ["src/dispatch.c", "src/fma.c", "src/memory.c", "src/threads.c"]
# What the modules include; the compiler lists what goes into a kernel object.
HEADERS = ["src/phases.h", "src/platform.h", "src/x86.h"]
HEADERS += map(str, sorted([*Path("src").glob("fbp*.h"), *Path("fastbp/include").glob("*.h")]))
RUNTIME = "fastbp.engine.runtime"  # the only extension that links the core
MODULES = [f"fastbp.engine.{path.stem}" for path in sorted(Path("fastbp/engine").glob("*.pyx"))]
# What every processor of the machine has, whatever CFLAGS say, and what a kernel set adds. Scalar
# kernels spend their time in fma() or what stands for it: -O1 halves the compilation, no slower.
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
MACHINES |= {"win-amd64": "x86_64", "win-arm64": "aarch64", "win32": "i386"}
# What a team of threads may be, and the flags of its source and of the module that has it, but for
# Windows; src/threads.c needs the threads in any case.
TEAMS = {"openmp": ["-fopenmp", "-pthread"], "pthread": ["-pthread"], "none": ["-pthread"]}


def usual_team(target: str) -> str:
    """The team of a build that asks for none.

    Apple's compiler has no OpenMP, and the systems of musl and Windows no library of it; a second
    one beside that of PyTorch may end the process.
    """
    libc = f"{sysconfig.get_config_var('SOABI')} {sysconfig.get_config_var('HOST_GNU_TYPE')}"
    return "pthread" if target.startswith(("macosx", "win")) or "musl" in libc else "openmp"


def machine(target: str) -> str:
    """The target's machine. macOS names it in ARCHFLAGS, Windows in the name of the target.

    The processor is not asked there: Python for x86-64 also runs on ARM64, and builds for itself.
    """
    if target.startswith("win"):
        return MACHINES.get(target, target)
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


def choose_architecture() -> None:
    """A Python of two architectures builds for that of the machine, unless ARCHFLAGS name one."""
    name = sysconfig.get_platform()
    if name.endswith("-universal2") and "ARCHFLAGS" not in os.environ:
        os.environ["ARCHFLAGS"] = f"-arch {platform.machine()}"
        os.environ["_PYTHON_HOST_PLATFORM"] = name.replace("universal2", platform.machine())


def kind_of(compiler) -> str:
    """``"gnu"`` (GCC, Clang and what takes their flags), ``"clang-cl"`` or ``"msvc"``."""
    if compiler.compiler_type != "msvc":
        return "gnu"
    return "clang-cl" if Path(compiler.cc).stem.startswith("clang-cl") else "msvc"


def spelled(flags: list[str], kind: str) -> list[str]:
    """Flags of GCC and Clang as that kind of compiler takes them, without those that it lacks."""
    if kind == "msvc":
        return [own for flag in flags for own in MSVC.get(flag, [])]
    if kind == "clang-cl":
        return [flag if flag[:2] in ("-D", "-U") else f"/clang:{flag}" for flag in flags]
    return flags


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
        self.machine = machine(self.plat_name)
        self.choose_compiler()
        self.remove_harmful_flags()
        self.translate()
        flags, team = [*FLAGS, *BASELINE.get(self.machine, [])], self.team()
        for extension in self.extensions:
            extension.include_dirs = ["src", "fastbp/include", np.get_include()]
            extension.extra_compile_args = [*self.target, *spelled(flags, self.kind)]
            extension.extra_link_args = [] if self.windows else ["-lm"]
            if extension.name == RUNTIME:
                extension.libraries = ["synchronization"] if self.windows else []
                extension.extra_link_args += self.team_flags(team)
                extension.extra_objects = [
                    *self.kernel_objects(flags),
                    self.team_object(team, flags),
                ]
                extension.depends += [*extension.extra_objects, self.note(team)]
        if self.machine not in ISAS:
            print(f"fastbp: {UNSUPPORTED.format(self.machine)}", file=sys.stderr)
        super().build_extensions()

    def choose_compiler(self) -> None:
        """Clang's command for Windows if CC names it, which setuptools does not ask there."""
        self.windows = self.plat_name.startswith("win")
        named = os.environ.get("CC", "")
        if self.compiler.compiler_type == "msvc":
            self.compiler.initialize(self.plat_name)
            if Path(named).stem.startswith("clang-cl"):
                self.compiler.cc = named
        self.kind = kind_of(self.compiler)
        clang = self.kind == "clang-cl"
        self.target = [f"--target={self.machine}-pc-windows-msvc"] if clang else []
        self.isas = ISAS.get(self.machine, {"scalar": ["-O1"]})
        if self.kind == "msvc":
            self.isas = {"scalar": []}
            print(
                "fastbp: Microsoft's compiler compiles the scalar kernels alone, which are many "
                "times slower; with CC=clang-cl there are the vector kernels too",
                file=sys.stderr,
            )

    def remove_harmful_flags(self) -> None:
        """Take the flags that change results out of the compiler's commands."""
        lists = [value for value in vars(self.compiler).values() if isinstance(value, list)]
        left_out = {flag for command in lists for flag in command if HARMFUL.fullmatch(str(flag))}
        for command in lists:
            command[:] = [flag for flag in command if flag not in left_out]
        for name in ("CL", "_CL_"):  # which Microsoft's compiler reads, and clang-cl
            flags = os.environ.get(name, "").split()
            if harmful := {flag for flag in flags if HARMFUL.fullmatch(flag.replace("-", "/", 1))}:
                os.environ[name] = " ".join(flag for flag in flags if flag not in harmful)
                left_out |= harmful
        if left_out := left_out - {"/GL", "/LTCG"}:  # which come from setuptools
            print(
                f"fastbp: left out {' '.join(sorted(left_out))}, which would change results",
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
        if (wanted or usual_team(self.plat_name)) == "openmp":
            problem = self.problem_with_openmp()
            if problem and (wanted or is_set("FASTBP_REQUIRE_OPENMP")):
                raise SystemExit(f"fastbp: the compiler cannot link OpenMP ({problem})")
            if problem:
                wanted = "pthread"
                print(f"fastbp: building with FASTBP_THREADS={wanted} ({problem})", file=sys.stderr)
        return wanted or usual_team(self.plat_name)

    def team_flags(self, team: str) -> list[str]:
        return [] if self.windows else TEAMS[team]

    def problem_with_openmp(self) -> Exception | None:
        """Why the compiler cannot link OpenMP."""
        if self.windows:
            return ValueError("on Windows it would be a second library beside those of others")
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
            "src/team.c", team, [*flags, *self.team_flags(team)], [(f"FBP_{team.upper()}", "1")]
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
        kernels = [
            (isa, bits, part, [*flags, *added, *flags_of_part(part, self.machine)])
            for part in PARTS
            for isa, added in self.isas.items()
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
        flags = [*self.target, *spelled(flags, self.kind)]
        command = self.compiler.compiler_so if self.kind == "gnu" else [self.compiler.cc]
        key = sha256(" ".join([*command, *flags, self.machine]).encode()).hexdigest()[:16]
        folder = self.folder / "kernels" / key / name
        (target,) = self.compiler.object_filenames([source], output_dir=str(folder))
        if self.force or is_stale(Path(target)):
            self.compiler.compile(
                [source],
                output_dir=str(folder),
                macros=macros,
                extra_postargs=[*flags, *(["-MMD"] if self.kind == "gnu" else [])],
            )
        return target


class Modules(build_py):
    """Adds the source of the activations, which exported networks have (`formats.c99_functions`).

    In the source tree, and an editable install, it is read where it is.
    """

    def run(self):
        super().run()
        if not self.editable_mode:
            self.copy_file("src/activations.h", str(Path(self.build_lib, "fastbp", "formats")))


def is_stale(target: Path) -> bool:
    """Whether an object is missing, or older than a file of the list that its compiler wrote.

    The compilers of Windows write none, so they compile always.
    """
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


choose_architecture()
setup(
    install_requires=requirements(),
    ext_modules=[extension(name) for name in MODULES],
    cmdclass={"build_ext": Build, "build_py": Modules},
    options=places(),
)
