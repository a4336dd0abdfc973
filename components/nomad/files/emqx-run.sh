#!/bin/bash
# Runs EMQX as its image would, and takes part in its stop: when Nomad asks for the
# end, clients that are still here are moved first, at a set rate, and a node that
# the stack no longer wants leaves the cluster, so that no dead member remains. It
# lives in the task, so that a roll, a `nomad node drain` and a scale-in all do it.
#
# Only what the official image has: bash and coreutils, grep, flock, openssl; no curl.
#
# move.sh and emqx_oci_takeover.erl lie beside it, and holds.sh, which tells whether this
# allocation's broker has the volume. acl.conf is there where the stack has rules, and
# emqx_oci_devices.erl where certificates are enough to get in.
#
#   DRAIN_RATE      clients per second; 0 moves none
#   DRAIN_TIMEOUT   seconds that this may take
#   TAKEOVER_PAUSE  milliseconds that a session from another node waits
#   DRAIN_EVACUATE  true: the enterprise edition's evacuation, sessions and all
#   SIZE_FILE       how many nodes the stack wants, kept current by Nomad
#   API_SOCKET      Nomad's API for this task, which takes the token in TOKEN_FILE
#   KEY_FILE        "key:secret" of the REST API
#   CERTIFICATE_NAMES  1: other clients than devices get in by their certificates alone, too
#   SECRETS_FILE    variables for EMQX's process alone, as a shell reads them
# shellcheck disable=SC2317 # The trap reaches it all.
set -u

entry=/usr/bin/docker-entrypoint.sh
ctl=(timeout 30 emqx ctl)
# shellcheck disable=SC2154 # Nomad sets it.
dashboard=$NOMAD_ADDR_dashboard
broker='' loader=''
# A volume can outlive its node: what is left of a member that has left says so.
data=${EMQX_NODE__DATA_DIR:-/opt/emqx/data}
gone=$data/left-the-cluster
proof=left.behind # in a folder aside: who says that it was
lock=$data/broker.lock

say() { echo "stop: $*"; }

# hold waits until no other broker has the volume, whoever started it and in whatever
# container: Nomad may start an allocation beside one that it has lost sight of. The
# lock belongs to the open file, which the broker inherits and this script closes then,
# so that it is free when the broker is gone and not before. The text, as long as the
# one before it, tells who has it.
hold() {
  local holder told='' code
  exec 9<>"$lock" || exit 1
  until flock -w 1 9; do
    code=$?
    if ((code != 1)); then
      echo "start: $lock cannot be locked: flock ends with $code"
      exit 1
    fi
    read -r holder <"$lock"
    [[ $holder == "$told" ]] || echo "start: another broker has the volume, that of allocation ${holder/ /, since }; waiting for its end"
    told=$holder
  done
  printf '%s %s\n' "$NOMAD_ALLOC_ID" "$(date -u +%FT%TZ)" 1<>"$lock"
}

# begin_anew: what a member that has left still has on disk would keep it from coming
# back as a new one. It is moved aside.
begin_anew() {
  local why old=$data/mnesia/$EMQX_NODE__NAME aside
  if [[ -e $gone ]]; then
    why=$(<"$gone")
    aside=$data/left-$(date -u +%Y%m%dT%H%M%SZ)-rest
    if [[ -d $old ]]; then
      mv "$old" "$aside" && echo "$why" >"$aside/$proof" || exit 1
      echo "start: a new member: this node had left the cluster ($why); what was left of it is in $aside"
    fi
    rm -f "$gone"
  fi
  tell_aside
}

