package gates

import (
	"context"
	_ "embed" // the script
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	nomad "github.com/hashicorp/nomad/api"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

//go:embed files/users.sh
var usersScript string

// usersTime bounds one command: 250 users are imported one by one, each in a few
// milliseconds on an idle node.
const usersTime = 60 * time.Second

// UsersAPI asks one member's REST API, with the stack's own key, through Nomad's exec: for the users of the built-in
// database, which all members share, and for the clients of all of them.
type UsersAPI struct {
	client NomadClient
	alloc  string
}

// NewUsersAPI chooses a member of EMQX's job whose task runs. Members for which skip is true are left out; nil leaves out
// none. The error wraps [ErrNotFound] when none is left.
func NewUsersAPI(ctx context.Context, client NomadClient, job string, skip func(alloc string) bool) (*UsersAPI, error) {
	allocs, err := runningMembers(ctx, client, job)
	if err != nil {
		return nil, err
	}
	for _, a := range allocs {
		if skip == nil || !skip(a.ID) {
			return &UsersAPI{client: client, alloc: a.ID}, nil
		}
	}
	return nil, fmt.Errorf("no other allocation of job %s runs: %w", job, ErrNotFound)
}

// runningMembers are the allocations of EMQX's job that run and are meant to, by name. The error wraps [ErrNotFound]
// when there are none.
func runningMembers(ctx context.Context, client NomadClient, job string) ([]*nomad.AllocationListStub, error) {
	allocs, err := client.Allocations(ctx, job)
	if err != nil {
		return nil, err
	}
	var running []*nomad.AllocationListStub
	for _, a := range allocs {
		if a.ClientStatus == nomad.AllocClientStatusRunning && a.DesiredStatus == nomad.AllocDesiredStatusRun {
			running = append(running, a)
		}
	}
	if len(running) == 0 {
		return nil, fmt.Errorf("no allocation of job %s runs: %w", job, ErrNotFound)
	}
	slices.SortFunc(running, func(a, b *nomad.AllocationListStub) int { return strings.Compare(a.Name, b.Name) })
	return running, nil
}

// Alloc is the allocation of the member.
func (u *UsersAPI) Alloc() string { return u.alloc }

const (
	builtIn    = "password_based:built_in_database"
	usersPath  = "/authentication/password_based%3Abuilt_in_database/users"
	importPath = "/authentication/password_based%3Abuilt_in_database/import_users?type=hash"

	// pageSize is how many of a long list one command brings: about 1 MB.
	pageSize = 5000
)

// errNoDatabase: somebody has taken the built-in database away.
var errNoDatabase = errors.New("there is no built-in database")

// NobodysHash is the hash of no password that anybody knows.
const NobodysHash = "$2a$10$....................................................."

// UserRecord is a user as EMQX imports it of type "hash", over one of that name. Its API shows the name alone.
type UserRecord struct {
	ID        string `json:"user_id"`
	Hash      string `json:"password_hash"`
	Salt      string `json:"salt"`
	Superuser bool   `json:"is_superuser"`
}

// pages asks for a list, page by page. The path ends with the beginning of a query.
func pages[T any](ctx context.Context, u *UsersAPI, path string, each func(T)) error {
	for page := 1; ; page++ {
		var list struct {
			Data []T
		}
		if err := u.ask(ctx, "GET", fmt.Sprintf("%spage=%d&limit=%d", path, page, pageSize), "", &list); err != nil {
			return err
		}
		for _, one := range list.Data {
			each(one)
		}
		if len(list.Data) < pageSize {
			return nil
		}
	}
}

// Users lists the names of the database that hold a text; empty lists all. Somebody may have brought in a user by a number:
// nobody can be that one, and EMQX 5.8.9 cannot delete it by its API, or look for a text as long as it is there.
func (u *UsersAPI) Users(ctx context.Context, holding string) (names []string, err error) {
	type user struct {
		ID any `json:"user_id"`
	}
	path := usersPath + "?"
	if holding != "" {
		path += url.Values{"like_user_id": {holding}}.Encode() + "&"
	}
	err = pages(ctx, u, path, func(x user) {
		if name, ok := x.ID.(string); ok && strings.Contains(name, holding) { // whatever the API makes of the question
			names = append(names, name)
		}
	})
	answer := (*apiError)(nil)
	switch {
	case !errors.As(err, &answer):
	case answer.status == "404":
		err = fmt.Errorf("%w: %w", errNoDatabase, err)
	case answer.status == "400" && holding != "":
		all, err := u.Users(ctx, "")
		return slices.DeleteFunc(all, func(name string) bool { return !strings.Contains(name, holding) }), err
	}
	return names, err
}

// Import brings users in, over those that are there, all or none of them (emqx_authn_mnesia:do_import_users). They stand
// in a command's arguments: a hash has to be of a password that nobody guesses.
func (u *UsersAPI) Import(ctx context.Context, users ...UserRecord) error {
	body, err := json.Marshal(users)
	if err != nil {
		return err
	}
	return u.ask(ctx, "POST", importPath, string(body), nil)
}

// Delete takes a user away; one that is not there is no error.
func (u *UsersAPI) Delete(ctx context.Context, name string) error {
	err := u.ask(ctx, "DELETE", usersPath+"/"+url.PathEscape(name), "", nil)
	var answer *apiError
	if errors.As(err, &answer) && answer.status == "404" && strings.Contains(answer.text, "User not found") {
		return nil
	}
	return err
}

// kick ends the connections and sessions of clients, on all members.
func (u *UsersAPI) kick(ctx context.Context, ids []string) error {
	body, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	return u.ask(ctx, "POST", "/clients/kickout/bulk", string(body), nil)
}

// CutOff ends the connections and sessions of users, on all members, until there are none, and says how many there were.
func (u *UsersAPI) CutOff(ctx context.Context, names []string) (cut int, err error) {
	of := url.Values{"fields": {"clientid,username"}, "limit": {"1000"}, "username": names}
	for ctx.Err() == nil {
		var list struct {
			Data []struct {
				ID       string  `json:"clientid"`
				Username *string // none is not the empty name
			}
		}
		if err := u.ask(ctx, "GET", "/clients?"+of.Encode(), "", &list); err != nil {
			return cut, err
		}
		var ids []string
		for _, c := range list.Data {
			if c.Username != nil && slices.Contains(names, *c.Username) { // whatever the API makes of the question, nobody else is cut
				ids = append(ids, c.ID)
			}
		}
		if len(ids) == 0 {
			return cut, nil
		}
		if err := u.kick(ctx, ids); err != nil {
			return cut, err
		}
		cut += len(ids)
	}
	return cut, context.Cause(ctx)
}

// Connections counts the connections of each user name, on all members.
func (u *UsersAPI) Connections(ctx context.Context) (map[string]int, error) {
	of := map[string]int{}
	err := pages(ctx, u, "/clients?fields=username&conn_state=connected&", func(c Client) { of[c.Username]++ })
	return of, err
}

// Answered tells whether an error is an answer of EMQX: another member would give the same.
func Answered(err error) bool {
	var answer *apiError
	return errors.As(err, &answer) && answer.status != "none"
}

// apiError is an answer of EMQX's other than 2xx.
type apiError struct{ question, status, text string }

func (e *apiError) Error() string {
	return fmt.Sprintf("%s: EMQX answers %s: %s", e.question, OneLine(e.status), OneLine(e.text))
}

// ask asks the member's API; an answer other than 2xx is an error.
func (u *UsersAPI) ask(ctx context.Context, method, path, body string, into any) error {
	out, err := u.run(ctx, "ask", method, path, body)
	if err != nil {
		return err
	}
	text, err := readAsked(method, path, out)
	if err != nil || into == nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("%s %s: reading EMQX's answer: %w", method, path, err)
	}
	return nil
}

// readAsked is the body of an answer.
func readAsked(method, path, output string) (string, error) {
	_, answer, _ := strings.Cut(output, answerMark)
	status, text, _ := strings.Cut(answer, "\n")
	if !strings.HasPrefix(status, "2") {
		return "", &apiError{method + " " + path, status, text}
	}
	return text, nil
}

func (u *UsersAPI) run(ctx context.Context, command ...string) (string, error) {
	limit := strconv.Itoa(int(usersTime.Seconds()))
	r, _, err := execWithin(ctx, u.client, usersTime+sessionTime, u.alloc, cluster.EMQXTask,
		append([]string{"timeout", limit, "/bin/bash", "-c", usersScript, "users.sh"}, command...)...)
	switch {
	case err != nil:
		return "", err
	case r.Exit != 0:
		return "", fmt.Errorf("exit code %d: %s", r.Exit, OneLine(r.Stderr))
	}
	return r.Stdout, nil
}
