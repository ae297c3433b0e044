#!/usr/bin/env bash
# Runs the tests under the sanitizers of the compilers, and the kernels under valgrind, on a copy of the tree built for it.
#
#     tests/sanitize.sh asan        AddressSanitizer and UndefinedBehaviorSanitizer: the whole suite, on each kernel set
#     tests/sanitize.sh tsan        ThreadSanitizer: the tests of threads and the fuzz; then with a planted race, which must be found
#     tests/sanitize.sh valgrind    every kernel on buffers of the exact size; the same with a planted fault
#     tests/sanitize.sh asan -m fuzz --seconds 60         Python with these arguments instead; so for tsan
#     FASTBP_THREADS=pthread tests/sanitize.sh tsan       with a team of fastbp's own threads; so for asan
#
# The exit status is 0 if there was no report. FOLDER names a build to use again. asan needs gcc, tsan clang, and for a team of
# OpenMP libomp, whose Archer tells it of OpenMP's barriers, and both a Python environment with the packages of
# `pip install -e ".[test]"` whose Python can be embedded. Nothing of fastbp is suppressed; what Python and other libraries do is
# left out, as they are built without sanitizers, and so are leaks, as Python ends without freeing all. How a Python without a GIL
# hands an object from one thread to another is left out with it: there tsan reports objects that a thread makes at the first use
# of a full map.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=${FOLDER:-$(mktemp -d)}
OF_THREADS=(tests/training/test_same_bits.py tests/training/test_claims.py tests/training/test_doors.py tests/engine/test_regime.py
    tests/engine/test_packing.py tests/engine/test_contention.py tests/engine/test_thread_bounds.py tests/training/test_memory.py)

copy_tree() {
    mkdir -p "$folder"
    rm -rf "$folder/tests" # of a build that is used again: those that are no more would be run
    (cd "$root" && git ls-files -z --cached --others --exclude-standard |
        while IFS= read -r -d '' file; do
            if [[ -e $file || -L $file ]]; then printf '%s\0' "$file"; fi
        done | tar --create --null --files-from=- --file=-) | tar --extract --directory="$folder" --file=-
    cd "$folder"
}

# The extension in place, and a Python whose executable has the sanitizer's runtime, which must be the first thing in the process.
build() { # compiler, its flags
    local wrapper
    # -O1 comes last: with -O3 the instrumented kernels take minutes each.
    wrapper=$(printf '#!/bin/sh\nexec %s %s "$@" -O1\n' "$1" "$2")
    if [[ -e cc && $(<cc) != "$wrapper" ]]; then touch src/phases.h; fi # the flags may differ in what is defined for it
    printf '%s\n' "$wrapper" >cc
    chmod +x cc
    CC=$folder/cc LDSHARED="$folder/cc -shared" CFLAGS=-g1 python setup.py -q build_ext --inplace
    mkdir -p bin
    printf '#include <Python.h>\nint main(int n, char **arguments) { return Py_BytesMain(n, arguments); }\n' >main.c
    # shellcheck disable=SC2046,SC2086
    $1 $2 main.c -o bin/sanitized-python $(python3-config --includes) $(python3-config --embed --ldflags) -Wl,-export-dynamic
    # A virtual environment of its own with the packages of the one that is active, also for the processes that tests start.
    python - <<'END'
import sys
import sysconfig
from pathlib import Path

Path("pyvenv.cfg").write_text(f"home = {sys.base_prefix}/bin\ninclude-system-site-packages = false\n")
packages = Path(sysconfig.get_path("platlib", vars={"base": ".", "platbase": "."}))
packages.mkdir(parents=True, exist_ok=True)
(packages / "packages.pth").write_text(sysconfig.get_path("platlib"))
END
}

# Without randomised addresses, for the runtimes want fixed ones for their shadow memory.
run() { setarch "$(uname -m)" -R bin/sanitized-python "$@"; }

python_path() {
    export PYTHONPATH=$folder:$folder/tests:$folder/tests/helpers
    # A Python without a GIL has one allocator alone.
    if python -c 'import sys, sysconfig; sys.exit(bool(sysconfig.get_config_var("Py_GIL_DISABLED")))'; then
        export PYTHONMALLOC=malloc
    fi
}

