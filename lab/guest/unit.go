//go:build linux

package guest

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Command is one Exec line.
type Command struct {
	Argv         []string
	IgnoreFailed bool // prefixed with "-"
}

// Unit is a service as PID 1 understands it: the part of systemd.service(5) that
// the boot script and the vendors' unit files use.
type Unit struct {
	Name        string
	Description string
	Type        string // simple, exec, notify, oneshot
	StartPre    []Command
	Start       []Command
	StartPost   []Command
	Reload      []Command
	Stop        []Command
	Environment []string
	EnvFiles    []string
	Unset       []string
	WorkingDir  string
	NoFile      uint64 // 0: as PID 1 has it
	Restart     string // no, always, on-failure
	RestartWait time.Duration
	KillMode    string // control-group, mixed, process
	KillSignal  string
	Remains     bool // active after the end of its process
	Console     bool // its output goes to the console, too
	StopTimeout time.Duration
	StartWait   time.Duration
	LimitBurst  int
	LimitWindow time.Duration
	// After are the units that start before this one and stop after it, Before those
	// that start after it and stop before it. The lab minds them when it stops.
	After, Before []string
	// Ignored lists directives that are known but have no effect here.
	Ignored []string
}

// unitDirs in systemd's order of precedence.
var unitDirs = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"}

// forever is systemd's "infinity"; unset is no time at all.
const (
	forever time.Duration = 1<<63 - 1
	unset   time.Duration = -1
)

// errNoUnit means that no unit file exists.
var errNoUnit = errors.New("unit not found")

// loadUnit reads a unit file and its drop-ins below root ("/" but in tests).
func loadUnit(root, name string) (*Unit, error) {
	u := &Unit{
		Name: name, Type: "simple", Restart: "no", KillMode: "control-group", KillSignal: "SIGTERM",
		RestartWait: 100 * time.Millisecond, StopTimeout: 90 * time.Second, StartWait: unset,
		LimitBurst: 5, LimitWindow: 10 * time.Second,
	}
	var main string
	for _, d := range unitDirs {
		p := filepath.Join(root, d, name)
		if _, err := os.Stat(p); err == nil {
			main = p
			break
		}
	}
	if main == "" {
		return nil, fmt.Errorf("%s: %w", name, errNoUnit)
	}
	files := []string{main}
	// A drop-in of a higher directory replaces one of the same name; all apply in
	// the order of their names.
	drop := map[string]string{}
	for i := len(unitDirs) - 1; i >= 0; i-- {
		found, err := filepath.Glob(filepath.Join(root, unitDirs[i], name+".d", "*.conf"))
		if err != nil {
			return nil, err
		}
		for _, p := range found {
			drop[filepath.Base(p)] = p
		}
	}
	names := make([]string, 0, len(drop))
	for n := range drop {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		files = append(files, drop[n])
	}
	var faults []error
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		if err := u.parse(string(text)); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", f, err))
		}
	}
	if u.StartWait == unset {
		u.StartWait = 90 * time.Second
		if u.Type == "oneshot" {
			u.StartWait = forever
		}
	}
	if u.Type == "oneshot" && u.Restart != "no" {
		faults = append(faults, fmt.Errorf("%s: Restart=%s of a oneshot is not supported in the lab", name, u.Restart))
	}
	if len(u.Start) == 0 {
		faults = append(faults, fmt.Errorf("%s: no ExecStart", name))
	}
	if len(u.Start) > 1 && u.Type != "oneshot" {
		faults = append(faults, fmt.Errorf("%s: more than one ExecStart, but Type=%s; a drop-in resets the list with an empty ExecStart=", name, u.Type))
	}
	return u, errors.Join(faults...)
}

func (u *Unit) parse(text string) error {
	var faults []error
	section := ""
	sc := bufio.NewScanner(strings.NewReader(text))
	line, pending := 0, ""
	for sc.Scan() {
		line++
		l := pending + strings.TrimSpace(sc.Text())
		pending = ""
		if strings.HasPrefix(l, "#") || strings.HasPrefix(l, ";") || l == "" {
			continue
		}
		if strings.HasSuffix(l, "\\") {
			pending = strings.TrimSuffix(l, "\\") + " "
			continue
		}
		if strings.HasPrefix(l, "[") {
			section = strings.Trim(l, "[]")
			continue
		}
		key, value, ok := strings.Cut(l, "=")
		if !ok {
			faults = append(faults, fmt.Errorf("line %d: no '=' in %q", line, l))
			continue
		}
		if err := u.set(section, strings.TrimSpace(key), strings.TrimSpace(value)); err != nil {
			faults = append(faults, fmt.Errorf("line %d: %s: %w", line, strings.TrimSpace(key), err))
		}
	}
	return errors.Join(faults...)
}

