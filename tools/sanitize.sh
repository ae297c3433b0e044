#!/usr/bin/env bash
# Builds the tree with a sanitizer, in a folder of its own, and runs Python there.
#
#     tools/sanitize.sh address -m fuzz --seconds 60      AddressSanitizer and UndefinedBehaviorSanitizer
#     tools/sanitize.sh thread -m fuzz --seconds 60       ThreadSanitizer; Archer tells it of OpenMP's barriers
#
# FOLDER names a build to use again; PLANT=1 plants a race for ThreadSanitizer to find, which needs clang and libomp. Both need a
# Python environment with the packages of `pip install -e ".[test]"` whose Python can be embedded.
set -euo pipefail

kind=$1
shift
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=${FOLDER:-$(mktemp -d)}
case $kind in
address)
    compiler=gcc # Clang needs half an hour for these checks in the streaming kernels
    flags="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
    export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1
    ;;
thread)
    compiler=clang # for Archer
    flags="-fsanitize=thread -fno-omit-frame-pointer${PLANT:+ -DFBP_DONE_ORDER=__ATOMIC_RELAXED}"
    export TSAN_OPTIONS="ignore_noninstrumented_modules=1 exitcode=66 ${TSAN_OPTIONS:-}"
    export OMP_TOOL_LIBRARIES=$(dirname "$(dirname "$(readlink -f "$(command -v clang)")")")/lib/libarcher.so
    ;;
*)
    echo "sanitize: got '$kind', wanted address or thread" >&2
    exit 2
    ;;
esac

mkdir -p "$folder"
(cd "$root" && git ls-files -z | tar --create --null --files-from=- --file=-) | tar --extract --directory="$folder" --file=-
cd "$folder"
# -O1 comes last: with -O3 the instrumented kernels take minutes each.
printf '#!/bin/sh\nexec %s %s "$@" -O1\n' "$compiler" "$flags" >cc
chmod +x cc
CC=$folder/cc LDSHARED="$folder/cc -shared" CFLAGS=-g1 python setup.py -q build_ext --inplace

# The sanitizer's runtime must be the first thing in the process: an executable of its own that embeds Python.
printf '#include <Python.h>\nint main(int n, char **arguments) { return Py_BytesMain(n, arguments); }\n' >main.c
# shellcheck disable=SC2046,SC2086
$compiler $flags main.c -o sanitized-python $(python3-config --includes) $(python3-config --embed --ldflags) -Wl,-export-dynamic
packages=$(python -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
export PYTHONPATH=$folder:$folder/tests:$folder/tests/helpers:$packages PYTHONMALLOC=malloc
# Without randomised addresses, for the runtimes want fixed ones for their shadow memory.
exec setarch "$(uname -m)" -R ./sanitized-python "$@"
