#!/bin/bash
# The mutation test of tests/proto/log.c: with a worker that notes too little in the dirty log it must fail, for both
# formats of rings, where it compares pages; with the real one it must not.
# Usage: blind.sh PROTO-LOG BROKER SESSION WORKER BLIND-WORKER...
set -eu
log=$1 broker=$2 session=$3 worker=$4
shift 4
dir=$(mktemp -d "${TMPDIR:-/tmp}/vhost-blind.XXXXXX")
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM HUP
chmod 755 "$dir"
install -D "$broker" "$dir/broker/vhost-broker"
install -D "$session" "$dir/broker/session/vhost-session"

failed=0
# compare WORKER RING STATUS N TEXT: the test ends with that status and says TEXT n times.
compare() {
        local status=0
        install -D "$1" "$dir/worker/vhost-worker"
        CK_RUN_CASE=pages VHOST_BROKER=$dir/broker/vhost-broker RIG_RING=$2 "$log" >"$dir/out" 2>&1 || status=$?
        if [ "$status" = "$3" ] && [ "$(grep -c -E "$5" "$dir/out")" = "$4" ]; then
                echo "PASS: ${1##*/}, $2"
        else
                echo "FAIL: ${1##*/}, $2: status $status"
                cat "$dir/out"
                failed=1
        fi
}

for ring in split packed; do
        compare "$worker" $ring 0 1 '^100%'
        for mutant; do
                case $mutant in
                *ring) text='every_page_that_is_written.*: nothing of the ring, request 0$' ;;
                *data) text='every_page_that_is_written.*: page 0x[0-9a-f]+ of request 0$' ;;
                *) text='every_page_that_is_written.*: page 0x[0-9a-f]+ of request 1$' ;;
                esac
                compare "$mutant" $ring 1 2 "$text" # with either engine
        done
done
exit $failed
