#!/bin/bash
# The back-end under a real systemd, on Debian's kernel (6.1: an older landlock, no memory-deny-write-execute), in a guest.
# Usage: run.sh BUILD-DIRECTORY CLIENT WITH-FAULT [SECTION...]
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../e2e/lib.sh"
set -o pipefail
build=$1 client=$2 with_fault=$3

[ "$(id -u)" = 0 ] || e2e_skip "the disk of the guest can only be made by root"
command -v meson >/dev/null || e2e_skip "meson is needed to install into the guest"

# All that is of this build, in an archive behind that of the small guest.
make_initrd() {
        local root=$tmp/initrd file
        mkdir -p "$root/build/tests"
        DESTDIR=$root/build meson install -C "$build" --no-rebuild --quiet >"$tmp/install.log" 2>&1 || give_up "meson install failed"
        find "$root/build" -name man -prune -exec rm -r {} +
        cp "$here/channel" "$here/inside" "$here/checks" "$here/bare" "$client" "$with_fault" "$root/build/tests/"
        cp "$here/init" "$root/init"
        for file in "$root"/build/tests/*; do
                case $(head -c 4 "$file") in *ELF) strip "$file" ;; esac
        done
        { cat "$guest_dir/small.cpio"; (cd "$root" && find . | cpio --quiet -o -H newc -R 0:0); } >"$tmp/initrd.cpio"
}

# boot ID KERNEL-OPTIONS: with the disk, of which nothing is kept, and a second one for a device.
boot() {
        local started=$SECONDS
        truncate -s 4M "$tmp/$1.second"
        guest_launch "$1" qemu-system-x86_64 -nodefaults -no-user-config -display none -machine pc -accel tcg -cpu max -smp 2 \
                -m 768M -chardev file,id=console,path="$tmp/$1.console.log" -serial chardev:console \
                -chardev stdio,id=control,signal=off -serial chardev:control -net none -kernel "$guest_dir/vmlinuz" \
                -initrd "$tmp/initrd.cpio" -drive file="$tree",format=raw,if=virtio,snapshot=on \
                -drive file="$tmp/$1.second",format=raw,if=virtio \
                -append "console=ttyS0 panic=-1 mitigations=off random.trust_cpu=on systemd.show_status=0 $2"
        say "booted in $((SECONDS - started)) s"
}

switch_off() {
        guest_ask "$1" 'sync; systemctl poweroff -ff'
        gone "${guest_pid[$1]}" 30 || give_up "guest $1 does not switch off"
        guest_forget "$1"
}

# inside ID SECTION: runs that part of the tests and counts what it says.
inside() {
        local text=$tmp/said status=0 started=$SECONDS line
        guest "$1" "/tests/inside '$2'" | tee "$text" || status=$?
        passed=$((passed + $(grep -c ^PASS: "$text" || true)))
        failed=$((failed + $(grep -c ^FAIL: "$text" || true)))
        while read -r line; do failures+=$line$'\n'; done < <(grep ^FAIL: "$text")
        [ "$status" = 0 ] || fail "$2 ended early: $status"
        say "$2: $((SECONDS - started)) s"
}

sections=(layout instance restart watchdog stop users block apparmor host kernel)
others=(lsm)
[ $# -le 3 ] || sections=("${@:4}")
[ $# -le 3 ] || others=()
e2e_begin
tree=$("$here/tree.sh")
make_initrd

boot g ""
for section in "${sections[@]}"; do
        inside g "$section"
done
switch_off g

# What an option of the kernel is needed for.
for section in "${others[@]}"; do
        boot bare "next=/tests/bare lsm=yama"
        inside bare "$section"
        switch_off bare
done
e2e_end
