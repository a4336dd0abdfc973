%% Makes a session that comes from another node wait there until it is well known where
%% it has gone. EMQX 5.8 subscribes on the new node and lets the session go on the old
%% one at once. The new route reaches the other nodes by itself, some milliseconds later,
%% and so does what they have sent to the old node: a message that comes there after the
%% end finds no subscriber, though it was acknowledged. Both nodes take messages in
%% meanwhile; EMQX leaves out what it has twice.
%%
%% The hook 'session.resumed' stands between the two steps, and runs in the process of
%% the one client that waits. EMQX drops its hooks when it restarts without its virtual
%% machine, as it does to join a cluster, so one process keeps it there.
-module(emqx_oci_takeover).

-export([start/1, keep/1, wait/3]).

%% start lets sessions wait for so long, in milliseconds, from now on.
start(Pause) ->
    ok = hook(Pause),
    case whereis(?MODULE) of
        undefined -> true = register(?MODULE, spawn(?MODULE, keep, [Pause]));
        _ -> true
    end,
    ok.

keep(Pause) ->
    timer:sleep(1000),
    catch hook(Pause),
    ?MODULE:keep(Pause).

hook(Pause) ->
    case emqx_hooks:add('session.resumed', {?MODULE, wait, [Pause]}, 0) of
        {error, already_exists} -> ok;
        Other -> Other
    end.

%% A session that stays on its node needs no route.
wait(#{clientid := ClientId}, _Session, Pause) ->
    case [Pid || Pid <- emqx_cm:lookup_channels(ClientId), node(Pid) =/= node()] of
        [] -> ok;
        _ -> timer:sleep(Pause)
    end.
