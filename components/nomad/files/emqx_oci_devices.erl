%% Lets a device in by its certificate, without a password. HAProxy has verified it, and hands
%% its common name over, which is the user name here (mqtt.peer_cert_as_username). EMQX 5.8
%% itself only knows passwords: its built-in database refuses a client that shows none
%% (emqx_authn_mnesia:authenticate). The authenticator that looks at certificates (cinfo) is
%% for its enterprise edition.
%%
%% A device is in while that database has a user of its name with this salt, which no user of
%% the stack has: "emqx-oci device add" makes one, with the hash of no password, and "device
%% revoke" removes it. Who is none goes on to the authenticators.
%%
%% EMQX drops its hooks when it restarts without its virtual machine, as it does to join a
%% cluster, so one process keeps this one there.
-module(emqx_oci_devices).

-export([start/1, keep/0, admit/2]).

%% start's argument means nothing: modules of the stack have one.
start(_) ->
    ok = hook(),
    case whereis(?MODULE) of
        undefined -> true = register(?MODULE, spawn(?MODULE, keep, []));
        _ -> true
    end,
    ok.

keep() ->
    timer:sleep(1000),
    catch hook(),
    ?MODULE:keep().

%% Before the authenticators (HP_AUTHN, 970).
hook() ->
    case emqx_hooks:add('client.authenticate', {?MODULE, admit, []}, 975) of
        {error, already_exists} -> ok;
        Other -> Other
    end.

admit(#{auth_method := _}, _) ->
    ok;
admit(#{cn := Name, username := Name}, _) when is_binary(Name) ->
    case mnesia:dirty_read(emqx_authn_mnesia, {'mqtt:global', Name}) of
        [{user_info, _, _, <<"emqx-oci-certificate">>, false}] -> {stop, {ok, #{is_superuser => false}}};
        _ -> ok
    end;
admit(_, _) ->
    ok.
