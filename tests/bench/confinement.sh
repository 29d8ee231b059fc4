#!/bin/bash
# What confinement costs: 4 KiB random reads of a cached file by the programs as they are, and by a test build of the same
# objects without namespaces, landlock, memory-deny-write-execute, filters and restrictions of rings. In turns, each time
# the other one first; medians, quartiles and ratios.
#
#   confinement.sh BUILDDIR [ROUNDS] [SECONDS] [ENGINE:DEPTH]...     all of uring:1 uring:32 sync:1 sync:32
#
# As root, or the confined ones would do without uids of their own. The broker and what it starts run on CPU $BACKEND_CPU
# (default 1), the load generator on $LOAD_CPU (default 0).
set -euo pipefail
build=${1:?BUILDDIR} rounds=${2:-9} seconds=${3:-2}
shift $(($# < 3 ? $# : 3))
[ $# -gt 0 ] || set -- uring:1 uring:32 sync:1 sync:32
. "$(dirname "$0")/turns.sh"
bench_begin
mkdir -p "$dir/without/broker/session" "$dir/without/worker" # where the broker looks for the others
cp "$build/tests/bench/unconfined-broker" "$dir/without/broker/vhost-broker"
cp "$build/tests/bench/unconfined-session" "$dir/without/broker/session/vhost-session"
cp "$build/tests/bench/unconfined-worker" "$dir/without/worker/vhost-worker"

seccomp_of_children() { # seccomp modes of all that descend from a process
        local child
        # shellcheck disable=SC2013
        for child in $(cat /proc/"$1"/task/*/children); do
                awk '$1 == "Seccomp:" { print $2 }' "/proc/$child/status"
                seccomp_of_children "$child"
        done
}

measure() { # with|without ENGINE DEPTH: requests a second
        local broker="$build/broker/vhost-broker" wanted='2 2' out modes='' load
        [ "$1" = with ] || { broker="$dir/without/broker/vhost-broker" wanted='0 0'; }
        rm -f "$dir/sock"
        taskset -c "${BACKEND_CPU:-1}" "$broker" --type=block --socket-path="$dir/sock" --blk-file="$dir/disk" \
                --set block.engine="$2" --set block.locking=off >"$dir/log" 2>&1 &
        pid=$!
        taskset -c "${LOAD_CPU:-0}" "$build/tests/bench/blk-load" --socket="$dir/sock" --depth="$3" --seconds="$seconds" \
                --size=$size >"$dir/out" &
        load=$!
        while [ "$modes" != "$wanted" ] && kill -0 "$load" 2>/dev/null; do
                modes=$(seccomp_of_children "$pid" 2>/dev/null | xargs) || true
                sleep 0.02 # no event tells that session and worker are as they will stay
        done
        wait "$load" || { cat "$dir/log" >&2; return 1; }
        [ "$modes" = "$wanted" ] || { echo "$1: seccomp modes of session and worker: $modes" >&2; return 1; }
        bench_stop
        read -r out _ <"$dir/out"
        echo "$out" >>"$dir/$1-$2-$3"
}

quartiles() { sort -n "$1" | awk '{ v[NR] = $1 } END { q = int((NR + 3) / 4); print v[int((NR + 1) / 2)], v[q], v[NR + 1 - q] }'; }

for ((i = 0; i < rounds; i++)); do
        for what; do
                order=(with without)
                ((i % 2)) && order=(without with)
                for which in "${order[@]}"; do measure "$which" "${what%:*}" "${what#*:}"; done
        done
done

echo "requests a second, medians (quartiles) of $rounds times $seconds s"
for what; do
        read -r with a b < <(quartiles "$dir/with-${what/:/-}")
        read -r without c d < <(quartiles "$dir/without-${what/:/-}")
        printf '%-6s depth %-3s with %8s (%s..%s)   without %8s (%s..%s)   ratio %s\n' "${what%:*}" "${what#*:}" \
                "$with" "$a" "$b" "$without" "$c" "$d" "$(awk -v a="$with" -v b="$without" 'BEGIN { printf "%.3f", a / b }')"
done
