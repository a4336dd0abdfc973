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
	"time"

	nomad "github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// userAPI is EMQX's database and its clients, with the script before it, on two members.
// Clients come back as soon as they are cut off, where they can.
type userAPI struct {
	gates.NomadClient
	users   map[string]string  // password by name; nil: there is no database
	clients map[string]client  // by id
	file    map[string]string  // the users of the task's file
	digest  string             // of the task's files
	has     map[string]*access // by allocation
	kept    map[string]string  // rules that were laid down, by allocation
	asked   []string
	secret  string // of an authenticator; "" for none
	late    string // a user that the list of all does not have yet
	number  bool   // there is a user 7, which is no text
	dies    int    // which command is the last whose answer is heard; 0 is none
}

type client struct{ Username, Password, Filter string }

// shown is its name as EMQX shows it: nobody's is none.
func (c client) shown() any {
	if c.Username == nobodys {
		return nil
	}
	return c.Username
}

const nobodys = "no name at all"

// access is what a member has, and shows.
type access struct{ Authn, DenyAction, Rules string }

var declared = access{Authn: "built-in", DenyAction: "ignore", Rules: "the rules"}

func (a access) authentication() string {
	return `[{"mechanism": "` + a.Authn + `", "salt_rounds": 10}]`
}

func (a access) authorization() string {
	return `{"deny_action": "` + a.DenyAction + `", "no_match": "deny", "sources": [{"type": "file", "path": "x"}]}`
}

func (a *userAPI) Allocations(context.Context, string) ([]*nomad.AllocationListStub, error) {
	var list []*nomad.AllocationListStub
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(a.has))) {
		list = append(list, &nomad.AllocationListStub{
			ID: id, Name: id, NodeName: "node-" + id, ClientStatus: "running", DesiredStatus: "run",
			TaskStates: map[string]*nomad.TaskState{"emqx": {StartedAt: time.Unix(1, 0)}},
		})
	}
	return append(list, &nomad.AllocationListStub{ID: "gone", ClientStatus: "complete", DesiredStatus: "stop"}), nil
}

func (a *userAPI) Exec(_ context.Context, alloc, _ string, command ...string) (gates.ExecResult, error) {
	a.asked = append(a.asked, strings.Join(command[6:], " "))
	if a.dies > 0 && len(a.asked) > a.dies {
		return gates.ExecResult{}, errors.New("no answer")
	}
	var out string
	switch command[6] {
	case "look":
		out = a.look(alloc)
	case "keep":
		a.kept[alloc] = command[7]
	case "drop":
	case "change":
		out = a.change(command[7], command[8:])
	case "import":
		out = a.bring()
	default:
		out = "\n--- " + a.answer(command[7], command[8], command[9]) + "\n"
	}
	if len(a.asked) == a.dies {
		return gates.ExecResult{}, errors.New("the answer is lost")
	}
	return gates.ExecResult{Stdout: out}, nil
}

func (a *userAPI) look(alloc string) string {
	has := a.has[alloc]
	shown := has.authentication()
	if a.secret != "" {
		shown = strings.Replace(shown, "}", `, "secret": "******"}`, 1)
	}
	rules, err := json.Marshal(has.Rules)
	if err != nil {
		panic(err)
	}
	// EMQX shows defaults, too.
	return "\n--- files\n" + a.digest + "  -\n--- authentication\n200\n" + shown +
		"\n--- settings\n200\n" + `{"deny_action": "` + has.DenyAction + `", "no_match": "deny", "cache": {"max_size": 32}}` +
		"\n--- sources\n200\n" + `{"sources": [{"type": "file", "enable": true, "rules": ` + string(rules) + `}]}`
}

