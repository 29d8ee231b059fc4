#!/bin/bash
# The same disk under User-Mode Linux, whose vhost-user front-end has habits of its own, and then under QEMU.
. "$(dirname "$0")/lib.sh"

command -v linux.uml >/dev/null || e2e_skip "user-mode-linux is not installed"
e2e_begin
backend_block disk "$(image disk 128M)"

preload=${E2E_UML_PRELOAD:-${VHOST_BROKER%/broker/*}/tests/e2e/uml_fpregs.so}
[ -r "$preload" ] || give_up "$preload is missing"
# UML keeps its memory in TMPDIR and its management socket in HOME, and answers on the descriptors it inherits.
uml_start() {
        guest_launch "$1" env LD_PRELOAD="$preload" TMPDIR="$tmp" HOME="$tmp" linux.uml mem=192M umid="$1" initrd="$guest_dir/small.cpio" \
                con=null con0=null,fd:2 ssl=null ssl0=fd:0,fd:1 channel=ttyS0 quiet panic=-1 \
                virtio_uml.device="${backend_socket[disk]}:2"
}
uml_start first
check "mkfs and mount" guest first 'mkfs.ext4 -q /dev/vda && mount /dev/vda /mnt'
sum=$(guest first 'dd if=/dev/urandom of=/mnt/data bs=64k count=256 2>/dev/null; sync; sha256sum </mnt/data')
check "unmount" guest first 'umount /mnt'
check "the kernel saw no error" guest first '! dmesg | grep -Ei "i/o error|ext4-fs error|timed out"'
guest_off first

uml_start second
check "a second UML mounts it" guest second 'mount /dev/vda /mnt'
equal "and reads what the first wrote" "$(guest second 'sha256sum </mnt/data')" "$sum"
guest_kill second

guest_start third 1 small $(disk disk)
check "QEMU mounts it after UML was killed" guest third 'mount /dev/vda /mnt'
equal "and reads the same" "$(guest third 'sha256sum </mnt/data')" "$sum"
guest_off third
e2e_end
