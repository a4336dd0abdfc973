package broker

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// action is what a client wants to do.
type action struct {
	publish bool
	qos     byte
	retain  bool // of a publication
}

// rule is a compiled rule of emqx_authz_rule. It applies when all three match.
type rule struct {
	allow  bool
	who    func(*principal) bool
	action actionRule
	topics []topicRule
}

type actionRule struct {
	kind   string // publish, subscribe, all
	qos    []byte // nil: any
	retain *bool  // nil: either; asked of publications alone
}

type topicRule struct {
	all   bool // every topic, those that begin with $ too
	exact bool // eq: the filter itself
	text  string
}

func (r rule) matches(who *principal, do action, topic string) bool {
	return r.action.matches(do) && r.who(who) &&
		slices.ContainsFunc(r.topics, func(t topicRule) bool { return t.matches(who, topic) })
}

func (a actionRule) matches(do action) bool {
	kind := "subscribe"
	if do.publish {
		kind = "publish"
	}
	return (a.kind == "all" || a.kind == kind) && (a.qos == nil || slices.Contains(a.qos, do.qos)) &&
		(a.retain == nil || !do.publish || *a.retain == do.retain)
}

// matches never lets a placeholder stand for nothing: a rule with one that the client has
// no value for does not match (render_strict).
func (t topicRule) matches(who *principal, topic string) bool {
	if t.all {
		return true
	}
	if t.exact {
		return topic == t.text
	}
	filter, ok := who.render(t.text, rulePlaceholders)
	return ok && topicMatches(topic, filter)
}

// topicMatches is emqx_topic:match, of which the first may be a filter too: + and # in it
// are words as others are.
func topicMatches(topic, filter string) bool {
	name, f := strings.Split(topic, "/"), strings.Split(filter, "/")
	if strings.HasPrefix(topic, "$") && (f[0] == "+" || f[0] == "#") {
		return false
	}
	for i, w := range f {
		switch {
		case w == "#" && i == len(f)-1:
			return true
		case i >= len(name), w != "+" && w != name[i]:
			return false
		}
	}
	return len(name) == len(f)
}

// matched is the first rule's word that matches; nil when none does.
func matched(rules []rule, who *principal, do action, topic string) *bool {
	for i := range rules {
		if rules[i].matches(who, do, topic) {
			return &rules[i].allow
		}
	}
	return nil
}

// fileRules compiles a file of rules as emqx_authz_rule:compile does.
func fileRules(text string) ([]rule, error) {
	terms, err := erlTerms(text)
	if err != nil {
		return nil, fmt.Errorf("bad_acl_file_content: %w", err)
	}
	out := make([]rule, 0, len(terms))
	for i, t := range terms {
		r, err := compileRule(t)
		if err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
		out = append(out, r)
	}
	return out, nil
}

func compileRule(term any) (rule, error) {
	var r rule
	t, _ := term.(erlTuple)
	if len(t) == 2 && t[1] == erlAtom("all") {
		t = erlTuple{t[0], erlAtom("all"), erlAtom("all"), erlAtom("all")}
	}
	if len(t) != 4 {
		return r, fmt.Errorf("invalid_authorization_rule: want {allow | deny, Who, Action, Topics}, got %v", term)
	}
	switch t[0] {
	case erlAtom("allow"):
		r.allow = true
	case erlAtom("deny"):
	default:
		return r, fmt.Errorf("invalid_authorization_permission: want allow or deny, got %v", t[0])
	}
	var err error
	if r.who, err = compileWho(t[1]); err != nil {
		return r, err
	}
	if r.action, err = compileAction(t[2]); err != nil {
		return r, err
	}
	if t[3] == erlAtom("all") {
		r.topics = []topicRule{{all: true}}
		return r, nil
	}
	topics, ok := t[3].([]any)
	if !ok {
		return r, fmt.Errorf("invalid_authorization_rule: want a list of topics, got %v", t[3])
	}
	for _, one := range topics {
		topic, err := compileTopic(one)
		if err != nil {
			return r, err
		}
		r.topics = append(r.topics, topic)
	}
	return r, nil
}

func compileTopic(v any) (topicRule, error) {
	if t, ok := v.(erlTuple); ok && len(t) == 2 && t[0] == erlAtom("eq") {
		if s, ok := t[1].(string); ok {
			return topicRule{exact: true, text: s}, nil
		}
	}
	s, ok := v.(string)
	if !ok {
		return topicRule{}, fmt.Errorf("invalid_authorization_rule: want a topic, got %v", v)
	}
	if exact, ok := strings.CutPrefix(s, "eq "); ok {
		return topicRule{exact: true, text: exact}, nil
	}
	return topicRule{text: s}, nil
}

