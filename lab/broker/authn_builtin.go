package broker

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/mochi-mqtt/server/v2/packets"
)

// userGroup is the group of the users of EMQX's one chain for MQTT (insert_user_group).
const userGroup = "mqtt:global"

func userKey(id string) string { return userGroup + "/" + id }

// user is a record of emqx_authn_mnesia.
type user struct {
	ID        string `json:"user_id"`
	Hash      string `json:"password_hash,omitempty"`
	Salt      string `json:"salt,omitempty"`
	Superuser bool   `json:"is_superuser"`
}

// builtin is the authenticator with users of its own, emqx_authn_mnesia.
type builtin struct {
	idType        string // username, clientid
	passwords     passwords
	bootstrapFile string
	bootstrapType string // plain, hash
}

func readBuiltin(f *fields) (*builtin, error) {
	b := &builtin{
		idType: f.oneOf("user_id_type", "username", "username", "clientid"), passwords: readPasswords(f),
		bootstrapFile: f.text("bootstrap_file", defaultBootstrap), bootstrapType: f.oneOf("bootstrap_type", "plain", "plain", "hash"),
	}
	return b, f.done()
}

// authenticate refuses at once who has no password and who has a wrong one, and leaves a
// user that it does not know to the next authenticator (emqx_authn_mnesia:authenticate).
func (b *builtin) authenticate(n *node, who *principal) verdict {
	if who.enhanced {
		return ignored
	}
	if who.password == nil {
		return refusedWith(packets.ErrBadUsernameOrPassword)
	}
	id := who.clientID
	if b.idType == "username" {
		if who.username == nil {
			return ignored
		}
		id = *who.username
	}
	var u user
	if !n.data.lookup(usersTable, userKey(id), &u) {
		return ignored
	}
	if !b.passwords.matches(u.Hash, u.Salt, *who.password) {
		return refusedWith(packets.ErrBadUsernameOrPassword)
	}
	return verdict{superuser: u.Superuser}
}

func (b *builtin) newUser(id, password string, superuser bool) (user, error) {
	sum, salt, err := b.passwords.hash(password)
	return user{ID: id, Hash: sum, Salt: salt, Superuser: superuser}, err
}

const defaultBootstrap = "${EMQX_ETC_DIR}/auth-built-in-db-bootstrap.csv"

// start adds the users of the file that are not there yet; one that is there stays as
// it is (boostrap_user_from_file: override is false). A file that cannot be read, or is
// wrong, is only warned of.
func (b *builtin) start(n *node) (stop func()) {
	stop = func() {}
	if b.bootstrapFile == "" {
		return stop
	}
	users, err := b.readUsers(n.cfg.places().expand(b.bootstrapFile))
	if errors.Is(err, fs.ErrNotExist) && b.bootstrapFile == defaultBootstrap {
		return stop // the image's own, which has no users
	}
	if err != nil {
		n.log.Warn("boostrap_authn_built_in_database_failed", "boostrap_file", b.bootstrapFile, "reason", err.Error())
		return stop
	}
	rows := map[string]any{}
	for _, u := range users {
		var old user
		if !n.data.lookup(usersTable, userKey(u.ID), &old) {
			rows[userKey(u.ID)] = u
		}
	}
	if len(rows) == 0 {
		return stop
	}
	if err := n.writeRows(usersTable, rows); err != nil {
		n.log.Error(err.Error())
	}
	return stop
}

// readUsers reads a CSV file with a header, or a JSON list.
func (b *builtin) readUsers(path string) ([]user, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var list []map[string]any
	switch ext := filepath.Ext(path); ext {
	case ".json":
		err = json.Unmarshal(content, &list)
	case ".csv":
		list, err = readCSV(string(content))
	default:
		err = fmt.Errorf("unsupported_file_format %q: want .csv or .json", ext)
	}
	if err != nil {
		return nil, err
	}
	return b.convert(b.bootstrapType, list)
}

// convert makes users of records that hold plain passwords or hashes, as kind says
// (emqx_authn_mnesia:convert_user).
func (b *builtin) convert(kind string, list []map[string]any) ([]user, error) {
	var users []user
	for i, m := range list {
		text := func(name string) string { s, _ := m[name].(string); return s }
		u := user{ID: text("user_id"), Superuser: m["is_superuser"] == true || m["is_superuser"] == "true"}
		switch {
		case m["user_id"] == nil: // one with no letter is a user, whom the API cannot delete
			return nil, fmt.Errorf("record %d: bad_format: no user_id", i+1)
		case kind == "hash" && text("password_hash") == "":
			return nil, fmt.Errorf("record %d: hash_import_requires_password_hash_field", i+1)
		case kind == "hash":
			u.Hash, u.Salt = text("password_hash"), text("salt")
		case text("password") == "":
			return nil, fmt.Errorf("record %d: plain_import_requires_password_field", i+1)
		default:
			var err error
			if u, err = b.newUser(u.ID, text("password"), u.Superuser); err != nil {
				return nil, err
			}
		}
		users = append(users, u)
	}
	return users, nil
}

func readCSV(content string) ([]map[string]any, error) {
	records, err := csv.NewReader(strings.NewReader(content)).ReadAll()
	if err != nil || len(records) == 0 {
		return nil, err
	}
	var out []map[string]any
	for _, r := range records[1:] {
		m := map[string]any{}
		for i, name := range records[0] {
			m[strings.TrimSpace(name)] = r[i]
		}
		out = append(out, m)
	}
	return out, nil
}
