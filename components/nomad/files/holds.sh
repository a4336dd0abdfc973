#!/bin/bash
# Tells whether this allocation's broker has the volume: the lock of emqx-run.sh is held,
# and by this allocation. /status cannot tell: with the host's network a broker of an
# earlier allocation answers at the same address.
set -u

lock=${EMQX_NODE__DATA_DIR:-/opt/emqx/data}/broker.lock
read -r holder since <"$lock" || exit 2
if [[ $holder != "$NOMAD_ALLOC_ID" ]]; then
  echo "allocation $holder has the volume, since $since"
  exit 2
fi
flock -n -s "$lock" true
code=$?
if ((code != 1)); then # 1: somebody has it
  echo "no broker has the volume: flock ends with $code"
  exit 2
fi
echo "this allocation's broker has the volume, since $since"
