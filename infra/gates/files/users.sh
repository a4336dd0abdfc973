# shellcheck shell=bash disable=SC2154 # Nomad sets the address.
# Runs in a member's task, and asks its REST API:
#
#   import FILE                    brings the users of FILE, one a line, into the built-in
#                                  database one by one, and prints "added NAME" or "changed NAME"
#   ask METHOD PATH BODY ...       prints what each answers: "--- STATUS", and its body
#
# The key and the users go through builtins only: they stand in no process's arguments, and
# in no output. Only what the official image has: bash and coreutils.
LC_ALL=C # lengths are bytes
address=$NOMAD_ADDR_dashboard
auth=$(printf '%s' "$(<"$KEY_FILE")" | base64 -w0)

# ask METHOD PATH BODY sets status and body.
ask() {
  local line
  status=none body=''
  exec 3<>"/dev/tcp/${address%:*}/${address##*:}" || return
  # 1.0: the answer ends with the connection, and is never in chunks.
  printf '%s /api/v5%s HTTP/1.0\r\nHost: %s\r\nAuthorization: Basic %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' \
    "$1" "$2" "$address" "$auth" "${#3}" "$3" >&3
  read -r -t 10 _ status line <&3 || return
  while read -r -t 10 line <&3 && [[ -n ${line%$'\r'} ]]; do :; done
  IFS= read -r -d '' -t 10 body <&3
  exec 3>&-
} 2>/dev/null

import() {
  local user name
  while IFS= read -r user; do
    user=${user%,}
    [[ $user == '{"user_id":"'* ]] || continue
    name=${user#'{"user_id":"'}
    name=${name%%'"'*}
    ask POST '/authentication/password_based%3Abuilt_in_database/import_users?type=hash' "[$user]"
    case $status$body in
    200*'"success":1'*) echo "added $name" ;;
    200*'"override":1'*) echo "changed $name" ;;
    200*'"skipped":1'*) ;;
    *) echo "failed $name $status ${body:0:300}" ;;
    esac
  done <"$1"
}

case $1 in
import) import "$NOMAD_SECRETS_DIR/users.json" ;;
ask)
  shift
  while (($# >= 3)); do
    ask "$1" "$2" "$3"
    printf -- '\n--- %s\n%s\n' "$status" "$body"
    shift 3
  done
  ;;
esac
exit 0
