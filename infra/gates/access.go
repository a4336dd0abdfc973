package gates

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	nomad "github.com/hashicorp/nomad/api"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// Access is what a stack declares of who may connect and what they may do, beside the users.
type Access struct {
	// Digest is the SHA-256 of the files of the task that hold it, users among them, in
	// hexadecimal.
	Digest string
	// Authentication and Authorization are these two parts of EMQX's configuration, as JSON.
	Authentication, Authorization string
	// Rules is the text of the file of rules, one of the sources of authorization.
	Rules string
}

// Client is a session, with its client or without.
type Client struct {
	ID       string `json:"clientid"`
	Username string `json:"username"`
	Address  string `json:"ip_address"`
}

// What of EMQX's configuration may differ from what is declared.
const (
	ofChain    = "authenticators"
	ofSettings = "denyAction"
	ofRules    = "rules"
)

// roots of EMQX's configuration by what is below them.
var roots = map[string]string{ofChain: "authentication", ofSettings: "authorization", ofRules: "authorization"}

// hidden is what EMQX shows in the place of a secret (emqx_utils:redact).
const hidden = "******"

// mark is the beginning of the name of what says that a declaration was applied.
func (a Access) mark() string { return applied + a.Digest[:min(len(a.Digest), 32)] + "-" }

// member is EMQX in a running allocation, with what it shows.
type member struct {
	alloc   *nomad.AllocationListStub
	differs []string // of the three
	unseen  []string // those of the three with secrets, which it does not show
}

// shown are the parts of the output of the script's look.
type shown struct{ files, authentication, settings, sources string }

// shown asks a member for them.
func (u *UsersAPI) shown(ctx context.Context) (s shown, err error) {
	out, err := u.run(ctx, "look")
	if err != nil {
		return s, err
	}
	for _, part := range strings.Split(out, answerMark) {
		name, text, _ := strings.Cut(part, "\n")
		switch name {
		case "files":
			s.files, _, _ = strings.Cut(text, " ")
		case "authentication":
			s.authentication = text
		case "settings":
			s.settings = text
		case "sources":
			s.sources = text
		}
	}
	return s, nil
}

// readAnswer reads a status and a body.
func readAnswer(what, text string, into any) error {
	status, body, _ := strings.Cut(text, "\n")
	if status != "200" {
		return fmt.Errorf("GET /%s: EMQX answers %s: %s", what, OneLine(status), OneLine(body))
	}
	if err := json.Unmarshal([]byte(body), into); err != nil {
		return fmt.Errorf("GET /%s: reading EMQX's answer: %w", what, err)
	}
	return nil
}

// differences are what of the three is not as declared.
func (a Access) differences(s shown) (differs, unseen []string, err error) {
	var chain, wantedChain []any
	var settings, wanted map[string]any
	var sources struct{ Sources []any }
	if err := errors.Join(
		readAnswer("authentication", s.authentication, &chain), readAnswer("authorization/settings", s.settings, &settings),
		readAnswer("authorization/sources", s.sources, &sources),
	); err != nil {
		return nil, nil, err
	}
	if err := errors.Join(json.Unmarshal([]byte(a.Authentication), &wantedChain), json.Unmarshal([]byte(a.Authorization), &wanted)); err != nil {
		return nil, nil, fmt.Errorf("reading what is declared: %w", err)
	}
	wantedSources, _ := wanted["sources"].([]any)
	delete(wanted, "sources")
	for _, one := range wantedSources {
		if file, ok := one.(map[string]any); ok && file["type"] == "file" { // EMQX shows what is in it
			delete(file, "path")
			file["rules"] = a.Rules
		}
	}
	for _, x := range []struct {
		part      string
		want, has any
	}{{ofChain, wantedChain, chain}, {ofSettings, wanted, settings}, {ofRules, wantedSources, sources.Sources}} {
		secrets := false
		if !covered(x.want, x.has, &secrets) {
			differs = append(differs, x.part)
		}
		if secrets {
			unseen = append(unseen, x.part)
		}
	}
	return differs, unseen, nil
}

// covered tells whether EMQX shows a value as it is wanted: it adds defaults, hides secrets, and
// has forms of its own for a map, such as the claims of a token, which cannot be told then.
func covered(want, has any, secrets *bool) bool {
	switch w := want.(type) {
	case map[string]any:
		if _, other := has.([]any); other {
			return true
		}
		h, ok := has.(map[string]any)
		for k, v := range w {
			ok = ok && covered(v, h[k], secrets)
		}
		return ok
	case []any:
		h, ok := has.([]any)
		ok = ok && len(h) == len(w)
		for i := range w {
			ok = ok && covered(w[i], h[i], secrets)
		}
		return ok
	}
	if has == hidden {
		*secrets = true
		return true
	}
	return fmt.Sprint(want) == fmt.Sprint(has)
}

// errOtherFiles: Nomad brings them within seconds of a change of the job's variable.
var errOtherFiles = errors.New("the files of its task are not those of the stack yet")

// find finds the members that run.
func (m *userMatcher) find(ctx context.Context) error {
	allocs, err := runningMembers(ctx, m.client, m.args.Job)
	if err != nil {
		return err
	}
	m.members = nil
	for _, a := range allocs {
		m.members = append(m.members, member{alloc: a})
	}
	m.UsersAPI = m.of(allocs[0].ID)
	return nil
}

// of asks one member.
func (m *userMatcher) of(alloc string) *UsersAPI { return &UsersAPI{client: m.client, alloc: alloc} }

