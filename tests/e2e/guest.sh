#!/bin/bash
# Makes the guest that the end-to-end tests and the demo boot: Debian's cloud kernel, unpacked but never installed, and
# two initramfs images, a small one and one with fio. Prints the directory that holds vmlinuz, small.cpio, fio.cpio.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/vhost-broker

fail() { echo "guest.sh: $*" >&2; exit 1; }

need() {
        local tool
        for tool; do
                command -v "$tool" >/dev/null || fail "$tool is missing: run tests/install.sh"
        done
}

# Asking apt takes two seconds: its answer is kept for a day. Where the package lists are not at hand, the newest
# kernel of an earlier run has to do.
kernel_package() {
        local name version
        if [ -n "$(find "$cache/kernel" -mtime -1 2>/dev/null)" ]; then
                cat "$cache/kernel"
                return
        fi
        name=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '$1 == "Depends:" { print $2; exit }')
        if [ -n "$name" ]; then
                version=$(apt-cache policy "$name" | awk '$1 == "Candidate:" { print $2 }')
                echo "${name}_${version//:/%3a}" | tee "$cache/kernel"
        else
                find "$cache" -maxdepth 1 -name 'linux-image-*' -printf '%f\n' | sort -V | tail -n 1
        fi
}

# The lists may be older than what the mirror has.
download() {
        local quietly="apt-get -qq -o APT::Sandbox::User=root -o Acquire::Retries=5"
        (cd "$1" && { $quietly download "$2" || { $quietly update && $quietly download "$2"; }; })
}

# Unpacked under a temporary name and moved: an interrupted download leaves nothing that looks complete.
unpack_kernel() {
        local package=$1 into=$2 tmp
        [ -d "$into" ] && return
        tmp=$(mktemp -d "$cache/tmp.XXXXXX")
        download "$tmp" "${package%%_*}" >&2 || fail "cannot download ${package%%_*}"
        dpkg -x "$tmp"/*.deb "$tmp/root"
        depmod -b "$tmp/root" "$(ls "$tmp/root/lib/modules")"
        mv -T "$tmp/root" "$into"
        rm -r "$tmp"
}

# A program with all the libraries that the loader would look for.
add_program() {
        local root=$1 program=$2 file
        ldd "$program" | grep -o '/[^ ]*' | while read -r file; do
                install -D -m 755 "$file" "$root$file"
        done
        install -D -m 755 "$program" "$root$program"
}

# Numbered in the order in which they must be loaded.
add_modules() {
        local root=$1 kernel=$2 version dir file n=10
        version=$(ls "$kernel/lib/modules")
        dir=$root/modules/$version
        mkdir -p "$dir"
        for file in $(modprobe -d "$kernel" -S "$version" -a --show-depends virtio_pci virtio_blk virtio_rng \
                      | awk '$1 == "insmod" && !seen[$2]++ { print $2 }'); do
                cp "$file" "$dir/$((n++))-${file##*/}"
        done
        file=$(find /usr/lib/uml/modules -name virtio_blk.ko 2>/dev/null | sort -V | tail -n 1)
        if [ -n "$file" ]; then
                version=${file#/usr/lib/uml/modules/}
                install -D "$file" "$root/modules/${version%%/*}/10-virtio_blk.ko"
        fi
}

pack() { (cd "$1" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0); }

build() {
        local kernel=$1 into=$2 tmp root
        tmp=$(mktemp -d "$cache/tmp.XXXXXX")
        root=$tmp/small
        mkdir -p "$root"/{bin,dev,proc,sys,tmp,mnt,etc}
        cp "$(command -v busybox)" "$root/bin/busybox"
        cp "$here/guest/init" "$root/init"
        cp /etc/mke2fs.conf "$root/etc/"
        add_program "$root" "$(command -v mke2fs)"
        ln -s "$(command -v mke2fs)" "$root/bin/mkfs.ext4"     # busybox has a mke2fs of its own
        add_modules "$root" "$kernel"
        mkdir -p "$tmp/fio" "$tmp/out"
        add_program "$tmp/fio" "$(command -v fio)"
        pack "$root" > "$tmp/out/small.cpio"
        { cat "$tmp/out/small.cpio"; pack "$tmp/fio"; } > "$tmp/out/fio.cpio"
        cp "$kernel"/boot/vmlinuz-* "$tmp/out/vmlinuz"
        mv -T "$tmp/out" "$into"
        rm -r "$tmp"
}

PATH=$PATH:/usr/sbin:/sbin
need apt-get dpkg depmod modprobe cpio busybox fio mke2fs flock
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
package=$(kernel_package)
[ -n "$package" ] || fail "no linux-image-cloud-amd64 in the package lists: run tests/install.sh"
key=$({ echo "$package"; cat "$here/guest.sh" "$here/guest/init"
        dpkg-query -W -f '${Package} ${Version}\n' busybox-static fio e2fsprogs user-mode-linux 2>/dev/null || true
      } | sha256sum | cut -c 1-16)
unpack_kernel "$package" "$cache/$package"
if [ ! -d "$cache/guest-$key" ]; then
        find "$cache" -maxdepth 1 -name 'guest-*' -exec rm -r {} +
        build "$cache/$package" "$cache/guest-$key"
fi
echo "$cache/guest-$key"
