#!/bin/bash
# A guest reboots inside the same QEMU, and its driver lets go of the disk and takes it back, many times.
. "$(dirname "$0")/lib.sh"

e2e_begin
backend_block disk "$(image disk 64M)"
guest_start vm 2 small $(disk disk)
check "write before the reboot" guest vm 'echo kept over reboot | dd of=/dev/vda bs=512 conv=sync,fsync 2>/dev/null'
guest_ask vm 'reboot -f'
guest_ready vm
equal "read after it" "$(guest vm 'head -n 1 /dev/vda')" "kept over reboot"

rounds=20
equal "unbind and bind $rounds times, with I/O between" "$(guest vm '
        cd /sys/bus/virtio/drivers/virtio_blk;
        for n in $(seq '$rounds'); do
                echo virtio0 >unbind && [ ! -e /sys/block/vda ] && echo virtio0 >bind || break;
                echo round $n | dd of=/dev/vda bs=4k seek=$n conv=sync,fsync 2>/dev/null || break;
                [ "$(dd if=/dev/vda bs=4k skip=$n count=1 iflag=direct 2>/dev/null | head -n 1)" = "round $n" ] || break;
                echo $n;
        done | tail -n 1')" $rounds
check "the kernel saw no error" guest vm '! dmesg | grep -Ei "i/o error|timed out"'
guest_off vm
e2e_end
