#!/bin/sh
# Lets systemd judge the units: verify.sh UNITS-DIRECTORY BROKER MOST-EXPOSURE
# They are checked as installed, but with the built program, so that a path that isn't there yet is no mistake.
set -eu
command -v systemd-analyze >/dev/null || exit 77
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT INT TERM
for unit in vhost-broker@.service vhost-broker@.socket; do
        sed "s|^ExecStart=[^ ]*|ExecStart=$2|; /^Documentation=/d" "$1/$unit" >"$dir/$unit"
done
said=$(SYSTEMD_UNIT_PATH="$dir:" systemd-analyze verify "$dir/vhost-broker@.service" "$dir/vhost-broker@.socket" 2>&1) || {
        printf '%s\n' "$said"
        exit 1
}
if printf '%s\n' "$said" | grep -F "$dir"; then
        exit 1
fi
systemd-analyze security --offline=true --threshold="$3" --no-pager "$dir/vhost-broker@.service"
