package broker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// authorization is the root of that name, checked.
type authorization struct {
	denyUnmatched bool // no_match = deny
	disconnect    bool // deny_action = disconnect
	cache         cacheSettings
	sources       []aclSource
}

// cacheSettings are authorization.cache.
type cacheSettings struct {
	on       bool
	size     int
	ttl      time.Duration
	excludes []string
}

// aclSource is one place where rules come from; one of a type is in the list.
type aclSource struct {
	typ      string // file, built_in_database, http
	enabled  bool
	raw      map[string]any
	maxRules int
	decide   func(n *node, who *principal, do action, topic string) *bool // nil: no word on it
}

// authorizationOf reads the root authorization.
func authorizationOf(v any, in places) (authorization, error) {
	if v == nil {
		v = map[string]any{}
	}
	f := fieldsOf(rootAuthz, v)
	a := authorization{
		denyUnmatched: f.oneOf("no_match", "allow", "allow", "deny") == "deny",
		disconnect:    f.oneOf("deny_action", "ignore", "ignore", "disconnect") == "disconnect",
		cache:         cacheSettings{on: true, size: 32, ttl: time.Minute},
	}
	c := f.section("cache")
	if c != nil {
		a.cache.on, a.cache.ttl = c.flag("enable", true), c.duration("ttl", time.Minute)
		a.cache.size = c.integer("max_size", 32, 1, 1048576)
		if v := c.value("excludes"); v != nil {
			l, err := list(v)
			if err != nil {
				c.fault("excludes", "%w", err)
			}
			a.cache.excludes, _ = l.([]string)
		}
	}
	sources, err := listOf(f.value("sources"))
	if err != nil {
		f.fault("sources", "%w", err)
	}
	if f.m["sources"] == nil {
		sources = []any{map[string]any{"type": "file", "enable": true, "path": "${EMQX_ETC_DIR}/acl.conf"}}
	}
	for i, s := range sources {
		one, err := readSource(fmt.Sprintf("authorization.sources.%d", i+1), s, in)
		if err != nil {
			f.faults = append(f.faults, err)
		} else if slices.ContainsFunc(a.sources, func(o aclSource) bool { return o.typ == one.typ }) {
			f.fault("sources", "duplicated_authz_source_type %s", one.typ)
		}
		a.sources = append(a.sources, one)
	}
	return a, f.done(c)
}

func readSource(path string, v any, in places) (aclSource, error) {
	f := fieldsOf(path, v)
	s := aclSource{typ: f.text("type", ""), enabled: f.flag("enable", true), raw: f.m}
	switch s.typ {
	case "file":
		rules, err := readFileSource(f, in)
		if err != nil {
			return s, fmt.Errorf("%s: %w", path, err)
		}
		s.decide = func(_ *node, who *principal, do action, topic string) *bool { return matched(rules, who, do, topic) }
	case databaseSource:
		s.maxRules = f.integer("max_rules", 100, 1, many)
		s.decide = decideByDatabase
	case "http":
		h, err := readWebhook(f)
		if err == nil {
			s.decide = h.decide
		}
		return s, err
	case "":
		return s, fmt.Errorf("%s: missing_type_field", path)
	default:
		return s, thrown{fmt.Errorf("%s: the stand-in has no authorization by %s; want file, built_in_database or http", path, s.typ)}
	}
	return s, f.done()
}

const databaseSource = "built_in_database"

// storedRules are a record of emqx_acl.
type storedRules struct {
	Rules []map[string]any `json:"rules"`
}

// ruleKey names whom rules of the built-in database are for.
func ruleKey(kind, who string) string { return kind + "/" + who }

// decideByDatabase asks the rules of the client identifier, then those of the username,
// then those for all (emqx_authz_mnesia:authorize).
func decideByDatabase(n *node, who *principal, do action, topic string) *bool {
	keys := []string{ruleKey("clientid", who.clientID)}
	if who.username != nil {
		keys = append(keys, ruleKey("username", *who.username))
	}
	for _, key := range append(keys, ruleKey("all", "")) {
		var stored storedRules
		if !n.data.lookup(rulesTable, key, &stored) {
			continue
		}
		rules, _ := rawRules(stored.Rules) // checked when they were stored
		if allow := matched(rules, who, do, topic); allow != nil {
			return allow
		}
	}
	return nil
}

// claimedRules are rules that came with a credential.
type claimedRules struct {
	byKind  map[string][]topicRule // pub, sub and all: what is not named is denied
	rules   []rule                 // or in order, and others are asked when none matches
	expires bool
	until   int64 // unix seconds; 0: at once
}

// decide is emqx_authz_client_info: such rules come before all sources, and are worth
// nothing but a refusal when their time is over.
func (c *claimedRules) decide(who *principal, do action, topic string) *bool {
	denied, allowed := false, true
	switch {
	case c.expires && c.until <= time.Now().Unix():
		return &denied
	case c.byKind == nil:
		return matched(c.rules, who, do, topic)
	}
	kind := "sub"
	if do.publish {
		kind = "pub"
	}
	for _, t := range slices.Concat(c.byKind[kind], c.byKind["all"]) {
		if t.matches(who, topic) {
			return &allowed
		}
	}
	return &denied
}