// inert directives order or sandbox units on a whole system; an instance of the
// lab starts its few units by hand, as root.
var inert = map[string]bool{
	"User": true, "Group": true, "TasksMax": true, "OOMScoreAdjust": true, "LimitNPROC": true, "LimitCORE": true,
	"LimitMEMLOCK": true, "Delegate": true, "Nice": true, "TimeoutSec": true,
	"StandardError": true, "SyslogIdentifier": true, "PIDFile": true, "RuntimeDirectory": true,
	"StateDirectory": true, "AmbientCapabilities": true, "CapabilityBoundingSet": true, "SendSIGHUP": true,
}

func (u *Unit) set(section, key, value string) error {
	if section == "Install" {
		return nil
	}
	var err error
	if list := u.commands(key); list != nil {
		*list, err = appendCommand(*list, value)
		return err
	}
	if span := u.span(key); span != nil {
		*span, err = parseSpan(value)
		return err
	}
	switch key {
	case "Description":
		u.Description = value
	case "After":
		u.After = append(u.After, strings.Fields(value)...)
	case "Before":
		u.Before = append(u.Before, strings.Fields(value)...)
	case "Documentation", "Requires", "Wants", "BindsTo", "PartOf", "Conflicts",
		"DefaultDependencies", "ConditionFileNotEmpty", "ConditionPathExists", "AssertPathExists":
	case "StartLimitBurst":
		u.LimitBurst, err = strconv.Atoi(value)
	case "Type":
		err = u.setType(value)
	case "Environment":
		if value == "" {
			u.Environment = nil
			break
		}
		var words []string
		words, err = splitWords(value)
		u.Environment = append(u.Environment, words...)
	case "EnvironmentFile":
		if value == "" {
			u.EnvFiles = nil
			break
		}
		u.EnvFiles = append(u.EnvFiles, value)
	case "UnsetEnvironment":
		u.Unset = append(u.Unset, strings.Fields(value)...)
	case "RemainAfterExit":
		u.Remains = value == "yes" || value == "true" || value == "1" || value == "on"
	case "StandardOutput":
		u.Console = strings.HasSuffix(value, "+console")
	case "WorkingDirectory":
		u.WorkingDir = value
	case "LimitNOFILE":
		u.NoFile, err = parseLimit(value)
	case "Restart":
		err = u.setRestart(value)
	case "KillMode":
		switch value {
		case "process", "mixed", "control-group":
			u.KillMode = value
		default:
			err = fmt.Errorf("%q is not supported in the lab; use process, mixed or control-group", value)
		}
	case "KillSignal":
		if _, ok := signals[value]; !ok {
			err = fmt.Errorf("unknown signal %q", value)
		}
		u.KillSignal = value
	default:
		if inert[key] || strings.HasPrefix(key, "Protect") || strings.HasPrefix(key, "Private") || strings.HasPrefix(key, "NotifyAccess") {
			u.Ignored = append(u.Ignored, key)
			break
		}
		// systemd warns and goes on; so does PID 1 when it logs this list.
		u.Ignored = append(u.Ignored, key+" (unknown)")
	}
	return err
}

// commands is the list that an Exec directive adds to; nil for any other directive.
func (u *Unit) commands(key string) *[]Command {
	switch key {
	case "ExecStart":
		return &u.Start
	case "ExecStartPre":
		return &u.StartPre
	case "ExecStartPost":
		return &u.StartPost
	case "ExecReload":
		return &u.Reload
	case "ExecStop":
		return &u.Stop
	}
	return nil
}

// span is the time span that a directive sets; nil for any other directive.
func (u *Unit) span(key string) *time.Duration {
	switch key {
	case "RestartSec":
		return &u.RestartWait
	case "TimeoutStartSec":
		return &u.StartWait
	case "TimeoutStopSec":
		return &u.StopTimeout
	case "StartLimitIntervalSec", "StartLimitInterval":
		return &u.LimitWindow
	}
	return nil
}

func (u *Unit) setType(value string) error {
	switch value {
	case "simple", "exec", "notify", "oneshot":
		u.Type = value
	case "idle":
		u.Type = "simple"
	default:
		return fmt.Errorf("%q is not supported in the lab; use simple, exec, notify or oneshot", value)
	}
	return nil
}

func (u *Unit) setRestart(value string) error {
	switch value {
	case "no", "always", "on-failure":
		u.Restart = value
	case "on-abnormal", "on-abort", "on-watchdog", "on-success":
		return fmt.Errorf("%q is not supported in the lab; use no, on-failure or always", value)
	default:
		return fmt.Errorf("unknown value %q", value)
	}
	return nil
}

