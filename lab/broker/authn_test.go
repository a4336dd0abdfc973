package broker

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

const builtinConf = `{mechanism = password_based, backend = built_in_database, password_hash_algorithm {name = sha256, salt_position = suffix}}`

// rest asks node i's API as its dashboard user.
func (l *lab) rest(i int, method, path, body string) (int, string) {
	l.t.Helper()
	_, login := httpDo("POST", l.url(i, "/api/v5/login"), `{"username":"admin","password":"public"}`)
	var token struct{ Token string }
	assert.NilError(l.t, json.Unmarshal([]byte(login), &token), login)
	return httpDo(method, l.url(i, "/api/v5"+path), body, token.Token)
}

func (l *lab) wantREST(i int, method, path, body string, code int) string {
	l.t.Helper()
	got, text := l.rest(i, method, path, body)
	assert.Equal(l.t, got, code, "%s %s: %s", method, path, text)
	return text
}

// connack gives CONNACK's code.
func (l *lab) connack(i int, o connectOpts) byte {
	l.t.Helper()
	c, ack := tryConnect(l.t, dial(l.t, l.ip(i)+":1883"), o)
	_ = c.conn.Close()
	return ack.ReasonCode
}

// wantCodes are those of CONNACK for MQTT 5 and 3.1.1.
func (l *lab) wantCodes(i int, o connectOpts, five, three byte) {
	l.t.Helper()
	o.v = 5
	assert.Equal(l.t, l.connack(i, o), five, "MQTT 5: %+v", o)
	o.v = 4
	assert.Equal(l.t, l.connack(i, o), three, "MQTT 3.1.1: %+v", o)
}

// A known user's wrong password and no password end the chain, a user that nobody knows falls
// through it (emqx_authn_mnesia:authenticate, emqx_authn_chains:do_authenticate).
func TestUsersOfTheBuiltInDatabase(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	env := "EMQX_AUTHENTICATION=[" + builtinConf + "]"
	l.start(0, env)
	l.start(1, env)
	l.wantWhole()
	const users = "/authentication/password_based:built_in_database/users"
	l.wantREST(0, "POST", users, `{"user_id":"ann","password":"Right"}`, 201)
	l.wantREST(1, "POST", users, `{"user_id":"ann","password":"other"}`, 409)
	l.wantREST(0, "POST", users, `{"user_id":"bob"}`, 400)
	for i := range 2 {
		l.wantCodes(i, connectOpts{id: "c", user: "ann", password: "Right"}, 0, 0)
		l.wantCodes(i, connectOpts{id: "c", user: "ann", password: "wrong"}, 0x86, 4)
		l.wantCodes(i, connectOpts{id: "c", user: "ann"}, 0x86, 4)
		l.wantCodes(i, connectOpts{id: "c"}, 0x86, 4)
		l.wantCodes(i, connectOpts{id: "c", user: "eve", password: "x"}, 0x87, 5)
	}
	assert.Equal(t, l.wantREST(1, "GET", users+"/ann", "", 200), `{"is_superuser":false,"user_id":"ann"}`+"\n")
	l.wantREST(1, "PUT", users+"/ann", `{"password":"new","is_superuser":true}`, 200)
	l.wantCodes(0, connectOpts{id: "c", user: "ann", password: "new"}, 0, 0)
	assert.Assert(t, strings.Contains(l.wantREST(0, "GET", users+"?is_superuser=true", "", 200), `"user_id":"ann"`))

	// Who is connected stays so when the user is deleted; nobody connects as it any more.
	c := l.mqtt(0, connectOpts{id: "stays", user: "ann", password: "new"})
	l.wantREST(1, "DELETE", users+"/ann", "", 204)
	l.wantREST(0, "DELETE", users+"/ann", "", 404)
	c.publish("still", "here", 1, false)
	l.wantCodes(0, connectOpts{id: "c", user: "ann", password: "new"}, 0x87, 5)
}

