#!/bin/bash
# A file system made in one boot is whole in the next: another QEMU on the same socket. Usage: boot.sh [packed]
. "$(dirname "$0")/lib.sh"

packed=${1:+,packed=on}
e2e_begin
backend_block disk "$(image disk 256M)"
guest_start first 2 small $(disk disk)$packed
equal "the ring is packed, or not" "$(guest first 'cut -c 35 /sys/bus/virtio/devices/virtio0/features')" "$([ -n "$packed" ] && echo 1 || echo 0)"
equal "the disk has the image's size" "$(guest first 'blockdev --getsize64 /dev/vda')" $((256 * 1024 * 1024))
check "mkfs" guest first 'mkfs.ext4 -q /dev/vda'
check "mount" guest first 'mount /dev/vda /mnt'
sum=$(guest first 'dd if=/dev/urandom of=/mnt/data bs=64k count=256 2>/dev/null; sync; sha256sum </mnt/data')
check "unmount" guest first 'umount /mnt'
guest_off first

guest_start second 2 small $(disk disk)$packed
check "the second boot mounts it" guest second 'mount /dev/vda /mnt'
equal "and reads what the first wrote" "$(guest second 'sha256sum </mnt/data')" "$sum"
check "the kernel saw no error" guest second '! dmesg | grep -Ei "i/o error|ext4-fs error|timed out"'
guest_off second
e2e_end
