package gates_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	nomad "github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// userAPI is EMQX's database and its clients, with the script before it. Clients come back
// as soon as they are cut off, where they can.
type userAPI struct {
	gates.NomadClient
	users   map[string]string // password by name
	clients map[string]client // by id
	file    map[string]string // the users of the task's file
	asked   []string
	dies    int // which command is the last whose answer is heard; 0 is none
}

type client struct{ Username, Password string }

func (a *userAPI) Allocations(context.Context, string) ([]*nomad.AllocationListStub, error) {
	return []*nomad.AllocationListStub{{ID: "x", ClientStatus: "running", DesiredStatus: "run"}}, nil
}

func (a *userAPI) Exec(_ context.Context, _, _ string, command ...string) (gates.ExecResult, error) {
	a.asked = append(a.asked, strings.Join(command[6:], " "))
	if a.dies > 0 && len(a.asked) > a.dies {
		return gates.ExecResult{}, errors.New("no answer")
	}
	var out string
	if command[6] == "import" {
		out = a.bring()
	} else {
		out = "\n--- " + a.answer(command[7], command[8], command[9]) + "\n"
	}
	if len(a.asked) == a.dies {
		return gates.ExecResult{}, errors.New("the answer is lost")
	}
	return gates.ExecResult{Stdout: out}, nil
}

// bring is what users.sh does.
func (a *userAPI) bring() (out string) {
	for name, password := range a.file {
		switch old, known := a.users[name]; {
		case !known:
			out += "added " + name + "\n"
		case old != password:
			a.users["emqx-oci-cut-"+name] = "nobody's"
			out += "changed " + name + "\n"
		}
		a.users[name] = password
	}
	return out
}

func (a *userAPI) answer(method, path, body string) string {
	at, err := url.Parse(path)
	if err != nil {
		panic(err)
	}
	var list []map[string]string
	switch what := method + " " + at.Path[strings.LastIndex(at.Path, "/"):]; what {
	case "GET /users":
		for name := range a.users {
			if strings.Contains(name, at.Query().Get("like_user_id")) {
				list = append(list, map[string]string{"user_id": name})
			}
		}
	case "GET /clients":
		for id, c := range a.clients {
			list = append(list, map[string]string{"clientid": id, "username": c.Username}) // all, whatever was asked
		}
	case "POST /bulk":
		var ids []string
		_ = json.Unmarshal([]byte(body), &ids)
		for _, id := range ids {
			if c := a.clients[id]; a.users[c.Username] != c.Password || c.Password == "" {
				delete(a.clients, id)
			}
		}
		return "204\n"
	case "POST /import_users":
		var users []struct {
			ID string `json:"user_id"`
		}
		_ = json.Unmarshal([]byte(body), &users)
		for _, u := range users {
			a.users[u.ID] = "nobody's"
		}
	default: // DELETE
		delete(a.users, at.Path[strings.LastIndex(at.Path, "/")+1:])
		return "204\n"
	}
	text, err := json.Marshal(map[string]any{"data": list})
	if err != nil {
		panic(err)
	}
	return "200\n" + string(text)
}

// closing is a cluster whose user old is not declared any more, and whose user ann has
// another password; bob stays as he is.
func closing() *userAPI {
	return &userAPI{
		users:   map[string]string{"ann": "first", "bob": "bob's", "old": "old's"},
		clients: map[string]client{"a": {"ann", "first"}, "b": {"bob", "bob's"}, "o": {"old", "old's"}},
		file:    map[string]string{"ann": "second", "bob": "bob's", "new": "new's"},
	}
}

func (a *userAPI) match(t *testing.T) (string, error) {
	t.Helper()
	return gates.MatchUsers(a, gates.MatchUsersArgs{Job: "emqx-lab", Names: []string{"ann", "bob", "new"}}).Do(t.Context())
}

func TestUsersThatAreNotDeclaredAreRemovedAndCutOff(t *testing.T) {
	t.Parallel()
	api := closing()
	done, err := api.match(t)
	assert.NilError(t, err)
	assert.Equal(t, done, "added new; changed ann; removed old; clients cut off: 2")
	assert.DeepEqual(t, api.clients, map[string]client{"b": {"bob", "bob's"}})
	assert.DeepEqual(t, api.users, api.file)

	done, err = api.match(t)
	assert.NilError(t, err)
	assert.Equal(t, done, "")
}

// Wherever a try ends, the next one cuts off whom that one has left, and nobody else.
func TestATryThatEndedLeavesNobodyConnected(t *testing.T) {
	t.Parallel()
	for dies := 1; ; dies++ {
		api := closing()
		api.dies = dies
		_, err := api.match(t)
		if err == nil {
			assert.Assert(t, dies > 5, "%v", api.asked)
			return
		}
		first := slices.Clone(api.asked)
		api.dies = 0
		_, err = api.match(t)
		assert.NilError(t, err)
		assert.DeepEqual(t, api.clients, map[string]client{"b": {"bob", "bob's"}})
		assert.DeepEqual(t, api.users, api.file)
		assert.Assert(t, len(first) == dies || len(first) == dies+1, "%v", first)
	}
}

// devicesToo adds a device to a cluster, with its mark and that of a certificate that was revoked.
func (a *userAPI) devicesToo() {
	for _, users := range []map[string]string{a.users, a.file} {
		users["pump-1"] = "the pump's"
		users[gates.DeviceMark+"pump-1/password/1764000000"] = "nobody's"
		users[gates.RevokedMark+"old/1a2b"] = "nobody's"
	}
	a.clients["p"] = client{"pump-1", "the pump's"}
}

// A device is none of the declared users, and stays; the mark of a revoked certificate protects nobody.
func TestDevicesAreLeftAlone(t *testing.T) {
	t.Parallel()
	api := closing()
	api.devicesToo()
	want := maps.Clone(api.file)
	for name := range api.file {
		if strings.Contains(name, "pump-1") || strings.Contains(name, "/") {
			delete(api.file, name) // it is in no file
		}
	}
	done, err := api.match(t)
	assert.NilError(t, err)
	assert.Equal(t, done, "added new; changed ann; removed old; clients cut off: 2")
	assert.DeepEqual(t, api.clients, map[string]client{"b": {"bob", "bob's"}, "p": {"pump-1", "the pump's"}})
	assert.DeepEqual(t, api.users, want)

	// A name is a user's or a device's.
	api.users[gates.DeviceMark+"bob/password/1764000000"] = "nobody's"
	_, err = api.match(t)
	assert.ErrorContains(t, err, `auth.users must not name a device: bob; revoke it by "emqx-oci device revoke"`)
}
