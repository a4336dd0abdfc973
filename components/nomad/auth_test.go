package nomad

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
	"gotest.tools/v3/assert"
)

// The hash is one that others verify, and the same each time.
func TestPasswordsAreHashedAsBcryptHasThem(t *testing.T) {
	for _, password := range []string{"x", "a-password-of-a-device", strings.Repeat("72", 36)} {
		users := []User{{Name: "ann", Password: password}}
		text, err := UsersFile(users, "a key")
		assert.NilError(t, err)
		again, err := UsersFile(users, "a key")
		assert.NilError(t, err)
		assert.Equal(t, text, again)
		other, err := UsersFile(users, "another key")
		assert.NilError(t, err)
		assert.Assert(t, text != other)
		var read []struct {
			Hash string `json:"password_hash"`
		}
		assert.NilError(t, json.Unmarshal([]byte(text), &read))
		assert.NilError(t, bcrypt.CompareHashAndPassword([]byte(read[0].Hash), []byte(password)), password)
		assert.Assert(t, bcrypt.CompareHashAndPassword([]byte(read[0].Hash), []byte(password[1:]+"y")) != nil)
		assert.Assert(t, !strings.Contains(text, password) || password == "x")
	}
	fresh, err := NewHash("a-password-of-a-device")
	assert.NilError(t, err)
	assert.NilError(t, bcrypt.CompareHashAndPassword([]byte(fresh), []byte("a-password-of-a-device")))
	another, err := NewHash("a-password-of-a-device")
	assert.NilError(t, err)
	assert.Assert(t, fresh != another)
	_, err = UsersFile([]User{{Name: "ann", Password: strings.Repeat("7", 73)}}, "")
	assert.ErrorContains(t, err, `"ann"`)
}

func TestUsersAreALineEach(t *testing.T) {
	hash := "$2b$10$" + strings.Repeat("a", 53)
	text, err := UsersFile([]User{{Name: "ann", PasswordHash: hash}, {Name: "bob", PasswordHash: hash, Superuser: true}}, "")
	assert.NilError(t, err)
	assert.Equal(t, text, "[\n"+`{"user_id":"ann","password_hash":"`+hash+`","salt":"","is_superuser":false},`+"\n"+
		`{"user_id":"bob","password_hash":"`+hash+`","salt":"","is_superuser":true}`+"\n]")
}

func TestRulesAreErlangTerms(t *testing.T) {
	text := RulesFile([]Rule{
		{Allow: true, User: "ann", Action: "publish", Topics: []string{"a/${username}/#", `q"\x`, "eq #"}},
		{Address: "10.0.0.0/8", Action: "all"},
		{ClientID: "c", Action: "subscribe", Topics: []string{"#"}},
		{UserPattern: "[+#]", Action: "all"},
	}, false)
	assert.Equal(t, text, `{allow, {username, "ann"}, publish, ["a/${username}/#", "q\"\\x", "eq #"]}.
{deny, {ipaddr, "10.0.0.0/8"}, all, all}.
{deny, {clientid, "c"}, subscribe, ["#"]}.
{deny, {username, {re, "[+#]"}}, all, all}.
{deny, all, all, all}.
`)
}

// What is in the task's files is told by one digest, and is JSON where EMQX reads it so.
func TestFilesOfWhoMayConnect(t *testing.T) {
	a := Auth{
		Users: []User{{Name: "ann", Password: "a-password-of-a-device"}}, Rules: []Rule{{Allow: true, User: "ann", Action: "all", Topics: []string{"a"}}},
		Key: "a key",
	}
	files, err := a.Files()
	assert.NilError(t, err)
	same, err := a.Files()
	assert.NilError(t, err)
	assert.Equal(t, files.Digest(), same.Digest())
	assert.DeepEqual(t, slices.Sorted(maps.Keys(files.Items())), []string{"acl", "authn", "authz", "users"})
	var authentication []map[string]any
	var authorization map[string]any
	assert.NilError(t, json.Unmarshal([]byte(files.Authentication), &authentication))
	assert.NilError(t, json.Unmarshal([]byte(files.Authorization), &authorization))
	assert.Equal(t, authorization["no_match"], "deny")
	assert.Equal(t, authorization["deny_action"], "ignore")

	for name, change := range map[string]func(*Auth){
		"users": func(a *Auth) { a.Users = []User{{Name: "ann", Password: "another-password"}} },
		"acl":   func(a *Auth) { a.Rules = nil },
		"authz": func(a *Auth) { a.Disconnect = true },
	} {
		other := a
		change(&other)
		changed, err := other.Files()
		assert.NilError(t, err)
		assert.Assert(t, changed.Digest() != files.Digest(), name)
		for item, text := range changed.Items() {
			assert.Equal(t, text != files.Items()[item], item == name, "%s: %s", name, item)
		}
	}
}