// Each algorithm takes its own hash, at the place of the salt that it is told; all but bcrypt
// compare hexadecimal digits, and plain passwords with them, in any case (emqx_passwd).
func TestPasswordHashes(t *testing.T) {
	t.Parallel()
	for conf, known := range map[string][3]string{ // hash, salt, password
		`{name = plain, salt_position = disable}`:                          {"Open", "", "open"},
		`{name = md5, salt_position = prefix}`:                             {"8fec5fa61b737b7d742412930d1249e4", "salt", "secret1"},
		`{name = sha, salt_position = disable}`:                            {"00cafd126182e8a9e7c01bb2f0dfd00496be724f", "", "secret1"},
		`{name = sha256, salt_position = prefix}`:                          {"8a68cff17526dc0feb616f64b0a5c1ba308c2097a97799dd081462a749d9cf32", "salt", "secret1"},
		`{name = sha256, salt_position = suffix}`:                          {"97C09EB5C61A9FED6A9CDA04CD3BA47E0E8F147FCF7423617824895A6CC79940", "salt", "secret1"},
		`{name = sha256, salt_position = disable}`:                         {"5b11618c2e44027877d0cd0921ed166b9f176f50587fc91e7534dd2946db77d6", "", "secret1"},
		`{name = sha512, salt_position = suffix}`:                          {"e5d2f8b0a93e938e18980453567182b51d251b49d45b1f371ee32a460992f98393590f26faba24804a44f571f942f7da33619287ad7872190ba4f499cefc54ff", "salt", "secret1"},
		`{name = bcrypt, salt_rounds = 6}`:                                 {"$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe", "", "a"},
		`{name = pbkdf2, mac_fun = sha, iterations = 1}`:                   {"0c60c80f961f0e71f3a9b524af6012062fe037a6", "salt", "password"},
		`{name = pbkdf2, mac_fun = sha256, iterations = 2}`:                {"ae4d0c95af6b46d32d0adff928f06dd02a303f8ef3c251dfd6e2d85a95474c43", "salt", "password"},
		`{name = pbkdf2, mac_fun = sha512, iterations = 2, dk_length = 4}`: {"e1d9c16a", "salt", "password"},
	} {
		f := fieldsOf("x", map[string]any{"password_hash_algorithm": plain(parseHocon(conf))})
		p := readPasswords(f)
		assert.NilError(t, f.done(), conf)
		assert.Assert(t, p.matches(known[0], known[1], known[2]), conf)
		assert.Assert(t, !p.matches(known[0], known[1], "another"), conf)
		sum, salt, err := p.hash("secret")
		assert.NilError(t, err, conf)
		assert.Assert(t, p.matches(sum, salt, "secret"), conf)
		assert.Assert(t, !p.matches(sum, salt, "secret2"), conf)
	}
	for bad, want := range map[string]string{
		`{name = md4}`: "want one of", `{name = pbkdf2, mac_fun = sha}`: "iterations: required_field", `{name = sha, rounds = 3}`: "unknown_fields",
	} {
		f := fieldsOf("x", map[string]any{"password_hash_algorithm": plain(parseHocon(bad))})
		readPasswords(f)
		assert.ErrorContains(t, f.done(), want, bad)
	}
}

// By client identifier, from a file: users that are there already stay as they are.
func TestUsersFromAFile(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	file := filepath.Join(t.TempDir(), "users.csv")
	assert.NilError(t, os.WriteFile(file, []byte("user_id,password,is_superuser\ndev1,one,true\ndev2,two,false\n"), 0o600))
	env := []string{
		"EMQX_AUTHENTICATION__1__MECHANISM=password_based", "EMQX_AUTHENTICATION__1__BACKEND=built_in_database",
		"EMQX_AUTHENTICATION__1__USER_ID_TYPE=clientid", "EMQX_AUTHENTICATION__1__BOOTSTRAP_FILE=" + file,
		"EMQX_AUTHENTICATION__1__PASSWORD_HASH_ALGORITHM={name = plain, salt_position = disable}",
	}
	p := l.start(0, env...)
	l.wantUp(0)
	l.wantCodes(0, connectOpts{id: "dev1", user: "anybody", password: "one"}, 0, 0)
	l.wantCodes(0, connectOpts{id: "dev2", user: "dev1", password: "one"}, 0x86, 4)
	l.wantREST(0, "PUT", "/authentication/password_based:built_in_database/users/dev1", `{"password":"changed"}`, 200)
	assert.NilError(t, p.stop(t))
	l.start(0, env...)
	l.wantUp(0)
	l.wantCodes(0, connectOpts{id: "dev1", password: "x", user: "y"}, 0x86, 4)
	l.wantCodes(0, connectOpts{id: "dev1", password: "changed", user: "y"}, 0, 0)
}

