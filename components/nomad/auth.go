package nomad

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/crypto/blowfish" //nolint:staticcheck // bcrypt is made of it; nothing is encrypted
)

// Auth is who may connect to EMQX and what they may do. The job's text has none of it: it is in
// its Nomad variable, and so in files of the task, which EMQX reads at its start. What has changed
// since, a step of the update tells the running members.
type Auth struct {
	// Required.

	// Users of EMQX's built-in database.
	Users []User
	// Rules in the order in which they are asked; what none matches is denied.
	Rules []Rule
	// Key is secret, and the salts of passwords follow from it.
	Key string

	// Optional.

	// Disconnect ends the connection of who does what he may not.
	Disconnect bool
	// Authenticators are asked behind the built-in database, Sources behind the rules; where
	// there are some, what no rule matches is theirs.
	Authenticators []Authenticator
	Sources        []Source
}

// AuthFiles are what EMQX's task has in files of [Auth], each exactly as its item in the job's
// Nomad variable.
type AuthFiles struct {
	// Users is users.json, as [UsersFile] makes it.
	Users string
	// Authentication and Authorization are these two parts of EMQX's configuration, as JSON: the
	// authenticators, and what decides about rights, of which the file of rules is one. EMQX
	// itself puts the directories in (emqx_schema:naive_env_interpolation).
	Authentication, Authorization string
	// Rules is the file of rules, as [RulesFile] makes it.
	Rules string
}

// Files are the files of a.
func (a Auth) Files() (AuthFiles, error) {
	users, err := UsersFile(a.Users, a.Key)
	if err != nil {
		return AuthFiles{}, err
	}
	action := "ignore"
	if a.Disconnect {
		action = "disconnect"
	}
	f := AuthFiles{Users: users, Rules: RulesFile(a.Rules, len(a.Sources) > 0), Authentication: Authentication(a.Authenticators)}
	f.Authorization = compact(object{
		"no_match": "deny", "deny_action": action, "cache": object{"enable": true}, "sources": sources(a.Sources),
	})
	return f, nil
}

// Items are the files as items of the job's Nomad variable.
func (f AuthFiles) Items() map[string]string {
	return map[string]string{ItemUsers: f.Users, ItemAuthentication: f.Authentication, ItemAuthorization: f.Authorization, ItemRules: f.Rules}
}

// Digest is the SHA-256 of the files, one behind the other, in hexadecimal: of users.json,
// authn.json, authz.json and acl.conf in the task.
func (f AuthFiles) Digest() string {
	sum := sha256.Sum256([]byte(f.Users + f.Authentication + f.Authorization + f.Rules))
	return hex.EncodeToString(sum[:])
}

// Rule is one of EMQX's rules of the type "file". At most one of User, UserPattern, ClientID and
// Address is set; none is everybody.
type Rule struct {
	Allow bool
	// UserPattern is a regular expression that a part of the name matches.
	UserPattern string
	// User, ClientID, and Address as an IPv4 range.
	User, ClientID, Address string
	// Action is publish, subscribe or all.
	Action string
	// Topics are filters, with EMQX's placeholders; nil is every topic, those that begin with
	// "$" included.
	Topics []string
}

// RulesFile are rules as EMQX reads them (emqx_authz_rule.erl), and behind them that all else
// is denied, unless others are asked then: Erlang terms, of which the first that matches decides.
func RulesFile(rules []Rule, askOthers bool) string {
	var b strings.Builder
	if !askOthers {
		rules = append(rules, Rule{Action: "all"})
	}
	for _, r := range rules {
		permit, who, topics := "deny", "all", "all"
		if r.Allow {
			permit = "allow"
		}
		for _, x := range [][2]string{{"username", r.User}, {"clientid", r.ClientID}, {"ipaddr", r.Address}} {
			if x[1] != "" {
				who = "{" + x[0] + ", " + erlangString(x[1]) + "}"
			}
		}
		if r.UserPattern != "" {
			who = "{username, {re, " + erlangString(r.UserPattern) + "}}"
		}
		if r.Topics != nil {
			var quoted []string
			for _, t := range r.Topics {
				quoted = append(quoted, erlangString(t))
			}
			topics = "[" + strings.Join(quoted, ", ") + "]"
		}
		fmt.Fprintf(&b, "{%s, %s, %s, %s}.\n", permit, who, r.Action, topics)
	}
	return b.String()
}

