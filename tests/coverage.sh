#!/bin/bash
# Line coverage of broker/session and worker by the unit and protocol tests. Built with a sanitizer, for then confined
# processes keep the host's root and may write files (policy/sanitizer.c); tests/coverage/dump.c lets them. What is killed
# has not counted. tests/COVERAGE.md says what is left, and why.
#
#   coverage.sh [BUILDDIR]        lists each file below 95 % with the lines that nothing ran
# Started as root, sessions and workers have uids of their own: those must reach BUILDDIR.
set -eu -o pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."
source=$PWD build=${1:-$PWD/build-coverage}
least=95

[ -e "$build/build.ninja" ] || CC=gcc meson setup "$build" "$source" --buildtype=debug -Db_coverage=true \
        -Db_sanitize=undefined -Dman=disabled >/dev/null
ninja -C "$build" >/dev/null

# Whoever comes first would own a file of counters, and keep the others out.
find "$build" -name '*.gcda' -delete
find "$build/common" "$build/policy" "$build/broker" "$build/worker" -name '*.gcno' | while read -r notes; do
        : >"${notes%.gcno}.gcda"
        chmod 666 "${notes%.gcno}.gcda"
done
if [ "$(id -u)" = 0 ]; then
        setpriv --reuid=65534 --clear-groups test -w "$build/worker/libworker.a.p/loop.c.gcda" ||
                { echo "coverage.sh: $build: sessions and workers cannot reach it" >&2; exit 1; }
fi
status=0
CK_TIMEOUT_MULTIPLIER=4 meson test -C "$build" --suite unit --suite proto --no-rebuild --timeout-multiplier 4 \
        >"$build/coverage.log" 2>&1 || { status=1; tail -n 40 "$build/coverage.log"; }
find "$build" -name '*.gcda' -empty -delete

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for objects in broker/session/libsession.a.p broker/session/vhost-session.p worker/libworker.a.p worker/vhost-worker.p; do
        (cd "$dir" && find "$build/$objects" -name '*.gcno' -exec gcov -p -s "$build" {} + >/dev/null 2>&1)
done

# A .gcov line is COUNT:LINE:TEXT; COUNT is "-" where there is no code, "#####" where it never ran.
awk -F: -v least=$least '
        function count(room, missed) { total[room]++; total_missed[room] += missed }
        FNR == 1 { file = "" }
        $2 + 0 == 0 && $3 == "Source" { file = $4; sub(/^(\.\.\/)*/, "", file); sub(/.*\/(broker\/session|worker)\//, "&", file) }
        $2 + 0 > 0 && file ~ /(broker\/session|worker)\/.*\.c$/ && $1 !~ /-/ {
                match(file, /(broker\/session|worker)\/.*/)
                name = substr(file, RSTART)
                lost = $1 ~ /[#=]/
                lines[name]++
                count(name ~ /^broker/ ? "broker/session" : "worker", lost)
                if (name ~ /^worker\/(chain|vring|inflight|guest_mem|iotlb|dirty_log)/)
                        count("worker: rings, memory and tracking", lost)
                if (lost) {
                        missed[name] = missed[name] " " $2 + 0
                        gaps[name]++
                }
        }
        END {
                for (name in lines) {
                        share = 100 * (lines[name] - gaps[name]) / lines[name]
                        if (share < least)
                                printf "1 %5.1f %%  %-34s lines%s\n", share, name, missed[name]
                }
                for (room in total)
                        printf "2 %5.1f %%  %s: %d of %d lines\n", 100 * (total[room] - total_missed[room]) / total[room],
                                room, total[room] - total_missed[room], total[room]
        }' "$dir"/*.gcov | sort | cut -c3-
exit $status
