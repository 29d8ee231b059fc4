#!/bin/bash
# One guest with four disks, whose front-ends each have something switched off, on or of another size; and memory that is
# plugged in while they run: of huge pages, where the host gives some. The disks' data must come from and go to it.
. "$(dirname "$0")/lib.sh"

more=512        # MiB to plug in
pages=/proc/sys/vm/nr_hugepages pages_before=$(cat /proc/sys/vm/nr_hugepages 2>/dev/null || echo 0)
e2e_undo() { [ -z "${pages_taken:-}" ] || echo "$pages_before" >"$pages"; }

e2e_begin
backend_block plug "$(image plug 64M)"
for name in sizes bare packed; do backend_block "$name" "$(image "$name" 64M)"; done
monitor_make vm
# shellcheck disable=SC2046
guest_start vm 4 fio -m 512M,slots=1,maxmem=2G $(monitor vm) \
        $(disk plug 4) \
        $(disk sizes 2),queue-size=1024,event_idx=off \
        $(disk bare 1),queue-size=256,event_idx=off,indirect_desc=off \
        $(disk packed 4),queue-size=512,packed=on,indirect_desc=off
monitor_send vm '{"execute":"qmp_capabilities"}'

# seen WHAT DISK: its queues, requests at a time, and the bits EVENT_IDX, INDIRECT_DESC and RING_PACKED.
seen() {
        guest vm "cd /sys/block/$1; f=\$(cat device/features);
                for bit in 29 28 34; do eval \"echo \\\${f:\$bit:1}\"; done | tr -d '\n'; echo \" \$(ls mq | wc -l)\""
}
equal "four queues, all features of split rings" "$(seen vda)" "110 4"
equal "two queues without event index" "$(seen vdb)" "010 2"
equal "one queue, neither event index nor indirect descriptors" "$(seen vdc)" "000 1"
equal "four packed queues without indirect descriptors" "$(seen vdd)" "101 4"
equal "1024 entries are used" "$(guest vm 'cat /sys/block/vdb/queue/nr_requests')" 1024

verify() {
        guest vm "for d in a b c d; do jobs=\"\$jobs --name=\$d --filename=/dev/vd\$d\"; done;
                fio --size=4M --bsrange=4k-64k --rw=randrw --verify=crc32c --verify_fatal=1 --ioengine=libaio --iodepth=16
                        --direct=1 --minimal \$jobs >/tmp/fio 2>&1 || { tail -n 5 /tmp/fio; false; }"
}
check "fio finds every block of each as written" verify

# Huge pages of the host, if it has them.
huge=off
if { echo $((pages_before + more / 2)) >"$pages"; } 2>/dev/null && pages_taken=yes &&
        [ "$(cat "$pages")" -ge $((pages_before + more / 2)) ]; then
        huge=on
else
        leave_out "memory of huge pages: none to be had, it is plugged in small ones"
fi
object='"qom-type":"memory-backend-memfd","id":"more","share":true,"size":'$((more << 20))
[ $huge = off ] || object=$object',"hugetlb":true,"hugetlbsize":2097152'
monitor_send vm '{"execute":"object-add","id":"object","arguments":{'"$object"'}}'
monitor_wait vm '"id": "object"'
monitor_send vm '{"execute":"device_add","id":"dimm","arguments":{"driver":"pc-dimm","id":"dimm","memdev":"more"}}'
monitor_wait vm '"id": "dimm"'
pass "memory is plugged in, huge pages $huge"

# Pages that may be moved are taken from there first, and those of a file may.
online() {
        guest vm 'for m in /sys/devices/system/memory/memory*; do
                        [ "$(cat $m/state)" = online ] || echo online_movable >$m/state; done;
                [ $(awk "/MemTotal/ { print \$2 }" /proc/meminfo) -gt '$((more << 10))' ]'
}
unused() { guest vm 'awk "/zone +Movable/ { there = 1 } there && /pages free/ { print \$3; exit }" /proc/zoneinfo'; }
check "the guest has it" until_true 30 online
check "make a file system" guest vm 'mkfs.ext4 -q /dev/vda && mount /dev/vda /mnt'
before=$(unused)
sum=$(guest vm 'dd if=/dev/urandom of=/mnt/data bs=1M count=32 conv=fsync 2>/dev/null; md5sum </mnt/data')
after=$(unused)
check "a file lies in the new memory: of $before pages $after are free" [ "$after" -lt $((before - 8000)) ]
check "forget it" guest vm 'umount /mnt && mount /dev/vda /mnt && echo 3 >/proc/sys/vm/drop_caches'
before=$(unused)
equal "read it again" "$(guest vm 'md5sum </mnt/data')" "$sum"
after=$(unused)
check "to the same place: of $before pages $after are free" [ "$after" -lt $((before - 8000)) ]
check "unmount" guest vm 'umount /mnt'
equal "the disk has the same" "$(PATH=$PATH:/usr/sbin debugfs -R 'cat /data' "$tmp/plug.img" 2>/dev/null | md5sum)" "$sum"
check "fio on all disks once more" verify
check "the kernel saw no error" guest vm '! dmesg | grep -Ei "i/o error|timed out"'
guest_off vm
monitor_close vm
e2e_end
