package broker

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
	"gotest.tools/v3/assert"
)

// asked is a server that answers for a client, and remembers what it was asked.
type asked struct {
	*httptest.Server
	mu      sync.Mutex
	code    int
	kind    string
	content string
	last    string
}

func newAsked(t *testing.T) *asked {
	a := &asked{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.last = r.Method + " " + r.URL.String() + " " + r.Header.Get("Content-Type") + " " + r.Header.Get("X-Client") + " " + string(b)
		w.Header().Set("Content-Type", a.kind)
		w.WriteHeader(a.code)
		_, _ = io.WriteString(w, a.content)
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *asked) answers(code int, kind, content string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.code, a.kind, a.content = code, kind, content
}

func (a *asked) was() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// What a server's answer means (emqx_authn_http:authenticate, handle_response).
func TestAServerAuthenticates(t *testing.T) {
	t.Parallel()
	a := newAsked(t)
	l := newLab(t, 1)
	l.start(0, `EMQX_AUTHENTICATION=[{mechanism = password_based, backend = http, method = post, url = "`+a.URL+`/auth/${clientid}?from=${peerhost}",
		headers {"X-Client" = "${clientid}"}, body {user = "${username}", word = "${password}", other = "${nothing}", cn = "${cert_common_name}"}}]`)
	l.wantUp(0)
	o := connectOpts{id: "a b", user: "ann", password: `p"w`}
	for _, c := range []struct {
		code          int
		kind, content string
		five, three   byte
	}{
		{204, "", "", 0, 0},
		{200, "application/json", `{"result":"allow"}`, 0, 0},
		{200, "application/json; charset=utf-8", `{"result":"deny"}`, 0x87, 5},
		{200, "application/json", `{"result":"ignore"}`, 0x87, 5},
		{200, "application/json", `{}`, 0x87, 5},
		{200, "application/x-www-form-urlencoded", "result=allow&is_superuser=true", 0, 0},
		{200, "text/plain", `{"result":"allow"}`, 0x87, 5},
		{200, "application/json", `{"result":`, 0x87, 5},
		{403, "application/json", `{"result":"allow"}`, 0x87, 5},
		{200, "application/json", `{"result":"allow","expire_at":1}`, 0x86, 4},
		{200, "application/json", `{"result":"allow","acl":[{"permission":"maybe"}]}`, 0x86, 4},
	} {
		a.answers(c.code, c.kind, c.content)
		t.Log(c)
		l.wantCodes(0, o, c.five, c.three)
	}
	assert.Equal(t, a.was(), `POST /auth/a+b?from=127.0.0.1 application/json a b {"cn":"","other":"${nothing}","user":"ann","word":"p\"w"}`)
	l.wantREST(0, "PUT", "/authentication/password_based:http",
		`{"mechanism":"password_based","backend":"http","method":"get","url":"`+a.URL+`/x?a=1","body":{"user":"${username}"}}`, 204)
	a.answers(204, "", "")
	l.wantCodes(0, o, 0, 0)
	assert.Equal(t, strings.TrimSpace(a.was()), "GET /x?a=1&user=ann")
	for _, bad := range []string{
		`{"mechanism":"password_based","backend":"http","method":"put","url":"` + a.URL + `"}`,
		`{"mechanism":"password_based","backend":"http","method":"get","url":"nowhere"}`,
		`{"mechanism":"password_based","backend":"http","method":"get"}`,
		`{"mechanism":"password_based","backend":"http","method":"get","url":"https://x","ssl":{"enable":false}}`,
	} {
		l.wantREST(0, "PUT", "/authentication/password_based:http", bad, 400)
	}
	a.Close()
	l.wantCodes(0, o, 0x87, 5) // it asks nobody else, and nobody else is in the chain
}

// What EMQX starts with may name a file that is not there; what it is told over its API may not.
func TestAnAuthorityThatIsNotThere(t *testing.T) {
	t.Parallel()
	a := newAsked(t)
	a.answers(204, "", "")
	l := newLab(t, 1)
	conf := `authentication = [{mechanism = password_based, backend = http, method = post, url = "` + a.URL + `",
		body {user = "${username}"}, ssl {enable = true, verify = verify_peer, cacertfile = "/nowhere/ca.crt"}}]`
	l.start(0, "EMQX_AUTHENTICATION="+strings.TrimPrefix(conf, "authentication = "))
	l.wantUp(0) // EMQX starts with what it was given
	text := l.wantREST(0, "PUT", "/configs?mode=replace", conf, 400)
	assert.Assert(t, strings.Contains(text, "authentication.1.ssl.cacertfile: invalid_file_path_or_pem_string"), "%s", text)
	one := strings.TrimSuffix(strings.TrimPrefix(conf, "authentication = ["), "]")
	l.wantREST(0, "PUT", "/configs?mode=merge", "authentication = ["+strings.Replace(one, ", cacertfile = \"/nowhere/ca.crt\"", "", 1)+"]", 400) // merged, it has it
	l.wantREST(0, "DELETE", "/authentication/password_based:http", "", 204)
}

// An answer brings rules, the rights of a superuser and the end of the connection with it.
func TestWhatAServersAnswerBrings(t *testing.T) {
	t.Parallel()
	a := newAsked(t)
	l := newLab(t, 1)
	l.start(0, `EMQX_AUTHENTICATION=[{mechanism = password_based, backend = http, method = post, url = "`+a.URL+`"}]`, "EMQX_AUTHORIZATION__NO_MATCH=deny")
	l.wantUp(0)
	a.answers(200, "application/json", `{"result":"allow","acl":[{"permission":"allow","action":"all","topics":["t/${username}"]}]}`)
	c := l.mqtt(0, connectOpts{id: "c", v: 5, user: "ann"})
	assert.Equal(t, c.puback("t/ann", 1), byte(0))
	assert.Equal(t, c.puback("t/bob", 1), byte(0x87))
	a.answers(200, "application/json", `{"result":"allow","is_superuser":true}`)
	c = l.mqtt(0, connectOpts{id: "c", v: 5})
	assert.Equal(t, c.puback("t/bob", 1), byte(0))
	a.answers(200, "application/json", fmt.Sprintf(`{"result":"allow","expire_at":%d}`, time.Now().Unix()+2))
	c = l.mqtt(0, connectOpts{id: "c", v: 5})
	assert.Equal(t, c.want(packets.Disconnect).ReasonCode, byte(0x87))
}

// The chain goes on where an authenticator knows nothing, in its order, which the API changes.
func TestTheOrderOfTheChain(t *testing.T) {
	t.Parallel()
	a := newAsked(t)
	a.answers(204, "", "")
	l := newLab(t, 1)
	l.start(0, `EMQX_AUTHENTICATION=[`+builtinConf+`, {mechanism = password_based, backend = http, method = get, url = "`+a.URL+`"}]`)
	l.wantUp(0)
	l.wantREST(0, "POST", "/authentication/password_based:built_in_database/users", `{"user_id":"ann","password":"p"}`, 201)
	l.wantCodes(0, connectOpts{id: "c", user: "ann", password: "q"}, 0x86, 4)
	l.wantCodes(0, connectOpts{id: "c", user: "eve", password: "q"}, 0, 0)
	l.wantCodes(0, connectOpts{id: "c", user: "eve"}, 0x86, 4) // no password: the database ends it
	l.wantREST(0, "PUT", "/authentication/password_based:http/position/front", "", 204)
	l.wantCodes(0, connectOpts{id: "c", user: "ann", password: "q"}, 0, 0)
	l.wantREST(0, "PUT", "/authentication/password_based:http/position/after:password_based:built_in_database", "", 204)
	l.wantCodes(0, connectOpts{id: "c", user: "ann", password: "q"}, 0x86, 4)
	l.wantREST(0, "PUT", "/authentication/password_based:http/position/before:jwt", "", 404)
	l.wantREST(0, "PUT", "/authentication/password_based:http/position/somewhere", "", 400)
	l.wantREST(0, "PUT", "/authentication/order", `[{"id":"password_based:http"},{"id":"password_based:built_in_database"}]`, 204)
	l.wantCodes(0, connectOpts{id: "c", user: "ann", password: "q"}, 0, 0)
	l.wantREST(0, "PUT", "/authentication/order", `[{"id":"password_based:http"}]`, 400)
}
