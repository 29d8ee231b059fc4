#!/bin/sh
# The policy that is published, one text per filter in tests/sandbox/policy/, against the one that is built.
#
#   policy.sh check|update BROKER DIRECTORY
#
# "update" (ninja -C BUILD update-policy) takes the built one as the published one: for a change that is wanted, and in
# the same commit. The sizes of the filters are those of Debian 12's libseccomp.
set -eu

what=$1 broker=$2 published=$3 sources=$3/../../..
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT

"$broker" --print-policy | awk -v dir="$built" '
        /^[a-z]/ { name = $1; sub(/:$/, "", name); file = dir "/" name ".txt" }
        NF { print >file }'
[ -n "$(ls "$built")" ] || { echo "no policy was printed"; exit 1; }

# What texts of the policy name as the reason of a call, one "FILE NAME" or "- NAME" per line: a single word behind FILE:
# is a function of that file, a word with underscores elsewhere one of anywhere, unless it is a library's.
named() {
        cat "$1"/*.txt | awk '
                /^  [a-z]/ && !/^  vhost-/ {
                        $1 = ""
                        n = split($0, parts, /[;,]/)
                        for (i = 1; i <= n; i++) {
                                m = split(parts[i], word, " ")
                                for (w = 1; w <= m; w++)
                                        if (word[w] ~ /^[a-z_]+\.[ch]:?$/) {
                                                file = word[w]
                                                sub(/:$/, "", file)
                                                print file, "-"
                                                if (w + 1 == m && word[m] ~ /^[a-z_0-9]+$/)
                                                        print file, word[m]
                                        } else if (word[w] ~ /^[a-z0-9]+(_[a-z0-9]+)+$/ && word[w] !~ /^(sd|pthread)_/) {
                                                print "-", word[w]
                                        }
                        }
                }' | sort -u
}

# Does the function begin a line of that file, or of any?
defined() {
        files=$(find "$sources/broker" "$sources/common" "$sources/worker" -name "$([ "$1" = - ] && echo '*.[ch]' || echo "$1")")
        # shellcheck disable=SC2086
        [ -n "$files" ] && { [ "$2" = - ] || grep -qE "^[a-z_].*\\b$2\\(" $files; }
}

check_names() {
        n=0
        while read -r file name; do
                n=$((n + 1))
                defined "$file" "$name" || { echo "the policy names $file $name, which does not exist"; return 1; }
        done
        [ "$n" -gt 80 ] || { echo "only $n names were found in the policy"; return 1; }
}

case $what in
update)
        mkdir -p "$published"
        rm -f "$published"/*.txt
        cp "$built"/*.txt "$published"
        ;;
check)
        said() { printf '%s\n' "$text" | grep -c "^$1" || true; }
        expect() { [ "$1" = "$2" ] || { echo "--print-policy: $3: $1, not $2"; exit 1; }; }
        printf '[Device]\nType=block\n[Block]\nEngine=null\nSize=1M\n' >"$built/one.conf"
        text=$("$broker" --config="$built" --print-policy=one)
        expect "$(said session_run) $(said worker_setup) $(said worker_run_blk_null)" "1 1 1" "a device's own filters"
        expect "$(said '[a-z]')" 3 "filters of a device"
        rm "$built/one.conf"
        text=$("$broker" --print-policy=rng)
        expect "$(said worker_run_rng) $(said '[a-z]')" "1 3" "filters of a type"
        status=0
        "$broker" --print-policy=nothing 2>"$built/error" || status=$?
        expect "$status $(grep -c 'no such type' "$built/error")" "2 1" "an unknown type"
        rm "$built/error"
        status=0
        "$broker" --config="$built" --print-policy=nothing 2>/dev/null || status=$?
        expect "$status" 1 "an unknown device"
        if ! diff -ru "$published" "$built"; then
                echo "The policy has changed. If that is meant: ninja -C BUILD update-policy"
                exit 1
        fi
        named "$published" | check_names
        ;;
*)
        echo "usage: policy.sh check|update BROKER DIRECTORY" >&2
        exit 2
        ;;
esac
