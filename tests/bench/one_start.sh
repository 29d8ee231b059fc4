#!/bin/bash
# One process from nothing to confined, and what the kernel alone takes for the same namespaces and exec: in turns,
# medians of the rounds' medians. Usage: one_start.sh BUILD [ROUNDS]
set -eu -o pipefail
build=$1 rounds=${2:-9} starts=60
broker=$build/broker/vhost-broker bench=$build/tests/bench

declare -A ms
# note NAME: of each line that has it, the median.
note() { ms[$1]+=" $(sed -n "s/^$1,.* median \([0-9.]*\) ms.*/\1/p" <<<"$said")"; }

for ((round = 0; round < rounds; round++)); do
        said=$("$bench/bare-start" $starts; "$bench/one-start" "$broker" uring $starts; "$bench/one-start" "$broker" sync $starts)
        note "the kernel alone"
        note "session"
        note "worker, uring"
        note "worker, sync"
done
middle() { tr ' ' '\n' <<<"$1" | grep . | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
alone=$(middle "${ms[the kernel alone]}")
for name in "the kernel alone" "session" "worker, uring" "worker, sync"; do
        awk -v name="$name" -v n="$rounds" -v ms="$(middle "${ms[$name]}")" -v alone="$alone" \
                'BEGIN { printf "%s: median of %d rounds %.3f ms, %.2f times the kernel alone\n", name, n, ms, ms / alone }'
done
