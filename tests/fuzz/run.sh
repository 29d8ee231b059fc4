#!/bin/sh
# Builds the libFuzzer targets and runs each for a while.
#
#   run.sh [SECONDS] [BUILD-DIRECTORY] [TARGET...]
#
# Found inputs grow in BUILD-DIRECTORY/corpus/TARGET and are used again; a crash leaves its input there and fails.
set -eu

seconds=${1:-20}
source=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
build=${2:-$source/build-fuzz}
[ $# -le 2 ] && set -- x x || true
shift 2
targets=${*:-fuzz_vu_message fuzz_ipc_session fuzz_ipc_worker fuzz_inflight fuzz_ring}

quietly() {
    log=$(mktemp)
    if "$@" >"$log" 2>&1; then
        rm -f "$log"
    else
        tail -n 40 "$log"
        rm -f "$log"
        exit 1
    fi
}

[ -e "$build/build.ninja" ] || CC=clang quietly meson setup "$build" "$source" -Dfuzz=enabled -Dman=disabled \
    -Db_sanitize=address,undefined -Db_lundef=false
# shellcheck disable=SC2046
quietly ninja -C "$build" $(for t in $targets; do echo "tests/fuzz/$t"; done)

passed=0
failed=0
for target in $targets; do
    corpus=$build/corpus/$target
    mkdir -p "$corpus"
    if (cd "$corpus" && "$build/tests/fuzz/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="$corpus/crash-" . >"$build/$target.log" 2>&1); then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$target.log")
        echo "ok   $target: $runs inputs"
        passed=$((passed + 1))
    else
        echo "FAIL $target: the end of $build/$target.log:"
        tail -n 40 "$build/$target.log"
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
