# shellcheck shell=bash disable=SC2154 # Nomad sets the address.
# Runs in a member's task, and asks its REST API:
#
#   look                           prints "--- files", the SHA-256 of the stack's files as they are in
#                                  the task, and "--- authentication", "--- settings" and "--- sources",
#                                  each with the status and the body of what EMQX shows of them
#   keep DIGEST                    lays the rules of those files down where EMQX reads them, under a name
#                                  of their own
#   drop DIGEST                    removes all such rules but those
#   change DIGEST ROOT ...         has EMQX take the roots (authentication, authorization) from the files,
#                                  on all members, and prints "--- STATUS", and the body of its answer
#   import                         brings the users of users.json, one a line, into the built-in
#                                  database one by one, and prints "added NAME" or "changed NAME"
#   ask METHOD PATH BODY ...       prints what each answers: "--- STATUS", and its body
#
# The key and what the files hold go through builtins only: they stand in no process's
# arguments, and the secret ones in no output. Only what the official image has: bash and coreutils.
LC_ALL=C # lengths are bytes
# shellcheck disable=SC2016 # No variables are meant.
nobodys_hash='$2a$10$.....................................................' # of no password that anybody knows
address=$NOMAD_ADDR_dashboard
auth=$(printf '%s' "$(<"$KEY_FILE")" | base64 -w0)
users=$NOMAD_SECRETS_DIR/users.json authn=$NOMAD_SECRETS_DIR/authn.json authz=$NOMAD_SECRETS_DIR/authz.json
rules=$NOMAD_TASK_DIR/acl.conf
# On the volume, and in the one folder beside that of certificates that EMQX gives to a member
# that starts (emqx_conf_app, DATA_DIRS).
kept=${EMQX_NODE__DATA_DIR:-/opt/emqx/data}/authz

# ask METHOD PATH BODY [TYPE] sets status and body.
ask() {
  local line
  status=none body=''
  exec 3<>"/dev/tcp/${address%:*}/${address##*:}" || return
  # 1.0: the answer ends with the connection, and is never in chunks.
  printf '%s /api/v5%s HTTP/1.0\r\nHost: %s\r\nAuthorization: Basic %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s' \
    "$1" "$2" "$address" "$auth" "${4:-application/json}" "${#3}" "$3" >&3
  read -r -t 30 _ status line <&3 || return
  while read -r -t 10 line <&3 && [[ -n ${line%$'\r'} ]]; do :; done
  body=$(timeout 30 cat <&3)
  exec 3>&-
} 2>/dev/null

look() {
  local part
  printf -- '\n--- files\n%s' "$(cat "$users" "$authn" "$authz" "$rules" 2>/dev/null | sha256sum)"
  for part in authentication authorization/settings authorization/sources; do
    ask GET "/$part" ''
    printf -- '\n--- %s\n%s\n%s' "${part#*/}" "$status" "$body"
  done
}

keep() { mkdir -p "$kept" && cp -f "$rules" "$kept/acl-$1.new" && chmod u+w "$kept/acl-$1.new" && mv -f "$kept/acl-$1.new" "$kept/acl-$1.conf"; }

drop() {
  local file
  for file in "$kept"/acl-*.conf; do
    [[ $file == "$kept/acl-$1.conf" ]] || rm -f "$file"
  done
}

# One change for all: a root is replaced whole, which every member can do, whatever it has.
# EMQX takes rules from a file when its name is another than before.
change() {
  local digest=$1 root text=''
  shift
  for root; do
    case $root in
    authentication) text+="authentication = $(<"$authn")"$'\n' ;;
    authorization)
      text+="authorization = $(<"$authz")"$'\n'
      text=${text/'${NOMAD_TASK_DIR}/acl-at-start.conf'/"$kept/acl-$digest.conf"}
      ;;
    esac
  done
  ask PUT '/configs?mode=replace' "$text" text/plain
  printf -- '\n--- %s\n%s\n' "$status" "$body"
}

# Only EMQX can tell whether a user is another than before, and by then it is. So a mark stands
# beside each user from before it is brought: that of a user who was changed stays for who
# cuts its clients off, also when this script, or who reads its answer, ends before.
import() {
  local user name of='/authentication/password_based%3Abuilt_in_database'
  while IFS= read -r user; do
    user=${user%,}
    [[ $user == '{"user_id":"'* ]] || continue
    name=${user#'{"user_id":"'}
    name=${name%%'"'*}
    ask POST "$of/import_users?type=hash" "[{\"user_id\":\"emqx-oci-cut-$name\",\"password_hash\":\"$nobodys_hash\",\"salt\":\"\",\"is_superuser\":false}]"
    [[ $status == 200 ]] || { echo "failed $name $status ${body:0:300}"; continue; }
    ask POST "$of/import_users?type=hash" "[$user]"
    case $status$body in
    200*'"success":1'*) echo "added $name" ;;
    200*'"override":1'*)
      echo "changed $name"
      continue
      ;;
    200*'"skipped":1'*) ;;
    *)
      echo "failed $name $status ${body:0:300}"
      continue
      ;;
    esac
    ask DELETE "$of/users/emqx-oci-cut-$name" ''
  done <"$1"
}

case $1 in
look) look ;;
keep | drop | change) "$@" || exit ;;
import) import "$users" ;;
ask)
  shift
  while (($# >= 3)); do
    [[ $2 == /configs* ]] && type=text/plain || type=application/json
    ask "$1" "$2" "$3" "$type"
    printf -- '\n--- %s\n%s\n' "$status" "$body"
    shift 3
  done
  ;;
esac
exit 0
