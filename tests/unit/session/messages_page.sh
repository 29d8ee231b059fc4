#!/bin/sh
# The page of messages and features says what the code does: its rows are the numbers and names of the protocol's
# headers with the support that the session's tables show, and the tests that it names exist.
#
#   messages_page.sh TABLES SOURCE-DIR
set -eu
export LC_ALL=C
tables=$1 source=$2 page=$2/broker/session/MESSAGES.md
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# enum_of FILE ENUM PREFIX: "number name" of each constant
enum_of() {
        awk -v enum="$2" -v prefix="$3" '
                $0 ~ "^enum " enum { on = 1 }
                on && $1 ~ "^" prefix && $2 == "=" { sub("^" prefix, "", $1); sub(",", "", $3); print $3, $1 }
                /^}/ { on = 0 }' "$1"
}

wire=$source/common/vhost_user.h
enum_of "$wire" vu_protocol_feature VU_PF_ >"$dir/protocol"
enum_of "$wire" 'vu_request ' VU_ >"$dir/front"
enum_of "$wire" vu_backend_request VU_BACKEND_ >"$dir/back"
{
        enum_of "$wire" '{' VU_F_
        enum_of "$source/common/virtio.h" '{' VIRTIO_F_
        enum_of "$source/common/virtio.h" '{' VIRTIO_BLK_F_
} >"$dir/virtio"
"$tables" >"$dir/printed"
grep -E '^(front|protocol|virtio) ' "$dir/printed" >"$dir/tables"

# What the code does: KIND|NUMBER|NAME|SUPPORTED|NEEDS
{
        awk -v dir="$dir" '
                BEGIN {
                        while ((getline line <(dir "/protocol")) > 0) { split(line, w, " "); feature[w[1]] = w[2] }
                        while ((getline line <(dir "/front")) > 0) { split(line, w, " "); name[w[1]] = w[2] }
                }
                $1 == "front" {
                        print "front|" $2 "|" name[$2] "|" $3 "|" ($4 < 0 ? "" : $4 in feature ? feature[$4] : $4)
                }' "$dir/tables"
        while read -r number name; do
                grep -qw "VU_BACKEND_$name" "$source"/broker/session/*.c && served=yes || served=no
                echo "back|$number|$name|$served|"
        done <"$dir/back"
        for kind in protocol virtio; do
                while read -r number name; do
                        types=$(sed -n "s/^$kind $number //p" "$dir/tables")
                        echo "$kind|$number|$name|$types|"
                done <"$dir/$kind"
        done
        # a bit without a name would be missing above
        awk '$1 != "front" && $3 != "no" { print $1, $2 }' "$dir/tables" | while read -r kind number; do
                grep -q "^$number " "$dir/$kind" || echo "$kind|$number|has no name|offered|"
        done
} | sort >"$dir/code"

# What the page says.
awk -F ' *\\| *' '
        /^## / { kind = $0 ~ /^## Front-end/ ? "front" : $0 ~ /^## Back-end/ ? "back" : \
                        $0 ~ /^## Protocol/ ? "protocol" : $0 ~ /^## Virtio/ ? "virtio" : "" }
        kind && $2 ~ /^[0-9]+$/ { print kind "|" $2 "|" $3 "|" $4 "|" (kind == "front" && $4 == "yes" ? $5 : "") }
        ' "$page" | sort >"$dir/page"

failed=0
diff -u --label code --label page "$dir/code" "$dir/page" || failed=1

# Each row that is served names a test: "FILE TEST" of a C file, or a script, below tests/.
awk -F ' *\\| *' '$2 ~ /^[0-9]+$/ { print $2 " " $3 "|" $4 "|" $(NF - 1) }' "$page" >"$dir/rows"
while IFS='|' read -r row served proofs; do
        if [ "$served" != no ] && [ -z "$proofs" ]; then
                echo "$row: no test named"
                failed=1
        fi
        echo "$proofs" | tr ';' '\n' | while read -r file test; do
                [ -n "$file" ] || continue
                [ -e "$source/tests/$file" ] || { echo "$row: there is no tests/$file"; continue; }
                case $file in
                *.c) grep -q "^START_TEST($test)" "$source/tests/$file" || echo "$row: no test $test in $file" ;;
                esac
        done >"$dir/missing"
        [ ! -s "$dir/missing" ] || { cat "$dir/missing"; failed=1; }
done <"$dir/rows"

[ "$(wc -l <"$dir/page")" -gt 60 ] || { echo "the page has hardly any rows"; failed=1; }
exit $failed
