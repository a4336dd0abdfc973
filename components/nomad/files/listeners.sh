#!/bin/bash
# Asks each client listener of this task's broker what HAProxy asks it (haproxy.cfg says
# why in these bytes), and prints a line for each: "mqtt ok", "ws late" and why nothing is
# known of it, or "ws" and what is wrong. Exit code 2: one does not stand; to Consul that is
# critical, where 1, one is late, is a warning. It takes 20 ms of processor time, and 7 s
# where a listener hangs.
#
# Only what the official image has: bash and coreutils.
set -u

header=0d0a0d0a000d0a515549540a2111000c7f0000017f00000100010001
connect=100c00044d5154540f0200000000
hello=160301008a010000860303656d71782d6f63693a20646f6573207468697320706f727420646f20544c533f000022130113021303c02bc02fc02cc030cca9cca8c009c013c00ac014009c009d002f00350100003b002b00050403040303000a00080006001d00170018000b00020100000d001600140403080404010503080505010806060108070603003300020000
upgrade='GET /mqtt HTTP/1.1\r\nHost: check\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ZW1xeC1vY2k6IGhlYWx0aA==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n'

# bytes HEX is a format of printf.
bytes() {
  local i
  for ((i = 0; i < ${#1}; i += 2)); do printf '\\x%s' "${1:i:2}"; done
}

# A client: ADDRESS PORT, the question on stdin. It prints how many microseconds passed
# until the question was sent, and the answer's first bytes.
# shellcheck disable=SC2016 # Its own bash expands it.
client='
begin=${EPOCHREALTIME/[.,]/}
exec 3<>"/dev/tcp/$0/$1" || exit 3
# In one piece: bash would end one at every line feed, and EMQX wants the header whole.
dd bs=4096 iflag=fullblock status=none >&3
echo $((${EPOCHREALTIME/[.,]/} - begin))
exec od -An -v -tx1 -N 12 <&3'

# ask NAME prints what the listener of that name is.
ask() {
  local address=NOMAD_ADDR_$1 question wanted said sent answer code end=$((SECONDS + 7))
  address=${!address}
  case $1 in
  mqtt) question=$(bytes $header$connect) wanted='^20020001' ;;
  ws) question=$(bytes $header)$upgrade wanted='^485454502f312e3120313031' ;; # HTTP/1.1 101
  mqtts | wss) question=$(bytes $header$hello) wanted='^1603.{6}02' ;;
  esac
  while ((SECONDS < end)); do
    # shellcheck disable=SC2059 # It is a format.
    said=$(printf "$question" | timeout $((end - SECONDS)) bash -c "$client" "${address%:*}" "${address##*:}" 2>/dev/null)
    code=$?
    if ((code == 3)); then
      echo "$1 refuses connections at $address"
      return 2
    fi
    read -r -d '' sent answer <<<"$said"
    answer=${answer//[[:space:]]/}
    if [[ $answer =~ $wanted ]]; then
      echo "$1 ok"
      return 0
    fi
    if ((code == 124)) || [[ -z $sent ]]; then break; fi
    # EMQX gives a WebSocket client 1 s for the header: a node without processor time takes
    # longer to send it, and hears nothing then. That says nothing of the listener.
    if [[ -n $answer ]] || ((sent < 900000)); then
      echo "$1 takes connections at $address and answers ${answer:-nothing}"
      return 2
    fi
  done
  echo "$1 late: no answer from $address in time"
  return 1
}

asked=()
for name in mqtt mqtts ws wss; do
  port=NOMAD_PORT_$name
  [[ -n ${!port:-} ]] || continue
  ask "$name" &
  asked+=("$!")
done
worst=0
for process in "${asked[@]}"; do
  wait "$process"
  code=$?
  ((code <= worst)) || worst=$code
done
exit "$worst"
