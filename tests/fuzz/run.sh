#!/bin/bash
# Builds the libFuzzer targets and runs each for a while, two at a time.
#
#   run.sh [SECONDS] [BUILD-DIRECTORY] [TARGET...]     60 seconds; all targets
#   run.sh --memory [SECONDS] [BUILD-DIRECTORY] [TARGET...]     with the memory sanitizer; those where a device answers
#   run.sh --keep [BUILD-DIRECTORY] [TARGET...]        makes the corpora of the tree anew: the fewest inputs that reach
#                                                      all code that those of the tree and of BUILD-DIRECTORY reach
#
# A target begins with tests/fuzz/corpus/TARGET; what it finds grows in BUILD-DIRECTORY/corpus/TARGET and is used again.
# A crash leaves its input there and fails. For a night: run.sh 3600.
set -eu

keep='' kind=address,undefined suffix=''
case ${1:-} in
--keep) keep=yes; shift ;;
--memory) kind=memory suffix=-memory; shift ;;
esac
if [ -n "$keep" ]; then
        seconds=0
else
        seconds=${1:-60}
        [ $# -eq 0 ] || shift
fi
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
source=$(CDPATH='' cd -- "$here/../.." && pwd)
build=${1:-$source/build-fuzz$suffix}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || [ $kind != memory ] || set -- fuzz_blk fuzz_rng fuzz_ring_split fuzz_ring_packed
targets=${*:-$(sed -n "s/^    '\(fuzz_[a-z_]*\)':.*/\1/p" "$here/meson.build")}
results=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$results"' EXIT

quietly() {
        "$@" >"$results/log" 2>&1 || { tail -n 40 "$results/log"; exit 1; }
}

fuzz() { # TARGET: leaves its verdict in $results/TARGET
        local target=$1 corpus=$build/corpus/$1 dict=() runs
        [ ! -e "$here/$target.dict" ] || dict=("-dict=$here/$target.dict")
        mkdir -p "$corpus" "$here/corpus/$target"
        if (cd "$corpus" && exec "$build/tests/fuzz/$target" -max_total_time="$seconds" -timeout=30 -rss_limit_mb=2048 \
                -print_final_stats=1 "${dict[@]}" -artifact_prefix="$corpus/crash-" . "$here/corpus/$target" \
                >"$build/$target.log" 2>&1); then
                runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$target.log")
                echo "ok   $target: $runs inputs" | tee "$results/$target"
        else
                { echo "FAIL $target: the end of $build/$target.log:"; tail -n 40 "$build/$target.log"; } |
                        tee "$results/$target"
        fi
}

minimize() { # TARGET
        local target=$1 least=$results/least kept=$here/corpus/$1
        mkdir -p "$least" "$kept" "$build/corpus/$target"
        quietly "$build/tests/fuzz/$target" -set_cover_merge=1 -use_counters=0 "$least" "$kept" "$build/corpus/$target"
        rm -rf "$kept"
        mv "$least" "$kept"
        echo "$target: $(find "$kept" -type f | wc -l) inputs, $(cat "$kept"/* | wc -c) bytes"
}

[ -e "$build/build.ninja" ] || CC=clang quietly meson setup "$build" "$source" -Dfuzz=enabled -Dman=disabled \
        -Db_sanitize=$kind -Db_lundef=false
# shellcheck disable=SC2046
quietly ninja -C "$build" $(for t in $targets; do echo "tests/fuzz/$t"; done)

if [ -n "$keep" ]; then
        for target in $targets; do minimize "$target"; done
        exit 0
fi
for target in $targets; do
        while [ "$(jobs -pr | wc -l)" -ge 2 ]; do wait -n || true; done
        fuzz "$target" &
done
wait
passed=$(cat "$results"/fuzz_* | grep -c '^ok ') || true
failed=$(cat "$results"/fuzz_* | grep -c '^FAIL ') || true
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
