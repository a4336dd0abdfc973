#!/bin/sh
# Runs HAProxy, takes over its configuration when Nomad has written a new one, and
# takes part in its stop. Nomad does not signal HAProxy by itself: a changed file is
# tried first, connections stay, and not all nodes do it at once.
#
# Only what the official images have: sh, cat, cp, grep, mkdir, mv, rm, sleep.
#
#   GRACE      seconds that a stopping HAProxy still accepts clients while its health
#              page fails, so that the balancer turns away first
#   HARD_STOP  seconds after that which those who are connected may stay
#   SPREAD     seconds between the reloads of two nodes
# shellcheck disable=SC2317 # The trap reaches it all.
set -u
umask 077

# Nomad's files, the folder that HAProxy reads, and the last files that were looked at.
# They hold a password and keys: the container's own folder, like that of the secrets,
# cannot be read through Nomad. The secrets' one cannot be written to after a power cycle.
files='haproxy.cfg tls.pem further.pem tickets ca.pem crl.pem revoked.map'
folder=${FOLDER:-/tmp/haproxy}
seen=$folder/seen
master=

# Where the configuration finds its certificates.
export CERTIFICATES="$folder"

say() { echo "haproxy: $*"; }

# copy FROM TO copies those that are there. The copies are as read-only as the files: -f,
# or the second one would be refused.
copy() {
  for file in $files; do
    [ ! -e "$1/$file" ] || cp -fp "$1/$file" "$2/$file" || return
  done
}

# spread FOLDER gives each further certificate a file of its own, as HAProxy reads them.
# Their names are in the order of the stack's.
spread() {
  rm -rf "$1/further" && mkdir "$1/further" || return
  [ -e "$1/further.pem" ] || return 0
  n=1000
  while IFS= read -r line; do
    [ "$line" != '# certificate' ] || n=$((n + 1))
    [ "$n" = 1000 ] || echo "$line" >>"$1/further/$n.pem" || return
  done <"$1/further.pem"
}

# certificates FILE prints the certificates in it, and nothing else: no key behind one that
# does not end, either.
certificates() {
  inside=
  while IFS= read -r line; do
    case $line in
    -----B*' CERTIFICATE-----'*) inside=yes ;;
    -----B*) inside= ;;
    esac
    [ -z "$inside" ] || echo "$line"
    case $line in -----E*) inside= ;; esac
  done <"$1"
}

# changed tells whether Nomad has written one of its files since they were looked at.
changed() {
  for file in $files; do
    # shellcheck disable=SC3013 # dash and busybox know it too.
    [ "$NOMAD_SECRETS_DIR/$file" -nt "$seen/$file" ] && return
  done
  return 1
}

# take makes Nomad's files HAProxy's, unless HAProxy would not start with them: it goes on
# with the old ones then, a certificate among them.
take() {
  { copy "$NOMAD_SECRETS_DIR" "$seen" && spread "$seen"; } || return
  if out=$(CERTIFICATES=$seen haproxy -c -f "$seen/haproxy.cfg" 2>&1); then
    rm -f "$folder/refused"
    copy "$seen" "$folder" && spread "$folder"
  else
    # Only what is wrong: the rest of the text may quote a password.
    echo "$out" | grep ALERT >"$folder/refused"
    say "the new configuration is refused:" "$(cat "$folder/refused")"
    return 1
  fi
}

# reload NAME lets HAProxy read its folder anew, and tells by a file of that name that it
# has: a signal that comes while it still loads is lost, and then it gets another.
reload() {
  loaded=$folder/loaded.$1
  rm -f "$loaded"
  printf 'global\n    pidfile %s\n' "$loaded" >"$folder/loaded.cfg"
  for _ in 1 2 3 4; do
    kill -USR2 "$master" 2>/dev/null || return
    sleep 1
    [ -e "$loaded" ] && return
  done
  say "HAProxy does not load the new configuration"
  return 1
}

# watch lets HAProxy read a changed file: new connections come to a new process, and
# the old one ends with the last of its own.
watch() {
  while sleep 1; do
    changed || continue
    sleep "$((${NOMAD_ALLOC_INDEX:-0} * SPREAD))"
    take && reload running && in_use && say "the new configuration is in use"
  done
}

# in_use keeps what new connections are held to by now, for those who ask: the certificate
# that they get, without its key, and the list of revoked devices, which is read whole.
in_use() {
  [ ! -e "$folder/tls.pem" ] || certificates "$folder/tls.pem" >"$folder/certificate.inuse"
  [ -e "$folder/revoked.map" ] || return 0
  cp -fp "$folder/revoked.map" "$folder/revoked.new" && mv -f "$folder/revoked.new" "$folder/revoked.inuse"
}

# pause SECONDS, or until HAProxy has ended.
pause() {
  n=$1
  while [ "$n" -gt 0 ] && kill -0 "$master" 2>/dev/null; do
    sleep 1
    n=$((n - 1))
  done
}

stop() {
  trap : TERM INT
  kill "$watcher" 2>/dev/null
  say "the health page fails from now on; clients may come for $GRACE s more"
  printf 'global\n    setenv STOPPING yes\n' >"$folder/stopping.cfg"
  reload stopping
  pause "$GRACE"
  say "no more clients; those who are connected may stay for $HARD_STOP s more"
  kill -USR1 "$master"
  pause "$HARD_STOP"
  kill -TERM "$master" 2>/dev/null
  wait "$master"
  exit 0
}

mkdir -p "$seen"
rm -f "$folder/stopping.cfg"
take || exit 1
in_use
trap '[ -n "$master" ] && stop; exit 143' TERM INT
haproxy -W -db -f "$folder" &
master=$!
watch &
watcher=$!
wait "$master"
code=$?
kill "$watcher" 2>/dev/null
exit "$code"
