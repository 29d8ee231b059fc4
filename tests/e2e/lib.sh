# What the end-to-end tests share: back-ends, guests, checks and a clean end. Sourced by bash scripts that then call
# e2e_begin, and e2e_end as their last command.
# shellcheck shell=bash

set -eu
e2e_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
VHOST_BROKER=${VHOST_BROKER:-$e2e_dir/../../build/broker/vhost-broker}
E2E_TIMEOUT=${E2E_TIMEOUT:-300}         # seconds for any one wait; a guest without KVM is slow
# Seconds for all of a script: it must say itself what it waits for. As much longer as meson waits for it.
E2E_BUDGET=$((${E2E_BUDGET:-1000000} * ${CK_TIMEOUT_MULTIPLIER:-1}))
readonly E2E_SKIP=77

declare -A backend_pid backend_socket guest_pid guest_in guest_out guest_command monitor_in monitor_out
failed=0 passed=0 failures='' left_out='' tmp='' guest_dir=''

say() { echo "# $*"; }
pass() { passed=$((passed + 1)); echo "PASS: $*"; }

# A failed check does not end the test, so that one run shows all of them.
fail() { failed=$((failed + 1)); failures+="FAIL: $*"$'\n'; echo "FAIL: $*"; }

# check WHAT COMMAND...: passes if the command succeeds.
check() {
        local what=$1
        shift
        if "$@"; then pass "$what"; else fail "$what"; fi
}

# equal WHAT GOT WANTED
equal() {
        if [ "$2" = "$3" ]; then pass "$1"; else fail "$1: got '$2', wanted '$3'"; fi
}

# Nothing that follows could work: show what is known and give up, also from within $(...), whose output is not ours.
give_up() {
        set +e
        { fail "$*"; show_all; } >&2
        [ "$BASHPID" = $$ ] || kill -TERM $$
        exit 1
}

show_all() {
        local file id pid
        for file in "$tmp"/*.log; do
                [ -s "$file" ] || continue
                echo "--- ${file##*/}: the first trouble, and the last lines"
                grep -m 1 -A 12 -E "$trouble" "$file"
                tail -n 25 "$file"
        done
        for id in "${!monitor_in[@]}"; do
                [ -z "${guest_pid[$id]:-}" ] || show_guest "$id"
        done
        for id in "${!backend_pid[@]}"; do
                for pid in ${backend_pid[$id]} $(descendants "${backend_pid[$id]}"); do
                        echo "--- back-end $id, $(cat "/proc/$pid/comm") ($pid): system call, by thread"
                        cat /proc/"$pid"/task/*/syscall
                done
        done 2>/dev/null
}

# What QEMU knows of a guest with a monitor: where its processors are, and what its rings hold.
show_guest() {
        echo "--- guest $1: $(monitor_ask "$1" "info status")"
        monitor_ask "$1" "info registers -a" | grep -E '^(CPU|RIP)'
        rings "$1"
}

# rings ID: a request that is available in a split ring and not used is one that the back-end owes, or is at work on.
rings() {
        local path n status avail used
        for path in $(monitor_ask "$1" "info virtio" | sed -n 's/ \[virtio-blk\].*//p'); do
                for ((n = 0; n < 64; n++)); do
                        status=$(monitor_ask "$1" "info virtio-vhost-queue-status $path $n")
                        avail=$(ring_index "$1" "$status" avail_phys) used=$(ring_index "$1" "$status" used_phys)
                        if [ -z "$avail" ] || [ -z "$used" ]; then break; fi
                        echo "vring $n: available $((avail)), used $((used)): $(((avail - used) & 65535)) owed"
                done
        done
}
ring_index() {
        local at
        at=$(awk -v name="$3:" '$1 == name { print $2 }' <<<"$2")
        [ -z "$at" ] || monitor_ask "$1" "xp /2hx $at" | awk 'NF == 3 { print $3 }'
}

e2e_begin() {
        tmp=$(mktemp -d "${TMPDIR:-/tmp}/vhost-e2e.XXXXXX")
        chmod 755 "$tmp"        # a broker that has given its privilege away must still reach its sockets
        trap e2e_cleanup EXIT
        trap 'exit 1' INT TERM HUP
        guest_dir=${E2E_GUEST:-$("$e2e_dir/guest.sh")}
}

