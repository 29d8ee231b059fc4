#!/bin/bash
# Installs what a fresh Debian 12 lacks. Usage: tests/install.sh [build|guest|test]...   (all groups if none is named)
set -eu

# shellcheck disable=SC2034     # read by name
{
        build="gcc libc6-dev musl-dev meson ninja-build pkg-config libsystemd-dev libcap-ng-dev libinih-dev libseccomp-dev liburing-dev check scdoc"
        guest="qemu-system-x86 busybox-static fio e2fsprogs kmod cpio"
        test="clang libclang-rt-14-dev qemu-utils user-mode-linux dpdk-dev systemd git apparmor checkpolicy"
}

fail() { echo "install.sh: $*" >&2; exit 1; }

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

[ $# -gt 0 ] || set -- build guest test
missing=
for group; do
        case $group in build | guest | test) ;; *) fail "no such group: $group" ;; esac
        for package in ${!group}; do
                installed "$package" || missing="$missing $package"
        done
done
[ -n "$missing" ] || exit 0

command -v apt-get >/dev/null || fail "this is no Debian, please install the like of:$missing"
as_root=
if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || fail "must be run as root, because these are missing:$missing"
        as_root=sudo
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
run() {
        $as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@" </dev/null >"$log" 2>&1 ||
                { tail -n 20 "$log" >&2; fail "failed: $*"; }
}
echo "install.sh: installing$missing"
patient="-q -o Acquire::Retries=5"
# shellcheck disable=SC2086
run apt-get $patient update
# shellcheck disable=SC2086
run apt-get $patient install -y --no-install-recommends $missing
