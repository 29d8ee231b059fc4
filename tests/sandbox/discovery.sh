#!/bin/sh
# What management software finds: QEMU's docs/interop/vhost-user.json and "Backend program conventions".
# discovery.sh BROKER UNITS-DIRECTORY INSTALLED      INSTALLED: meson's list of what is installed where
set -eu
broker=$(realpath "$1") units=$2 installed=$3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT INT TERM
passed=0 failed=0

same() { # WHAT IS WANTED
        if [ "$2" = "$3" ]; then passed=$((passed + 1)); else
                echo "FAIL: $1: '$2', not '$3'"
                failed=$((failed + 1))
        fi
}

# Its keys, its type, the program that it names, whether that is installed at this very path, and its own place.
told() { # DISCOVERY-FILE
        python3 -c '
import json, os, sys
file, installed = sys.argv[1], json.load(open(sys.argv[2]))
found = json.load(open(file))
print(*found.keys(), found["type"], os.path.basename(found["binary"]), found["binary"] in installed.values(),
      "/".join(installed[file].split("/")[-3:]))' "$1" "$installed"
}

check_type() { # TYPE CAPABILITIES
        ln -s "$broker" "$dir/vhost-user-$1"
        same "$1: capabilities" "$("$broker" --type="$1" --print-capabilities | python3 -m json.tool --compact)" "$2"
        same "$1: by the program's name" "$("$dir/vhost-user-$1" --print-capabilities)" "$2"
        same "$1: with other options" "$("$broker" --fd=none --of-others --type="$1" --print-capabilities)" "$2"
        found=50-vhost-broker-$1.json
        same "$found" "$(told "$units/$found")" "description type binary $1 vhost-user-$1 True qemu/vhost-user/$found"
}

check_type block '{"type":"block","features":["read-only","blk-file"]}'
check_type rng '{"type":"rng"}'
same "an unknown type" "$("$broker" --type=gpu --print-capabilities 2>/dev/null || echo "$?")" 2
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