// What is changed at run time is so on all members at once and stands in cluster.hocon; at the next
// start the environment is over it (emqx_conf, and base.hocon's own words).
func TestAuthenticationAtRunTime(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	p := l.start(0)
	l.start(1)
	l.wantWhole()
	l.wantCodes(1, connectOpts{id: "c"}, 0, 0)
	const one = "/authentication/password_based:built_in_database"
	body := l.wantREST(0, "POST", "/authentication", `{"mechanism":"password_based","backend":"built_in_database"}`, 200)
	assert.Assert(t, strings.Contains(body, `"id":"password_based:built_in_database"`) && strings.Contains(body, `"user_id_type":"username"`), body)
	l.wantREST(1, "POST", "/authentication", `{"mechanism":"password_based","backend":"built_in_database"}`, 409)
	l.wantREST(1, "POST", "/authentication", `{"mechanism":"password_based","backend":"oracle"}`, 400)
	l.wantREST(1, "POST", one+"/users", `{"user_id":"ann","password":"p"}`, 201)
	for i := range 2 {
		l.wantCodes(i, connectOpts{id: "c", user: "eve", password: "x"}, 0x87, 5)
		l.wantCodes(i, connectOpts{id: "c", user: "ann", password: "p"}, 0, 0)
		file, err := os.ReadFile(filepath.Join(l.dirs[i], "configs", "cluster.hocon"))
		assert.NilError(t, err)
		assert.Assert(t, strings.Contains(string(file), "built_in_database"), string(file))
	}
	l.wantREST(1, "PUT", one, `{"mechanism":"password_based","backend":"built_in_database","enable":false}`, 204)
	l.wantCodes(0, connectOpts{id: "c"}, 0, 0) // a chain without one that is enabled is none
	l.wantREST(1, "PUT", one, `{"mechanism":"jwt"}`, 400)
	l.wantREST(1, "PUT", "/authentication/jwt", `{"mechanism":"jwt"}`, 404)

	assert.NilError(t, p.stop(t))
	l.wantREST(1, "PUT", one, `{"mechanism":"password_based","backend":"built_in_database","enable":true}`, 204)
	p = l.start(0)
	l.wantWhole()
	l.wantCodes(0, connectOpts{id: "c", user: "ann", password: "no"}, 0x86, 4) // it has heard what it missed
	assert.NilError(t, p.stop(t))
	l.start(0, "EMQX_AUTHENTICATION__1__ENABLE=false")
	l.wantWhole()
	l.wantCodes(0, connectOpts{id: "c"}, 0, 0)
	l.wantCodes(1, connectOpts{id: "c"}, 0x86, 4)

	l.wantREST(1, "DELETE", one, "", 204)
	l.wantREST(0, "GET", one, "", 404)
	l.wantCodes(1, connectOpts{id: "c"}, 0, 0)
	l.wantREST(0, "POST", "/authentication", `{"mechanism":"password_based","backend":"built_in_database"}`, 200)
	l.wantREST(0, "GET", one+"/users/ann", "", 404) // its users went with it
}

// PUT /configs merges by kind or replaces a root, and a piece that is wrong changes nothing.
func TestConfigsArePut(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.start(0)
	l.wantUp(0)
	l.wantREST(0, "PUT", "/configs?mode=merge", "authentication = [\n  "+builtinConf+"\n]\n", 200)
	l.wantREST(0, "PUT", "/configs?mode=merge", `authentication = [{mechanism = password_based, backend = built_in_database, user_id_type = clientid}]`, 200)
	text := l.wantREST(0, "GET", "/configs?key=authentication", "", 200)
	got := plain(parseHocon(text)).(map[string]any)["authentication"].([]any)
	assert.Equal(t, len(got), 1, text)
	assert.Equal(t, got[0].(map[string]any)["user_id_type"], "clientid")
	assert.Equal(t, got[0].(map[string]any)["password_hash_algorithm"].(map[string]any)["salt_position"], "suffix")
	l.wantREST(0, "PUT", "/configs?mode=merge", `authentication = [{mechanism = password_based, backend = built_in_database, user_id_typo = clientid}]`, 500)
	l.wantREST(0, "PUT", "/configs", `rule_engine { }`, 400)
	l.wantREST(0, "PUT", "/configs?mode=replace", `authentication = []`, 200)
	l.wantCodes(0, connectOpts{id: "c"}, 0, 0)
}