# tell_aside says what lies aside and how much that is. What another member said was left
# behind goes when it is older than the last four of its kind, two times that this node left.
# What nobody vouches for is somebody's to look at: it stays.
tell_aside() {
  local all=("$data"/left-2*/) dir known=0 i
  [[ -d ${all[0]} ]] || return 0
  for ((i = ${#all[@]} - 1; i >= 0; i--)); do # the youngest first
    dir=${all[i]%/}
    if [[ ! -e $dir/$proof ]]; then
      echo "start: nobody says that $dir was left behind: it stays until somebody removes it"
    elif ((++known > 4)); then
      echo "start: removing $dir, left behind $(<"$dir/$proof")"
      rm -rf "$dir"
    fi
  done
  dir=$(du -csh "$data"/left-2*/ 2>/dev/null | tail -n 1)
  echo "start: data aside in $data/left-*: ${dir%%[[:space:]]*}"
}

# set_aside gives what EMQX has on disk a second name, before it leaves and deletes all of it:
# links, which take no room and hold what the files have at their end.
set_aside() {
  local old=$data/mnesia/$EMQX_NODE__NAME
  aside=$data/left-$(date -u +%Y%m%dT%H%M%SZ)
  [[ -d $old ]] || return 0
  cp -al "$old" "$aside" && say "what this node knows stays in $aside"
}

# api METHOD PATH [BODY] prints an answer's body and fails on all but 2xx. The key
# goes through builtins only: it stands in no process's arguments. A shell of its own,
# as a connection that breaks ends it.
api() (
  LC_ALL=C # lengths are bytes
  auth=$(printf '%s' "$(<"$KEY_FILE")" | base64 -w0) || return
  { exec 3<>"/dev/tcp/${dashboard%:*}/${dashboard##*:}"; } 2>/dev/null || return
  # 1.0: the answer ends with the connection, and is never in chunks.
  printf '%s %s HTTP/1.0\r\nHost: %s\r\nAuthorization: Basic %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' \
    "$1" "/api/v5$2" "${dashboard%:*}" "$auth" "${#3}" "$3" >&3 2>/dev/null
  read -r -t 10 _ status line <&3 || status=none
  while read -r -t 10 line <&3 && [[ -n ${line%$'\r'} ]]; do :; done
  timeout 10 cat <&3
  [[ $status == 2?? ]]
)

# load FILE NUMBER MISSING loads an Erlang module that lies beside this script into the
# broker, once that is up, and starts it with the number. Without it the broker serves, and
# MISSING says as what: so nothing waits for this.
load() {
  local text answer told='' erl=${0%/*}/$1
  printf -v text '{ok, M, B} = compile:file("%s", [binary]), {module, M} = code:load_binary(M, "%s", B), M:start(%d).' "$erl" "$erl" "$2"
  while kill -0 "$broker" 2>/dev/null; do
    # It listens there last of all.
    if { : <>"/dev/tcp/${dashboard%:*}/${dashboard##*:}"; } 2>/dev/null; then
      answer=$(exec timeout 60 emqx eval "$text" 2>&1)
      [[ ${answer##*$'\n'} == ok ]] && return
      [[ -z $told ]] && told=yes && echo "start: $3: emqx eval answers \"$answer\""
      sleep 4
    fi
    sleep 1
  done
}

# load_modules loads each by itself: none waits for another.
load_modules() {
  [[ -e ${0%/*}/emqx_oci_devices.erl ]] && load emqx_oci_devices.erl "${CERTIFICATE_NAMES:-0}" "nobody gets in by a certificate alone" &
  ((TAKEOVER_PAUSE > 0)) && load emqx_oci_takeover.erl "$TAKEOVER_PAUSE" "sessions that come here do not wait"
  wait
}

# connected NUMBER prints the identifiers of up to so many clients, as JSON strings,
# one a line.
connected() {
  local body
  body=$(api GET "/clients?node=$EMQX_NODE__NAME&conn_state=connected&fields=clientid&limit=$1" "") || return
  grep -oE '"clientid": ?"([^"\\]|\\.)*"' <<<"$body" | while IFS= read -r line; do
    line=${line#'"clientid":'}
    echo "${line# }"
  done
}

# move lets move.sh move the clients with their sessions, those that come back here
# too, because a HAProxy still knows this node. `emqx eval` fails on a node that is busy,
# too ("Node not responding to pings"), and who gives up then ends every session here: it
# is asked three times.
move() {
  local deadline=$((SECONDS + DRAIN_TIMEOUT)) tries=0 total=0 lines code
  while :; do
    lines=$(timeout "$((deadline - SECONDS))" /bin/bash "${0%/*}/move.sh" all "$DRAIN_RATE")
    code=$?
    lines=${lines##*$'\n'}
    ((total += ${lines:-0}))
    case $code in
    0) say "no client is left, $total moved" && return 0 ;; # in a trap, a bare one returns what was before it
    124) say "${DRAIN_TIMEOUT} s are over, $total moved: those who are left are cut off" && return 0 ;;
    esac
    ((++tries < 3 && SECONDS + 2 < deadline)) || return 1
    say "EMQX did not answer, $total moved: asking again"
    sleep 1
  done
}

# kick cuts clients off by the REST API, in batches of a second; it ends their
# sessions.
kick() {
  local deadline=$((SECONDS + DRAIN_TIMEOUT)) batch=$DRAIN_RATE ids list moved total=0
  ((batch > 1000)) && batch=1000
  while ((SECONDS < deadline)) && kill -0 "$broker" 2>/dev/null; do
    for ((moved = 0; moved < DRAIN_RATE; moved += ${#ids[@]})); do
      if ! list=$(connected "$((DRAIN_RATE - moved < batch ? DRAIN_RATE - moved : batch))"); then
        say "the REST API does not answer: no more clients are moved"
        return
      fi
      mapfile -t ids < <([[ -n $list ]] && echo "$list")
      if ((${#ids[@]} == 0)); then
        ((moved > 0)) && break
        say "no client is left, $total moved"
        return
      fi
      if ! api POST /clients/kickout/bulk "[$(IFS=, && echo "${ids[*]}")]" >/dev/null; then
        say "the REST API refuses to move clients: no more are moved"
        return
      fi
      ((total += ${#ids[@]}))
    done
    sleep 1 # not to the clock's next second, which may be at once
  done
  say "${DRAIN_TIMEOUT} s are over, $total moved: those who are left are cut off"
}

# idle prints how many sessions are here without their client, up to 1000.
idle() {
  local body
  body=$(api GET "/clients?node=$EMQX_NODE__NAME&conn_state=disconnected&fields=clientid&limit=1000" "") || return
  grep -oE '"clientid": ?"' <<<"$body" | grep -c . || : # which fails on none
}

# follow BEFORE DEADLINE: a client that was moved finds its session only while this
# node runs. It comes back after a pause of its own, so EMQX waits until no more idle
# sessions are here than before.
follow() {
  local left=$1
  while kill -0 "$broker" 2>/dev/null; do
    left=$(idle) || { say "the REST API does not answer: nobody waits for sessions"; return 0; }
    if ((left <= $1)); then
      say "their sessions have followed them"
      return 0 # in a trap, a bare one returns what was before it
    fi
    ((SECONDS < $2)) || break
    sleep 0.2
  done
  say "$((left - $1)) sessions have not followed their clients"
  return 0
}

# evacuate lets EMQX move connections and sessions, and waits for the last.
evacuate() {
  local deadline=$((SECONDS + DRAIN_TIMEOUT)) list said
  said=$("${ctl[@]}" rebalance start --evacuation --wait-health-check 1 --wait-takeover 5 \
    --conn-evict-rate "$DRAIN_RATE" --sess-evict-rate "$DRAIN_RATE" 2>&1)
  # Its exit code is 1 for both.
  [[ $said == *"(evacuation) started"* || $said == *"already enabled"* ]] || return 1
  while ((SECONDS < deadline)) && kill -0 "$broker" 2>/dev/null; do
    sleep 1
    list=$(api GET "/clients?node=$EMQX_NODE__NAME&fields=clientid&limit=1" "") || break
    if [[ $list != *'"clientid"'* ]]; then
      say "evacuated"
      return 0
    fi
  done
  say "the evacuation is not finished after ${DRAIN_TIMEOUT} s: those who are left are cut off"
}

drain() {
  ((DRAIN_RATE > 0)) || return 0
  say "moving clients, $DRAIN_RATE a second, for up to ${DRAIN_TIMEOUT} s"
  if [[ $DRAIN_EVACUATE == true ]]; then
    evacuate && return
    say "no evacuation: clients are disconnected instead"
  fi
  local deadline=$((SECONDS + DRAIN_TIMEOUT)) before
  before=$(idle) || before=1000
  move && follow "$before" "$deadline" && return
  kill -0 "$broker" 2>/dev/null || return
  say "EMQX does not move clients with their sessions: they are disconnected, and lose them"
  kick
}

# peer HOST prints what the member on another node says of the members.
peer() (
  export -f api
  dashboard=$1:${dashboard##*:} timeout 5 /bin/bash -c 'api GET /nodes ""'
)

# left MEMBER...: 0 when one of them says who the members are and this node is not
# among them, 1 when it is, 2 when nobody says.
left() {
  local member list
  for member in "$@"; do
    list=$(peer "${member#*@}") || continue
    [[ $list == *"\"$member\""* ]] || continue
    witness=$member
    [[ $list != *"\"$EMQX_NODE__NAME\""* ]]
    return $? # in a trap, a bare one returns what was before it
  done
  return 2
}

# job asks Nomad, by the task's own API and in EMQX, as a shell has no such sockets, how many
# allocations the job is to have, and prints "{stopped,count}". The server's own answer: it is
# of this job's newest version, whatever this allocation is of.
job() {
  local text answer try
  # shellcheck disable=SC2016 # It is Erlang.
  printf -v text '{ok, T} = file:read_file("%s"), {ok, S} = gen_tcp:connect({local, "%s"}, 0, [binary, {active, false}], 5000), ok = gen_tcp:send(S, ["GET /v1/job/%s/scale?namespace=%s HTTP/1.0", 13, 10, "Host: nomad", 13, 10, "X-Nomad-Token: ", T, 13, 10, 13, 10]), R = fun(F, A) -> case gen_tcp:recv(S, 0, 10000) of {ok, B} -> F(F, <<A/binary, B/binary>>); {error, closed} -> A end end, {match, [X, N]} = re:run(R(R, <<>>), "^HTTP/1.. 200 .*.JobStopped.:(true|false).*.Desired.:([0-9]+)", [dotall, {capture, all_but_first, list}]), {list_to_atom(X), list_to_integer(N)}.' \
    "$TOKEN_FILE" "$API_SOCKET" "$NOMAD_JOB_ID" "$NOMAD_NAMESPACE"
  for try in 1 2 3; do
    answer=$(timeout 30 emqx eval "$text" 2>&1)
    answer=${answer##*$'\n'}
    [[ $answer =~ ^\{(true|false),[0-9]+\}$ ]] && echo "$answer" && return 0 # in a trap, a bare one returns what was before it
    ((try < 3)) && sleep 1
  done
  echo "$answer"
  return 1
}

# unwanted: allocation i is wanted while i is below the size. The record in Consul alone
# decides nothing: who may write there could empty the cluster. Nomad has to say the same,
# and a job that is stopped as a whole leaves nobody behind.
unwanted() {
  local size='' answer
  [[ -r $SIZE_FILE ]] && size=$(<"$SIZE_FILE")
  [[ $size =~ ^[1-9][0-9]*$ ]] && ((NOMAD_ALLOC_INDEX >= size)) || return 1
  if ! answer=$(job); then
    say "Consul says $size nodes, and Nomad says nothing of its job: this node stays a member (${answer:-no answer})"
    return 1
  fi
  local count=${answer//[^0-9]/}
  if [[ $answer == *true* ]]; then
    say "Consul says $size nodes, and in Nomad the whole job is stopped: this node stays a member"
    return 1
  elif ((NOMAD_ALLOC_INDEX < count)); then
    say "Consul says $size nodes, and Nomad $count: this node stays a member"
    return 1
  fi
  say "the stack wants $size nodes, not node $NOMAD_ALLOC_INDEX, and so does Nomad: leaving the cluster"
}

# leave: EMQX's exit code is 0 when it has not left, and what it says may be lost: whether it
# has, another member knows. Only then its volume is marked for begin_anew.
leave() {
  local said others code witness='' deadline aside
  unwanted || return 0
  set_aside || {
    say "what this node knows cannot be set aside: it stays a member"
    return 0
  }
  mapfile -t others < <(api GET /nodes "" | grep -oE '"node": ?"[^"]+"' | cut -d '"' -f 4 | grep -vxF "$EMQX_NODE__NAME")
  said=$("${ctl[@]}" cluster leave 2>&1)
  code=$?
  say "EMQX says: ${said:-nothing, exit code $code}"
  deadline=$((SECONDS + (code == 124 ? 30 : 15)))
  [[ $said == *"Failed to leave"* ]] && deadline=$SECONDS
  while
    left "${others[@]}"
    code=$?
    ((code > 0 && SECONDS < deadline))
  do sleep 1; done
  case $code in
  0)
    say "$witness does not know this node any more: it has left"
    echo "on $(date -u +%FT%TZ), says $witness" | tee "$gone" >"$aside/$proof"
    return 0
    ;;
  1) say "$witness still has this node as a member" ;;
  *) say "no other member says whether this node has left" ;;
  esac
  say "if it stays one: 'emqx ctl cluster force-leave $EMQX_NODE__NAME' on another node"
}

# take_certificate gives EMQX the files that Nomad has written, unless they are no certificate
# with its key: EMQX, which reads them by itself, would end every handshake. Where it has one
# already it goes on with that.
take_certificate() {
  local new=$CERTIFICATES/new file why=''
  mkdir -p "$new" && cp -fp "$NEW_CERTIFICATES"/{tls.crt,tls.key,ca.crt} "$new/" || return
  if ! why=$(openssl x509 -noout -in "$new/tls.crt" 2>&1); then
    why="tls.crt is no certificate: ${why%%$'\n'*}"
  elif ! why=$(openssl pkey -noout -in "$new/tls.key" -passin pass: 2>&1); then
    why="tls.key is no private key: ${why%%$'\n'*}"
  elif [[ $(openssl x509 -noout -pubkey -in "$new/tls.crt" 2>&1) != "$(openssl pkey -pubout -in "$new/tls.key" -passin pass: 2>&1)" ]]; then
    why='tls.key is the key of another certificate than the first in tls.crt'
  fi
  if [[ -n $why ]]; then
    echo "$why" >"$CERTIFICATES/refused"
    echo "certificate: the new one is refused: $why"
    return 1
  fi
  for file in ca.crt tls.key tls.crt; do
    cp -f "$new/$file" "$CERTIFICATES/$file.next" || return
  done
  # Key and certificate are of two versions for as long as this takes. EMQX reads a file again
  # that has changed since it looked last: with the time at which Nomad wrote it, one that it has
  # looked at in between would stay (OTP, ssl_pem_cache).
  for file in ca.crt tls.key tls.crt; do
    mv -f "$CERTIFICATES/$file.next" "$CERTIFICATES/$file" || return
  done
  touch "$CERTIFICATES"/{ca.crt,tls.key,tls.crt} && rm -f "$CERTIFICATES/refused"
}

# watch_certificate takes over what changes, until EMQX has ended.
watch_certificate() {
  local file
  while sleep 1 && kill -0 "$broker" 2>/dev/null; do
    for file in tls.crt tls.key ca.crt; do
      [[ $NEW_CERTIFICATES/$file -nt $CERTIFICATES/new/$file ]] || continue
      sleep 1 # each file is written by itself
      take_certificate && echo "certificate: EMQX has a new one"
      break
    done
  done
}

# start becomes EMQX, with the variables that nobody else may see: what the container
# has is no secret. "emqx ctl" needs none of them: it takes the cookie from the running
# node's arguments.
start() {
  set -a
  # shellcheck disable=SC1090 # Nomad's own.
  . "$SECRETS_FILE" || exit
  # EMQX shows the file as the rules that it has: this one stays, Nomad's follows the stack.
  [[ ! -e ${0%/*}/acl.conf ]] || cp -f "${0%/*}/acl.conf" "${0%/*}/acl-at-start.conf" || exit
  exec "$@"
}

# await is how EMQX ended. A signal ends the waiting, not the broker.
await() {
  while
    wait "$broker"
    code=$?
    kill -0 "$broker" 2>/dev/null
  do :; done
}

stop() {
  trap : TERM INT
  kill "$loader" 2>/dev/null
  drain
  leave
  say "stopping EMQX"
  kill -TERM "$broker" 2>/dev/null
  await
  exit "$code"
}

trap '[[ -n $loader ]] && stop; exit 143' TERM INT
hold
begin_anew
if [[ -n ${CERTIFICATES:-} ]]; then
  (umask 077 && take_certificate) || exit 1
fi
[[ -x $entry ]] && set -- "$entry" "$@"
start "$@" &
broker=$!
exec 9>&-
[[ -z ${CERTIFICATES:-} ]] || (umask 077 && watch_certificate) &
load_modules &
loader=$!
await
exit "$code"