e2e_cleanup() {
        local status=$? id
        trap - EXIT
        E2E_BUDGET=$((SECONDS + 60))
        for id in "${!guest_pid[@]}"; do kill -KILL -- "-${guest_pid[$id]}" 2>/dev/null || true; done
        for id in "${!backend_pid[@]}"; do
                kill -TERM "${backend_pid[$id]}" 2>/dev/null || true
                gone "${backend_pid[$id]}" 10 || kill -KILL "${backend_pid[$id]}" 2>/dev/null || true
        done
        wait 2>/dev/null
        [ "$(type -t e2e_undo)" != function ] || e2e_undo       # what the test has changed of the host
        if [ -n "${E2E_KEEP:-}" ]; then say "kept: $tmp"; else rm -rf "$tmp"; fi
        exit "$status"
}

# Stops what still runs and insists that nothing outlives it.
e2e_end() {
        local id children
        for id in "${!guest_pid[@]}"; do guest_kill "$id"; done
        for id in "${!backend_pid[@]}"; do
                children=$(descendants "${backend_pid[$id]}")
                backend_stop "$id"
                for child in $children; do
                        gone "$child" 30 || fail "process $child ($(cat "/proc/$child/comm")) outlives back-end $id"
                done
        done
        printf %s "$failures"   # once more: of a long output only the end is shown
        echo "$passed passed, $failed failed${left_out:+; left out: $left_out}"
        [ "$failed" = 0 ]
}

# leave_out WHAT: part of the test that this host cannot have.
leave_out() { left_out="${left_out:+$left_out; }$*"; }

e2e_skip() { echo "SKIP: $*"; exit "$E2E_SKIP"; }

# deadline_in SECONDS: sets $deadline, which the test's own end may bring forward.
deadline_in() { deadline=$((SECONDS + $1 < E2E_BUDGET ? SECONDS + $1 : E2E_BUDGET)); }

# until_true SECONDS COMMAND...: looks again and again until the command succeeds.
until_true() {
        local deadline
        deadline_in $(($1 + 1))
        shift
        until "$@"; do
                [ "$SECONDS" -lt "$deadline" ] || return 1
                read -r -t 0.02 <> <(:) || true         # sleep without a process
        done
}

