package nomad

import "fmt"

// ClientIDs is an expression of EMQX's (emqx_variform.erl) by which a client that has no right
// to the identifier it comes with gets [RefusedClientID] in its place: before EMQX looks for
// bans, for who the client is, and for a session (emqx_channel:enrich_client), on every
// listener. Empty for none.
//
// Where the expression fails EMQX keeps the client's own identifier. So these are of
// functions that take any bytes as they are: regex_match, substr, strlen, replace and concat
// fail on a pattern or on text that is no UTF-8. Who has no user name has an empty one here.
type ClientIDs string

// RefusedClientID is the identifier of who has no right to his own. It is banned, so that
// CONNACK says 0x8A (MQTT 3.1.1: 5); and by rule it may do nothing, should somebody take the
// ban away in the dashboard. Whose session it is does not matter.
const RefusedClientID = "emqx-oci-refused"

// clientIDSeparator stands between a user's name and the rest of an identifier. Names of
// declared users cannot hold it; if others' could, one user would be another's prefix.
const clientIDSeparator = "/"

// startsWithUsername gives an identifier back that begins with the user's name, which is not
// empty, and the separator.
func startsWithUsername() string {
	rest := "rm_prefix(clientid, username)"
	return fmt.Sprintf("iif(str_eq(%s, clientid), '%s', iif(str_eq(rm_prefix(%s, '%s'), %s), '%s', clientid))",
		rest, RefusedClientID, rest, clientIDSeparator, rest, RefusedClientID)
}

// ClientIDBeginsWithUsername admits the user's name, and what begins with it and the separator.
// A user whose name holds the separator is refused.
func ClientIDBeginsWithUsername() ClientIDs {
	return ClientIDs(fmt.Sprintf("iif(str_neq(nth(1, tokens(username, '%s')), username), '%s', iif(str_eq(clientid, username), clientid, %s))",
		clientIDSeparator, RefusedClientID, startsWithUsername()))
}

// ClientIDIsUsername admits the user's name alone, but for one user, which connects several
// times at once and needs several that begin with it.
func ClientIDIsUsername(several string) ClientIDs {
	return ClientIDs(fmt.Sprintf("iif(str_eq(username, '%s'), %s, iif(str_eq(clientid, username), clientid, '%s'))",
		several, startsWithUsername(), RefusedClientID))
}

// Banned is the file of those whom EMQX refuses from its first start on (emqx_banned:init_from_csv).
func (c ClientIDs) Banned() string {
	if c == "" {
		return ""
	}
	return "as,who,reason\nclientid," + RefusedClientID + ",the client identifier is not of this user\n"
}

// RefusedRules are the rules that have to stand before all others.
func RefusedRules(c ClientIDs) []Rule {
	if c == "" {
		return nil
	}
	return []Rule{{ClientID: RefusedClientID, Action: "all"}}
}
