#!/bin/bash
# Moves clients of this node to others: each gets a disconnect that keeps its session,
# comes back through HAProxy, and the node it comes to takes the session over.
#
#   move.sh COUNT RATE
#
#   COUNT  how many clients; "all" moves until none is connected
#   RATE   how many a second, at most
#
# Each line of the output is how many have been moved so far; the last is the result.
# Exit code 1: EMQX does not do it, and the reason is on the error output.
set -u

if [[ ! ${1:-} =~ ^(all|0|[1-9][0-9]{0,8})$ || ! ${2:-} =~ ^[1-9][0-9]{0,5}$ ]]; then
  echo "usage: move.sh COUNT|all RATE" >&2
  exit 2
fi
count=$1 rate=$2

# A round is one `emqx eval`, which takes a second to begin: long enough that this
# does not matter, short enough that what came back is soon moved again, and that the
# node does not go on for long when this script is ended.
round=$((rate * 5))

# A twentieth of a second's clients at once, then a pause.
slice=$((rate < 20 ? 1 : rate / 20))
pause=$((1000 * slice / rate))

# The processes of connected clients are the keys of emqx_channel_live. To each goes
# what EMQX's enterprise edition sends for an evacuation, and what the channel takes in
# every edition: MQTT 5 clients are told 0x9C "use another server", others are cut. The
# session stays, as after any disconnect, for as long as the client asked for.
# "{ {", because two braces together begin an action of the template that the task gets
# this file from.
# shellcheck disable=SC2016 # '$1' is Erlang.
expression='case ets:select(emqx_channel_live, [{ {'\''$1'\'', '\''_'\''}, [], ['\''$1'\'']}], %d) of {Pids, _} -> lists:foldl(fun(Pid, N) -> Pid ! {disconnect, 16#9C, use_another_server, #{}}, (N + 1) rem %d =:= 0 andalso timer:sleep(%d), N + 1 end, 0, Pids); _ -> 0 end.'

total=0
while
  most=$round
  [[ $count != all ]] && ((count - total < most)) && most=$((count - total))
  ((most > 0))
do
  # shellcheck disable=SC2059 # It is a format.
  printf -v text "$expression" "$most" "$slice" "$pause"
  # In the foreground, so that who ends this script ends it too.
  answer=$(timeout --foreground 60 emqx eval "$text")
  code=$?
  moved=${answer##*$'\n'}
  if [[ $code != 0 || ! $moved =~ ^[0-9]+$ ]]; then
    echo "emqx eval ends with exit code $code and answers \"$moved\", not a number" >&2
    exit 1
  fi
  ((moved == 0)) && break
  ((total += moved))
  echo "$total"
done
((total > 0)) || echo 0
