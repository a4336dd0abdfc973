package broker

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/nomad"
)

// jobFiles are the files of the tasks of EMQX's job, one folder for each member, which is
// as good as a task's two.
type jobFiles struct {
	lab     *lab
	key, at string
}

func (j jobFiles) dir(i int) string { return filepath.Join(j.at, fmt.Sprint(i)) }

func (j jobFiles) write(t *testing.T, i int, files nomad.AuthFiles) {
	t.Helper()
	assert.NilError(t, os.MkdirAll(j.dir(i), 0o700))
	for name, text := range map[string]string{
		"users.json": files.Users, "authn.json": files.Authentication, "authz.json": files.Authorization, "acl.conf": files.Rules,
	} {
		assert.NilError(t, os.WriteFile(filepath.Join(j.dir(i), name), []byte(text), 0o600))
	}
}

// start starts a member as the job, its files and further variables say.
func (j jobFiles) start(t *testing.T, i int, files nomad.AuthFiles, env ...string) {
	t.Helper()
	j.write(t, i, files)
	assert.NilError(t, os.WriteFile(filepath.Join(j.dir(i), "acl-at-start.conf"), []byte(files.Rules), 0o600))
	o := j.lab.options(i, append(env, "EMQX_AUTHENTICATION="+files.Authentication, "EMQX_AUTHORIZATION="+files.Authorization,
		"EMQX_API_KEY__BOOTSTRAP_FILE="+j.key, "NOMAD_SECRETS_DIR="+j.dir(i), "NOMAD_TASK_DIR="+j.dir(i))...)
	o.Env = slices.DeleteFunc(o.Env, func(kv string) bool { return kv == "EMQX_AUTHORIZATION__SOURCES=[]" })
	j.lab.run(i, o)
}

// taskEnv is the environment of a member's task.
func (j jobFiles) taskEnv(i int) []string {
	return append(os.Environ(), "NOMAD_ADDR_dashboard="+j.lab.ip(i)+":18083", "KEY_FILE="+j.key,
		"NOMAD_SECRETS_DIR="+j.dir(i), "NOMAD_TASK_DIR="+j.dir(i), "EMQX_NODE__DATA_DIR="+j.lab.dirs[i])
}

// script runs the script of the step in the task of a member.
func (j jobFiles) script(t *testing.T, i int, command ...string) string {
	t.Helper()
	text, err := os.ReadFile("../../infra/gates/files/users.sh")
	assert.NilError(t, err)
	cmd := exec.Command("/bin/bash", append([]string{"-c", string(text), "users.sh"}, command...)...)
	cmd.Env = j.taskEnv(i)
	out, err := cmd.CombinedOutput()
	assert.NilError(t, err, "%s", out)
	return string(out)
}

// marks are the users that stand beside those that have changed.
func (j jobFiles) marks(t *testing.T) (found []string) {
	t.Helper()
	var list struct {
		Data []struct {
			ID string `json:"user_id"`
		}
	}
	code, text := httpDo("GET", j.lab.url(0, "/api/v5/authentication/password_based%3Abuilt_in_database/users"), "", "ops", "s3cret-s3cret")
	assert.Equal(t, code, 200, "%s", text)
	assert.NilError(t, json.Unmarshal([]byte(text), &list))
	for _, u := range list.Data {
		if strings.HasPrefix(u.ID, "emqx-oci-cut-") {
			found = append(found, u.ID)
		}
	}
	return found
}

func filesOf(t *testing.T, a nomad.Auth) nomad.AuthFiles {
	t.Helper()
	a.Key = "a key"
	files, err := a.Files()
	assert.NilError(t, err)
	return files
}

// closedLab are two members that start with files of the job, and with further variables of each.
func closedLab(t *testing.T, files nomad.AuthFiles, env func(l *lab, i int) []string) jobFiles {
	t.Helper()
	j := jobFiles{lab: newLab(t, 2), at: t.TempDir()}
	j.key = filepath.Join(j.at, "key")
	assert.NilError(t, os.WriteFile(j.key, []byte("ops:s3cret-s3cret\n"), 0o600))
	for i := range 2 {
		var own []string
		if env != nil {
			own = env(j.lab, i)
		}
		j.start(t, i, files, own...)
	}
	j.lab.wantWhole()
	return j
}

// jobsAuth is what the tests' job declares.
func jobsAuth() nomad.Auth {
	return nomad.Auth{
		Users: []nomad.User{{Name: "ann", Password: "ann's-password"}, {Name: "bob", Password: "bob's-password"}},
		Rules: []nomad.Rule{
			{Allow: true, Action: "all", Topics: []string{"devices/${username}/#"}},
			{Allow: true, User: "bob", Action: "subscribe", Topics: []string{"news"}},
		},
	}
}

