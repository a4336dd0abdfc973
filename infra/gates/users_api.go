package gates

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	nomad "github.com/hashicorp/nomad/api"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// UsersAPI asks one member's REST API for the users of the built-in database and for clients, with the stack's own key,
// through Nomad's exec. All members share what it changes.
type UsersAPI struct {
	client NomadClient
	alloc  string
}

// NewUsersAPI chooses a member of EMQX's job whose task runs. Members for which skip is true are left out; nil leaves out
// none. The error wraps [ErrNotFound] when none is left.
func NewUsersAPI(ctx context.Context, client NomadClient, job string, skip func(alloc string) bool) (*UsersAPI, error) {
	allocs, err := client.Allocations(ctx, job)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(allocs, func(a *nomad.AllocationListStub) bool {
		return a.ClientStatus == nomad.AllocClientStatusRunning && a.DesiredStatus == nomad.AllocDesiredStatusRun && (skip == nil || !skip(a.ID))
	})
	if i < 0 {
		return nil, fmt.Errorf("no allocation of job %s runs: %w", job, ErrNotFound)
	}
	return &UsersAPI{client: client, alloc: allocs[i].ID}, nil
}

// Alloc is the allocation of the member.
func (u *UsersAPI) Alloc() string { return u.alloc }

const (
	usersPath  = "/authentication/password_based%3Abuilt_in_database/users"
	importPath = "/authentication/password_based%3Abuilt_in_database/import_users?type=hash"

	// usersPage is how many users EMQX hands out at a time (emqx_mgmt_api: 10000 at most).
	usersPage = 10000
)

// NobodysHash is the hash of no password that anybody knows.
const NobodysHash = "$2a$10$....................................................."

// UserRecord is a user as EMQX imports it of type "hash", over one of that name. Its API shows the name alone.
type UserRecord struct {
	ID        string `json:"user_id"`
	Hash      string `json:"password_hash"`
	Salt      string `json:"salt"`
	Superuser bool   `json:"is_superuser"`
}

// Users lists the names of the database that hold a text; empty lists all.
func (u *UsersAPI) Users(ctx context.Context, holding string) (names []string, err error) {
	q := url.Values{"limit": {strconv.Itoa(usersPage)}}
	if holding != "" {
		q.Set("like_user_id", holding)
	}
	for page := 1; ; page++ {
		q.Set("page", strconv.Itoa(page))
		var list struct {
			Data []struct {
				ID string `json:"user_id"`
			}
		}
		if err := u.ask(ctx, "GET", usersPath+"?"+q.Encode(), "", &list); err != nil {
			return nil, err
		}
		for _, x := range list.Data {
			if strings.Contains(x.ID, holding) { // whatever the API makes of the question
				names = append(names, x.ID)
			}
		}
		if len(list.Data) < usersPage {
			return names, nil
		}
	}
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
	var answer *answerError
	if errors.As(err, &answer) && answer.status == "404" && strings.Contains(answer.text, "User not found") {
		return nil
	}
	return err
}

// CutOff ends the connections and sessions of users, on all members, until there are none, and says how many there were.
func (u *UsersAPI) CutOff(ctx context.Context, names []string) (cut int, err error) {
	of := url.Values{"fields": {"clientid,username"}, "limit": {"1000"}, "username": names}
	for ctx.Err() == nil {
		var list struct {
			Data []struct {
				ID       string `json:"clientid"`
				Username string `json:"username"`
			}
		}
		if err := u.ask(ctx, "GET", "/clients?"+of.Encode(), "", &list); err != nil {
			return cut, err
		}
		var ids []string
		for _, c := range list.Data {
			if slices.Contains(names, c.Username) { // whatever the API makes of the question, nobody else is cut
				ids = append(ids, c.ID)
			}
		}
		if len(ids) == 0 {
			return cut, nil
		}
		body, err := json.Marshal(ids)
		if err != nil {
			return cut, err
		}
		if err := u.ask(ctx, "POST", "/clients/kickout/bulk", string(body), nil); err != nil {
			return cut, err
		}
		cut += len(ids)
	}
	return cut, context.Cause(ctx)
}

// Connections counts the connections of each user name, on all members.
func (u *UsersAPI) Connections(ctx context.Context) (map[string]int, error) {
	q := url.Values{"fields": {"username"}, "conn_state": {"connected"}, "limit": {strconv.Itoa(usersPage)}}
	of := map[string]int{}
	for page := 1; ; page++ {
		q.Set("page", strconv.Itoa(page))
		var list struct {
			Data []struct{ Username string }
		}
		if err := u.ask(ctx, "GET", "/clients?"+q.Encode(), "", &list); err != nil {
			return nil, err
		}
		for _, c := range list.Data {
			of[c.Username]++
		}
		if len(list.Data) < usersPage {
			return of, nil
		}
	}
}

// Answered tells whether an error is an answer of EMQX: another member would give the same.
func Answered(err error) bool {
	var answer *answerError
	return errors.As(err, &answer) && answer.status != "none"
}

// answerError is an answer other than 2xx.
type answerError struct{ method, path, status, text string }

func (e *answerError) Error() string {
	return fmt.Sprintf("%s %s: EMQX answers %s: %s", e.method, e.path, OneLine(e.status), OneLine(e.text))
}

// ask asks the member's API; an answer other than 2xx is an error.
func (u *UsersAPI) ask(ctx context.Context, method, path, body string, into any) error {
	out, err := u.run(ctx, "ask", method, path, body)
	if err != nil {
		return err
	}
	_, answer, _ := strings.Cut(out, answerMark)
	status, text, _ := strings.Cut(answer, "\n")
	if !strings.HasPrefix(status, "2") {
		return &answerError{method, path, status, text}
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("%s %s: reading EMQX's answer: %w", method, path, err)
	}
	return nil
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
