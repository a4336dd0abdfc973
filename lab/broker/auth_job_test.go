package broker

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/nomad"
)

// What EMQX's job hands over, files and variables, lets in who is declared and nobody else;
// the script of the step that matches users tells what it changed.
func TestUsersAndRulesOfTheJob(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		assert.NilError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	users := func(list ...nomad.User) string {
		text, err := nomad.UsersFile(list, "a key")
		assert.NilError(t, err)
		return write("users.json", text+"\n")
	}
	ann := nomad.User{Name: "ann", Password: "ann's-password"}
	file := users(ann, nomad.User{Name: "bob", Password: "bob's-password"})
	acl := write("acl.conf", nomad.RulesFile([]nomad.Rule{
		{Allow: true, Action: "all", Topics: []string{"devices/${username}/#"}},
		{Allow: true, User: "bob", Action: "subscribe", Topics: []string{"news"}},
	}, false))
	l := newLab(t, 1)
	key := write("key", "ops:s3cret-s3cret\n")
	l.start(0, `EMQX_AUTHENTICATION=[{"backend":"built_in_database","bootstrap_file":"`+file+`","bootstrap_type":"hash","mechanism":"password_based",`+
		`"password_hash_algorithm":{"name":"bcrypt","salt_rounds":10},"user_id_type":"username"}]`,
		`EMQX_AUTHORIZATION__SOURCES=[{"enable":true,"path":"`+acl+`","type":"file"}]`, "EMQX_AUTHORIZATION__NO_MATCH=deny",
		"EMQX_AUTHORIZATION__DENY_ACTION=ignore", "EMQX_AUTHORIZATION__CACHE__ENABLE=true", "EMQX_API_KEY__BOOTSTRAP_FILE="+key)
	l.wantUp(0)

	l.wantCodes(0, connectOpts{id: "x"}, 0x86, 4) // no password
	l.wantCodes(0, connectOpts{id: "x", user: "ann", password: "bob's-password"}, 0x86, 4)
	l.wantCodes(0, connectOpts{id: "x", user: "eve", password: "bob's-password"}, 0x87, 5)
	c, _ := connect(t, dial(t, l.ip(0)+":1883"), connectOpts{id: "b", v: 5, user: "bob", password: "bob's-password"})
	assert.Equal(t, c.subscribe("devices/bob/#", 1), byte(1))
	assert.Equal(t, c.subscribe("$share/g/news", 1), byte(1))
	assert.Equal(t, c.subscribe("#", 1), byte(0x87))
	assert.Equal(t, c.subscribe("devices/ann/x", 1), byte(0x87))

	// A user that was changed keeps a mark, by which nobody can connect, until its clients are
	// cut off; the others leave none.
	marks := func() (found []string) {
		var list struct {
			Data []struct {
				ID string `json:"user_id"`
			}
		}
		code, text := httpDo("GET", l.url(0, "/api/v5/authentication/password_based%3Abuilt_in_database/users"), "", "ops", "s3cret-s3cret")
		assert.Equal(t, code, 200, "%s", text)
		assert.NilError(t, json.Unmarshal([]byte(text), &list))
		for _, u := range list.Data {
			if strings.HasPrefix(u.ID, "emqx-oci-cut-") {
				found = append(found, u.ID)
			}
		}
		return found
	}
	script := func() string {
		text, err := os.ReadFile("../../infra/gates/files/users.sh")
		assert.NilError(t, err)
		cmd := exec.Command("/bin/bash", "-c", string(text), "users.sh", "import")
		cmd.Env = append(os.Environ(), "NOMAD_ADDR_dashboard="+l.ip(0)+":18083", "KEY_FILE="+key, "NOMAD_SECRETS_DIR="+dir)
		out, err := cmd.CombinedOutput()
		assert.NilError(t, err)
		return string(out)
	}
	assert.Equal(t, script(), "")
	assert.Equal(t, len(marks()), 0, "%v", marks())
	ann.Password = "another-password"
	users(ann, nomad.User{Name: "cid", Password: "cid's-password"})
	assert.Equal(t, script(), "changed ann\nadded cid\n")
	assert.DeepEqual(t, marks(), []string{"emqx-oci-cut-ann"})
	l.wantCodes(0, connectOpts{id: "x", user: "emqx-oci-cut-ann", password: "another-password"}, 0x86, 4)
	l.wantCodes(0, connectOpts{id: "x", user: "ann", password: "another-password"}, 0, 0)
	l.wantCodes(0, connectOpts{id: "x", user: "ann", password: "ann's-password"}, 0x86, 4)
}
