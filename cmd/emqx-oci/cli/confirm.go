package cli

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
)

// confirm asks one question. Ctrl-C and Ctrl-D answer it, too.
func (a *app) confirm(ctx context.Context, question string, accept func(string) bool) (bool, error) {
	announce := a.announceSignals(func(string) {}) // nothing is under way that a signal would have to wait for
	defer func() { a.announceSignals(announce) }()
	_, _ = fmt.Fprint(a.Stdout, question)
	answer := make(chan string, 1)
	go func() { // it stays behind when ctx ends first: a read cannot be called back, and the process ends anyway
		line, _ := bufio.NewReader(a.Stdin).ReadString('\n')
		answer <- line
	}()
	select {
	case line := <-answer:
		if !strings.HasSuffix(line, "\n") {
			_, _ = fmt.Fprintln(a.Stdout)
		}
		return accept(strings.TrimSpace(line)), nil
	case <-ctx.Done():
		_, _ = fmt.Fprintln(a.Stdout)
		return false, stopped("nothing was changed")
	}
}

// declined ends a command whose question was answered with no: no error, and no success for what comes after "&&".
func (a *app) declined() error {
	_, _ = fmt.Fprintln(a.Stdout, "nothing was changed")
	return code(orchestrate.ExitFailed)
}

// announceSignals changes who tells about a signal, and gives the one before.
func (a *app) announceSignals(announce func(string)) (before func(string)) {
	return a.console.Announce(announce)
}
