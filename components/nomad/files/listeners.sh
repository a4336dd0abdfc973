#!/bin/bash
# Asks each client listener of this task's broker what HAProxy asks it (haproxy.cfg says
# why in these bytes), and prints a line for each: "mqtt ok", or "ws" and what came
# instead. Exit code 2: one does not stand; to Consul that is critical, where 1 would be a
# warning. It takes 20 ms of processor time, and 4 s where a listener hangs.
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

# ask NAME prints what the listener of that name is.
ask() {
  local address=NOMAD_ADDR_$1 question wanted answer
  address=${!address}
  case $1 in
  mqtt) question=$(bytes $header$connect) wanted='^20020001' ;;
  ws) question=$(bytes $header)$upgrade wanted='^485454502f312e3120313031' ;; # HTTP/1.1 101
  mqtts | wss) question=$(bytes $header$hello) wanted='^1603.{6}02' ;;
  esac
  if ! { exec 3<>"/dev/tcp/${address%:*}/${address##*:}"; } 2>/dev/null; then
    echo "$1 refuses connections at $address"
    return 1
  fi
  # In one piece: bash would end one at every line feed, and EMQX wants the header whole.
  # shellcheck disable=SC2059 # It is a format.
  printf "$question" | dd bs=4096 iflag=fullblock status=none >&3
  answer=$(timeout 3 head -c 12 <&3 | od -An -v -tx1)
  answer=${answer//[[:space:]]/}
  if [[ $answer =~ $wanted ]]; then
    echo "$1 ok"
  else
    echo "$1 takes connections at $address and answers ${answer:-nothing}"
    return 1
  fi
}

if [[ $# == 1 ]]; then
  ask "$1"
  exit
fi
asked=()
for name in mqtt mqtts ws wss; do
  port=NOMAD_PORT_$name
  [[ -n ${!port:-} ]] || continue
  ask "$name" &
  asked+=("$!")
done
code=0
for process in "${asked[@]}"; do wait "$process" || code=2; done
exit "$code"
