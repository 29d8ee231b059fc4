#!/bin/sh
# Stands in for vhost-broker with QEMU's storage daemon, to try the protocol tests themselves on a foreign back-end:
# (RIG_FOREIGN: its descriptors are not counted)
#   RIG_FOREIGN=1 VHOST_BROKER=tests/proto/reference.sh builddir/tests/proto/proto-blk
set -eu
queues=4 ro=on
while [ $# -gt 0 ]; do
        case $1 in
        --socket-path=*) socket=${1#*=} ;;
        --blk-file=*) file=${1#*=} ;;
        --read-only) ro=off ;;
        --set)
                shift
                case $1 in block.queues=*) queues=${1#*=} ;; esac
                ;;
        esac
        shift
done
systemd-notify --no-block --ready || true
exec qemu-storage-daemon --blockdev "driver=file,node-name=f,filename=$file,discard=unmap,read-only=$([ $ro = on ] && echo off || echo on)" \
        --export "type=vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path=$socket,writable=$ro,num-queues=$queues"
