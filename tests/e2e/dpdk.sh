#!/bin/bash
# DPDK's virtio-user only knows network cards. Vhost-user has no message that tells a device's type, so it takes a disk's
# rings for a card's: number 0 to receive with, number 1 to send with. The disk sees chains that are no requests. Those to
# send from have no byte to answer in, those to receive into no header; all go back, not one ends the connection. So DPDK's
# drivers of either ring format are front-ends that turn our rings around a hundred thousand times and more, with wrong ideas: the disk must
# survive that and serve the next guest.
# What is out of reach: mergeable buffers (a feature of cards, never offered, whatever mrg_rxbuf says), more than one pair of
# rings (the same: then DPDK sets a control ring, and one after it with size 0; that must be refused), and packed rings
# with vectorized=1 where the processor lacks AVX-512 (DPDK takes its scalar driver then).
. "$(dirname "$0")/lib.sh"

testpmd=$(command -v dpdk-testpmd) || e2e_skip "dpdk is not installed"
e2e_begin
file=$(image disk 64M)
yes data | head -c 64M > "$file"
sum=$(sha256sum < "$file")
backend_block disk "$file" --read-only
broker=${backend_pid[disk]}
"$VHOST_BROKER" --type=block --set device.connect="$tmp/card.sock" --blk-file="$file" --read-only \
        </dev/null >"$tmp/caller.log" 2>&1 &
backend_pid[caller]=$!

# card_start OPTION...: testpmd with a card of these options. Anybody may connect to its socket, if it makes one.
card_start() {
        local log=$tmp/testpmd.log IFS=,
        rm -f "$tmp/testpmd.in" "$log" # the last one's log says what is looked for below
        mkfifo "$tmp/testpmd.in"
        (umask 0 && RUNTIME_DIRECTORY=$tmp exec setsid stdbuf -oL "$testpmd" --no-huge --no-shconf \
                -m 256 --no-pci --no-telemetry -l 0,1 --log-level=pmd.net.virtio.init:8 --vdev="net_virtio_user0,$*" -- -i --total-num-mbufs=4096) \
                <>"$tmp/testpmd.in" >"$log" 2>&1 &
        guest_pid[card]=$!
        exec {card_in}>"$tmp/testpmd.in"
        echo "set fwd rxonly" >&"$card_in"
}
card_log() { grep -qs "$@" "$tmp/testpmd.log"; }
card_forget() {
        status=0
        wait "${guest_pid[card]}" 2>/dev/null || status=$?
        unset 'guest_pid[card]'
        exec {card_in}>&-
}

# counter NAME: the card's newest count, of all that it has told.
counter() { sed -n "s/^ *\(.* \)\?$1: *\([0-9]*\).*/\2/p" "$tmp/testpmd.log" | tail -n 1; }
answers() { [ "$(grep -c 'NIC statistics' "$tmp/testpmd.log")" -ge "$1" ]; }

# turned RECEIVED SENT: has the card got back, or on its way, more than these numbers of buffers? Sends 256 more first.
turned() {
        local asked
        asked=$(grep -c 'NIC statistics' "$tmp/testpmd.log") || true
        printf '%s\n' "stop" "start tx_first 8" "show port stats all" >&"$card_in"
        until_true 10 answers $((asked + 1)) || return 1
        received=$(($(counter RX-errors) + $(counter RX-packets)))
        sent=$(counter TX-packets)
        [ "$received" -gt "$1" ] && [ "$sent" -gt "$2" ]
}

