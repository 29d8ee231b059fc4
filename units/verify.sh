#!/bin/sh
# Lets systemd judge the units: verify.sh SOURCES UNITS-DIRECTORY BROKER
# They are checked as installed, but with the built program, so that a path that isn't there yet is no mistake.
set -eu
command -v systemd-analyze >/dev/null || { echo "no systemd-analyze"; exit 77; }
sources=$1 units=$2 broker=$3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT INT TERM
cp "$units"/*.service "$units"/*.socket "$dir"
sed -i "s|^ExecStart=[^ ]*/vhost-broker |ExecStart=$broker |; /^Documentation=/d" "$dir"/*.service "$dir"/*.socket
cd "$dir"

# Every word about one of ours is a mistake; the distribution's own units may cause some.
verify() {
        said=$(SYSTEMD_UNIT_PATH="$dir:" systemd-analyze verify "$@" 2>&1) || { printf '%s\n' "$said"; exit 1; }
        ! printf '%s\n' "$said" | grep -F -e "$dir" -e vhost || exit 1
}

# exposure MOST UNIT: ten times the figure that systemd gives it.
exposure() {
        SYSTEMD_UNIT_PATH="$dir:" systemd-analyze security --offline=true --threshold="$1" --no-pager "$dir/$2" >"$dir/out" || {
                cat "$dir/out"
                exit 1
        }
        echo "$2${3:+ with $3}: $(tail -n 1 "$dir/out")"
}

# with UNIT EXAMPLE: the example as its drop-in, every suggestion in it taken.
with() {
        mkdir -p "$1.d"
        sed -E 's/^#([A-Z][A-Za-z]*=)/\1/' "$sources/$2" >"$1.d/$2"
}

verify ./*.service ./*.socket
for unit in vhost-broker@.service vhost-broker.service; do
        exposure 18 "$unit"
        with "$unit" disk.conf
        exposure 20 "$unit" disk.conf
        rm -r "$unit.d"
done
with vhost-broker@.service no-capabilities.conf
with vhost-broker-devices@.service no-capabilities-devices.conf
exposure 15 vhost-broker@.service no-capabilities.conf
with vhost-broker@.service disk.conf
exposure 17 vhost-broker@.service "no-capabilities.conf and disk.conf"
verify ./*.service ./*.socket