// What EMQX's job hands over, files and variables, lets in who is declared and nobody else;
// the script of the step that matches users tells what it changed.
func TestUsersAndRulesOfTheJob(t *testing.T) {
	t.Parallel()
	auth := jobsAuth()
	j := closedLab(t, filesOf(t, auth), nil)
	l := j.lab
	l.wantCodes(0, connectOpts{id: "x"}, 0x86, 4) // no password
	l.wantCodes(0, connectOpts{id: "x", user: "ann", password: "bob's-password"}, 0x86, 4)
	l.wantCodes(0, connectOpts{id: "x", user: "eve", password: "bob's-password"}, 0x87, 5)
	c := l.mqtt(0, connectOpts{id: "b", v: 5, user: "bob", password: "bob's-password"})
	assert.Equal(t, c.subscribe("devices/bob/#", 1), byte(1))
	assert.Equal(t, c.subscribe("$share/g/news", 1), byte(1))
	assert.Equal(t, c.subscribe("#", 1), byte(0x87))
	assert.Equal(t, c.subscribe("devices/ann/x", 1), byte(0x87))

	// A user that was changed keeps a mark, by which nobody can connect, until its clients are
	// cut off; the others leave none.
	assert.Equal(t, j.script(t, 0, "import"), "")
	assert.Equal(t, len(j.marks(t)), 0, "%v", j.marks(t))
	auth.Users = []nomad.User{{Name: "ann", Password: "another-password"}, {Name: "cid", Password: "cid's-password"}}
	j.write(t, 0, filesOf(t, auth))
	assert.Equal(t, j.script(t, 0, "import"), "changed ann\nadded cid\n")
	assert.DeepEqual(t, j.marks(t), []string{"emqx-oci-cut-ann"})
	l.wantCodes(0, connectOpts{id: "x", user: "emqx-oci-cut-ann", password: "another-password"}, 0x86, 4)
	l.wantCodes(0, connectOpts{id: "x", user: "ann", password: "another-password"}, 0, 0)
	l.wantCodes(0, connectOpts{id: "x", user: "ann", password: "ann's-password"}, 0x86, 4)
}

// Rules of changed files count on both members when the script has told one of them, and no
// sooner, although EMQX shows them by what is in the file.
func TestTheScriptChangesRulesOnAllMembers(t *testing.T) {
	t.Parallel()
	auth := jobsAuth()
	first := filesOf(t, auth)
	j := closedLab(t, first, nil)
	look := func(i int) string { return j.script(t, i, "look") }
	for i := range 2 {
		said := look(i)
		assert.Assert(t, strings.Contains(said, "\n--- files\n"+first.Digest()+" "), "%s", said)
		assert.Assert(t, strings.Contains(said, `[\"news\"]`) && strings.Contains(said, `"deny_action":"ignore"`), "%s", said)
	}
	bob := j.lab.mqtt(1, connectOpts{id: "b", v: 5, user: "bob", password: "bob's-password"})
	assert.Equal(t, bob.subscribe("other", 1), byte(0x87))

	auth.Rules[1].Topics, auth.Disconnect = []string{"other"}, true
	second := filesOf(t, auth)
	for i := range 2 {
		j.write(t, i, second)
		said := look(i)
		assert.Assert(t, strings.Contains(said, second.Digest()) && strings.Contains(said, `[\"news\"]`), "what counts is shown: %s", said)
	}
	assert.Equal(t, bob.subscribe("other", 1), byte(0x87))
	for i := range 2 {
		assert.Equal(t, j.script(t, i, "keep", "2nd"), "")
	}
	said := j.script(t, 0, "change", "2nd", "authentication", "authorization")
	assert.Assert(t, strings.HasPrefix(said, "\n--- 200\n"), "%s", said)
	eventually(t, func() string {
		if said := look(1); !strings.Contains(said, `[\"other\"]`) || !strings.Contains(said, `"deny_action":"disconnect"`) {
			return said
		}
		return ""
	})
	assert.Equal(t, bob.subscribe("other", 1), byte(1))
	subscriptions := j.script(t, 0, "ask", "GET", "/subscriptions?page=1&limit=10", "")
	assert.Assert(t, strings.Contains(subscriptions, `"clientid":"b"`) && strings.Contains(subscriptions, `"topic":"other"`), "%s", subscriptions)
	assert.Equal(t, j.script(t, 0, "drop", "2nd"), "")
	kept, err := filepath.Glob(filepath.Join(j.lab.dirs[0], "authz", "acl-*"))
	assert.NilError(t, err)
	assert.DeepEqual(t, kept, []string{filepath.Join(j.lab.dirs[0], "authz", "acl-2nd.conf")})
}
