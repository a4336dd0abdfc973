package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// HaltGrace is how long services may take to stop when the instance is ended: enough to
// move the clients of a broker and for a Consul client to leave its cluster (about 4 s).
// OCI's soft stop gives 15 minutes; of a termination its documents say nothing.
const HaltGrace = 2 * time.Minute

// Init is PID 1. It returns only on a fault before the services start.
func Init() error {
	status := os.NewFile(statusFD, "status")
	syscall.CloseOnExec(statusFD)
	err := setup()
	if err != nil {
		fmt.Fprintf(status, "%v", err)
		status.Close()
		return err
	}
	chld := make(chan os.Signal, 8)
	signal.Notify(chld, syscall.SIGCHLD)
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)

	r := newReaper()
	go r.run(chld)
	m := newManager("/", r, os.Environ(), log.Printf)
	if m.console, err = openConsole(); err != nil {
		fmt.Fprintf(status, "%v", err)
		status.Close()
		return err
	}
	if err := serveControl(m); err != nil {
		fmt.Fprintf(status, "%v", err)
		status.Close()
		return err
	}
	fmt.Fprint(status, "ok")
	status.Close()
	log.Print("PID 1 runs")
	for _, u := range enabledUnits("/") {
		go func() {
			s, err := m.find(u)
			if err != nil {
				log.Printf("%s: %v", u, err)
				return
			}
			_ = m.start(s) // its error is in the log and in the unit's state
		}()
	}
	go func() {
		if err := bootUserData(r); err != nil {
			log.Printf("user data: %v", err)
		}
	}()
	<-term
	log.Print("shutting down")
	ctx, cancel := context.WithTimeout(context.Background(), HaltGrace)
	defer cancel()
	m.halt(ctx)
	os.Exit(0)
	return nil
}

func setup() error {
	f, err := os.OpenFile(filepath.Join(LogDir, "init.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	log.SetOutput(io.MultiWriter(os.Stderr, f))
	log.SetFlags(log.LstdFlags | log.Lmicroseconds)
	syscall.Umask(0o022)
	if err := delegateCgroup2("/sys/fs/cgroup"); err != nil {
		return err
	}
	return nil
}

// delegateCgroup2 leaves the root of a version 2 hierarchy to directories only:
// the kernel shares controllers out to children of an empty one only.
func delegateCgroup2(root string) error {
	available, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // version 1
	}
	if err != nil {
		return fmt.Errorf("reading the cgroup controllers: %w", err)
	}
	leaf := filepath.Join(root, "init")
	if err := os.MkdirAll(leaf, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(leaf, "cgroup.procs"), []byte("0"), 0); err != nil {
		return fmt.Errorf("moving PID 1 to its own cgroup: %w", err)
	}
	var enable string
	for _, c := range strings.Fields(string(available)) {
		enable += " +" + c
	}
	if enable == "" {
		return nil
	}
	if err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte(enable[1:]), 0); err != nil {
		return fmt.Errorf("sharing out cgroup controllers: %w", err)
	}
	return nil
}

// enabledUnits are those linked from multi-user.target.
func enabledUnits(root string) []string {
	seen := map[string]bool{}
	var units []string
	for _, d := range unitDirs {
		found, err := filepath.Glob(filepath.Join(root, d, "multi-user.target.wants", "*.service"))
		if err != nil {
			continue
		}
		for _, p := range found {
			if n := filepath.Base(p); !seen[n] {
				seen[n] = true
				units = append(units, n)
			}
		}
	}
	return units
}

// serveControl answers systemctl.
func serveControl(m *manager) error {
	old := syscall.Umask(0o177)
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", ControlSocket)
	syscall.Umask(old)
	if err != nil {
		return fmt.Errorf("opening the control socket: %w", err)
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go answer(m, conn)
		}
	}()
	return nil
}
