# What the benches that run back-ends in turns have in common: sourced.
# $dir is a scratch directory, gone at the end with the back-end $pid; $dir/disk has $size bytes, in the page cache.
# shellcheck shell=bash disable=SC2034

bench_begin() {
        dir=$(mktemp -d /tmp/vb-bench-XXXXXX)
        chmod 755 "$dir"
        pid=
        trap bench_finish EXIT
        size=$((256 << 20))
        head -c $size /dev/urandom >"$dir/disk"
        cat "$dir/disk" >/dev/null
}

bench_finish() {
        [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
        wait
        rm -rf "$dir"
}

# Ends the back-end, before the next one has its turn.
bench_stop() {
        kill "$pid"
        wait "$pid" 2>/dev/null || true
        pid=
}