// look asks all members what they have.
func (m *userMatcher) look(ctx context.Context) error {
	if err := m.find(ctx); err != nil {
		return err
	}
	for i := range m.members {
		one := &m.members[i]
		s, err := m.of(one.alloc.ID).shown(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", one.alloc.NodeName, err)
		}
		if s.files != m.access.Digest {
			return fmt.Errorf("%s: %w", one.alloc.NodeName, errOtherFiles)
		}
		if one.differs, one.unseen, err = m.access.differences(s); err != nil {
			return fmt.Errorf("%s: %w", one.alloc.NodeName, err)
		}
	}
	return nil
}

// differing are what differs anywhere, with the nodes in words: "rules on emqx-lab-1".
func (m *userMatcher) differing() (parts, words []string) {
	for _, part := range []string{ofChain, ofSettings, ofRules} {
		var on []string
		for _, one := range m.members {
			if slices.Contains(one.differs, part) {
				on = append(on, one.alloc.NodeName)
			}
		}
		switch len(on) {
		case 0:
			continue
		case len(m.members):
			words = append(words, part)
		default:
			words = append(words, part+" on "+JoinNames(on))
		}
		parts = append(parts, part)
	}
	return parts, words
}

// starts tells which starts of the members these are.
func (m *userMatcher) starts() string {
	sum := uint64(14695981039346656037) // FNV-1a
	for _, one := range m.members {
		for _, b := range []byte(one.alloc.ID + taskStart(one.alloc, cluster.EMQXTask).UTC().Format(time.RFC3339Nano)) {
			sum = (sum ^ uint64(b)) * 1099511628211
		}
	}
	return strconv.FormatUint(sum, 16)
}

// change has EMQX take the parts, and is done when every member has.
func (m *userMatcher) change(ctx context.Context, parts []string) error {
	short := m.access.Digest[:min(len(m.access.Digest), 16)]
	for _, one := range m.members {
		if _, err := m.of(one.alloc.ID).run(ctx, "keep", short); err != nil {
			return fmt.Errorf("%s: laying down the rules: %w", one.alloc.NodeName, err)
		}
	}
	command := []string{"change", short}
	for _, part := range parts {
		if !slices.Contains(command, roots[part]) {
			command = append(command, roots[part])
		}
	}
	out, err := m.run(ctx, command...)
	if err != nil {
		return err
	}
	if _, err := readAsked("PUT", "/configs", out); err != nil {
		return err
	}
	if err := m.look(ctx); err != nil {
		return err
	}
	if _, words := m.differing(); len(words) > 0 {
		return fmt.Errorf("EMQX has not taken what is declared everywhere: %s", strings.Join(words, ", "))
	}
	for _, one := range m.members {
		if _, err := m.of(one.alloc.ID).run(ctx, "drop", short); err != nil {
			return fmt.Errorf("%s: removing former rules: %w", one.alloc.NodeName, err)
		}
	}
	return nil
}

// cutForbidden ends the sessions that hold a subscription which is not allowed any more: EMQX
// asks its rules when a client subscribes, and never again. A client that comes back is told
// by its SUBACK.
func (m *userMatcher) cutForbidden(ctx context.Context) error {
	if m.args.May == nil {
		return nil
	}
	cut := map[string]bool{}
	for ctx.Err() == nil {
		ids, err := m.forbidden(ctx)
		if err != nil {
			return err
		}
		var news []string
		for _, id := range ids {
			if !cut[id] { // one that is back, and was let, has its right from elsewhere
				cut[id] = true
				news = append(news, id)
			}
		}
		if len(news) == 0 {
			return nil
		}
		for some := range slices.Chunk(news, usersAtOnce) {
			if err := m.kick(ctx, some); err != nil {
				return err
			}
			m.cut += len(some)
		}
	}
	return context.Cause(ctx)
}

// forbidden are the clients that hold a subscription which is not allowed, or are nobody.
func (m *userMatcher) forbidden(ctx context.Context) (ids []string, err error) {
	clients := map[string]Client{}
	err = pages(ctx, m.UsersAPI, "/clients?fields=clientid,username,ip_address&", func(c Client) { clients[c.ID] = c })
	if err != nil {
		return nil, err
	}
	if m.args.Alone {
		if ids, err = m.nobodies(ctx, clients); err != nil {
			return nil, err
		}
	}
	type subscription struct {
		ID    string `json:"clientid"`
		Topic string `json:"topic"`
	}
	err = pages(ctx, m.UsersAPI, "/subscriptions?", func(s subscription) {
		if c, known := clients[s.ID]; known && !m.args.May(c, s.Topic) && !slices.Contains(ids, s.ID) {
			ids = append(ids, s.ID)
		}
	})
	return ids, err
}

// nobodies are the clients whose user is not in the database. That is asked for after the clients: a device may have been
// added meanwhile.
func (m *userMatcher) nobodies(ctx context.Context, clients map[string]Client) (ids []string, err error) {
	names, err := m.Users(ctx, "")
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool, len(names))
	for _, name := range names {
		known[name] = true
	}
	for id, c := range clients {
		if !known[c.Username] {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// setMark says that all is as declared. The former marks are gone by now.
func (m *userMatcher) setMark(ctx context.Context) error {
	return m.Import(ctx, UserRecord{ID: m.access.mark() + m.starts(), Hash: NobodysHash})
}

// dropMarks makes a next try do what this one may not come to.
func (m *userMatcher) dropMarks(ctx context.Context, marks []string) error {
	for _, id := range marks {
		if err := m.Delete(ctx, id); err != nil {
			return err
		}
	}
	return nil
}
