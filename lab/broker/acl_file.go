package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// defaultRules are those of EMQX's own acl.conf.
const defaultRules = `{allow, {username, {re, "^dashboard$"}}, subscribe, ["$SYS/#"]}.
{allow, {ipaddr, "127.0.0.1"}, all, ["$SYS/#", "#"]}.
{deny, all, subscribe, ["$SYS/#", {eq, "#"}, {eq, "+/#"}]}.
{allow, all}.
`

// places are the directories that settings may name; env are the process's variables, in
// which others may be.
type places struct {
	etc, data string
	env       []string
}

// expand looks up the variable that a path begins with (emqx_schema:naive_env_interpolation).
func (p places) expand(path string) string {
	path = strings.NewReplacer("${EMQX_ETC_DIR}", p.etc, "${EMQX_DATA_DIR}", p.data).Replace(path)
	name, rest, _ := strings.Cut(path, "/")
	if !strings.HasPrefix(name, "$") {
		return path
	}
	for _, kv := range p.env {
		if value, ok := strings.CutPrefix(kv, strings.Trim(name[1:], "{}")+"="); ok && value != "" {
			return filepath.Join(value, rest)
		}
	}
	return path
}

// readFileSource takes rules as they come by the API, or those of a file, of which the
// image's own is known here.
func readFileSource(f *fields, in places) ([]rule, error) {
	text, given := f.value("rules").(string)
	path := in.expand(f.text("path", ""))
	if !given {
		b, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && path == filepath.Join(in.etc, "acl.conf"):
			b = []byte(defaultRules)
		case err != nil:
			return nil, fmt.Errorf("failed_to_read_acl_file: %w", err)
		}
		text = string(b)
	}
	return fileRules(text)
}

// ownRules is the file that a member keeps rules in that came by the API; cluster.hocon has
// its path, and every member has its own (emqx_authz_file:write_files, read_files).
func (p places) ownRules() string { return filepath.Join(p.data, "authz", "acl.conf") }

// eachFile copies the root authorization with its file sources changed by f.
func eachFile(v any, f func(source map[string]any) error) (any, error) {
	root, ok := v.(map[string]any)
	if !ok {
		return v, nil
	}
	sources, ok := root["sources"].([]any)
	if !ok {
		return v, nil
	}
	out, list := map[string]any{}, make([]any, len(sources))
	for k, e := range root {
		out[k] = e
	}
	for i, s := range sources {
		list[i] = s
		m, _ := s.(map[string]any)
		if m["type"] != "file" {
			continue
		}
		one := map[string]any{}
		for k, e := range m {
			one[k] = e
		}
		if err := f(one); err != nil {
			return nil, err
		}
		list[i] = one
	}
	out["sources"] = list
	return out, nil
}

// rulesFirst drops the path of sources that have their rules with them.
func rulesFirst(v any) any {
	out, _ := eachFile(v, func(s map[string]any) error {
		if _, ok := s["rules"]; ok {
			delete(s, "path")
		}
		return nil
	})
	return out
}

// readOwnRules puts the rules of the member's own file in the place of its path.
func readOwnRules(v any, in places) (any, error) {
	return eachFile(v, func(s map[string]any) error {
		if s["path"] != in.ownRules() {
			return nil
		}
		b, err := os.ReadFile(in.ownRules())
		if err != nil {
			return fmt.Errorf("failed_to_read_acl_file: %w", err)
		}
		delete(s, "path")
		s["rules"] = string(b)
		return nil
	})
}

// writeOwnRules puts rules into the file and its path in their place.
func writeOwnRules(v any, in places) (any, error) {
	return eachFile(v, func(s map[string]any) error {
		rules, ok := s["rules"].(string)
		if !ok {
			return nil
		}
		delete(s, "rules")
		s["path"] = in.ownRules()
		if err := os.MkdirAll(filepath.Dir(in.ownRules()), 0o750); err != nil {
			return err
		}
		return os.WriteFile(in.ownRules(), []byte(rules), 0o600)
	})
}