# drives FORMAT ORDER TX-PATH RX-PATH SIZE OPTION...: DPDK chooses these drivers, and each ring goes round.
drives() {
        local what="$1, $2: $6 ${*:7}" format=$1 order=$2 tx=$3 rx=$4 size=$5 features received=0 sent=0
        shift 5
        card_start "$@"
        until_true 20 card_log "using .* Rx path" || { fail "$what: no driver is chosen"; tail "$tmp/testpmd.log"; }
        features=0x$(sed -n 's/.*features after negotiate = //p' "$tmp/testpmd.log")
        equal "$what: PACKED" $((features >> 34 & 1)) "$([ "$format" = packed ] && echo 1 || echo 0)"
        equal "$what: IN_ORDER" $((features >> 35 & 1)) "$([ "$order" = in-order ] && echo 1 || echo 0)"
        equal "$what: MRG_RXBUF" $((features >> 15 & 1)) 0
        check "$what: $tx sends" card_log "virtio: using $tx Tx path"
        check "$what: $rx receives" card_log "virtio: using $rx Rx path"
        equal "$what: entries" "$(grep -c "vq_size: $size\$" "$tmp/testpmd.log")" 2
        # A ring has as many buffers as entries: whatever is more must have come back first.
        check "$what: both rings go round" until_true 20 turned $((4 * size)) $((2 * size))
        say "received $received, sent $sent"
        echo quit >&"$card_in"
        check "$what: it ends" gone "${guest_pid[card]}" 20
        card_forget
        equal "$what: its status" "$status" 0
}

# If it was about to send more, it dies of that.
noticed() { card_log "Failed to set backend status" || is_gone "${guest_pid[card]}"; }

# Two pairs of rings: where DPDK's set-up of a device stops.
ends_at_ring_3() {
        card_start "path=${backend_socket[disk]}" queues=2 "$@"
        check "two pairs, $*: its ring of size 0 is refused" until_true 20 \
                grep -q "session $session: SET_VRING_NUM: vring 3: size 0: EINVAL; connection closed" "$tmp/disk.log"
        check "two pairs, $*: it notices" until_true 20 noticed
        kill -KILL "-${guest_pid[card]}" 2>/dev/null || true    # it would wait for more
        card_forget
}

fds=() session=0
socket=path=${backend_socket[disk]}
for round in 1 2; do
        while read -r -a row; do
                drives "${row[@]:0:2}" "${row[2]//_/ }" "${row[3]//_/ }" "${row[4]}" "$socket" "${row[@]:5}"
                session=$((session + 1))
                check "it left by itself" until_true 10 grep -q "session $session: the front-end has left" "$tmp/disk.log"
                check "nothing is left of it" until_true 10 has_children "$broker" 0
        done <<-'EOF'
		split  in-order inorder  inorder 256 in_order=1
		split  any      standard standard 256 in_order=0
		split  any      standard standard 256 in_order=0 mrg_rxbuf=0
		split  any      standard vectorized 256 in_order=0 vectorized=1
		split  in-order inorder  inorder 1024 in_order=1 mrg_rxbuf=0 queue_size=1024
		packed in-order packed_ring_standard packed_ring_standard 256 packed_vq=1 in_order=1
		packed any      packed_ring_standard packed_ring_standard 256 packed_vq=1 in_order=0
		packed in-order packed_ring_standard packed_ring_standard 256 packed_vq=1 in_order=1 mrg_rxbuf=0
		packed any      packed_ring_standard packed_ring_standard 300 packed_vq=1 in_order=0 queue_size=300
	EOF
        for format in 0 1; do
                session=$((session + 1))
                ends_at_ring_3 packed_vq=$format
                check "nothing is left of it" until_true 10 has_children "$broker" 0
        done

        guest_start vm 1 small $(disk disk)
        session=$((session + 1))
        equal "the next guest reads the disk whole" "$(guest vm 'sha256sum </dev/vda')" "$sum"
        fds[round]=$(fd_count "$broker")
        guest_off vm
        check "nothing is left of that guest" until_true 10 has_children "$broker" 0
done
# The card listens, and the broker comes to it.
drives split in-order inorder inorder 256 "path=$tmp/card.sock" server=1
check "nothing is left of it" until_true 10 has_children "${backend_pid[caller]}" 0
rm -f "$tmp/card.sock"
drives packed in-order "packed ring standard" "packed ring standard" 256 "path=$tmp/card.sock" server=1 packed_vq=1
check "nothing is left of it" until_true 10 has_children "${backend_pid[caller]}" 0

check "the broker still runs" kill -0 "$broker"
lines=$(wc -l <"$tmp/disk.log")
check "its log is short: $lines lines" test "$lines" -le $((6 * session + 2))
check "no ring broke" test "$(cat "$tmp/disk.log" "$tmp/caller.log" | grep -c "worker [0-9]*: vring")" = 0
equal "the broker has as many descriptors in the second round as in the first" "${fds[2]}" "${fds[1]}"
e2e_end
