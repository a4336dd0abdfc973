package broker

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

func TestExportAndImport(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.start(0)
	l.start(1)
	l.wantCluster(0, []int{0, 1}, nil)
	l.wantUp(1)
	pub := l.mqtt(0, connectOpts{id: "pub"})
	pub.publish("kept/1", "one", 1, true)
	pub.publish("kept/2", "two", 1, true)
	pub.publish("kept/2", "", 1, true) // cleared
	out, code := l.ctl(0, "data", "export")
	assert.Equal(t, code, 0)
	m := regexp.MustCompile(`(?m)^Data has been successfully exported to (.*)\.$`).FindStringSubmatch(out)
	assert.Assert(t, m != nil, out)
	assert.Equal(t, filepath.Dir(m[1]), filepath.Join(l.dirs[0], "backup"))
	assert.Assert(t, strings.Contains(out, "Exporting emqx_retainer_message database table..."), out)
	info, err := os.Stat(m[1])
	assert.NilError(t, err)
	assert.Equal(t, info.Mode().Perm(), os.FileMode(0o600))

	fresh := newLab(t, 2, "EMQX_DASHBOARD__DEFAULT_PASSWORD=another")
	fresh.start(0)
	fresh.start(1)
	fresh.wantCluster(0, []int{0, 1}, nil)
	fresh.wantUp(0)
	fresh.wantUp(1)
	// Its settings would close the other member's listener: TestAnImportWritesListeners.
	out, code = fresh.ctl(1, "data", "import", without(t, m[1], clusterFile))
	assert.Equal(t, code, 0)
	assert.Assert(t, strings.HasSuffix(out, "Importing emqx_app database table...\nData has been imported successfully."), out)
	for i := range 2 {
		out, _ = fresh.ctl(i, "retainer", "topics")
		assert.Equal(t, out, "kept/1")
		s := fresh.mqtt(i, connectOpts{id: fmt.Sprint("s", i)})
		s.subscribe("kept/#", 1)
		s.wantMessage("kept/1", "one")
		// The dashboard user is the old cluster's again.
		code, body := httpDo("POST", fresh.url(i, "/api/v5/login"), `{"username":"admin","password":"public"}`)
		assert.Equal(t, code, 200, body)
	}
}

func TestAnImportThatIsRefused(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.start(0)
	l.wantUp(0)
	out, _ := l.ctl(0, "data", "export")
	path := regexp.MustCompile(`exported to (.*)\.$`).FindStringSubmatch(out)[1]
	content, err := os.ReadFile(path)
	assert.NilError(t, err)
	dir := t.TempDir()
	renamed := filepath.Join(dir, "mine.tar.gz")
	assert.NilError(t, os.WriteFile(renamed, content, 0o600))
	torn := filepath.Join(dir, filepath.Base(path))
	assert.NilError(t, os.WriteFile(torn, content[:len(content)/2], 0o600))
	for file, want := range map[string]string{
		renamed:        "must be under <backup name> directory",
		torn:           "unexpected EOF",
		"none.tar.gz":  "backup file not found",
		dir + "/x.zip": "file name must have .tar.gz extension",
	} {
		out, code := l.ctl(0, "data", "import", file)
		assert.Equal(t, code, 0)
		assert.Assert(t, strings.Contains(out, "[error] Data import failed, reason: ") && strings.Contains(out, want), out)
	}
	// By its name it is found in the backup folder.
	out, _ = l.ctl(0, "data", "import", filepath.Base(path))
	assert.Assert(t, strings.HasSuffix(out, "Data has been imported successfully."), out)
	assert.Assert(t, newer("5.9.0") && newer("6.0.1") && !newer("5.8.12") && !newer("5.3.0"))
}

// Users, rules, bans and what was changed of the settings are in an archive, too.
func TestAnArchiveHasWhoMayConnect(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.start(0)
	l.wantUp(0)
	const users = "/authentication/password_based:built_in_database/users"
	l.wantREST(0, "POST", "/authentication", `{"mechanism":"password_based","backend":"built_in_database"}`, 200)
	l.wantREST(0, "POST", users, `{"user_id":"ann","password":"p"}`, 201)
	l.wantREST(0, "PUT", "/configs?mode=replace", `authorization {no_match = deny, sources = [{type = file, rules = "{allow, all, publish, [\"mine\"]}."}, {type = built_in_database}]}`, 200)
	l.wantREST(0, "POST", databaseRules+"/all", `{"rules":[{"topic":"t","permission":"allow","action":"publish"}]}`, 204)
	l.wantREST(0, "POST", "/banned", `{"as":"username","who":"eve"}`, 200)
	out, _ := l.ctl(0, "data", "export")
	path := regexp.MustCompile(`exported to (.*)\.$`).FindStringSubmatch(out)[1]

	fresh := newLab(t, 1)
	p := fresh.start(0)
	fresh.wantUp(0)
	fresh.wantREST(0, "POST", "/authentication", `{"mechanism":"jwt","algorithm":"hmac-based","secret":"s"}`, 200)
	out, _ = fresh.ctl(0, "data", "import", path)
	assert.Assert(t, strings.HasSuffix(out, "Data has been imported successfully."), out)
	for range 2 {
		fresh.wantREST(0, "GET", "/authentication/jwt", "", 200)
		fresh.wantCodes(0, connectOpts{id: "c", user: "ann", password: "p"}, 0, 0)
		fresh.wantCodes(0, connectOpts{id: "c", user: "ann", password: "q"}, 0x86, 4)
		fresh.wantCodes(0, connectOpts{id: "c", user: "eve", password: "q"}, 0x8A, 5)
		c := fresh.mqtt(0, connectOpts{id: "c", v: 5, user: "ann", password: "p"})
		for topic, want := range map[string]byte{"mine": 0, "t": 0, "u": 0x87} {
			assert.Equal(t, c.puback(topic, 1), want, topic)
		}
		assert.NilError(t, p.stop(t))
		p = fresh.run(0, withoutSources(fresh.options(0)))
		fresh.wantUp(0)
	}
}

// withoutSources is a node whose environment does not say where rules come from.
func withoutSources(o Options) Options {
	o.Env = slices.DeleteFunc(o.Env, func(kv string) bool { return strings.HasPrefix(kv, "EMQX_AUTHORIZATION__") })
	return o
}