// decisions are a connection's cache of them. They live for as long as the connection does,
// and an entry for the cache's time: until then a rule that has changed in the database
// means nothing to a client that was told already. Sources that change empty it.
type decisions struct {
	mu    sync.Mutex
	known map[decisionKey]decision
	order []decisionKey
}

type decisionKey struct {
	do    action
	topic string
}

type decision struct {
	allow bool
	at    time.Time
}

func (d *decisions) get(key decisionKey, ttl time.Duration, drained time.Time) (allow, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	found, ok := d.known[key]
	return found.allow, ok && time.Since(found.at) < ttl && found.at.After(drained)
}

func (d *decisions) put(key decisionKey, allow bool, size int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == nil {
		d.known = map[decisionKey]decision{}
	}
	if _, was := d.known[key]; was {
		d.order = slices.DeleteFunc(d.order, func(k decisionKey) bool { return k == key })
	}
	d.known[key] = decision{allow, time.Now()}
	d.order = append(d.order, key)
	for len(d.order) > size {
		delete(d.known, d.order[0])
		d.order = d.order[1:]
	}
}

// authorize is emqx_access_control:authorize and emqx_authz:authorize: a superuser may do
// all, then the first source that has a word on it counts, and then no_match.
func (n *node) authorize(who *principal, do action, topic string) bool {
	rules := &n.access().rules
	cached := rules.cache.on && !slices.ContainsFunc(rules.cache.excludes, func(f string) bool { return topicMatches(topic, f) })
	key := decisionKey{do, topic}
	if cached {
		if allow, ok := who.cache.get(key, rules.cache.ttl, time.Unix(0, n.drained.Load())); ok {
			return allow
		}
	}
	allow := n.askRules(rules, who, do, topic)
	if cached {
		who.cache.put(key, allow, rules.cache.size)
	}
	return allow
}

func (n *node) askRules(rules *authorization, who *principal, do action, topic string) bool {
	if who.superuser {
		return true
	}
	if who.claims != nil {
		if allow := who.claims.decide(who, do, topic); allow != nil {
			return *allow
		}
	}
	for _, s := range rules.sources {
		if !s.enabled {
			continue
		}
		if allow := s.decide(n, who, do, topic); allow != nil {
			return *allow
		}
	}
	return !rules.denyUnmatched
}

// rawRules compiles rules as the database, a JWT and an HTTP answer have them
// (emqx_authz_rule_raw).
func rawRules(list []map[string]any) ([]rule, error) {
	out := make([]rule, 0, len(list))
	for i, m := range list {
		r, err := rawRule(m)
		if err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
		out = append(out, r)
	}
	return out, nil
}

func rawRule(m map[string]any) (rule, error) {
	r := rule{who: func(*principal) bool { return true }}
	switch m["permission"] {
	case "allow":
		r.allow = true
	case "deny":
	default:
		return r, fmt.Errorf("invalid_permission %v", m["permission"])
	}
	kinds := map[any]string{"pub": "publish", "publish": "publish", "sub": "subscribe", "subscribe": "subscribe", "all": "all"}
	if r.action.kind = kinds[m["action"]]; r.action.kind == "" {
		return r, fmt.Errorf("invalid_action %v", m["action"])
	}
	var topics []any
	if one, ok := m["topic"].(string); ok {
		topics = []any{one}
	} else if topics, ok = m["topics"].([]any); !ok {
		return r, errors.New("missing_topic_or_topics")
	}
	for _, t := range topics {
		topic, err := compileTopic(t)
		if err != nil {
			return r, err
		}
		r.topics = append(r.topics, topic)
	}
	var err error
	if r.action.qos, err = rawQoS(m["qos"]); err != nil {
		return r, err
	}
	if r.action.kind != "subscribe" {
		r.action.retain, err = rawRetain(m["retain"])
	}
	return r, err
}

func rawQoS(v any) ([]byte, error) {
	var levels []any
	switch x := v.(type) {
	case nil:
		return nil, nil
	case []any:
		levels = x
	case string:
		for _, s := range strings.Split(x, ",") {
			levels = append(levels, s)
		}
	default:
		levels = []any{x}
	}
	out := []byte{}
	for _, l := range levels {
		n, err := integer(0, 2)(l)
		if err != nil {
			return nil, fmt.Errorf("invalid_qos %v", v)
		}
		out = append(out, byte(n.(int))) //nolint:gosec // 0 to 2
	}
	return out, nil
}

func rawRetain(v any) (*bool, error) {
	on := true
	off := false
	switch fmt.Sprint(v) {
	case "<nil>", "all", "undefined":
		return nil, nil
	case "true", "1":
		return &on, nil
	case "false", "0":
		return &off, nil
	}
	return nil, fmt.Errorf("invalid_retain %v", v)
}
