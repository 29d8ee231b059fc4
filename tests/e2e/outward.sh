#!/bin/bash
# The front-end listens and the broker comes to it; and a disk that grows while the guest uses it.
. "$(dirname "$0")/lib.sh"

e2e_begin
image=$(image disk 64M)
"$VHOST_BROKER" --type=block --set device.connect="$tmp/vm.sock" --blk-file="$image" </dev/null >"$tmp/disk.log" 2>&1 &
backend_pid[disk]=$!
umask 0         # the broker's own uid must be able to connect
until_true 10 grep -sq "waiting for a front-end" "$tmp/disk.log" || give_up "the broker does not wait"

listening_guest() {
        guest_start vm 2 small -chardev socket,id=c,path="$tmp/vm.sock",server=on \
                -device vhost-user-blk-pci,chardev=c,num-queues=2
}
has_size() { [ "$(guest vm 'cat /sys/block/vda/size')" = "$1" ]; }

listening_guest
equal "size at first" "$(guest vm 'cat /sys/block/vda/size')" 131072
check "write" guest vm 'echo kept | dd of=/dev/vda bs=512 conv=sync,fsync 2>/dev/null'

truncate -s 96M "$image"
kill -HUP "${backend_pid[disk]}"
check "the guest learns the new size" until_true 30 has_size 196608
equal "read and write behind the old end" "$(guest vm '
        echo new | dd of=/dev/vda bs=1M seek=95 conv=sync,fsync 2>/dev/null;
        dd if=/dev/vda bs=1M skip=95 count=1 iflag=direct 2>/dev/null | head -n 1')" new
truncate -s 80M "$image"
kill -HUP "${backend_pid[disk]}"
check "and that it has shrunk" until_true 30 has_size 163840
guest_off vm

listening_guest
equal "the next guest is served, too" "$(guest vm 'head -n 1 /dev/vda')" kept
equal "with the size of now" "$(guest vm 'cat /sys/block/vda/size')" 163840
guest_off vm
e2e_end
