#!/bin/bash
# What a guest sees of its disk: serial, write cache, discard and write-zeroes, and read-only that is meant.
. "$(dirname "$0")/lib.sh"

e2e_begin
file=$(image disk 64M)
yes data | head -c 64M > "$file"
backend_block disk "$file" --set Block.Serial=E2E-SERIAL-1 --set Block.Discard=yes
guest_start vm 2 small $(disk disk)
equal "serial" "$(guest vm 'cat /sys/block/vda/serial')" E2E-SERIAL-1

blocks() { stat -c %b "$file"; }
before=$(blocks)
check "blkdiscard of the second half" guest vm 'blkdiscard -o $((32 << 20)) -l $((32 << 20)) /dev/vda'
check "gives the space back" test "$(blocks)" -le $((before / 2 + 64))
equal "and leaves the first half" "$(guest vm 'dd if=/dev/vda bs=1M count=32 iflag=direct 2>/dev/null | tr -d "dat\n" | wc -c')" 0
equal "discarded bytes read as zeroes" "$(guest vm 'dd if=/dev/vda bs=1M skip=32 iflag=direct 2>/dev/null | tr -d "\0" | wc -c')" 0
check "the queue offers write-zeroes" guest vm '[ "$(cat /sys/block/vda/queue/write_zeroes_max_bytes)" -gt 0 ]'

equal "the cache is write-back" "$(guest vm 'cat /sys/block/vda/queue/write_cache')" "write back"
check "switch it to write-through" guest vm 'echo "write through" >/sys/block/vda/cache_type'
equal "and see that" "$(guest vm 'cat /sys/block/vda/cache_type')" "write through"
check "write" guest vm 'echo through | dd of=/dev/vda bs=512 conv=sync 2>/dev/null'
check "switch it back" guest vm 'echo "write back" >/sys/block/vda/cache_type'
equal "and see that too" "$(guest vm 'cat /sys/block/vda/cache_type')" "write back"
equal "the write is there" "$(head -c 7 "$file")" through
check "the kernel saw no error" guest vm '! dmesg | grep -Ei "i/o error|timed out"'
guest_off vm
backend_stop disk

sum=$(sha256sum < "$file")
backend_block disk "$file" --read-only
guest_start vm 1 small $(disk disk)
equal "read-only is seen" "$(guest vm 'cat /sys/block/vda/ro')" 1
check "reads work" guest vm 'dd if=/dev/vda of=/dev/null bs=1M 2>/dev/null'
check "writes fail" guest vm '! dd if=/dev/zero of=/dev/vda bs=4k count=1 conv=fsync 2>/dev/null'
worker=$(worker_of "$file" "${backend_pid[disk]}")
for fd in /proc/"$worker"/fd/*; do
        [ "$fd" -ef "$file" ] || continue
        flags=$(awk '$1 == "flags:" { print $2 }' "${fd/\/fd\//\/fdinfo\/}")
        equal "the worker's fd cannot write either" $((8#$flags & 3)) 0
done
guest_off vm
equal "the image is as before" "$(sha256sum < "$file")" "$sum"
e2e_end
