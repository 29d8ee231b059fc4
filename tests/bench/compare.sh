#!/bin/bash
# vhost-broker against qemu-storage-daemon's vhost-user-blk export: the same file, the same pinning, one after the other
# in turns (A B A B ...), medians and ratios. 4 KiB random reads of a cached file, and of no file at all (null).
#
#   compare.sh BUILDDIR [ROUNDS] [SECONDS]
#
# Without image locks: a ring that the kernel is still freeing holds one a little longer than its process lives.
# Back-ends run on CPU $BACKEND_CPU (default 1), the load generator on $LOAD_CPU (default 0).
set -euo pipefail
build=${1:?BUILDDIR} rounds=${2:-5} seconds=${3:-3}
backend_cpu=${BACKEND_CPU:-1} load_cpu=${LOAD_CPU:-0}
. "$(dirname "$0")/turns.sh"
bench_begin

start() { # NAME: starts a back-end on $dir/sock in the background, its id in $pid
        local socket="$dir/sock" broker="$build/broker/vhost-broker" qsd=qemu-storage-daemon
        local export="type=vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path=$socket,writable=on,num-queues=4"
        local block=(--type=block --socket-path="$socket" --set block.queues=4)
        local command
        rm -f "$socket"
        case $1 in
        broker-null) command=("$broker" "${block[@]}" --set block.engine=null --set block.size=$size) ;;
        broker-*) command=("$broker" "${block[@]}" --blk-file="$dir/disk" --set block.engine="${1#broker-}" \
                --set block.locking=off) ;;
        qsd-null) command=($qsd --blockdev driver=null-co,node-name=f,size=$size,read-zeroes=off --export "$export") ;;
        qsd-*) command=($qsd --blockdev "driver=file,node-name=f,filename=$dir/disk,locking=off,aio=${1#qsd-}" --export "$export") ;;
        esac
        taskset -c "$backend_cpu" "${command[@]}" >"$dir/log" 2>&1 &
        pid=$!
}

measure() { # NAME DEPTH: requests a second
        local out
        start "$1"
        out=$(taskset -c "$load_cpu" "$build/tests/bench/blk-load" --socket="$dir/sock" --depth="$2" --seconds="$seconds" \
                --size=$size) || { cat "$dir/log" >&2; return 1; }
        bench_stop
        echo "${out%% *}"
}

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

compare() { # OURS THEIRS DEPTH
        local ours=() theirs=() a b i
        for ((i = 0; i < rounds; i++)); do
                measure "$1" "$3" >"$dir/out"
                ours+=("$(cat "$dir/out")")
                measure "$2" "$3" >"$dir/out"
                theirs+=("$(cat "$dir/out")")
        done
        a=$(printf '%s\n' "${ours[@]}" | median)
        b=$(printf '%s\n' "${theirs[@]}" | median)
        printf '%-13s %9s   %-13s %9s   depth %-2s   ratio %s\n' "$1" "$a" "$2" "$b" "$3" \
                "$(awk -v a="$a" -v b="$b" 'BEGIN { printf "%.2f", a / b }')"
}

echo "requests a second, medians of $rounds times $seconds s, back-end on CPU $backend_cpu, load on CPU $load_cpu"
for depth in 1 32; do
        compare broker-uring qsd-io_uring $depth
        compare broker-uring qsd-threads $depth
        compare broker-sync qsd-threads $depth
        compare broker-null qsd-null $depth
done
