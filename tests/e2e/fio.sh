#!/bin/bash
# fio writes and verifies at random over four queues at once. Usage: fio.sh [ENGINE [packed]]
. "$(dirname "$0")/lib.sh"

engine=${1:-auto}
packed=${2:+,packed=on}
e2e_begin
if [ "$engine" = auto ]; then set --; else set -- --set Block.Engine="$engine"; fi
backend_block disk "$(image disk 64M)" "$@"
guest_start vm 4 fio $(disk disk 4)$packed
equal "the guest uses four queues" "$(guest vm 'ls /sys/block/vda/mq | wc -l')" 4
check "fio finds every block as written" guest vm \
        'fio --name=verify --filename=/dev/vda --size=8M --offset_increment=8M --numjobs=4 --bsrange=4k-32k --rw=randrw
                --verify=crc32c --verify_fatal=1 --ioengine=libaio --iodepth=8 --direct=1 --group_reporting --minimal >/tmp/fio 2>&1'
equal "its error count" "$(guest vm 'grep ";verify;" /tmp/fio | cut -d ";" -f 5')" 0
check "every queue had interrupts" guest vm \
        'for q in 0 1 2 3; do
                awk -v q="virtio0-req.$q" '\''$NF == q { for (i = 2; i < 6; i++) n += $i } END { exit !n }'\'' /proc/interrupts || exit 1;
        done'
check "the kernel saw no error" guest vm '! dmesg | grep -Ei "i/o error|timed out"'
guest_off vm
e2e_end
