#!/bin/bash
# Installs what is missing, builds with both compilers, runs all tests, also sanitized, and the fuzzers for a moment.
# Usage: tests/run.sh [--quick] [--no-install]      --quick: one compiler, and nothing that boots a guest
# The last line counts tests; a build is one as well. Logs are left in build-*/meson-logs/.
set -eu -o pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."

fuzz_seconds=60         # for each target; two run at a time
# Those in which a worker's threads meet: loops that are parked, the thread pool, deaths.
threaded_tests="hostile-flips worker-blk worker-crash worker-dirty_log worker-drain worker-hostile worker-process
        proto-blk proto-engines proto-iommu proto-log proto-memory proto-recovery-packed proto-resize
        proto-vrings-packed"
quick='' install=yes
for option; do
        case $option in
        --quick) quick=yes ;;
        --no-install) install='' ;;
        *) echo "usage: tests/run.sh [--quick] [--no-install]" >&2; exit 2 ;;
        esac
done

passed=0 failed=0 skipped=0 what_failed='' left_out=''
out=$(mktemp) said=$(mktemp)
trap 'rm -f "$out" "$said"' EXIT
trap 'exit 1' INT TERM HUP

step() { printf '\n== %s (after %d s)\n' "$*" "$SECONDS"; }

lost() { failed=$((failed + 1)); what_failed="$what_failed
    $*"; echo "FAILED: $*"; }

# attempt WHAT COMMAND...: one test that is a command; shows what it said only if it fails.
attempt() {
        local what=$1
        shift
        if "$@" </dev/null >"$out" 2>&1; then
                passed=$((passed + 1))
                echo "ok: $what"
        else
                tail -n 60 "$out" | tee -a "$said"
                lost "$what"
                return 1
        fi
}

# build DIR SETUP-OPTIONS...: from scratch where the options are not the ones of last time.
build() {
        local dir=$1
        shift
        if [ "$(cat "$dir/options" 2>/dev/null)" != "${CC:-} $*" ]; then
                rm -rf "$dir"
                attempt "set up $dir" meson setup "$dir" "$@" || return 1
                echo "${CC:-} $*" >"$dir/options"
        fi
        attempt "build $dir without a warning" ninja -C "$dir"
}

# Of what meson prints: the failed tests, their lines that speak of a failure, and the last ones.
what_was_said() {
        awk 'function end() {
                        for (i = 1; i <= n; i++)
                                if (i == 1 || i > n - 25 || line[i] ~ /FAIL|:[FE]:|ERROR/)
                                        print line[i]
                        n = 0
                }
                /^ *[0-9]+\/[0-9]+ / { end(); failed = / (FAIL|TIMEOUT|ERROR) / }
                /^Summary|^Ok: / { end(); failed = 0 }
                failed { line[++n] = $0 }'
}

# What the host could not have of tests that passed, as their last lines say (proto/rig.h, e2e/lib.sh).
what_was_left_out() {
        awk -v dir="$1" '/^test: / { name = $NF }
                match($0, /left out: /) { print "    " dir ": " name ": " substr($0, RSTART + RLENGTH) }' \
                "$1/meson-logs/testlog.txt" 2>/dev/null | sort -u
}

# run_tests DIR PATIENCE TEST-OPTIONS...: counts as meson does. All limits of time, meson's and those that check sets for
# each case, are PATIENCE times theirs.
run_tests() {
        local dir=$1 patience=$2 n status=0 before=$failed
        shift 2
        CK_TIMEOUT_MULTIPLIER=$patience meson test -C "$dir" --no-rebuild --print-errorlogs --timeout-multiplier "$patience" \
                "$@" </dev/null 2>&1 | tee "$out" || status=1
        count() { n=$(sed -n "s/^$1: *\([0-9]*\) *$/\1/p" "$out" | tail -n 1); n=${n:-0}; }
        count Ok && passed=$((passed + n))
        count Skipped && skipped=$((skipped + n))
        for n in "Expected Fail" "Unexpected Pass" Fail Timeout; do
                count "$n" && failed=$((failed + n))
        done
        n=$(what_was_left_out "$dir") || n=
        left_out=$left_out${n:+
$n}
        if [ "$failed" != "$before" ]; then
                what_failed="$what_failed
$(sed -n -E "s,^ *[0-9]+/[0-9]+ (.*[^ ]) +(FAIL|TIMEOUT|ERROR) .*,    $dir: \1,p" "$out" | sort -u)"
                what_was_said <"$out" >>"$said"
        elif [ "$status" != 0 ]; then
                lost "meson test in $dir"
        fi
}

# What confined processes say goes to files (common/sanitizer.c), named after the build directory.
reports=/tmp/vhost-sanitizer$(pwd -P | tr / -)
no_reports() { ! cat "$reports"-build-*san.* 2>/dev/null; }
rm -f "$reports"-build-*san.*

if [ -n "$install" ]; then
        step "Install"
        tests/install.sh
fi
if [ "$(id -u)" != 0 ]; then
        echo "Not root: tests of a broker that starts as root (its own uid for each process) are skipped."
fi

step "gcc"
if CC=gcc build build-gcc -Dwerror=true; then
        if [ -n "$quick" ]; then
                run_tests build-gcc 2 --no-suite e2e
        elif attempt "make the guest" tests/e2e/guest.sh; then
                run_tests build-gcc 2
                attempt "the demo, with build-gcc" tests/demo.sh build-gcc || true
        fi
fi
if [ -z "$quick" ]; then
        step "clang"
        CC=clang build build-clang -Dwerror=true && run_tests build-clang 2 --no-suite e2e --no-suite evil --no-suite hostile
        step "gcc with address and undefined-behaviour sanitizers"
        CC=gcc build build-asan -Dwerror=true -Db_sanitize=address,undefined &&
                run_tests build-asan 4 --no-suite e2e
        step "gcc with the thread sanitizer"
        # shellcheck disable=SC2086
        CC=gcc build build-tsan -Dwerror=true -Dman=disabled -Db_sanitize=thread &&
                run_tests build-tsan 4 $threaded_tests
        attempt "no sanitizer has reported anything" no_reports || true
        if [ -x tests/fuzz/run.sh ]; then
                step "fuzz"
                attempt "fuzz each target for $fuzz_seconds s" tests/fuzz/run.sh "$fuzz_seconds" || true
                attempt "devices' answers hold nothing stale" tests/fuzz/run.sh --memory 5 || true
        fi
fi

step "Done"
if [ -n "$what_failed" ]; then
        echo "What the failed ones said:"
        head -n 120 "$said" | cut -c 1-300
        echo "Failed:$what_failed"
fi
[ -z "$left_out" ] || echo "Left out of tests, for this host has it not:$left_out"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