// base.hocon is under cluster.hocon, emqx.conf over it.
func TestTheLayersOfTheConfiguration(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	etc := t.TempDir()
	write := func(name, text string) {
		assert.NilError(t, os.WriteFile(filepath.Join(etc, name), []byte(text), 0o600))
	}
	write("base.hocon", "# by default\nauthentication = [\n  "+builtinConf+"\n]\nauthorization {\n  no_match = deny\n}\n")
	env := "EMQX_ETC_DIR=" + etc
	p := l.start(0, env)
	l.wantUp(0)
	l.wantCodes(0, connectOpts{id: "c"}, 0x86, 4)
	l.wantREST(0, "PUT", "/configs?mode=replace", `authentication = []`, 200)
	l.wantCodes(0, connectOpts{id: "c"}, 0, 0)
	assert.NilError(t, p.stop(t))
	p = l.start(0, env)
	l.wantUp(0)
	l.wantCodes(0, connectOpts{id: "c"}, 0, 0)
	assert.NilError(t, p.stop(t))
	write("emqx.conf", "authentication = ["+builtinConf+"]")
	l.start(0, env)
	l.wantUp(0)
	l.wantCodes(0, connectOpts{id: "c"}, 0x86, 4)
}

// A member that joins has the users and settings of the cluster, not its own.
func TestAJoinerTakesTheClustersUsers(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.members(1)
	l.start(0)
	l.wantUp(0)
	l.wantREST(0, "POST", "/authentication", `{"mechanism":"password_based","backend":"built_in_database"}`, 200)
	l.wantREST(0, "POST", "/authentication/password_based:built_in_database/users", `{"user_id":"ann","password":"p"}`, 201)
	l.members(2)
	l.start(1)
	l.wantWhole()
	l.wantCodes(1, connectOpts{id: "c", user: "ann", password: "p"}, 0, 0)
	l.wantCodes(1, connectOpts{id: "c", user: "eve", password: "p"}, 0x87, 5)
}

func TestAuthenticationFaults(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`[{mechanism = password_based, backend = oracle}]`:                                       "no authentication by password_based:oracle",
		`[` + builtinConf + `,` + builtinConf + `]`:                                              "already_exists",
		`[{mechanism = password_based, backend = built_in_database, user_id_type = name}]`:       "want one of username, clientid",
		`[{backend = built_in_database}]`:                                                        "want a mechanism",
		`[{mechanism = password_based, backend = built_in_database, enable = maybe, other = 1}]`: "want true or false",
		`[{mechanism = password_based, backend = built_in_database, bootstrap_typ = plain}]`:     "bootstrap_typ: unknown_fields",
	} {
		_, err := load("EMQX_AUTHENTICATION=" + value)
		assert.ErrorContains(t, err, want, value)
	}
}

// A refused client leaves the session of who was connected under its name alone.
func TestARefusedClientTakesNothingOver(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.start(0, "EMQX_AUTHENTICATION=["+builtinConf+"]")
	l.wantUp(0)
	l.wantREST(0, "POST", "/authentication/password_based:built_in_database/users", `{"user_id":"ann","password":"p"}`, 201)
	c := l.mqtt(0, connectOpts{id: "mine", user: "ann", password: "p", v: 5})
	assert.Equal(t, c.subscribe("t", 1), byte(1))
	l.wantCodes(0, connectOpts{id: "mine", user: "ann", password: "q"}, 0x86, 4)
	c.publish("t", "still mine", 1, false)
	c.wantMessage("t", "still mine")
	_, clients := l.rest(0, "GET", "/clients", "")
	assert.Equal(t, strings.Count(clients, `"clientid":`), 1, clients)
}
