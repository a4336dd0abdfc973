# shellcheck shell=bash disable=SC2154 # Nomad sets the address.
# Runs in a member's task, and asks its REST API:
#
#   import                         brings the users of users.json, one a line, into the built-in
#                                  database one by one, and prints "added NAME" or "changed NAME"
#   ask METHOD PATH BODY ...       prints what each answers: "--- STATUS", and its body
#
# The key and the users go through builtins only: they stand in no process's arguments, and
# in no output. Only what the official image has: bash and coreutils.
LC_ALL=C # lengths are bytes
# shellcheck disable=SC2016 # No variables are meant.
nobodys_hash='$2a$10$.....................................................' # of no password that anybody knows
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
