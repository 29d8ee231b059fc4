#!/bin/bash
# The entropy device: the guest's driver binds, and what it reads is not constant.
. "$(dirname "$0")/lib.sh"

e2e_begin
backend_run rng "$tmp/rng.sock" "$VHOST_BROKER" --type=rng --socket-path="$tmp/rng.sock"
guest_start vm 1 small -chardev socket,id=c,path="$tmp/rng.sock" -device vhost-user-rng-pci,chardev=c
equal "the guest's source is ours" "$(guest vm 'cat /sys/class/misc/hw_random/rng_current')" virtio_rng.0
check "read 64 KiB" guest vm 'dd if=/dev/hwrng of=/tmp/a bs=4k count=16 iflag=fullblock 2>/dev/null'
equal "all of it" "$(guest vm 'wc -c </tmp/a')" 65536
check "random bytes do not compress" guest vm '[ "$(gzip -c /tmp/a | wc -c)" -ge 65536 ]'
guest_off vm
e2e_end
