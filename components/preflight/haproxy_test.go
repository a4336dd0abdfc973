package preflight

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"time"
)

// proxyConfig is HAProxy's configuration with the job's values in it.
type proxyConfig struct {
	sections []section
}

// section is what follows one of HAProxy's unindented words.
type section struct {
	kind, name string
	lines      [][]string
}

// memberAddress stands for those of the nodes, which the cloud knows.
const memberAddress = "192.0.2.10"

// terminate is where TLS ends, by the job's values.
func terminate(env map[string]string) string {
	switch {
	case env["TLS_AT_PROXY"] == "true":
		return "proxy"
	case env["TLS_AT_EDGE"] == "true":
		return "edge"
	}
	return "broker"
}

// readProxy renders the configuration as Nomad would on a node. It holds no
// function that asks the machine that this runs on.
func readProxy(j *job) (*proxyConfig, error) {
	for _, t := range j.task.all("template") {
		if !strings.HasSuffix(t.text("destination"), "haproxy.cfg") {
			continue
		}
		env := j.withAddresses()
		type item struct{ Value string }
		parsed, err := template.New("haproxy.cfg").Funcs(template.FuncMap{
			"env":        func(name string) string { return env[name] },
			"parseBool":  strconv.ParseBool,
			"regexMatch": func(re, s string) (bool, error) { return regexp.MatchString(re, s) },
			"replaceAll": func(old, with, s string) string { return strings.ReplaceAll(s, old, with) },
			"split":      func(at, s string) []string { return strings.Split(s, at) },
			"nomadVar": func(string) map[string]item { // as it is once the job has changed
				items := map[string]item{
					"stats_user": {"stats"}, "stats_password": {"stats-password"}, "members": {memberAddress}, "tls_ticket_keys": {"keys"}, "tls_client_crl": {"lists"},
				}
				for _, name := range []string{"mqtt", "mqtts", "ws", "wss"} {
					items["broker_"+name] = item{env["BROKER_"+name]}
				}
				if items["tls_clients"] = (item{env["TLS_CLIENTS"]}); env["TLS"] == "true" {
					items["tls_terminate"] = item{terminate(env)}
				}
				return items
			},
		}).Parse(t.text("data"))
		if err != nil {
			return nil, err
		}
		var b strings.Builder
		if err := parsed.Execute(&b, nil); err != nil {
			return nil, err
		}
		return parseProxy(b.String()), nil
	}
	return nil, errors.New("the job writes no haproxy.cfg")
}

func parseProxy(text string) *proxyConfig {
	c := &proxyConfig{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
		case line[0] != ' ' && line[0] != '\t':
			s := section{kind: words[0]}
			if len(words) > 1 {
				s.name = words[1]
			}
			c.sections = append(c.sections, s)
		case len(c.sections) > 0:
			last := &c.sections[len(c.sections)-1]
			last.lines = append(last.lines, words)
		}
	}
	return c
}

// value is what follows the given words in a section; "" when nothing does.
func (s section) value(words ...string) string {
	for _, line := range s.lines {
		if len(line) <= len(words) {
			continue
		}
		if strings.Join(line[:len(words)], " ") == strings.Join(words, " ") {
			return line[len(words)]
		}
	}
	return ""
}

// section is the first of a kind.
func (c *proxyConfig) section(kind string) section {
	for _, s := range c.sections {
		if s.kind == kind {
			return s
		}
	}
	return section{}
}

// proxyTime reads a time as HAProxy does: milliseconds unless it has a unit.
func proxyTime(text string) (time.Duration, error) {
	if n, err := strconv.Atoi(text); err == nil {
		return time.Duration(n) * time.Millisecond, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		return time.Duration(n) * 24 * time.Hour, err
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no time", text)
	}
	return d, nil
}
