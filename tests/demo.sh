#!/bin/bash
# Shows what vhost-broker does, on a fresh Debian 12: builds it, gives a disk to a real Linux guest by way of a confined
# worker, and then asks the kernel what each of its processes may do. Leaves only the build directory (build-demo/) and
# a cached guest kernel behind.
# Usage: tests/demo.sh [BUILD]      BUILD: a directory of meson with the programs; nothing is installed or built then
set -eu
cd "$(dirname "$0")/.."
build=${1:-build-demo}

if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi
step() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
quiet() {
        local log=$build.log
        "$@" >"$log" 2>&1 || { tail -n 30 "$log"; echo "demo: failed: $*" >&2; exit 1; }
        rm -f "$log"
}

if [ $# = 0 ]; then
        step "Install what is missing"
        tests/install.sh build guest

        step "Build (in $build/)"
        [ -f "$build/build.ninja" ] || quiet meson setup "$build" -Dtests=disabled --buildtype=debugoptimized
        quiet ninja -C "$build"
fi
VHOST_BROKER=$(realpath "$build")/broker/vhost-broker
"$VHOST_BROKER" --version

# shellcheck source-path=SCRIPTDIR source=e2e/lib.sh
. tests/e2e/lib.sh
step "Get a guest: Debian's cloud kernel and a small initramfs"
e2e_begin
echo "$(cat "${guest_dir%/*}/kernel" 2>/dev/null || echo "A kernel of an earlier run"), not installed, only booted"

step "Start a broker with one disk, boot the guest on it (QEMU without KVM: this takes a while)"
file=$(image disk 256M)
backend_block disk "$file" --set Block.Serial=DEMO-DISK
broker=${backend_pid[disk]}
cat "$tmp/disk.log"
# shellcheck disable=SC2046
guest_start vm 4 fio $(disk disk)
session=$(named vhost-session "$broker") worker=$(named vhost-worker "$broker")
[ -n "$session$worker" ] || give_up "the disk is served by no process of its own"

step "What the guest sees"
show() { guest vm "$1" | sed 's/^/    /'; }
# shellcheck disable=SC2016
show 'uname -srm;
        cd /sys/block/vda;
        echo "disk    /dev/vda, $(($(cat size) / 2048)) MiB, serial $(cat serial), driver $(basename $(readlink device/driver))";
        echo "queues  $(ls mq | wc -l), sector size $(cat queue/logical_block_size), cache $(cat queue/write_cache)"'
show 'mkfs.ext4 -q /dev/vda && mount /dev/vda /mnt && grep /dev/vda /proc/mounts'
wrote=$(guest vm 'dd if=/dev/urandom of=/mnt/data bs=64k count=512 2>/dev/null; sync; sha256sum </mnt/data')
read=$(guest vm 'umount /mnt; echo 3 >/proc/sys/vm/drop_caches; mount /dev/vda /mnt; sha256sum </mnt/data')
echo "    wrote 32 MiB, SHA-256 ${wrote%% *}"
echo "    read them back after unmounting:"
echo "                   SHA-256 ${read%% *}"
[ "$wrote" = "$read" ] || give_up "the guest read back something else than it wrote"
guest vm 'fio --name=x --filename=/mnt/fio --size=8M --rw=randrw --bs=4k --ioengine=libaio --iodepth=16 --direct=1
        --verify=crc32c --verify_fatal=1 >/tmp/fio 2>&1' || give_up "fio: $(guest vm 'cat /tmp/fio')"
echo "    fio, 4 KiB at random, 16 at a time, each block verified by its CRC:"
show 'grep -E "^ *(read|write):" /tmp/fio'

# --- what the kernel says ---------------------------------------------------------------------------------------------
field() { awk -v key="$1:" '$1 == key { print $2 }' "/proc/$2/status"; }

ancestry() {
        local pid=$1 depth=$2 child
        printf '    %*s%s (%s)\n' $((depth * 4)) '' "$(cat "/proc/$pid/comm")" "$pid"
        # shellcheck disable=SC2013
        for child in $(cat /proc/"$pid"/task/*/children); do ancestry "$child" $((depth + 1)); done
}