asan() {
    copy_tree
    # Reports go to files, for what a test process says as it ends is lost; too large a request is a MemoryError, as elsewhere.
    rm -f report.*
    export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:log_path=$folder/report
    export UBSAN_OPTIONS=print_stacktrace=1:log_path=$folder/report
    # Clang needs half an hour for these checks in the streaming kernels.
    build gcc "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
    python_path
    if (($#)); then
        run "$@"
        return
    fi
    local isa status=0
    run -m pytest -q -m slow tests/formats/test_mutants.py || status=$?
    for isa in $(run -c "from fastbp.engine import runtime; print(*runtime.isas())"); do
        echo "== $isa"
        FASTBP_ISA=$isa run -m pytest -q -n 2 -m "not slow and not memory" --ignore=tests/bench --ignore=tests/repo || status=$?
    done
    if grep -s -E -h -A 40 "ERROR: |runtime error" report.* >&2; then # there are warnings too, of requests that were too large
        status=1
    fi
    return "$status"
}

tsan() {
    local flags="-fsanitize=thread -fno-omit-frame-pointer" status=0 seed
    copy_tree
    export TSAN_OPTIONS="ignore_noninstrumented_modules=1 exitcode=66 ${TSAN_OPTIONS:-}"
    if [[ ${FASTBP_THREADS:=openmp} == openmp ]]; then
        OMP_TOOL_LIBRARIES=$(dirname "$(dirname "$(readlink -f "$(command -v clang)")")")/lib/libarcher.so
        export OMP_TOOL_LIBRARIES
    fi
    export FASTBP_THREADS
    build clang "$flags"
    python_path
    if (($#)); then
        run "$@"
        return
    fi
    run -m pytest -q -m "not slow and not memory" "${OF_THREADS[@]}"
    run -m fuzz --seed 1 --seconds 60
    echo "== with a planted race"
    build clang "$flags -DFBP_DONE_ORDER=__ATOMIC_RELAXED"
    for seed in 1 2 3 4 5; do # which threads meet is chance
        status=0
        run -m fuzz --seed $seed --seconds 60 >planted.log 2>&1 || status=$?
        if ((status == 66)) && grep -q "WARNING: ThreadSanitizer: data race" planted.log; then
            echo "it is found"
            return
        fi
    done
    tail -n 40 planted.log
    echo "sanitize: the planted race was not found (exit status $status)" >&2
    return 1
}

# Valgrind has no AVX-512: the guard pages of tests/engine/test_guard_pages.py are for that.
memcheck() {
    local flags=(-std=gnu11 -O1 -g -ffp-contract=off -Isrc) isa bits
    copy_tree
    declare -A sets=([scalar]="")
    case $(uname -m) in
    x86_64) sets+=([avx512]="-mavx512f -mavx512dq -mfma" [avx2]="-mavx2 -mfma") ;;
    aarch64) sets+=([neon]="") ;;
    esac
    for isa in "${!sets[@]}"; do
        for bits in 32 64; do
            echo "${flags[*]} ${sets[$isa]} -DFBP_REAL_BITS=$bits -c src/kernels_$isa.c -o kernels_$isa$bits.o"
        done
    done | xargs --max-procs="$(nproc)" --max-lines=1 ${CC:-gcc} # may be two words
    # shellcheck disable=SC2086
    ${CC:-gcc} "${flags[@]}" -DWITH_MAIN tests/engine/kernel_calls.c src/dispatch.c src/fma.c src/memory.c src/threads.c kernels_*.o \
        -o kernel_calls -pthread -lm
    valgrind --quiet --leak-check=full --error-exitcode=1 ./kernel_calls
    echo "== with a planted fault"
    if valgrind --quiet --error-exitcode=1 --exit-on-first-error=yes ./kernel_calls planted >planted.log 2>&1 ||
        ! grep -q "Invalid read" planted.log; then
        cat planted.log
        echo "sanitize: the planted fault was not found" >&2
        return 1
    fi
    echo "it is found"
}

kind=${1:-}
shift || true
case $kind in
asan | tsan) $kind "$@" ;;
valgrind) memcheck ;;
*)
    echo "sanitize: got '$kind', wanted asan, tsan or valgrind" >&2
    exit 2
    ;;
esac
