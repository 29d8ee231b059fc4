#!/bin/sh
# Do the policy compilers take them? check.sh SELINUX-MODULE APPARMOR-PROFILE
set -eu
PATH=$PATH:/usr/sbin:/sbin
command -v checkmodule >/dev/null || { echo "no checkmodule (package checkpolicy)"; exit 77; }
command -v apparmor_parser >/dev/null || { echo "no apparmor_parser (package apparmor)"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT INT TERM
checkmodule -M -m -o "$dir/vhost_broker.mod" "$1"
apparmor_parser -Q -K "$2"
