package nomad

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/blowfish" //nolint:staticcheck // bcrypt is made of it; nothing is encrypted
)

// Auth is who may connect to EMQX and what they may do. The built-in database of EMQX holds
// the users, whom [ItemUsers] brings.
type Auth struct {
	// Required.

	// Rules is the file of rules, as [RulesFile] makes it.
	Rules string
	// UsersDigest changes with the users, so that EMQX is restarted in turn with new ones:
	// [EnvironmentDigest] makes one.
	UsersDigest string

	// Optional.

	// Disconnect ends the connection of who does what he may not.
	Disconnect bool
	// ClientIDs binds the clients' identifiers to their users; none where a client may call
	// itself as it likes.
	ClientIDs ClientIDs
	// SecretLists: the secrets hold the lists of authenticators and sources
	// ([AuthenticationVariable], [SourcesVariable]), as there are more of them than the built-in
	// database and the file.
	SecretLists bool
	// Authorities are the files' names of [Authorities].
	Authorities []string
}

// vars are the job's variables that say it.
func (a *Auth) vars() map[string]string {
	if a == nil {
		a = &Auth{}
	}
	action := "ignore"
	if a.Disconnect {
		action = "disconnect"
	}
	authorities := map[string]string{}
	for _, file := range a.Authorities {
		authorities[file] = AuthorityItem(file)
	}
	return map[string]string{
		// Nomad's templates begin with two braces.
		"acl":         strings.ReplaceAll(a.Rules, "{{", `{{"{{"}}`),
		"deny_action": action, "users_digest": a.UsersDigest,
		"clientid_override": string(a.ClientIDs), "banned": a.ClientIDs.Banned(),
		"secret_lists": strconv.FormatBool(a.SecretLists), "authorities": hclMap(authorities),
	}
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
			if hash, err = bcryptHash(u.Password, [16]byte(mac.Sum(nil)), bcryptRounds); err != nil {
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

// UsersDigest changes with the users, and tells nothing about them to whoever has no key.
func UsersDigest(users []User, key string) string {
	mac := hmac.New(sha256.New, []byte(key))
	for _, u := range users {
		fmt.Fprintf(mac, "%q %q %q %t\n", u.Name, u.Password, u.PasswordHash, u.Superuser)
	}
	return hex.EncodeToString(mac.Sum(nil)[:16])
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
