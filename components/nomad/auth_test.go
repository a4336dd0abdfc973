package nomad

import (
	"encoding/json"
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
	_, err := UsersFile([]User{{Name: "ann", Password: strings.Repeat("7", 73)}}, "")
	assert.ErrorContains(t, err, `"ann"`)
}

func TestUsersAreALineEach(t *testing.T) {
	hash := "$2b$10$" + strings.Repeat("a", 53)
	text, err := UsersFile([]User{{Name: "ann", PasswordHash: hash}, {Name: "bob", PasswordHash: hash, Superuser: true}}, "")
	assert.NilError(t, err)
	assert.Equal(t, text, "[\n"+`{"user_id":"ann","password_hash":"`+hash+`","salt":"","is_superuser":false},`+"\n"+
		`{"user_id":"bob","password_hash":"`+hash+`","salt":"","is_superuser":true}`+"\n]")
	assert.Assert(t, UsersDigest([]User{{Name: "ann"}}, "k") != UsersDigest([]User{{Name: "ann", Superuser: true}}, "k"))
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
	// Nomad's templates give it back as it was.
	assert.Equal(t, (&Auth{Rules: `["{{x"]`}).vars()["acl"], `["{{"{{"}}x"]`)
}
