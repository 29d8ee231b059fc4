#!/bin/bash
# Line coverage of broker/session and worker by the unit tests. A confined process writes no counters, so the worker
# they start is one without a sandbox (tests/unit/worker/open_worker.c), and worker/sandbox.c counts as not run, as does
# whatever only the protocol and sandbox tests reach. What a test kills has not counted either.
#
#   coverage.sh [BUILDDIR]        lists each file below 95 % with the lines that nothing ran
set -eu -o pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."
source=$PWD build=${1:-$PWD/build-coverage}
least=95

[ -e "$build/build.ninja" ] || CC=gcc meson setup "$build" "$source" -Db_coverage=true -Dman=disabled >/dev/null
ninja -C "$build" >/dev/null
find "$build" -name '*.gcda' -delete
meson test -C "$build" --suite unit --no-rebuild >"$build/coverage.log" 2>&1 ||
        { tail -n 40 "$build/coverage.log"; exit 1; }

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for library in broker/session/libsession.a.p worker/libworker.a.p; do
        (cd "$dir" && find "$build/$library" -name '*.gcno' -exec gcov -p -s "$build" {} + >/dev/null 2>&1)
done

# A .gcov line is COUNT:LINE:TEXT; COUNT is "-" where there is no code, "#####" where it never ran.
awk -F: -v least=$least '
        FNR == 1 { file = "" }
        $2 + 0 == 0 && $3 == "Source" { file = $4; sub(/^(\.\.\/)*/, "", file); sub(/.*\/(broker\/session|worker)\//, "&", file) }
        $2 + 0 > 0 && file ~ /(broker\/session|worker)\/.*\.c$/ && $1 !~ /-/ {
                match(file, /(broker\/session|worker)\/.*/)
                name = substr(file, RSTART)
                room = name ~ /^broker/ ? "broker/session" : "worker"
                lines[name]++
                total[room]++
                if ($1 ~ /[#=]/) {
                        missed[name] = missed[name] " " $2 + 0
                        gaps[name]++
                        total_missed[room]++
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