func compileAction(v any) (actionRule, error) {
	bad := fmt.Errorf("invalid_authorization_action: want publish, subscribe or all, got %v", v)
	kind, options := v, []any(nil)
	if t, ok := v.(erlTuple); ok {
		if len(t) != 2 {
			return actionRule{}, bad
		}
		kind = t[0]
		if options, ok = t[1].([]any); !ok {
			return actionRule{}, bad
		}
	}
	a, ok := kind.(erlAtom)
	if !ok || a != "publish" && a != "subscribe" && a != "all" {
		return actionRule{}, bad
	}
	out := actionRule{kind: string(a)}
	for _, o := range options {
		t, _ := o.(erlTuple)
		switch {
		case len(t) == 2 && t[0] == erlAtom("qos"):
			levels, many := t[1].([]any)
			if !many {
				levels = []any{t[1]}
			}
			for _, l := range levels {
				n, ok := l.(float64)
				if !ok || n != 0 && n != 1 && n != 2 {
					return out, fmt.Errorf("invalid_authorization_qos: want 0, 1 or 2, got %v", l)
				}
				out.qos = append(out.qos, byte(n))
			}
		case len(t) == 2 && t[0] == erlAtom("retain") && a != "subscribe":
			if t[1] == erlAtom("all") {
				continue
			}
			on := t[1] == erlAtom("true")
			if !on && t[1] != erlAtom("false") {
				return out, fmt.Errorf("invalid_authorization_retain: want true, false or all, got %v", t[1])
			}
			out.retain = &on
		}
	}
	return out, nil
}

// compileWho gives whom a rule is about.
func compileWho(v any) (func(*principal) bool, error) {
	if v == erlAtom("all") {
		return func(*principal) bool { return true }, nil
	}
	t, _ := v.(erlTuple)
	if len(t) == 2 {
		switch t[0] {
		case erlAtom("user"), erlAtom("username"):
			return compileText(t[1], func(who *principal) (string, bool) {
				if who.username == nil {
					return "", false
				}
				return *who.username, true
			})
		case erlAtom("client"), erlAtom("clientid"):
			return compileText(t[1], func(who *principal) (string, bool) { return who.clientID, true })
		case erlAtom("ipaddr"):
			return compileAddresses([]any{t[1]})
		case erlAtom("ipaddrs"):
			if list, ok := t[1].([]any); ok {
				return compileAddresses(list)
			}
		case erlAtom("and"), erlAtom("or"):
			if list, ok := t[1].([]any); ok {
				return compileSeveral(t[0] == erlAtom("and"), list)
			}
		}
	}
	return nil, fmt.Errorf("invalid_client_match_condition: %v", v)
}

// compileText compares with a text, or looks for an expression anywhere in it.
func compileText(v any, of func(*principal) (string, bool)) (func(*principal) bool, error) {
	if t, ok := v.(erlTuple); ok && len(t) == 2 && t[0] == erlAtom("re") {
		pattern, ok := t[1].(string)
		if !ok {
			return nil, fmt.Errorf("invalid_client_match_condition: %v", v)
		}
		re, err := regexp.Compile(pattern)
		if err != nil {
			return nil, fmt.Errorf("invalid_client_match_condition: %w", err)
		}
		return func(who *principal) bool { s, ok := of(who); return ok && re.MatchString(s) }, nil
	}
	want, ok := v.(string)
	if !ok {
		return nil, fmt.Errorf("invalid_client_match_condition: want a text, got %v", v)
	}
	return func(who *principal) bool { s, ok := of(who); return ok && s == want }, nil
}

func compileAddresses(list []any) (func(*principal) bool, error) {
	var nets []netip.Prefix
	for _, v := range list {
		s, _ := v.(string)
		p, err := parseCIDR(s)
		if err != nil {
			return nil, fmt.Errorf("invalid_client_match_condition: %w", err)
		}
		nets = append(nets, p)
	}
	return func(who *principal) bool {
		return who.host.IsValid() && slices.ContainsFunc(nets, func(p netip.Prefix) bool { return p.Contains(who.host) })
	}, nil
}

// parseCIDR reads an address or a network.
func parseCIDR(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, err
		}
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}

func compileSeveral(all bool, list []any) (func(*principal) bool, error) {
	var whos []func(*principal) bool
	for _, v := range list {
		w, err := compileWho(v)
		if err != nil {
			return nil, err
		}
		whos = append(whos, w)
	}
	return func(who *principal) bool {
		for _, w := range whos {
			if w(who) != all {
				return !all
			}
		}
		return all
	}, nil
}