// change is EMQX's own, on all members: it takes the rules where they were laid down.
func (a *userAPI) change(digest string, roots []string) string {
	for alloc, has := range a.has {
		if slices.Contains(roots, "authentication") {
			has.Authn = declared.Authn
			if a.secret != "" {
				a.secret = "of the stack"
			}
			if a.users == nil {
				a.users = maps.Clone(a.file)
			}
		}
		if slices.Contains(roots, "authorization") {
			if a.kept[alloc] != digest {
				return "\n--- 400\nfailed_to_read_acl_file\n"
			}
			has.DenyAction, has.Rules = declared.DenyAction, declared.Rules
		}
	}
	return "\n--- 200\n\n"
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
	var list []map[string]any
	switch what := method + " " + at.Path[strings.LastIndex(at.Path, "/"):]; what {
	case "GET /users":
		if a.users == nil {
			return "404\n{}"
		}
		like := at.Query().Get("like_user_id")
		if a.number && like != "" { // binary:match of a number
			return `400
{"code": "BAD_REQUEST", "message": "User error: {exception, {error,badarg}}"}`
		}
		if a.number {
			list = append(list, map[string]any{"user_id": 7})
		}
		for name := range a.users {
			if strings.Contains(name, like) && (like != "" || name != a.late) {
				list = append(list, map[string]any{"user_id": name})
			}
		}
	case "GET /clients":
		for id, c := range a.clients {
			list = append(list, map[string]any{"clientid": id, "username": c.shown()}) // all, whatever was asked
		}
	case "GET /subscriptions":
		for id, c := range a.clients {
			list = append(list, map[string]any{"clientid": id, "topic": c.Filter})
		}
	case "POST /bulk":
		var ids []string
		_ = json.Unmarshal([]byte(body), &ids)
		for _, id := range ids {
			switch c := a.clients[id]; {
			case a.users[c.Username] != c.Password || c.Password == "":
				delete(a.clients, id)
			case c.Filter == "forbidden": // SUBACK refuses it
				a.clients[id] = client{c.Username, c.Password, ""}
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
		name, err := url.PathUnescape(at.EscapedPath()[strings.LastIndex(at.EscapedPath(), "/")+1:])
		if err != nil {
			panic(err)
		}
		if name == "" {
			return "405\n"
		}
		delete(a.users, name)
		return "204\n"
	}
	text, err := json.Marshal(map[string]any{"data": list})
	if err != nil {
		panic(err)
	}
	return "200\n" + string(text)
}

// closing is a cluster whose user old is not declared any more, and whose user ann has
// another password; bob stays as he is, and so does the device d.
func closing() *userAPI {
	first, second := declared, declared
	return &userAPI{
		users: map[string]string{
			"ann": "first", "bob": "bob's", "old": "old's", "d": "d's", "emqx-oci-device/d/1": "nobody's", "emqx-oci-revoked/e/1": "nobody's", "e": "nobody's",
		},
		clients: map[string]client{"a": {"ann", "first", ""}, "b": {"bob", "bob's", "allowed"}, "o": {"old", "old's", ""}, "d": {"d", "d's", ""}},
		file:    map[string]string{"ann": "second", "bob": "bob's", "new": "new's"},
		digest:  "0123456789abcdef0123456789abcdef0123", has: map[string]*access{"x": &first, "y": &second}, kept: map[string]string{},
	}
}

func (a *userAPI) args() gates.MatchUsersArgs {
	return gates.MatchUsersArgs{
		Job: "emqx-lab", Names: []string{"ann", "bob", "new"},
		Access: func() (gates.Access, error) {
			return gates.Access{
				Digest: "0123456789abcdef0123456789abcdef0123", Authentication: declared.authentication(),
				Authorization: declared.authorization(), Rules: declared.Rules,
			}, nil
		},
		May: func(c gates.Client, filter string) bool { return c.Username != "" && filter != "forbidden" },
	}
}

func (a *userAPI) match(t *testing.T) (string, error) {
	t.Helper()
	return gates.MatchUsers(a, a.args()).Do(t.Context())
}

// matched wants the declared users and d, and nothing left to do.
func (a *userAPI) matched(t *testing.T) {
	t.Helper()
	users := maps.Clone(a.file)
	users["d"], users["emqx-oci-device/d/1"], users["emqx-oci-revoked/e/1"], users["e"] = "d's", "nobody's", "nobody's", "nobody's"
	marks := 0
	for name := range a.users {
		if strings.HasPrefix(name, "emqx-oci-applied-0123456789abcdef0123456789abcdef-") {
			users[name] = "nobody's"
			marks++
		}
	}
	assert.Equal(t, marks, 1)
	assert.DeepEqual(t, a.users, users)
	assert.DeepEqual(t, a.clients, map[string]client{"b": {"bob", "bob's", a.clients["b"].Filter}, "d": {"d", "d's", ""}})
	assert.Assert(t, a.clients["b"].Filter != "forbidden")
	for _, has := range a.has {
		assert.Equal(t, *has, declared)
	}
	a.asked = nil
	done, err := a.match(t)
	assert.NilError(t, err)
	assert.Equal(t, done, "")
	assert.Assert(t, !strings.Contains(strings.Join(a.asked, " "), "change"), "%v", a.asked)
	assert.Assert(t, !strings.Contains(strings.Join(a.asked, " "), "/subscriptions"), "%v", a.asked)
}

func TestUsersThatAreNotDeclaredAreRemovedAndCutOff(t *testing.T) {
	t.Parallel()
	api := closing()
	done, err := api.match(t)
	assert.NilError(t, err)
	assert.Equal(t, done, "added new; changed ann; removed old; clients cut off: 2")
	api.matched(t)
}

// Where one member has other rules all get the declared ones, and who holds a subscription that
// they do not allow is cut off, and nobody else.
func TestRunningMembersGetTheRulesOfTheStack(t *testing.T) {
	t.Parallel()
	api := closing()
	api.has["y"].Rules = "former rules"
	api.has["x"].DenyAction, api.has["y"].DenyAction = "disconnect", "disconnect"
	delete(api.users, "old")
	api.file["ann"] = "first"
	api.clients = map[string]client{"b": {"bob", "bob's", "forbidden"}, "d": {"d", "d's", ""}}
	done, err := api.match(t)
	assert.NilError(t, err)
	assert.Equal(t, done, "applied denyAction, rules; added new; clients cut off: 1")
	api.matched(t)
}

// A member that starts again may bring sessions of others with it, and rules of another time: all
// subscriptions are looked at once more.
func TestSubscriptionsAreLookedAtAfterAStart(t *testing.T) {
	t.Parallel()
	api := closing()
	_, err := api.match(t)
	assert.NilError(t, err)
	api.has["z"] = api.has["y"]
	delete(api.has, "y")
	api.clients["b"] = client{"bob", "bob's", "forbidden"}
	done, err := api.match(t)
	assert.NilError(t, err)
	assert.Equal(t, done, "clients cut off: 1")
	api.matched(t)
}

// What somebody else changes is found, told, and put right; or left, where the stack wants that.
func TestDriftIsFoundAndPutRightOrLeft(t *testing.T) {
	t.Parallel()
	api := closing()
	drift := func() string {
		words, err := gates.AccessDrift(t.Context(), api, api.args())
		assert.NilError(t, err)
		return words
	}
	api.has["x"].Rules = "never applied"
	assert.Equal(t, drift(), "", "what no update has applied yet is none")
	_, err := api.match(t)
	assert.NilError(t, err)
	assert.Equal(t, drift(), "")

	api.has["x"].Rules, api.has["y"].Authn, api.has["x"].Authn = "a guest may all", "ldap", "ldap"
	api.users["guest"] = "guest's"
	delete(api.users, "new")
	const words = "authenticators, rules on node-x, users that are not declared: guest, no user new"
	assert.Equal(t, drift(), words)

	left := api.args()
	left.LeaveDrift = true
	done, err := gates.MatchUsers(api, left).Do(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, done, "left as somebody else has it, by auth.drift: "+words)
	assert.Equal(t, drift(), words)

	done, err = api.match(t)
	assert.NilError(t, err)
	assert.Equal(t, done, "put right what somebody else had changed: authenticators, rules on node-x; added new; removed guest")
	assert.Equal(t, drift(), "")
	api.matched(t)

	// Who takes the database away takes what was noted in it, too.
	api.users = nil
	api.has["x"].Authn, api.has["y"].Authn = "none", "none"
	assert.Equal(t, drift(), "authenticators")
	done, err = api.match(t)
	assert.NilError(t, err)
	assert.Equal(t, done, "put right what somebody else had changed: authenticators")
}

// Who is connected as a user that somebody else has deleted is nobody, where the database alone says who may connect.
func TestWhoIsNobodyIsCutOff(t *testing.T) {
	t.Parallel()
	for _, alone := range []bool{false, true} {
		api := closing()
		args := api.args()
		args.Alone = alone
		api.clients["g"], api.clients["n"] = client{"ghost", "", "allowed"}, client{"", "", ""}
		_, err := gates.MatchUsers(api, args).Do(t.Context())
		assert.NilError(t, err)
		_, ghost := api.clients["g"]
		_, nameless := api.clients["n"]
		assert.Equal(t, ghost || nameless, !alone)
		_, b := api.clients["b"]
		_, d := api.clients["d"]
		assert.Assert(t, b && d)
	}
}

// What somebody has made of a secret EMQX shows to nobody: each update writes it anew, says nothing of that, and asks nobody
// for his subscriptions; a stack that leaves what others change leaves it.
func TestSecretsThatNobodySeesAreWrittenAnew(t *testing.T) {
	t.Parallel()
	api := closing()
	args := api.args()
	args.Access = func() (gates.Access, error) {
		a, err := api.args().Access()
		a.Authentication = `[{"mechanism": "built-in", "salt_rounds": 10, "secret": "of the stack"}]`
		return a, err
	}
	api.secret = "of the stack"
	match := func() string {
		api.asked = nil
		done, err := gates.MatchUsers(api, args).Do(t.Context())
		assert.NilError(t, err)
		return done
	}
	match()
	api.secret = "somebody's"
	assert.Equal(t, match(), "")
	assert.Equal(t, api.secret, "of the stack")
	all := strings.Join(api.asked, "\n")
	assert.Assert(t, strings.Contains(all, "change 0123456789abcdef authentication\n") && !strings.Contains(all, "/subscriptions"), all)

	api.has["x"].Rules = "a guest may all"
	drift, err := gates.AccessDrift(t.Context(), api, args)
	assert.NilError(t, err)
	assert.Equal(t, drift, "rules on node-x, and maybe secrets of authenticators, which EMQX does not show")
	api.has["x"].Rules = declared.Rules

	args.LeaveDrift, api.secret = true, "somebody's"
	assert.Equal(t, match(), "")
	assert.Equal(t, api.secret, "somebody's")
}

// Nomad writes the files of a task a moment after its variable has changed.
func TestTheStepWaitsForTheFilesOfTheStack(t *testing.T) {
	t.Parallel()
	api := closing()
	api.digest = "another"
	_, err := api.match(t)
	assert.ErrorContains(t, err, "node-x: the files of its task are not those of the stack yet")
	assert.DeepEqual(t, api.asked, []string{"look"})
	drift, err := gates.AccessDrift(t.Context(), api, api.args())
	assert.NilError(t, err)
	assert.Equal(t, drift, "")
}

// Wherever a try ends, the next one cuts off whom that one has left, and nobody else.
func TestATryThatEndedLeavesNobodyConnected(t *testing.T) {
	t.Parallel()
	for dies := 1; ; dies++ {
		api := closing()
		api.has["y"].Rules = "former rules"
		api.clients["b"] = client{"bob", "bob's", "forbidden"}
		api.dies = dies
		_, err := api.match(t)
		if err == nil {
			assert.Assert(t, dies > 10, "%v", api.asked)
			return
		}
		first := slices.Clone(api.asked)
		api.dies = 0
		_, err = api.match(t)
		assert.NilError(t, err)
		api.matched(t)
		assert.Assert(t, len(first) == dies || len(first) == dies+1, "%v", first)
	}
}

// A device is none of the declared users, and stays, also one that is added meanwhile; one that was revoked stays shut out,
// also where somebody has taken away what does that.
func TestDevicesAreLeftAlone(t *testing.T) {
	t.Parallel()
	api := closing()
	api.late = gates.DeviceMark + "pump-1/password/1764000000"
	api.users["pump-1"], api.users[api.late] = "the pump's", "nobody's"
	api.users[gates.RevokedMark+"f/password/1764000000/1764000001/1766592001"] = "nobody's"
	api.clients["f"] = client{"f", "known elsewhere", ""}
	api.clients["p"] = client{"pump-1", "the pump's", ""}
	want := maps.Clone(api.users)
	done, err := api.match(t)
	assert.NilError(t, err)
	assert.Equal(t, done, "added new; changed ann; removed old; shut out again f; clients cut off: 3")
	assert.DeepEqual(t, api.clients, map[string]client{"b": {"bob", "bob's", "allowed"}, "d": {"d", "d's", ""}, "p": {"pump-1", "the pump's", ""}})
	delete(want, "old")
	want["f"] = "nobody's"
	maps.Copy(want, api.file)
	maps.DeleteFunc(api.users, func(name, _ string) bool { return strings.HasPrefix(name, "emqx-oci-applied-") })
	assert.DeepEqual(t, api.users, want)
	drift, err := gates.AccessDrift(t.Context(), api, api.args())
	assert.NilError(t, err)
	assert.Equal(t, drift, "")

	// A name is a user's or a device's.
	api.users[gates.DeviceMark+"bob/password/1764000000"] = "nobody's"
	_, err = api.match(t)
	assert.ErrorContains(t, err, `auth.users must not name a device: bob; revoke it by "emqx-oci device revoke"`)
}

// Users that only the API can make, and not even the API can delete: they are in nobody's way.
func TestUsersThatEMQXCannotDelete(t *testing.T) {
	t.Parallel()
	api := closing()
	api.number, api.late = true, "nobody"
	api.users[""] = "guessed"
	api.clients["e"], api.clients["n"] = client{"", "guessed", ""}, client{nobodys, "a token", ""}
	delete(api.users, "old") // nothing but these is to be removed, and the devices are asked for all the same
	delete(api.clients, "o")
	args := api.args()
	args.May = nil
	done, err := gates.MatchUsers(api, args).Do(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, done, "added new; changed ann; clients cut off: 2")
	assert.Equal(t, api.users[""], "nobody's")
	assert.DeepEqual(t, slices.Sorted(maps.Keys(api.clients)), []string{"b", "d", "n"})
	done, err = api.match(t)
	assert.NilError(t, err)
	assert.Equal(t, done, "")
	drift, err := gates.AccessDrift(t.Context(), api, api.args())
	assert.NilError(t, err)
	assert.Equal(t, drift, "")
}

// openedAPI is a cluster that was closed, and whose job says no more of it.
type openedAPI struct {
	userAPI
	enabled, own bool
	puts         []string
}

func (a *openedAPI) Exec(_ context.Context, _, _ string, command ...string) (gates.ExecResult, error) {
	if command[6] == "look" {
		rules := `{allow, all}.`
		if a.own {
			rules = `{allow, {username, \"emqx-oci-gate\"}, all, all}.`
		}
		enabled := map[bool]string{true: "true", false: "false"}[a.enabled]
		return gates.ExecResult{Stdout: "\n--- files\nnone  -\n--- authentication\n200\n" +
			`[{"id": "jwt", "enable": true}, {"id": "password_based:built_in_database", "enable": ` + enabled + `, "bootstrap_file": "${NOMAD_SECRETS_DIR}/users.json"}]` +
			"\n--- settings\n200\n{}\n--- sources\n200\n" + `{"sources": [{"type": "file", "rules": "` + rules + `"}]}`}, nil
	}
	a.puts = append(a.puts, command[7]+" "+command[8])
	if strings.HasPrefix(command[8], "/configs") {
		a.own = false
	} else if command[7] == "PUT" {
		a.enabled = !strings.Contains(command[9], `"enable":false`)
	}
	return gates.ExecResult{Stdout: "\n--- 204\n\n"}, nil
}

// What a step has written at run time counts where no variable says otherwise: it is taken back.
func TestAnOpenedClusterIsOpen(t *testing.T) {
	t.Parallel()
	api := &openedAPI{userAPI: *closing(), enabled: true, own: true}
	step := gates.OpenAccess(api, "emqx-lab", "emqx-oci-gate")
	done, err := step.Do(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, done, "authenticators switched off; EMQX's own rules count")
	assert.DeepEqual(t, api.puts, []string{"DELETE /authentication/jwt", "PUT /authentication/password_based:built_in_database", "PUT /configs?mode=replace"})
	done, err = step.Do(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, done, "")
	assert.Equal(t, len(api.puts), 3)
}
