#!/usr/bin/env bash
# Builds with the lowest versions that pyproject.toml names, and tests with the lowest that run with it, in a fresh environment.
# PYTHON names the interpreter, SKIP_TESTS=1 leaves out the suite.
set -euo pipefail
unset PYTHONPATH

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
# shellcheck disable=SC1091
. "$work/venv/bin/activate"

# `name>=version` of one list of pyproject.toml as `name==version`, a line each.
lowest() {
    python - "$root/pyproject.toml" "$1" <<'PYTHON'
import sys, tomllib

project = tomllib.load(open(sys.argv[1], "rb"))
lists = {
    "build": project["build-system"]["requires"],
    "run": project["tool"]["fastbp"]["dependencies"],
    "test": project["project"]["optional-dependencies"]["test"],
}
print("\n".join(line.replace(">=", "==") for line in lists[sys.argv[2]]))
PYTHON
}

mapfile -t build < <(lowest build)
mapfile -t run < <(lowest run)
mapfile -t test < <(lowest test)
python -m pip install --quiet "${build[@]}"
# From the source archive: what another Cython has made of the modules lies in the tree, and is newer than they are.
(cd "$root" && python setup.py -q sdist --dist-dir "$work")
mkdir "$work/source" "$work/empty"
tar --extract --gzip --file "$work"/fastbp-*.tar.gz --directory "$work/source" --strip-components 1
python -m pip install --no-build-isolation --no-deps "$work/source"
python -m pip install --quiet --force-reinstall "${run[@]}" "${test[@]}"
cd "$work/empty"
fastbp info --check
python -m pip list
[[ -n ${SKIP_TESTS:-} ]] || python -m pytest -q -n 2 "$work/source/tests"
