#!/bin/bash
# DPDK's virtio-user only knows network cards. Pointed at a disk it is a real front-end with wrong ideas: it takes the
# disk's rings for a card's. The disk must survive that and serve the next guest.
. "$(dirname "$0")/lib.sh"

testpmd=$(command -v dpdk-testpmd) || e2e_skip "dpdk is not installed"
e2e_begin
file=$(image disk 64M)
yes data | head -c 64M > "$file"
sum=$(sha256sum < "$file")
backend_block disk "$file" --read-only
broker=${backend_pid[disk]}

fds=()
for round in 1 2; do
        # It forwards until its input ends, or gives up on the device; either is right, only it must be over in time.
        status=0
        RUNTIME_DIRECTORY=$tmp timeout 60 "$testpmd" --no-huge --no-shconf -m 256 --no-pci --no-telemetry -l 0,1 \
                --vdev=net_virtio_user0,path="${backend_socket[disk]}",queues=1 -- \
                --total-num-mbufs=2048 --auto-start --tx-first --stats-period=0 </dev/null >"$tmp/testpmd.log" 2>&1 ||
                status=$?
        say "testpmd, round $round: status $status"
        check "testpmd found a vhost-user device" grep -q "virtio_user\|vhost" "$tmp/testpmd.log"
        check "testpmd ends" test "$status" -ne 124
        check "nothing is left of it" until_true 10 has_children "$broker" 0

        guest_start vm 1 small $(disk disk)
        equal "the next guest reads the disk whole" "$(guest vm 'sha256sum </dev/vda')" "$sum"
        fds[round]=$(fd_count "$broker")
        guest_off vm
        check "nothing is left of that guest" until_true 10 has_children "$broker" 0
done
check "the broker still runs" kill -0 "$broker"
lines=$(wc -l <"$tmp/disk.log")
check "its log is short: $lines lines" test "$lines" -le 40
equal "the broker has as many descriptors in the second round as in the first" "${fds[2]}" "${fds[1]}"
e2e_end
