#!/bin/sh
# The broker killed again and again under verified load and started again at once, as in tests/proto/restart.c, for
# longer: how long requests wait. A unit's RestartSec= comes on top.
#
#   restart.sh BUILDDIR [ROUNDS]
set -eu
build=${1:?BUILDDIR}
RESTART_ROUNDS=${2:-100} VHOST_BROKER=$build/broker/vhost-broker exec "$build/tests/proto/proto-restart"
