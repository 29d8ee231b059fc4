#!/bin/sh
# What is shipped has no switch that tests have: release.sh SOURCES PROGRAM...
# The environment is asked for nothing but what is listed here, no source has a condition of its own that weakens a layer,
# and no program carries anything of the test programs or of a sanitizer.
set -eu

sources=$1
shift
passed=0 failed=0

same() { # WHAT IS WANTED
        if [ "$2" = "$3" ]; then passed=$((passed + 1)); else
                echo "FAIL: $1: '$2', not '$3'"
                failed=$((failed + 1))
        fi
}

rooms="$sources/broker $sources/common $sources/policy $sources/worker"
# shellcheck disable=SC2086
same "environment" "$(grep -rhoE 'getenv\([^)]*\)' $rooms --include='*.[ch]' | sort -u | tr '\n' ' ')" \
        'getenv("JOURNAL_STREAM") getenv("RUNTIME_DIRECTORY") '
# shellcheck disable=SC2086
same "conditions" "$(grep -rhoE '^#\s*if(def|ndef)? .*' $rooms --include='*.[ch]' | grep -vE '__(GLIBC__|x86_64__|has_attribute|SANITIZE_)' |
        sort -u | tr '\n' ' ')" '#ifdef VB_SANITIZED '
same "build options" "$(grep -oE "^option\('[a-z_]+'" "$sources/meson_options.txt" | cut -d "'" -f 2 | sort | tr '\n' ' ')" \
        'confined_libc fuzz man tests '
for program in "$@"; do
        same "$program: symbols of tests" "$(nm "$program" | grep -cE ' (__wrap_|__real_|__[aut]san_|weakened|evil_|attacker_)' ||
                true)" 0
        same "$program: words of tests" "$(grep -acE 'vhost-sanitizer|EVIL_|WEAK_|with_fault' "$program" || true)" 0
        same "$program: is one of ours" "$(nm "$program" | grep -cE ' confine_filter$')" 1
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