// erlangString is text without control characters as an Erlang string: its file is UTF-8.
func erlangString(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// User is one of EMQX's built-in database.
type User struct {
	Name string
	// Password, or PasswordHash by bcrypt.
	Password, PasswordHash string
	Superuser              bool
}

// bcryptRounds is what EMQX takes at most for hashes of its own (emqx_authn_password_hashing.erl):
// 2^10, about 0.06 s.
const bcryptRounds = 10

// UsersFile are users as EMQX imports them of type "hash": a JSON list, each user on a line of
// its own, which is how the step that matches them reads it. The same users make the same
// text: the salt of a password follows from it, from the name and from key, which must be
// secret.
func UsersFile(users []User, key string) (string, error) {
	lines := make([]string, len(users))
	for i, u := range users {
		hash := u.PasswordHash
		if hash == "" {
			mac := hmac.New(sha256.New, []byte(key))
			_, _ = mac.Write([]byte("salt\x00" + u.Name + "\x00" + u.Password))
			var err error
			if hash, err = hashOnce(u.Password, [16]byte(mac.Sum(nil))); err != nil {
				return "", fmt.Errorf("hashing the password of user %q: %w", u.Name, err)
			}
		}
		// EMQX compares the record with what it has, the salt too: bcrypt's is in the hash.
		text, err := json.Marshal(struct {
			ID        string `json:"user_id"`
			Hash      string `json:"password_hash"`
			Salt      string `json:"salt"`
			Superuser bool   `json:"is_superuser"`
		}{u.Name, hash, "", u.Superuser})
		if err != nil {
			return "", fmt.Errorf("writing user %q: %w", u.Name, err)
		}
		lines[i] = string(text)
	}
	return "[\n" + strings.Join(lines, ",\n") + "\n]", nil
}

// hashes are by their salt, which is one password's alone: the files are made several times in
// an update.
var hashes sync.Map

func hashOnce(password string, salt [16]byte) (string, error) {
	if known, ok := hashes.Load(salt); ok {
		return known.(string), nil
	}
	hash, err := bcryptHash(password, salt, bcryptRounds)
	if err == nil {
		hashes.Store(salt, hash)
	}
	return hash, err
}

// bcryptEncoding is base64 in the order of bcrypt.
var bcryptEncoding = base64.NewEncoding("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").WithPadding(base64.NoPadding)

// bcryptHash is bcrypt (Provos and Mazières, USENIX 1999) with a salt that is given, which
// golang.org/x/crypto/bcrypt does not let in: with one of its own, every update would make
// another hash. A password has 1 to 72 bytes.
func bcryptHash(password string, salt [16]byte, rounds int) (string, error) {
	key := append([]byte(password), 0)
	if len(password) == 0 || len(password) > 72 {
		return "", fmt.Errorf("must have 1 to 72 bytes, got %d", len(password))
	}
	key = key[:min(len(key), 72)]
	c, err := blowfish.NewSaltedCipher(key, salt[:])
	if err != nil {
		return "", err
	}
	for range uint64(1) << rounds {
		blowfish.ExpandKey(key, c)
		blowfish.ExpandKey(salt[:], c)
	}
	sum := []byte("OrpheanBeholderScryDoubt")
	for at := 0; at < len(sum); at += blowfish.BlockSize {
		for range 64 {
			c.Encrypt(sum[at:], sum[at:])
		}
	}
	// The last byte is left out, as everywhere.
	return fmt.Sprintf("$2a$%02d$%s%s", rounds, bcryptEncoding.EncodeToString(salt[:]), bcryptEncoding.EncodeToString(sum[:23])), nil
}
