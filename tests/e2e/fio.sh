#!/bin/bash
# fio writes and verifies at random over four queues at once. Under it the broker is killed and started again: QEMU
# comes back by its timer, a second later at the earliest, and fio notices nothing but that. Usage: fio.sh [ENGINE [packed]]
. "$(dirname "$0")/lib.sh"

engine=${1:-auto}
packed=${2:+,packed=on}
e2e_begin
if [ "$engine" = auto ]; then set --; else set -- --set Block.Engine="$engine"; fi
image=$(image disk 64M)
backend_block disk "$image" "$@"
# shellcheck disable=SC2046
guest_start vm 4 fio $(disk disk 4 | sed 's/\.sock/&,reconnect=1/')"$packed"

sectors() { guest vm 'awk "{ print \$3 + \$7 }" /sys/block/vda/stat'; }
more_than() { [ "$(sectors)" -gt "$1" ]; }
ended() { guest vm '[ -e /tmp/status ]'; }

equal "the guest uses four queues" "$(guest vm 'ls /sys/block/vda/mq | wc -l')" 4
before=$(sectors)
guest vm '(fio --name=verify --filename=/dev/vda --size=8M --offset_increment=8M --numjobs=4 --bsrange=4k-32k --rw=randrw
                --verify=crc32c --verify_fatal=1 --ioengine=libaio --iodepth=8 --direct=1 --group_reporting --minimal >/tmp/fio 2>&1;
        echo $? >/tmp/status) </dev/null >/dev/null 2>&1 &'
until_true "$E2E_TIMEOUT" more_than $((before + 8192)) || give_up "the load does not run"

victims=$(descendants "${backend_pid[disk]}")
from=$(date +%s%3N)
kill -KILL "${backend_pid[disk]}"
{ wait "${backend_pid[disk]}" || true; } 2>/dev/null
for victim in $victims; do gone "$victim" 10 || fail "process $victim outlives its broker"; done
before=$(sectors)
! ended || fail "the load had ended before"
backend_block disk "$image" "$@"
check "the broker killed and started again: the load goes on" until_true "$E2E_TIMEOUT" more_than "$before"
say "after $(($(date +%s%3N) - from)) ms"

check "it ends" until_true "$E2E_TIMEOUT" ended
equal "fio finds every block as written" "$(guest vm 'cat /tmp/status')" 0
equal "its error count" "$(guest vm 'grep ";verify;" /tmp/fio | cut -d ";" -f 5')" 0
check "every queue had interrupts" guest vm \
        'for q in 0 1 2 3; do
                awk -v q="virtio0-req.$q" '\''$NF == q { for (i = 2; i < 6; i++) n += $i } END { exit !n }'\'' /proc/interrupts || exit 1;
        done'
check "the kernel saw no error" guest vm '! dmesg | grep -Ei "i/o error|timed out"'
guest_off vm
e2e_end
