#!/bin/bash
# Makes the disk that the guest with a real systemd boots from: the files of Debian's own packages, as they are installed
# on this host, in a file system image. Prints its path. It is made once and kept until a package or this script changes.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/vhost-broker
wanted="base-files base-passwd systemd bash dash coreutils util-linux mount kmod grep sed findutils libc-bin libinih1 libcap-ng0 apparmor"

fail() { echo "tree.sh: $*" >&2; exit 1; }

# The wanted packages and all that they depend on, of those that are installed.
packages() {
        # shellcheck disable=SC2086     # a list
        apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
                --no-enhances $wanted | grep '^[a-z0-9]' | sed 's/:.*//' | sort -u |
                grep -v -x -e debconf -e dpkg -e tar -e 'gcc-.*-base' -e readline-common -e perl-base
}

# By their names in a merged /usr.
files() {
        local package
        for package in $(packages); do
                dpkg -L "$package" 2>/dev/null || true         # a virtual one
        done | sed -E 's,^/(bin|sbin|lib|lib64)(/|$),/usr/\1\2,' | sort -u |
                grep -v -E '^/usr/share/(doc|man|locale|info|lintian|bug|i18n|bash-completion|zsh|polkit-1|pixmaps)(/|$)' |
                while IFS= read -r file; do
                        if [ "$file" != /. ] && { [ -e "$file" ] || [ -L "$file" ]; }; then echo "${file#/}"; fi
                done
}

# What scripts of the packages would have done, and what no test needs.
finish() {
        local root=$1 unit
        mkdir -p "$root"/{dev,proc,sys,run,tmp,root,mnt,var/lib,var/tmp,tests,etc/systemd/system}
        cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
        cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
        sed -i 's/:\*:/::/' "$root/etc/passwd"
        echo "passwd: files
group: files" >"$root/etc/nsswitch.conf"
        echo vhost-test >"$root/etc/hostname"
        echo 7d5a2b1c3e4f40619a8b7c6d5e4f3a2b >"$root/etc/machine-id"
        : >"$root/etc/fstab"
        for unit in getty@tty1.service getty-static.service systemd-{user-sessions,binfmt,logind,random-seed,pstore,rfkill}.service \
                systemd-{update-utmp,update-utmp-runlevel,journal-flush,modules-load,sysctl,tmpfiles-setup-dev}.service \
                apparmor.service modprobe@.service dev-hugepages.mount dev-mqueue.mount sys-kernel-{debug,tracing,config}.mount \
                sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount systemd-tmpfiles-clean.timer; do
                ln -sf /dev/null "$root/etc/systemd/system/$unit"
        done
        rm -rf "$root"/usr/lib/systemd/{system-generators,user-generators,user}      # each reload would run them all
        install -D -m 644 "$here/vhost-tests.service" "$root/etc/systemd/system/vhost-tests.service"
        mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
        ln -sf ../vhost-tests.service "$root/etc/systemd/system/multi-user.target.wants/"
        ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
}

build() {
        local into=$1 tmp
        tmp=$(mktemp -d "$cache/tmp.XXXXXX")
        # shellcheck disable=SC2064     # now
        trap "rm -rf '$tmp'" EXIT
        mkdir "$tmp/root"
        ln -s usr/bin usr/sbin usr/lib usr/lib64 "$tmp/root"
        files >"$tmp/files"
        tar -C / -c --no-recursion -T "$tmp/files" | tar -C "$tmp/root" -x --keep-directory-symlink -p
        finish "$tmp/root"
        mke2fs -q -t ext4 -O ^has_journal -m 0 -d "$tmp/root" "$tmp/image" 400M >/dev/null
        mv "$tmp/image" "$into"
}

PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
# shellcheck disable=SC2086
key=$({ cat "$here/tree.sh" "$here/vhost-tests.service"
        dpkg-query -W -f '${Package} ${Version} ${db:Status-Status}\n' $wanted || fail "a package is missing: run tests/install.sh"
      } | sha256sum | cut -c 1-16)
if [ ! -e "$cache/systemd-$key" ]; then
        find "$cache" -maxdepth 1 -name 'systemd-*' -delete
        build "$cache/systemd-$key"
fi
echo "$cache/systemd-$key"
