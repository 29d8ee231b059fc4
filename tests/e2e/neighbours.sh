#!/bin/bash
# Two guests on two devices of one broker: what befalls one, the other does not notice, nor does the broker keep
# anything of it.
. "$(dirname "$0")/lib.sh"

e2e_begin
mkdir "$tmp/conf"
for name in calm victim; do
        image "$name" 64M >/dev/null
        printf '[Device]\nType=block\nSocket=%s\n[Block]\nPath=%s\nQueues=2\n' \
                "$tmp/$name.sock" "$tmp/$name.img" >"$tmp/conf/$name.conf"
done
backend_run broker "$tmp/victim.sock" "$VHOST_BROKER" --config="$tmp/conf" --run-dir="$tmp/run"
backend_socket[calm]=$tmp/calm.sock backend_socket[victim]=$tmp/victim.sock
until_true 5 listening "$tmp/calm.sock" || give_up "the second socket is not served"
broker=${backend_pid[broker]}

guest_start calm 2 fio $(disk calm 2)
children=$(descendants "$broker" | wc -l)

visit() {
        guest_start victim 1 small $(disk victim 2)
        check "the victim's disk works" guest victim 'dd if=/dev/urandom of=/dev/vda bs=64k count=16 conv=fsync 2>/dev/null'
}
# One whole visit first: what the broker makes once and keeps is no leak. Counted while both guests are there, because
# then nothing is in motion.
visit
guest_kill victim
check "all of a killed guest is gone" until_true 30 has_children "$broker" "$children"
visit
fds=$(fd_count "$broker") own=$(own_kib "$broker")

# Round after round until it is told to stop; the result says how it went.
guest calm '(n=0; result=failed;
        while fio --name=v --filename=/dev/vda --size=8M --numjobs=2 --offset_increment=8M --rw=randrw --bs=4k
                --verify=crc32c --verify_fatal=1 --ioengine=libaio --iodepth=4 --direct=1 --minimal; do
                n=$((n + 1));
                [ ! -e /tmp/stop ] || { result="no error"; break; };
        done;
        echo $n >/tmp/rounds; echo "$result" >/tmp/result) >/tmp/fio 2>&1 &'
busy() { guest calm '[ ! -e /tmp/result ]'; }
progress() { guest calm 'awk "{ print \$1 + \$5 }" /sys/block/vda/stat'; }
more_than() { [ "$(progress)" -gt "$1" ]; }

victim=$(worker_of "$tmp/victim.img" "$broker") || give_up "no worker holds the victim's disk"
kill -KILL "$victim"
check "the killed worker is gone" gone "$victim" 10
done_before=$(progress)
check "the calm guest's I/O goes on" until_true 60 more_than $((done_before + 100))
guest_kill victim
check "nothing is left of the victim" until_true 30 has_children "$broker" "$children"

visit
guest_kill victim
check "its device serves the next guest" until_true 30 has_children "$broker" "$children"

# Bytes that are no message, then a message that promises more than any may hold; the other end must close.
send() {
        timeout 10 perl -MIO::Socket::UNIX -e 'my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "connect: $!\n";
                $s->syswrite(pack "H*", $ARGV[1]); 1 while $s->sysread(my $answer, 4096);' "$tmp/victim.sock" "$1"
}
for bytes in "$(printf 'more than twelve bytes of garbage' | od -An -v -tx1 | tr -d ' \n')" 0100000001000000ffffffff; do
        check "garbage is hung up on" send "$bytes"
        check "nothing is left of it" until_true 30 has_children "$broker" "$children"
done
check "the calm guest is still at it" busy
guest calm 'touch /tmp/stop; until [ -e /tmp/result ]; do sleep 0.1; done'
equal "fio found every block as written, $(guest calm 'cat /tmp/rounds') times" "$(guest calm 'cat /tmp/result')" "no error"
check "the calm guest's kernel saw no error" guest calm '! dmesg | grep -Ei "i/o error|timed out"'
visit
equal "the broker has as many descriptors as before" "$(fd_count "$broker")" "$fds"
check "the broker's memory is as before: $own, now $(own_kib "$broker") KiB" test "$(own_kib "$broker")" -le $((own + 128))
guest_off victim
guest_off calm
e2e_end
