#!/bin/sh
# The back-end killed again and again under verified load, as in tests/proto/endurance.c, for longer.
#
#   endurance.sh BUILDDIR [ROUNDS]
#
# ENDURANCE_SEED repeats the requests of an earlier run (not its timing).
set -eu
build=${1:?BUILDDIR}
ENDURANCE_ROUNDS=${2:-1000} VHOST_BROKER=$build/broker/vhost-broker exec "$build/tests/proto/proto-endurance"
