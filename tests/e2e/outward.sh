#!/bin/bash
# The front-end listens and the broker comes to it; and disks that grow while the guest uses them: a file, and a block
# device where the host lets us make a loop device.
. "$(dirname "$0")/lib.sh"

e2e_begin
image=$(image disk 64M)
"$VHOST_BROKER" --type=block --set device.connect="$tmp/vm.sock" --blk-file="$image" </dev/null >"$tmp/disk.log" 2>&1 &
backend_pid[disk]=$!
umask 0         # the broker's own uid must be able to connect
until_true 10 grep -sq "waiting for a front-end" "$tmp/disk.log" || give_up "the broker does not wait"

e2e_undo() { [ -z "$loop" ] || losetup -d "$loop"; }
block=$(image block 32M)
loop=$(losetup -f --show "$block" 2>"$tmp/losetup.log") || leave_out "block devices: no loop device: $(cat "$tmp/losetup.log")"
[ -z "$loop" ] || backend_block loop "$loop"

listening_guest() {
        # shellcheck disable=SC2046
        guest_start vm 2 small -chardev socket,id=c,path="$tmp/vm.sock",server=on \
                -device vhost-user-blk-pci,chardev=c,num-queues=2 $([ -z "$loop" ] || disk loop 1)
}
has_size() { [ "$(guest vm "cat /sys/block/$1/size")" = "$2" ]; }
# written_and_read DISK MIB: what comes back.
written_and_read() {
        guest vm "echo new | dd of=/dev/$1 bs=1M seek=$2 conv=sync,fsync 2>/dev/null;
                dd if=/dev/$1 bs=1M skip=$2 count=1 iflag=direct 2>/dev/null | head -n 1"
}

listening_guest
equal "size at first" "$(guest vm 'cat /sys/block/vda/size')" 131072
check "write" guest vm 'echo kept | dd of=/dev/vda bs=512 conv=sync,fsync 2>/dev/null'

truncate -s 96M "$image"
kill -HUP "${backend_pid[disk]}"
check "the guest learns the new size" until_true 30 has_size vda 196608
equal "read and write behind the old end" "$(written_and_read vda 95)" new
truncate -s 80M "$image"
kill -HUP "${backend_pid[disk]}"
check "and that it has shrunk" until_true 30 has_size vda 163840

if [ -n "$loop" ]; then
        equal "a block device's size" "$(guest vm 'cat /sys/block/vdb/size')" 65536
        truncate -s 48M "$block"
        losetup -c "$loop"
        kill -HUP "${backend_pid[loop]}"
        check "the guest learns that it has grown" until_true 30 has_size vdb 98304
        equal "read and write behind its old end" "$(written_and_read vdb 47)" new
        equal "the device has the same" "$(dd if="$loop" bs=1M skip=47 count=1 iflag=direct 2>/dev/null | head -n 1)" new
fi
guest_off vm

listening_guest
equal "the next guest is served, too" "$(guest vm 'head -n 1 /dev/vda')" kept
equal "with the size of now" "$(guest vm 'cat /sys/block/vda/size')" 163840
guest_off vm
e2e_end
