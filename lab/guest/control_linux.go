package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// request is one call of systemctl; answer what it prints and its exit code.
type request struct {
	Verb    string
	Units   []string
	Now     bool
	NoBlock bool
}

type reply struct {
	Out  string
	Err  string
	Code int
}

func answer(m *manager, conn net.Conn) {
	defer conn.Close()
	var q request
	if err := json.NewDecoder(conn).Decode(&q); err != nil {
		return
	}
	// The caller may be gone (a timeout of the script's); nobody else wants to know.
	_ = json.NewEncoder(conn).Encode(m.handle(q))
}

// Exit codes of systemctl: LSB's for a status, 5 for an unknown unit.
const (
	codeNotActive = 3
	codeNoUnit    = 4
	codeNotLoaded = 5
)

func (m *manager) handle(q request) reply {
	switch q.Verb {
	case "daemon-reload":
		if err := m.reload(); err != nil {
			return reply{Err: err.Error(), Code: 1}
		}
		return reply{}
	case "is-system-running":
		return reply{Out: "running\n"}
	case "reset-failed":
		return reply{}
	}
	var r reply
	for _, name := range q.Units {
		one := m.handleUnit(q, unitName(name))
		r.Out += one.Out
		r.Err += one.Err
		if r.Code == 0 {
			r.Code = one.Code
		}
	}
	return r
}

func (m *manager) handleUnit(q request, name string) reply {
	s, err := m.find(name)
	if err != nil {
		return withoutUnit(q.Verb, name, err)
	}
	job := func(f func(*service) error) reply {
		if q.NoBlock {
			go func() { _ = f(s) }()
			return reply{}
		}
		if err := f(s); err != nil {
			return reply{Err: fmt.Sprintf("Job for %s failed: %v\n", name, err), Code: 1}
		}
		return reply{}
	}
	state, _, _, _ := s.get()
	switch q.Verb {
	case "start":
		return job(m.start)
	case "stop":
		return job(m.stop)
	case "restart":
		return job(m.restartService)
	case "try-restart", "condrestart":
		if state != "active" {
			return reply{}
		}
		return job(m.restartService)
	case "reload":
		return job(m.reloadService)
	case "reload-or-restart":
		if state == "active" && len(s.current().Reload) > 0 {
			return job(m.reloadService)
		}
		return job(m.restartService)
	case "enable", "disable":
		if err := setEnabled(m.root, name, q.Verb == "enable"); err != nil {
			return reply{Err: err.Error() + "\n", Code: 1}
		}
		if !q.Now {
			return reply{}
		}
		if q.Verb == "enable" {
			return job(m.start)
		}
		return job(m.stop)
	case "is-enabled":
		for _, u := range enabledUnits(m.root) {
			if u == name {
				return reply{Out: "enabled\n"}
			}
		}
		return reply{Out: "disabled\n", Code: 1}
	case "is-active":
		if state == "active" || state == "reloading" {
			return reply{Out: state + "\n"}
		}
		return reply{Out: state + "\n", Code: codeNotActive}
	case "is-failed":
		if state == "failed" {
			return reply{Out: "failed\n"}
		}
		return reply{Out: state + "\n", Code: 1}
	case "status":
		return statusOf(s, name)
	}
	return reply{Err: "Unknown command verb " + q.Verb + ": the lab's systemctl does not know it\n", Code: 1}
}

// withoutUnit is what systemctl says of a unit that is not there, or cannot be read.
func withoutUnit(verb, name string, err error) reply {
	switch verb {
	case "is-active":
		return reply{Out: "inactive\n", Code: codeNotActive}
	case "is-enabled":
		return reply{Err: "Failed to get unit file state for " + name + ": No such file or directory\n", Code: 1}
	case "is-failed":
		return reply{Out: "inactive\n", Code: 1}
	}
	if errors.Is(err, errNoUnit) {
		code := codeNotLoaded
		if verb == "status" {
			code = codeNoUnit
		}
		return reply{Err: fmt.Sprintf("Unit %s not found.\n", name), Code: code}
	}
	return reply{Err: fmt.Sprintf("Failed to load %s: %v\n", name, err), Code: 1}
}

func statusOf(s *service, name string) reply {
	state, result, pid, since := s.get()
	code := 0
	if state != "active" {
		code = codeNotActive
	}
	out := fmt.Sprintf("%s - %s\n     Active: %s since %s\n", name, s.current().Description, state, since.Format(time.RFC3339))
	if pid > 0 {
		out += fmt.Sprintf("   Main PID: %d\n", pid)
	}
	if result != "" {
		out += "       Last: " + result + "\n"
	}
	return reply{Out: out + tail(filepath.Join(LogDir, "units", strings.TrimSuffix(name, ".service")+".log"), 10), Code: code}
}

func setEnabled(root, name string, on bool) error {
	link := filepath.Join(root, "etc/systemd/system/multi-user.target.wants", name)
	if !on {
		if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	if _, err := os.Lstat(link); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return err
	}
	return os.Symlink("/usr/lib/systemd/system/"+name, link)
}

func tail(path string, lines int) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	all := strings.Split(strings.TrimRight(string(raw), "\n"), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return strings.Join(all, "\n") + "\n"
}
