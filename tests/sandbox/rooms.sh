#!/bin/sh
# What a room must never be able to do must not even be linked from its own code: the session maps no memory, the
# worker opens no file. Reads the undefined symbols of each room's objects.
#
#   rooms.sh LIBSESSION.a LIBWORKER.a
set -eu

passed=0
failed=0

must_not() {
    library=$1
    shift
    symbols=$(nm -u "$library" | awk '$1 == "U" { print $2 }' | sort -u)
    [ -n "$symbols" ] || { echo "FAIL: $library has no symbols"; failed=$((failed + 1)); return; }
    for symbol in "$@"; do
        if printf '%s\n' "$symbols" | grep -qx "$symbol"; then
            echo "FAIL: $(basename "$library") uses $symbol"
            failed=$((failed + 1))
        else
            passed=$((passed + 1))
        fi
    done
}

opens="open open64 openat openat64 open_by_handle_at creat creat64 fopen fopen64 freopen opendir dlopen execve execv
    execvp execveat fexecve system popen fork vfork socket socketpair accept accept4 connect bind listen"
# shellcheck disable=SC2086
must_not "$1" mmap mmap64 mremap shmat $opens
# shellcheck disable=SC2086
must_not "$2" $opens
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