is_gone() {
        local line
        { read -r line < "/proc/$1/stat"; } 2>/dev/null || return 0
        case ${line##*) } in Z*) return 0 ;; *) return 1 ;; esac
}
gone() { until_true "$2" is_gone "$1"; }

# All live processes below PID, oldest first.
descendants() {
        local file child
        for file in /proc/"$1"/task/*/children; do
                # shellcheck disable=SC2013
                for child in $(cat "$file" 2>/dev/null); do
                        is_gone "$child" && continue
                        echo "$child"
                        descendants "$child"
                done
        done
}

# named NAME PID: those descendants of PID whose program is NAME.
named() {
        local pid
        for pid in $(descendants "$2"); do
                [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$1" ] && echo "$pid"
        done
        return 0
}

# worker_of FILE PID: that descendant of PID which is a worker and has FILE open.
worker_of() {
        local pid fd
        for pid in $(named vhost-worker "$2"); do
                for fd in /proc/"$pid"/fd/*; do
                        [ "$fd" -ef "$1" ] && echo "$pid" && return
                done
        done
        return 1
}

fd_count() { find "/proc/$1/fd" -mindepth 1 -maxdepth 1 | wc -l; }
has_children() { [ "$(descendants "$1" | wc -l)" = "$2" ]; }
own_kib() { awk '$1 == "RssAnon:" { print $2 }' "/proc/$1/status"; }

image() { truncate -s "$2" "$tmp/$1.img"; echo "$tmp/$1.img"; }

# The kernel lists a socket's path with flag 0x10000 once somebody listens.
listening() { awk -v path="$1" '$4 == "00010000" && $8 == path { found = 1 } END { exit !found }' /proc/net/unix; }

# backend_run ID SOCKET COMMAND...: starts it and waits until it listens.
backend_run() {
        local id=$1 socket=$2
        shift 2
        rm -f "$socket"
        "$@" </dev/null >"$tmp/$id.log" 2>&1 &
        backend_pid[$id]=$!
        backend_socket[$id]=$socket
        until_true 60 backend_listens_or_died "$id" || give_up "back-end $id does not listen: $*"
        is_gone "${backend_pid[$id]}" && give_up "back-end $id did not start: $*"
        return 0
}
backend_listens_or_died() { listening "${backend_socket[$1]}" || is_gone "${backend_pid[$1]}"; }

# backend_block ID IMAGE [OPTION...]: a disk, by the broker or, for comparison, by E2E_BACKEND=qsd.
backend_block() {
        local id=$1 file=$2 socket=$tmp/$1.sock writable=on read_only=off
        shift 2
        if [ "${E2E_BACKEND:-broker}" = broker ]; then
                backend_run "$id" "$socket" "$VHOST_BROKER" --type=block --socket-path="$socket" --blk-file="$file" \
                        --set Block.Queues=4 "$@"
                return
        fi
        case " $* " in *" --read-only "*) writable=off read_only=on ;; esac
        backend_run "$id" "$socket" qemu-storage-daemon \
                --blockdev driver=file,node-name=f,filename="$file",discard=unmap,read-only=$read_only \
                --export type=vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path="$socket",writable=$writable,num-queues=4
}

backend_stop() {
        local id=$1 pid=${backend_pid[$1]}
        unset "backend_pid[$id]"
        kill -TERM "$pid" 2>/dev/null || true
        gone "$pid" 30 || { fail "back-end $id does not end on SIGTERM"; kill -KILL "$pid"; }
        wait "$pid" 2>/dev/null || true
}

# A guest is a process that takes commands on its standard input and answers on its standard output. It leads a session
# of its own: User-Mode Linux is several processes.
guest_spawn() {
        local id=$1 in out
        shift
        rm -f "$tmp/$id.in" "$tmp/$id.out" "$tmp/$id.console.log"
        mkfifo "$tmp/$id.in" "$tmp/$id.out"
        setsid "$@" <>"$tmp/$id.in" >"$tmp/$id.out" 2>"$tmp/$id.err.log" &
        guest_pid[$id]=$!
        exec {in}>"$tmp/$id.in" {out}<"$tmp/$id.out"
        guest_in[$id]=$in guest_out[$id]=$out guest_command[$id]=0
}

# guest_launch ID COMMAND...: returns when it takes commands. QEMU's emulation now and then loses an interrupt of one
# processor to another, while the guest patches its own code at boot: then one of them spins for ever, which the kernel
# says in these words. Waiting for a disk is not spinning, and ends the test.
guest_launch() {
        local id=$1 attempt
        for attempt in 1 2 3; do
                guest_spawn "$@"
                case " $* " in
                *" -incoming "*) return ;;     # it is another's guest that will speak
                esac
                ! guest_boots "$id" || return 0
                say "guest $id: a processor waits for another one for ever, boot $attempt"
                guest_forget "$id"
        done
        give_up "guest $id: its processors hang"
}

spins() { grep -qs 'watchdog: BUG: soft lockup' "$tmp/$1.console.log"; }
readonly trouble='BUG|Oops|corruption|soft lockup|detected.* stalls|blocked for more than|I/O error'
troubled() { grep -qsE "$trouble" "$tmp/$1.console.log"; }

# Fails if its processors hang; gives up for any other reason.
guest_boots() {
        local deadline line='' more status=0
        deadline_in "$E2E_TIMEOUT"
        until [ $status = 0 ] && [ "${line%$'\r'}" = @@READY ]; do
                [ $status != 0 ] || line=
                status=0
                IFS= read -r -t 5 more <&"${guest_out[$1]}" || status=$?
                line=$line$more # a part of one, if its time was up
                [ $status = 0 ] || [ $status -gt 128 ] || give_up "guest $1 ended"
                ! spins "$1" || return 1
                [ "$SECONDS" -lt "$deadline" ] || give_up "guest $1: no answer"
        done
}

# guest_line ID DEADLINE: the guest's next line, in $line; gives up if it ended or says nothing.
guest_line() {
        local status=0
        IFS= read -r -t $(($2 > SECONDS ? $2 - SECONDS : 1)) line <&"${guest_out[$1]}" || status=$?
        [ "$status" -le 128 ] || give_up "guest $1: no answer"
        [ "$status" = 0 ] || give_up "guest $1 ended"
        line=${line%$'\r'}
}

# Returns when the guest has booted again.
guest_ready() {
        local deadline line=
        deadline_in "$E2E_TIMEOUT"
        until [ "$line" = @@READY ]; do guest_line "$1" "$deadline"; done
}

# A PC with TCG and no other device than those named. Usage: guest_start ID CPUS small|fio QEMU-OPTIONS...
guest_memory=512M
guest_start() {
        local id=$1 cpus=$2 initrd=$3
        shift 3
        guest_launch "$id" qemu-system-x86_64 -nodefaults -no-user-config -display none -machine pc,memory-backend=ram \
                -accel tcg -cpu max -smp "$cpus" -object memory-backend-memfd,id=ram,size=$guest_memory,share=on -m "$guest_memory" \
                -chardev file,id=console,path="$tmp/$id.console.log" -serial chardev:console \
                -chardev stdio,id=control,signal=off -serial chardev:control -net none \
                -kernel "$guest_dir/vmlinuz" -initrd "$guest_dir/$initrd.cpio" \
                -append "console=ttyS0 channel=ttyS1 panic=-1 mitigations=off random.trust_cpu=on" "$@"
}

# The QEMU options that give a guest the disk of back-end ID.
disk() { echo "-chardev socket,id=c$1,path=${backend_socket[$1]} -device vhost-user-blk-pci,chardev=c$1,num-queues=${2:-4}"; }

# guest ID COMMAND: runs a line of shell in the guest; prints its output, returns its status.
guest() {
        local id=$1 line number deadline held='' first=yes
        deadline_in "$E2E_TIMEOUT"
        guest_ask "$id" "$2"
        number=${guest_command[$id]}
        while :; do
                guest_line "$id" "$deadline"
                case $line in
                "@@END $number "*) break ;;
                "@@READY") give_up "guest $id rebooted on its own" ;;
                esac
                [ -n "$first" ] || echo "$held"
                held=$line first=''
        done
        # The end comes on a line of its own: if the output did, too, then an empty line stands between them.
        [ -z "$held" ] || echo "$held"
        return "${line##* }"
}

# Only sends the command, as one line: for those that end with the guest. A command number is good for the whole of a test, also
# where guest() runs in a subshell, because what was asked before has been answered in full.
guest_ask() {
        guest_command[$1]=$((guest_command[$1] + 1))
        echo "${guest_command[$1]} ${2//$'\n'/ }" >&"${guest_in[$1]}"
}

guest_forget() {
        kill -KILL -- "-${guest_pid[$1]}" 2>/dev/null || true   # helpers that it may have left
        local in=${guest_in[$1]} out=${guest_out[$1]}
        exec {in}>&- {out}<&-
        wait "${guest_pid[$1]}" 2>/dev/null || true
        unset "guest_pid[$1]" "guest_in[$1]" "guest_out[$1]"
}

# The guest switches itself off, and its process must end by itself.
guest_off() {
        guest_ask "$1" 'sync; poweroff -f'
        gone "${guest_pid[$1]}" 120 || give_up "guest $1 does not switch off"
        guest_forget "$1"
}

guest_kill() { guest_forget "$1"; }

# A guest's monitor (QMP): monitor_make ID before it starts, with the QEMU options that monitor ID prints.
monitor_make() {
        local in out
        rm -f "$tmp/$1.monitor.in" "$tmp/$1.monitor.out"
        mkfifo "$tmp/$1.monitor.in" "$tmp/$1.monitor.out"
        exec {in}<>"$tmp/$1.monitor.in" {out}<>"$tmp/$1.monitor.out"
        monitor_in[$1]=$in monitor_out[$1]=$out
}
monitor() { echo "-chardev pipe,id=monitor,path=$tmp/$1.monitor -mon chardev=monitor,mode=control"; }
monitor_send() { echo "$2" >&"${monitor_in[$1]}"; }

# monitor_wait ID TEXT: reads until a line has the text; gives up on an error or a failed migration.
monitor_wait() {
        local line deadline
        deadline_in "$E2E_TIMEOUT"
        while IFS= read -r -t $((deadline > SECONDS ? deadline - SECONDS : 1)) line <&"${monitor_out[$1]}"; do
                case $line in
                *"$2"*) return 0 ;;
                *'"error"'* | *'"status": "failed"'*) give_up "$1: $line" ;;
                esac
        done
        give_up "$1: the monitor does not say $2"
}

# monitor_ask ID COMMAND: what the monitor for people says.
monitor_ask() {
        local line
        monitor_send "$1" '{"execute":"qmp_capabilities"}' # an error, if it was said before
        monitor_send "$1" '{"execute":"human-monitor-command","arguments":{"command-line":"'"$2"'"},"id":"asked"}'
        while IFS= read -r -t 5 line <&"${monitor_out[$1]}"; do
                case $line in
                *'"id": "asked"'*)
                        line=${line#*\"return\": \"} line=${line%\", \"id\": *}
                        printf '%b' "${line//\\r/}"
                        return ;;
                esac
        done
        echo "no answer from the monitor"
}

monitor_close() {
        local in=${monitor_in[$1]} out=${monitor_out[$1]}
        exec {in}>&- {out}>&-
        unset "monitor_in[$1]" "monitor_out[$1]"
}
