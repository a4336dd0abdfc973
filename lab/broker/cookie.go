package broker

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// cookieVariable is what the node takes its cookie from.
const cookieVariable = "EMQX_NODE__COOKIE="

// withCookieInUse adds the cookie of the node that runs, where the environment has none:
// `emqx ctl` in a container need not know it. The real one reads it from the arguments
// of the running process (bin/emqx, "find_emqx_process"), this one from its environment.
func withCookieInUse(env []string, processes string) []string {
	isCookie := func(v string) bool { return strings.HasPrefix(v, cookieVariable) }
	if slices.ContainsFunc(env, isCookie) {
		return env
	}
	found, _ := filepath.Glob(filepath.Join(processes, "[0-9]*", "cmdline"))
	for _, path := range found {
		line, err := os.ReadFile(path)
		words := strings.Split(string(line), "\x00")
		if err != nil || len(words) < 2 || filepath.Base(words[0]) != "emqx" || !slices.Contains([]string{"foreground", "start", "console"}, words[1]) {
			continue
		}
		all, err := os.ReadFile(filepath.Join(filepath.Dir(path), "environ"))
		if err != nil {
			continue // somebody else's
		}
		for v := range bytes.SplitSeq(all, []byte{0}) {
			if isCookie(string(v)) {
				return append(slices.Clone(env), string(v))
			}
		}
	}
	return env
}
