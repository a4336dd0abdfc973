%% Lets a device in by its certificate, without a password. HAProxy has verified it, and hands
%% its common name over, which is the user name here (mqtt.peer_cert_as_username). EMQX 5.8
%% itself only knows passwords: its built-in database refuses a client that shows none
%% (emqx_authn_mnesia:authenticate). The authenticator that looks at certificates (cinfo) is
%% for its enterprise edition.
%%
%% A device is in while that database has a user of its name with this salt, which no user of
%% the stack has: "emqx-oci device add" makes one, with the hash of no password, and "device
%% revoke" locks it. With others, the stack trusts the authorities of clients' certificates with
%% all names that the database does not know, but for its own. Who is none of these goes on to the
%% authenticators, of which the database is the first.
%%
%% EMQX drops its hooks when it restarts without its virtual machine, as it does to join a
%% cluster, so one process keeps this one there.
-module(emqx_oci_devices).

-export([start/1, keep/1, admit/3]).

%% Others is 1 where certificates of others than devices are enough, too.
start(Others) ->
    ok = hook(Others),
    case whereis(?MODULE) of
        undefined -> true = register(?MODULE, spawn(?MODULE, keep, [Others]));
        _ -> true
    end,
    ok.

keep(Others) ->
    timer:sleep(1000),
    catch hook(Others),
    ?MODULE:keep(Others).

%% Before the authenticators (HP_AUTHN, 970).
hook(Others) ->
    case emqx_hooks:add('client.authenticate', {?MODULE, admit, [Others]}, 975) of
        {error, already_exists} -> ok;
        Other -> Other
    end.

admit(#{auth_method := _}, _, _) ->
    ok;
admit(#{cn := Name, username := Name}, _, Others) when is_binary(Name), Name =/= <<>> ->
    case mnesia:dirty_read(emqx_authn_mnesia, {'mqtt:global', Name}) of
        [{user_info, _, _, <<"emqx-oci-certificate">>, false}] -> {stop, {ok, #{is_superuser => false}}};
        [] when Others =:= 1 -> other(Name);
        _ -> ok
    end;
admit(_, _, _) ->
    ok.

other(<<"emqx-oci-", _/binary>>) -> ok;
other(_) -> {stop, {ok, #{is_superuser => false}}}.
