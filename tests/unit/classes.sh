#!/bin/sh
# The table of classes of holes names what exists: classes.sh SOURCES
# A cell is FILE case, case; FILE ... with files in tests/; text before a colon says why a class is none of ours.
set -eu

tests=$1/tests
page=$tests/hostile/CLASSES.md
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# One "FILE case" per line; a file alone has a line of its own, and so has a row that names nothing.
awk -F '|' '
/^\| / && $2 !~ /^ class $/ {
        cell = $3
        if (cell ~ /none of ours: / && cell !~ /\.c /) { print "none"; next }
        sub(/^.*none of ours: [^:]*: /, "", cell)
        sub(/^.*goes on: /, "", cell)
        n = split(cell, parts, ";")
        for (i = 1; i <= n; i++) {
                if (parts[i] ~ /with sanitizers/) continue
                m = split(parts[i], words, /[ ,]+/)
                file = ""
                for (w = 1; w <= m; w++) {
                        if (words[w] == "") continue
                        if (file == "") { file = words[w]; print file; continue }
                        print file, words[w]
                }
        }
}' "$page" >"$dir/named"

passed=0 failed=0
while read -r file name; do
        if [ "$file" = none ] || { [ -f "$tests/$file" ] &&
                { [ -z "$name" ] || grep -q "^START_TEST($name)" "$tests/$file"; }; }; then
                passed=$((passed + 1))
        else
                echo "FAIL: tests/$file $name does not exist"
                failed=$((failed + 1))
        fi
done <"$dir/named"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 100 ]
