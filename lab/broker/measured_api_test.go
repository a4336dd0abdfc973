package broker

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// What a real EMQX 5.8.9 answered to each question, one after another, on one node with the built-in database, bcrypt,
// EMQX's own file of rules, and no_match = deny. The code is the field of that name; what the message says is compared where
// somebody reads it.
func TestTheAPIAnswersAsMeasured(t *testing.T) {
	t.Parallel()
	const (
		own     = "/authentication/password_based%3Abuilt_in_database"
		users   = own + "/users"
		imports = own + "/import_users?type=hash"
		hash    = `"password_hash":"$2a$10$....................................................."`
		chain   = `authentication = [{mechanism=password_based,backend=built_in_database,user_id_type=username,password_hash_algorithm={name=bcrypt}}]`
		replace = "/configs?mode=replace"
		bad     = "BAD_REQUEST"
	)
	l := newLab(t, 1, keyFile(t, "ops:s3cret\n"))
	l.extra = append(l.extra, "EMQX_AUTHENTICATION="+strings.TrimPrefix(chain, "authentication = "), "EMQX_AUTHORIZATION__NO_MATCH=deny",
		`EMQX_AUTHORIZATION__SOURCES=[{type=file,enable=true,path="${EMQX_ETC_DIR}/acl.conf"}]`)
	l.start(0)
	l.wantUp(0)
	type question struct {
		method, path, body string
		status             int
		code, says         string
	}
	ask := func(t *testing.T, q question) (int, string, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), q.method, l.url(0, "/api/v5"+q.path), strings.NewReader(q.body))
		assert.NilError(t, err)
		r.SetBasicAuth("ops", "s3cret")
		kind := "application/json"
		if strings.HasPrefix(q.path, "/configs") {
			kind = "text/plain"
		}
		r.Header.Set("Content-Type", kind)
		a, err := http.DefaultClient.Do(r)
		assert.NilError(t, err)
		defer func() { _ = a.Body.Close() }()
		text, err := io.ReadAll(a.Body)
		assert.NilError(t, err)
		var answer struct{ Code string }
		_ = json.Unmarshal(text, &answer) // a list, or no JSON, has none
		return a.StatusCode, answer.Code, string(text)
	}
	var all []question
	for _, path := range []string{"/clients", "/subscriptions", users, "/banned", "/authorization/sources/built_in_database/rules/users"} {
		for query, says := range map[string]string{
			"limit=10001": `\"expected\":\"1..10000\"`, "limit=0": `\"value\":0`, "limit=-1": `\"path\":\"limit\"`, "limit=x": `\"value\":\"x\"`, "limit=": `\"value\":[]`,
			"page=0": `\"expected\":\"pos_integer()\"`, "page=-1": `\"path\":\"page\"`, "page=x": `\"kind\":\"validation_error\"`,
		} {
			all = append(all, question{"GET", path + "?" + query, "", 400, bad, says})
		}
	}
	all = append(all, []question{
		{"GET", "/nosuch", "", 404, "", "404 - NOT FOUND"},
		{"POST", "/cluster", "", 405, "", ""},
		{"DELETE", "/nodes", "", 405, "", ""},
		{"GET", "/nodes/nobody@x", "", 404, "NOT_FOUND", "Node not found: nobody@x"},
		{"GET", "/clients?limit=10000", "", 200, "", `"limit":10000`},
		{"GET", "/clients?page=99999&limit=10", "", 200, "", `"data":[]`},
		{"GET", "/clients?nosuch=1", "", 200, "", ""},
		{"GET", "/clients?fields=nosuch", "", 400, bad, "fields.1"},
		{"GET", "/clients?fields=clientid,nosuch", "", 400, bad, "fields.2"},
		{"GET", "/clients?fields=clientid,username,ip_address", "", 200, "", ""},
		{"GET", "/clients?conn_state=nosuch", "", 400, bad, "conn_state"},
		{"GET", "/clients?conn_state=disconnected", "", 200, "", ""},
		{"GET", "/clients?node=nobody@x", "", 500, "NODE_DOWN", "nobody@x"},
		{"GET", "/clients/nosuch", "", 404, "CLIENTID_NOT_FOUND", ""},
		{"DELETE", "/clients/nosuch", "", 404, "CLIENTID_NOT_FOUND", ""},
		{"POST", "/clients/kickout/bulk", `["nosuch"]`, 204, "", ""},
		{"POST", "/clients/kickout/bulk", `{}`, 204, "", ""},
		{"POST", "/clients/kickout/bulk", ``, 204, "", ""},
		{"POST", "/clients/kickout/bulk", `nosuch`, 400, bad, "Invalid json message received"},
		{"GET", "/subscriptions?node=nobody@x", "", 500, "NODE_DOWN", ""},
		{"GET", "/subscriptions?qos=7", "", 400, bad, "qos"},
		{"GET", "/authentication/nosuch", "", 404, "NOT_FOUND", ""},
		{"POST", "/authentication", `{}`, 400, bad, ""},
		{"POST", "/authentication", `{"mechanism":"nosuch"}`, 400, bad, ""},
		{"DELETE", "/authentication/nosuch", "", 204, "", ""},
		{"POST", users, `{"user_id":"u1","password":"p"}`, 201, "", `"user_id":"u1"`},
		{"POST", users, `{"user_id":"u1","password":"p"}`, 409, "ALREADY_EXISTS", ""},
		{"POST", users, `{"user_id":"","password":"p"}`, 400, bad, "invalid_user_id"},
		{"POST", users, `{"user_id":"u2"}`, 400, bad, ""},
		{"POST", users, `x`, 400, bad, "Invalid json message received"},
		{"GET", users + "/nosuch", "", 404, "NOT_FOUND", "User not found"},
		{"DELETE", users + "/nosuch", "", 404, "NOT_FOUND", "User not found"},
		{"DELETE", users + "/a%2Fb", "", 404, "NOT_FOUND", "User not found"},
		{"GET", users + "?like_user_id=", "", 400, bad, "badarg"},
		{"GET", users + "?is_superuser=x", "", 400, bad, "is_superuser"},
		{"POST", imports, `[{"user_id":"i1",` + hash + `,"salt":"","is_superuser":false}]`, 200, "", `"success":1`},
		{"POST", imports, `[{"user_id":"i1",` + hash + `,"salt":"","is_superuser":false}]`, 200, "", `"skipped":1`},
		{"POST", imports, `[{"user_id":"i1",` + hash + `,"salt":"x","is_superuser":false}]`, 200, "", `"override":1`},
		{"POST", imports, `[{"user_id":"a/b",` + hash + `,"salt":""}]`, 200, "", `"success":1`},
		{"DELETE", users + "/a%2Fb", "", 204, "", ""},
		{"POST", imports, `[]`, 400, bad, ""},
		{"POST", imports, `[{"user_id":"i4"}]`, 400, bad, ""},
		{"POST", imports, `[{` + hash + `}]`, 400, bad, ""},
		{"POST", own + "/import_users?type=nosuch", `[]`, 400, bad, ""},
		{"POST", imports, `[{"user_id":"",` + hash + `,"salt":""}]`, 200, "", `"success":1`}, // and then it is there
		{"GET", users, "", 200, "", `"user_id":""`},
		{"DELETE", users + "/", "", 405, "", ""},
		{"PUT", "/authorization/settings", `{}`, 400, bad, ""},
		{"GET", "/authorization/sources/nosuch", "", 400, bad, "type"},
		{"GET", "/authorization/sources/http", "", 404, "NOT_FOUND", ""},
		{"PUT", "/authorization/sources/file", `{"type":"file","enable":true,"path":"/x"}`, 400, bad, "unknown_fields"},
		{"POST", "/authorization/sources", `{"type":"file","enable":true,"rules":"{allow, all}."}`, 400, bad, "duplicated_authz_source_type"},
		{"GET", "/configs?key=nosuch", "", 400, bad, "not_a_enum_symbol"},
		{"PUT", replace, chain, 200, "", ""},
		{"PUT", "/configs", chain, 200, "", ""},
		{"PUT", "/configs?mode=nosuch", chain, 400, bad, "mode"},
		{"PUT", replace, "", 500, "INTERNAL_ERROR", "function_clause"},
		{"PUT", replace, "x", 400, "", "errors"},
		{"PUT", replace, "nosuch = 1", 400, "", "root_key_not_found"},
		{"PUT", replace, `node {name = "x@y"}`, 400, "", "Cannot update read-only key 'node'."},
		{"PUT", replace, "authentication = [{mechanism=nosuch}]", 500, "INTERNAL_ERROR", "emqx_conf_schema"},
		{"PUT", replace, "authentication = [{mechanism=password_based,backend=built_in_database,nosuch=1}]", 500, "INTERNAL_ERROR", "unknown_fields"},
		{"PUT", replace, "authentication = [{mechanism=password_based,backend=built_in_database,user_id_type=nosuch}]", 400, "", "authentication.1.user_id_type"},
		{"PUT", replace, "authorization {no_match=deny,nosuch=1}", 500, "INTERNAL_ERROR", "unknown_fields"},
		{"PUT", replace, "authorization {no_match=nosuch}", 400, "", "authorization.no_match"},
		{"PUT", replace, "authorization {no_match=deny,sources=[{type=nosuch}]}", 500, "INTERNAL_ERROR", ""},
		{"PUT", replace, `authorization {no_match=deny,sources=[{type=file,enable=true,path="/nosuch/acl.conf"}]}`, 400, "", "failed_to_read_acl_file"},
		{"DELETE", own, "", 204, "", ""},
		{"GET", users, "", 404, "NOT_FOUND", ""},
		{"POST", imports, `[{"user_id":"i1",` + hash + `}]`, 404, "NOT_FOUND", ""},
		{"PUT", replace, chain, 200, "", ""},
		{"GET", users, "", 200, "", `"count":0`}, // they went with it
		{"POST", "/publish", `{"topic":"a"}`, 400, bad, ""},
		{"DELETE", "/cluster/nobody@x/force_leave", "", 400, bad, "node_not_in_cluster"},
		{"DELETE", "/cluster/" + l.name(0) + "/force_leave", "", 400, bad, ""},
		{"PUT", "/listeners/nosuch", `{}`, 400, bad, "invalid_listener_id"},
		{"PUT", "/listeners/tcp:default", `{"max_connections":9}`, 400, bad, "unknown listener type"},
		{"PUT", "/listeners/tcp:default", `{"type":"tcp","max_connections":9}`, 400, bad, "root.id"},
		{"PUT", "/listeners/tcp:default", `{"type":"ssl","id":"tcp:default"}`, 400, bad, "listener_type_inconsistent"},
		{"PUT", "/listeners/tcp:default", `{"type":"tcp","id":"tcp:other"}`, 400, "BAD_LISTENER_ID", ""},
		{"PUT", "/listeners/tcp:other", `{"type":"tcp","id":"tcp:other"}`, 404, "BAD_LISTENER_ID", "Listener id not found"},
		{"GET", "/load_rebalance/availability_check", "", 404, "", ""},
		{"POST", "/banned", `{"as":"clientid","who":"b"}`, 200, "", ""},
		{"POST", "/banned", `{"as":"clientid","who":"b"}`, 400, "ALREADY_EXISTS", ""},
		{"POST", "/banned", `{"as":"nosuch","who":"b"}`, 400, bad, ""},
		{"DELETE", "/banned/nosuch/b", "", 400, bad, "not_a_enum_symbol"},
		{"DELETE", "/banned/clientid/b", "", 204, "", ""},
		{"DELETE", "/banned/clientid/b", "", 404, "NOT_FOUND", ""},
	}...)
	for _, q := range all {
		status, code, text := ask(t, q)
		assert.Check(t, status == q.status && code == q.code && strings.Contains(text, q.says),
			"%s %s %s: got %d %s %s, want %d %s with %q", q.method, q.path, q.body, status, code, text, q.status, q.code, q.says)
	}
	for _, c := range []struct{ authorization, code, says string }{
		{"", "AUTHORIZATION_HEADER_ERROR", "Support authorization: basic/bearer "},
		{"Bearer x", "BAD_TOKEN", "Get a token by POST /login"},
		{"Basic eDp4", "BAD_API_KEY_OR_SECRET", "Check api_key/api_secret"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", l.url(0, "/api/v5/nodes"), nil)
		assert.NilError(t, err)
		r.Header.Set("Authorization", c.authorization)
		a, err := http.DefaultClient.Do(r)
		assert.NilError(t, err)
		text, err := io.ReadAll(a.Body)
		assert.NilError(t, err)
		assert.NilError(t, a.Body.Close())
		assert.Equal(t, a.StatusCode, 401)
		assert.Assert(t, strings.Contains(string(text), c.code) && strings.Contains(string(text), c.says), "%s", text)
	}
}

// A client without a user name is none with an empty one.
func TestWhoHasNoNameIsShownSo(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1, keyFile(t, "ops:s3cret\n"))
	l.start(0)
	l.wantUp(0)
	empty, p := "", "p"
	for id, user := range map[string]*string{"nameless": nil, "empty": &empty} {
		c := rawConnect{id: id, user: user}
		if user != nil {
			c.password = &p
		}
		conn := dial(t, l.ip(0)+":1883")
		assert.Equal(t, answers(t, conn, 5, c.packet(5)), "CONNACK 00")
	}
	for query, want := range map[string][]string{
		"": {`{"clientid":"empty","username":""}`, `{"clientid":"nameless","username":null}`}, "&username=": {`{"clientid":"empty","username":""}`},
	} {
		code, body := httpGet(l.url(0, "/api/v5/clients?fields=clientid,username"+query), "ops", "s3cret")
		assert.Equal(t, code, 200)
		assert.Equal(t, strings.Count(body, "clientid"), len(want), "%s", body)
		for _, one := range want {
			assert.Assert(t, strings.Contains(body, one), "%s", body)
		}
	}
}