# Only root may look at what another user's process holds; then nothing here is taken for granted.
own_namespaces() {
        local ns own=''
        for ns in user mnt pid net ipc uts; do
                readlink "/proc/$1/ns/$ns" >/dev/null 2>&1 || { echo "?"; return; }
                [ "$(readlink "/proc/$1/ns/$ns")" = "$(readlink "/proc/$$/ns/$ns")" ] || own="$own $ns"
        done
        case $own in
        " user mnt pid net ipc uts") echo "all 6" ;;
        *) echo "${own:- none}" | cut -c 2- ;;
        esac
}

# The names of the filters say what they are for; the log says which engine runs.
engine=$(sed -n 's/.*engine \([a-z]*\).*/\1/p' "$tmp/disk.log" | tail -n 1)
calls() {
        local profile
        case $1 in
        session) profile=session_run ;;
        worker) profile=worker_run_blk_$engine ;;
        *) profile=broker_run ;;
        esac
        "$VHOST_BROKER" --print-policy | awk -v p="$profile:" '$1 == p { n = $2 } END { print n ? n : "-" }'
}

fds() {
        local fd
        [ -r "/proc/$1/fd" ] || { echo "(only root may look)"; return; }
        for fd in /proc/"$1"/fd/*; do
                if [ "$fd" -ef "$file" ]; then echo disk
                else readlink "$fd" | sed -E 's/ \(deleted\)$//; s/:\[[0-9]+\]$//; s/^anon_inode:\[?([^]]*)\]?$/\1/
                        s/^(user|net|mnt)$/\1 namespace/; s/^\/memfd:(.*)/memfd "\1"/; s/^\/(.*\/)?//'
                fi
        done | sort | uniq -c | awk '{ n = $1; $1 = ""; printf "%s%d%s", sep, n, $0; sep = ", " } END { print "" }'
}

row() { printf '    %-22s %-18s %-18s %s\n' "$@"; }
column() {      # column WHAT FUNCTION...: one value a process
        local what=$1
        shift
        row "$what" "$("$@" "$broker")" "$("$@" "$session")" "$("$@" "$worker")"
}
root_entries() {
        case $(own_namespaces "$1") in
        *all* | *mnt*) find "/proc/$1/root/" -mindepth 1 | wc -l ;;
        *\?*) echo "?" ;;
        *) echo "the host's" ;;
        esac
}
own_memory() { awk '$1 == "Anonymous:" { n = $2 } END { print n == "" ? "?" : n }' "/proc/$1/smaps_rollup" 2>/dev/null || echo "?"; }
mode() { case $(field Seccomp "$1") in 2) echo filter ;; *) echo off ;; esac; }
no_new_privs() { case $(field NoNewPrivs "$1") in 1) echo yes ;; *) echo no ;; esac; }

step "Its processes"
ancestry "$broker" 0

step "What each may do, as /proc tells"
row "" broker session worker
column "pid" echo
column "uid on the host" field Uid
column "capabilities, in force" field CapEff
column "   and at most" field CapBnd
column "no new privileges" no_new_privs
column "seccomp" mode
column "   filters" field Seccomp_filters
row "   allowed calls" "$(calls broker)" "$(calls session)" "$(calls worker)"
column "own namespaces" own_namespaces
column "files it can name" root_entries
column "memory of its own, KiB" own_memory
echo
for name in broker session worker; do
        printf '    open in the %-8s %s\n' "$name:" "$(fds "${!name}")"
done

confined() {
        [ "$(field CapEff "$1")$(field CapBnd "$1")" = 00000000000000000000000000000000 ] || return 1
        [ "$(field NoNewPrivs "$1")$(field Seccomp "$1")" = 12 ] || return 1
        case $(root_entries "$1") in 0 | \?) return 0 ;; *) return 1 ;; esac
}
for pid in "$session" "$worker"; do
        confined "$pid" || give_up "process $pid is not confined as it should be"
done

step "End"
calls=$(calls worker) seen=''
[ ! -r "/proc/$worker/fd" ] || seen=yes
guest_off vm
e2e_end >/dev/null || give_up "something was left behind"
echo "The guest is off and everything is gone again. Its disk was served by process $worker, with $calls system calls,"
if [ -n "$seen" ]; then
        echo "no capability, no file to name, and nothing open but what stands above."
else
        echo "and no capability. Run as root, this shows what it has open as well, and gives it its own uid."
fi
