#!/bin/sh
# The table of goals names what exists: goals.sh SOURCES BUILD
# Of each row's proof, every `name` must be a test that meson knows, a case of a test program, or a file of the tree.
set -eu

sources=$1 build=$2
page=$sources/tests/GOALS.md
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

meson introspect --tests "$build" >"$dir/json"
{
        grep -o '"name": "[^"]*"' "$dir/json" | cut -d '"' -f 4
        grep -rhoE '^START_TEST\([a-z0-9_]+' "$sources/tests" --include='*.c' | cut -d '(' -f 2
} | sort -u >"$dir/known"
# shellcheck disable=SC2016
awk -F '|' '/^\| G[0-9]+ / { print $3 $4 }' "$page" | grep -o '`[^` ]*`' | tr -d '`' | sort -u >"$dir/named"

passed=0 failed=0
while read -r name; do
        if grep -qxF -e "$name" "$dir/known" || [ -f "$sources/$name" ]; then
                passed=$((passed + 1))
        else
                echo "FAIL: $name is no test, no case of one, no file"
                failed=$((failed + 1))
        fi
done <"$dir/named"
for goal in $(seq 40); do
        n=$(grep -c "^| G$goal " "$page") || true
        if [ "$n" = 1 ]; then passed=$((passed + 1)); else echo "FAIL: G$goal has $n rows"; failed=$((failed + 1)); fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 40 ]
