#!/bin/bash
# Two QEMUs on one host, each with a back-end of its own on the same image: the guest moves over and back under verified
# load. It needs the back-end's dirty log: with a worker that noted nothing there, the guest broke after the first move.
# That each page is noted which a back-end writes is the business of tests/proto/log.c: a processor hides some of them here.
# The guest has two disks, one with split and one with packed rings, unless one kind is asked for.
# Usage: migrate.sh [ROUNDS] [postcopy] [packed|split]
. "$(dirname "$0")/lib.sh"

e2e_begin
# QEMU before 9.0, emulating the processors, forgets to note pages that they write while it migrates, unless the memory's
# size is no multiple of 256 KiB: without any device of ours, too, a guest of 512 MiB broke within some ten moves.
guest_memory=524352K
rounds=1 bandwidth=1000000000 # bytes/s
by=precopy postcopy=no kinds=(split packed)
for word; do
        case $word in
        postcopy) by=postcopy postcopy=yes bandwidth=20000000 ;;        # it runs over there before most of its memory is
        packed | split) kinds=("$word") ;;
        *) rounds=$word ;;      # of there and back
        esac
done
if [ $by = postcopy ] && ! { [ -r /dev/userfaultfd ] && [ -w /dev/userfaultfd ]; }; then
        say "no access to /dev/userfaultfd"
        exit "$E2E_SKIP"
fi

# Both sides have an image open, but only the one whose guest runs uses it.
for kind in "${kinds[@]}"; do
        image=$(image "$kind" 64M)
        for side in left right; do
                backend_block "$side-$kind" "$image" --set Block.Locking=off --set Device.Postcopy=$postcopy
        done
done

# The QEMU options for all disks of a side: /dev/vda, ...
disks() {
        local kind
        for kind in "${kinds[@]}"; do
                disk "$1-$kind" 2 | sed "s/\$/,packed=$([ "$kind" = packed ] && echo on || echo off)/"
        done
}

# guest_at SIDE [-incoming ADDRESS]: the virtual machine, with a monitor.
guest_at() {
        local side=$1
        shift
        monitor_make "$side"
        # shellcheck disable=SC2046
        guest_start "$side" 2 fio $(disks "$side") $(monitor "$side") "$@"
        monitor_send "$side" '{"execute":"qmp_capabilities"}'
        monitor_send "$side" '{"execute":"migrate-set-capabilities","arguments":{"capabilities":[{"capability":"events","state":true}]}}'
        [ $by = precopy ] ||
                monitor_send "$side" '{"execute":"migrate-set-capabilities","arguments":{"capabilities":[{"capability":"postcopy-ram","state":true}]}}'
        monitor_send "$side" "{\"execute\":\"migrate-set-parameters\",\"arguments\":{\"max-bandwidth\":$bandwidth}}"
}

# move FROM TO: migrates, ends the source, and makes the guest's next command go to the other side.
move() {
        local from=$1 to=$2
        guest_at "$to" -incoming "unix:$tmp/move.sock"
        until_true 10 listening "$tmp/move.sock" || give_up "$to does not listen"
        monitor_send "$from" "{\"execute\":\"migrate\",\"arguments\":{\"uri\":\"unix:$tmp/move.sock\"}}"
        if [ $by = postcopy ]; then
                monitor_wait "$from" '"status": "active"'
                monitor_send "$from" '{"execute":"migrate-start-postcopy"}'
                monitor_wait "$to" '"status": "postcopy-active"'
        fi
        monitor_wait "$from" '"status": "completed"'
        monitor_wait "$to" '"status": "completed"'
        monitor_send "$to" '{"execute":"query-status"}'
        monitor_wait "$to" '"status": "running"'
        guest_command[$to]=${guest_command[$from]}
        monitor_send "$from" '{"execute":"quit"}'
        gone "${guest_pid[$from]}" 10 || fail "the QEMU that was left does not end"
        guest_forget "$from"
        monitor_close "$from"
        for kind in "${kinds[@]}"; do
                until_true 10 has_children "${backend_pid[$from-$kind]}" 0 || fail "the back-end that was left still serves"
        done
}

passes() { guest "$1" 'cat /tmp/passes 2>/dev/null | wc -l'; }
more_passes() {
        ! troubled "$1" || give_up "the guest's kernel is in trouble"
        [ "$(passes "$1")" -ge "$2" ]
}

# verifies SIDE WHERE: its load goes on there. If not, the guest tells what it still can.
verifies() {
        if until_true "$E2E_TIMEOUT" more_passes "$1" $(($(passes "$1") + 2)); then
                pass "it verifies $2"
        else
                E2E_TIMEOUT=15
                guest "$1" 'cat /tmp/bad; tail -n 3 /tmp/fio.*; echo w >/proc/sysrq-trigger; dmesg | tail -n 25' >&2
                give_up "it does not verify $2"
        fi
}

guest_at left
names=(vda vdb)
for i in "${!kinds[@]}"; do
        equal "the rings of ${names[i]} are packed, or not" "$(guest left "cut -c 35 /sys/block/${names[i]}/device/features")" \
                "$([ "${kinds[i]}" = packed ] && echo 1 || echo 0)"
done
# One on each disk, or both on the only one.
jobs="--name=one --filename=/dev/vda --offset=0 --name=other --filename=/dev/${names[${#kinds[@]} - 1]} --offset=8M"
guest left '(n=0; while [ ! -e /tmp/stop ]; do
                fio --size=4M --bsrange=4k-32k --rw=randrw
                    --randseed=$n --verify=crc32c --verify_fatal=1 --ioengine=libaio --iodepth=8 --direct=1 --group_reporting '"$jobs"'
                    >/tmp/fio.$n 2>&1 && echo >>/tmp/passes || echo $n >>/tmp/bad;
                n=$((n + 1));
        done; echo >/tmp/stopped) </dev/null >/dev/null 2>&1 &'
until_true "$E2E_TIMEOUT" more_passes left 1 || give_up "the load does not run"
for ((round = 0; round < rounds; round++)); do
        move left right
        pass "moved over, round $round"
        verifies right "over there"
        at=right
        [ $by = precopy ] || break # the way back is the same again
        move right left
        at=left
        pass "moved back, round $round"
        verifies left "back here"
done
guest "$at" 'touch /tmp/stop'
stopped() { guest "$at" '[ -e /tmp/stopped ]'; }
until_true "$E2E_TIMEOUT" stopped || give_up "the load does not end"
equal "passes that found a wrong byte" "$(guest "$at" 'cat /tmp/bad 2>/dev/null | wc -l')" 0
say "$(passes "$at") passes"
check "the kernel saw no error" guest "$at" '! dmesg | grep -E "I/O error|timed out|BUG:|Oops"'
guest_off "$at"
monitor_close "$at"
e2e_end
