"""The commands that a build runs on other systems, with setuptools' own classes of compilers."""

from __future__ import annotations

import os
import platform
import re
import runpy
import sys
import sysconfig
from pathlib import Path

import pytest

pytest.importorskip("setuptools")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def load(monkeypatch):
    """Run setup.py up to its last call, and return its names and what that call was given."""

    def run():
        given = {}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("setuptools.setup", lambda **options: given.update(options))
            return runpy.run_path(str(ROOT / "setup.py")) | {"given": given}

    monkeypatch.chdir(ROOT)
    for name in ("ARCHFLAGS", "CC", "CL", "_CL_", "FASTBP_THREADS", "FASTBP_REQUIRE_OPENMP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    return run


@pytest.fixture
def commands(load, monkeypatch, tmp_path):
    """Return the commands of a build for a target of Windows, in order."""

    def run(target):
        names = load()
        from distutils.ccompiler import new_compiler  # setuptools' own, once it is imported

        from setuptools import Distribution

        compiler = new_compiler(compiler="msvc")
        ran = []
        module = sys.modules[type(compiler).__module__]
        monkeypatch.setattr(module, "_get_vc_env", lambda spec: {"path": f"vc for {spec}"})
        monkeypatch.setattr(module, "_find_exe", lambda name, paths: name)
        for name in ("spawn", "call"):  # older and newer setuptools
            monkeypatch.setattr(compiler, name, lambda words, **_: ran.append(words), raising=False)
        monkeypatch.setattr(compiler, "_need_link", lambda objects, output: True)
        extensions = names["given"]["ext_modules"]
        for extension in extensions:
            extension.sources = [re.sub(r"\.pyx$", ".c", name) for name in extension.sources]
        distribution = Distribution({"ext_modules": extensions})
        distribution.script_name = "setup.py"
        build = names["Build"](distribution)
        distribution.get_command_obj("build").build_base = str(tmp_path)
        build.plat_name, build.build_lib, build.build_temp = target, str(tmp_path), str(tmp_path)
        build.finalize_options()
        build.compiler, build.parallel = compiler, False
        monkeypatch.setattr(build, "translate", lambda: None)
        build.build_extensions()
        return [[str(word) for word in command] for command in ran]

    return run


def compiling(commands, source):
    return [command for command in commands if any(source in word for word in command)]


@pytest.mark.parametrize(
    ("target", "machine", "sets"),
    [
        ("win-amd64", "x86_64", ["avx512", "avx2", "scalar"]),
        ("win-arm64", "aarch64", ["neon", "scalar"]),
    ],
)
def test_clang_cl_compiles_the_vector_kernels(commands, monkeypatch, target, machine, sets):
    monkeypatch.setenv("CC", "clang-cl")
    monkeypatch.setattr(platform, "machine", lambda: "a processor that is not asked")
    ran = commands(target)
    for name in ["avx512", "avx2", "neon", "scalar"]:
        kernels = compiling(ran, f"kernels_{name}.c")
        assert len(kernels) == (6 if name in sets else 0), name  # two dtypes of three parts
        for command in kernels:
            assert command[0] == "clang-cl"
            assert f"--target={machine}-pc-windows-msvc" in command
            assert "/clang:-ffp-contract=off" in command
            assert ("/clang:-mfma" in command) == (name in ("avx2", "avx512"))
            assert command.index("/O2") < command.index("/clang:-O3")
    assert all("/GL" not in command and "/LTCG" not in command for command in ran)
    assert len(compiling(ran, "src/threads.c")) == 1
    (team,) = compiling(ran, "src/team.c")
    assert "-DFBP_PTHREAD=1" in team
    assert not [word for command in ran for word in command if re.search("openmp|-pthread", word)]


def test_microsofts_compiler_gets_flags_that_it_knows_and_scalar_kernels(commands, capsys):
    ran = commands("win-amd64")
    compiled = [command for command in ran if "/c" in command]
    assert len(compiling(compiled, "kernels_")) == len(compiling(compiled, "kernels_scalar.c")) == 6
    for command in compiled:
        assert command[0] == "cl.exe"
        assert {"/std:c11", "/fp:precise", "/DNDEBUG", "/O2"} <= set(command)
        assert not [word for word in command if re.match(r"-(?!I|D|W)|/clang|/GL", word)]
    assert "CC=clang-cl" in capsys.readouterr().err


def test_emulated_python_builds_for_itself(load, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "ARM64")
    assert load()["machine"]("win-amd64") == "x86_64"


def test_flags_of_others_in_the_environment_of_microsofts_compiler(commands, monkeypatch, capsys):
    monkeypatch.setenv("CL", "/fp:fast /Zi")
    monkeypatch.setenv("_CL_", "-arch:AVX512")
    commands("win-amd64")
    assert os.environ["CL"] == "/Zi"
    assert os.environ["_CL_"] == ""
    assert "left out -arch:AVX512 /fp:fast" in capsys.readouterr().err


def test_no_build_for_two_architectures(load, monkeypatch):
    monkeypatch.setenv("ARCHFLAGS", "-arch arm64 -arch x86_64")
    with pytest.raises(SystemExit, match="wanted one architecture"):
        load()["machine"]("macosx-11.0-universal2")


def test_python_of_two_architectures_builds_for_the_machine(load, monkeypatch):
    monkeypatch.setattr(sysconfig, "get_platform", lambda: "macosx-10.13-universal2")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.delenv("_PYTHON_HOST_PLATFORM", raising=False)
    load()
    assert os.environ["ARCHFLAGS"] == "-arch arm64"
    assert os.environ["_PYTHON_HOST_PLATFORM"] == "macosx-10.13-arm64"


def test_a_wheel_has_the_source_of_exported_functions(load, tmp_path):
    from setuptools import Distribution

    distribution = Distribution({"packages": ["fastbp.formats"]})
    distribution.script_name = "setup.py"
    build = load()["Modules"](distribution)
    build.build_lib = str(tmp_path)
    build.ensure_finalized()
    build.run()
    built = tmp_path / "fastbp/formats"
    assert (built / "c99_functions.py").exists()
    assert (built / "activations.h").read_bytes() == (ROOT / "src/activations.h").read_bytes()