func appendCommand(list []Command, value string) ([]Command, error) {
	if value == "" {
		return nil, nil // an empty value resets the list
	}
	var c Command
	for {
		switch {
		case strings.HasPrefix(value, "-"):
			c.IgnoreFailed = true
		case strings.HasPrefix(value, "+"), strings.HasPrefix(value, "!"), strings.HasPrefix(value, ":"):
		case strings.HasPrefix(value, "@"):
			return nil, errors.New("the prefix @ is not supported in the lab")
		default:
			words, err := splitWords(value)
			if err != nil {
				return nil, err
			}
			if len(words) == 0 {
				return nil, errors.New("no program")
			}
			c.Argv = words
			return append(list, c), nil
		}
		value = value[1:]
	}
}

// splitWords splits by blanks with systemd's quotes; %% is a percent sign.
func splitWords(s string) ([]string, error) {
	var words []string
	var cur strings.Builder
	started, quote := false, rune(0)
	rs := []rune(s)
	for i := 0; i < len(rs); i++ {
		r := rs[i]
		switch {
		case r == '\\' && i+1 < len(rs) && quote != '\'':
			i++
			cur.WriteRune(rs[i])
			started = true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			cur.WriteRune(r)
		case r == '"' || r == '\'':
			quote, started = r, true
		case r == ' ' || r == '\t':
			if started {
				words = append(words, cur.String())
				cur.Reset()
				started = false
			}
		case r == '%' && i+1 < len(rs) && rs[i+1] == '%':
			i++
			cur.WriteRune('%')
			started = true
		default:
			cur.WriteRune(r)
			started = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("quote %c not closed in %q", quote, s)
	}
	if started {
		words = append(words, cur.String())
	}
	return words, nil
}

// parseSpan reads a time span: "2", "100ms", "1min 30s", "infinity".
func parseSpan(s string) (time.Duration, error) {
	if s == "infinity" {
		return forever, nil
	}
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		return time.Duration(n * float64(time.Second)), nil
	}
	total := time.Duration(0)
	for _, f := range strings.Fields(s) {
		f = strings.Replace(f, "min", "m", 1)
		f = strings.Replace(f, "sec", "s", 1)
		d, err := time.ParseDuration(f)
		if err != nil {
			return 0, fmt.Errorf("%q is no time span", s)
		}
		total += d
	}
	return total, nil
}

// parseLimit takes "soft:hard" and returns the soft part, as a service gets it.
func parseLimit(s string) (uint64, error) {
	soft, _, _ := strings.Cut(s, ":")
	if soft == "infinity" {
		return 1<<64 - 1, nil
	}
	return strconv.ParseUint(soft, 10, 64)
}

// environ is the environment of the unit's processes; files come after, and win
// over, Environment lines, as in systemd.
func (u *Unit) environ(root string, base []string) ([]string, error) {
	vars := map[string]string{}
	put := func(kv string) {
		if k, v, ok := strings.Cut(kv, "="); ok {
			vars[k] = v
		}
	}
	for _, kv := range base {
		put(kv)
	}
	for _, kv := range u.Environment {
		put(kv)
	}
	for _, f := range u.EnvFiles {
		optional := strings.HasPrefix(f, "-")
		text, err := os.ReadFile(filepath.Join(root, strings.TrimPrefix(f, "-")))
		if errors.Is(err, fs.ErrNotExist) && optional {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading EnvironmentFile: %w", err)
		}
		for _, l := range strings.Split(string(text), "\n") {
			l = strings.TrimSpace(l)
			if l == "" || strings.HasPrefix(l, "#") {
				continue
			}
			k, v, ok := strings.Cut(l, "=")
			if !ok {
				continue
			}
			words, err := splitWords(v)
			if err != nil {
				return nil, fmt.Errorf("reading %s: %w", f, err)
			}
			vars[strings.TrimSpace(k)] = strings.Join(words, " ")
		}
	}
	for _, k := range u.Unset {
		delete(vars, k)
	}
	out := make([]string, 0, len(vars))
	for k, v := range vars {
		out = append(out, k+"="+v)
	}
	sort.Strings(out)
	return out, nil
}

// expand puts environment values in place of $NAME and ${NAME}; a word that is
// exactly $NAME splits at blanks.
func expand(argv, env []string) []string {
	get := func(name string) string {
		for _, kv := range env {
			if k, v, _ := strings.Cut(kv, "="); k == name {
				return v
			}
		}
		return ""
	}
	out := make([]string, 0, len(argv))
	for i, w := range argv {
		if i > 0 && len(w) > 1 && w[0] == '$' && w[1] != '{' && w[1] != '$' && !strings.ContainsAny(w[1:], "$/ ") {
			out = append(out, strings.Fields(get(w[1:]))...)
			continue
		}
		w = strings.ReplaceAll(w, "$$", "\x00")
		for {
			start := strings.Index(w, "${")
			if start < 0 {
				break
			}
			end := strings.Index(w[start:], "}")
			if end < 0 {
				break
			}
			w = w[:start] + get(w[start+2:start+end]) + w[start+end+1:]
		}
		out = append(out, strings.ReplaceAll(w, "\x00", "$"))
	}
	return out
}
