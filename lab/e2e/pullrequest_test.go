//go:build lab

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	"gopkg.in/yaml.v3"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/internal/agenttest"
)

// github plays the part of GitHub: it runs the scripts of the workflows as they stand in the tree, on the lab's stack,
// and keeps comments and issues.
type github struct {
	*bed
	dir string
}

func newGitHub(t *testing.T, b *bed) *github {
	t.Helper()
	agenttest.Tool(t, "jq")
	g := &github{bed: b, dir: t.TempDir()}
	assert.NilError(t, os.Mkdir(filepath.Join(g.dir, "bin"), 0o755))
	assert.NilError(t, os.WriteFile(filepath.Join(g.dir, "bin", "gh"), []byte(fakeGH), 0o755))
	for _, name := range []string{"comments", "issues"} {
		assert.NilError(t, os.WriteFile(filepath.Join(g.dir, name), []byte("[]"), 0o644))
	}
	// "make build" puts the program there; the suite's is built already.
	assert.NilError(t, os.Symlink(b.bin, filepath.Join(b.project, "bin")))
	t.Cleanup(func() { assert.Check(t, os.Remove(filepath.Join(b.project, "bin"))) })
	return g
}

// fakeGH answers the calls that the workflows make. A comment of a person, which begins like theirs, has to stay.
const fakeGH = `#!/bin/bash
set -eu
[ "$1" = api ]; shift
method=GET fields='{}' url=
while [ $# -gt 0 ]; do
  case "$1" in
    --method) method=$2; shift ;;
    -f) fields=$(jq --arg k "${2%%=*}" --arg v "${2#*=}" '.[$k] = $v' <<<"$fields"); shift ;;
    -F) [ "${2%%@*}" = body= ]; fields=$(jq --rawfile v "${2#*@}" '.body = $v' <<<"$fields"); shift ;;
    --paginate | --silent) ;;
    *) url=$1 ;;
  esac
  shift
done
case "$url" in
  repos/me/it/issues/7/comments) file=comments ;;
  repos/me/it/issues/comments/*) file=comments id=${url##*/} ;;
  repos/me/it/issues | repos/me/it/issues\?state=open\&creator=github-actions%5Bbot%5D) file=issues ;;
  repos/me/it/issues/[0-9]*) file=issues id=${url##*/} ;;
  *) echo "no such page: $url" >&2; exit 1 ;;
esac
file=$GH_STORE/$file
case "$method" in
  GET) jq '[.[] | select(.state != "closed")]' "$file"; exit ;;
  POST) jq --argjson f "$fields" '. + [{user: {type: "Bot"}, id: length, number: length} + $f]' "$file" >"$file.new" ;;
  PATCH) jq --argjson f "$fields" --argjson id "$id" 'map(if .id == $id then . + $f else . end)' "$file" >"$file.new" ;;
esac
mv "$file.new" "$file"
`

type entry struct {
	Title, Body, State string
	Number             int
}

func (g *github) entries(t *testing.T, name string) []entry {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(g.dir, name))
	assert.NilError(t, err)
	var all []entry
	assert.NilError(t, json.Unmarshal(text, &all), "%s", text)
	return all
}

type step struct{ Name, If, Run string }

// steps are what a job runs once everything is built.
func steps(t *testing.T, file, job string) []step {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", ".github", "workflows", file))
	assert.NilError(t, err)
	var w struct {
		Jobs map[string]struct{ Steps []step }
	}
	assert.NilError(t, yaml.Unmarshal(text, &w))
	var found []step
	for _, s := range w.Jobs[job].Steps {
		if s.Run != "" && !strings.HasPrefix(s.Run, "make ") && !strings.Contains(s.If, "!= github.repository") {
			found = append(found, s)
		}
	}
	assert.Assert(t, len(found) > 0, "%s has no job %s", file, job)
	return found
}

// job runs a job: its steps one after another and, as GitHub does, after a failure only those that say so. The result is
// that of the step that failed, or of the last one.
func (g *github) job(t *testing.T, file, job string) result {
	t.Helper()
	old, err := filepath.Glob(filepath.Join(g.project, "*.md")) // every job begins in a clean checkout
	assert.NilError(t, err)
	for _, path := range old {
		assert.NilError(t, os.Remove(path))
	}
	var r result
	outcome := "success"
	for _, s := range steps(t, file, job) {
		if outcome == "failure" && !strings.Contains(s.If, "!cancelled()") {
			continue
		}
		now := g.script(t, s, outcome)
		if outcome == "success" {
			r = now
		} else {
			assert.Equal(t, now.code, 0, "%s, after a failure: %s", s.Name, now)
		}
		if now.code != 0 {
			outcome = "failure"
		}
	}
	return r
}

func (g *github) script(t *testing.T, s step, outcome string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	cmd := g.command(ctx)
	cmd.Path, cmd.Args = "/bin/bash", []string{"bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", s.Run}
	cmd.Env = append(cmd.Env, "PATH="+filepath.Join(g.dir, "bin")+":"+os.Getenv("PATH"), "GH_STORE="+g.dir,
		"STACK=lab", "PULL_REQUEST=7", "OUTCOME="+outcome, "GITHUB_REPOSITORY=me/it", "GITHUB_STEP_SUMMARY="+filepath.Join(g.dir, "summary"))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", s.Name, err)
	}
	r := result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String(), time.Since(start)}
	t.Logf("%s: exit %d after %s", s.Name, r.code, r.took.Round(100*time.Millisecond))
	return r
}

// pullRequest is the life of a change: proposed, refused once, merged, and then something changes behind its back. All
// by the commands of the workflows. The merged change stays: a name that is cached for a shorter time.
func pullRequest(t *testing.T, b *bed) {
	g := newGitHub(t, b)
	const marker = "<!-- emqx-oci:preview:lab -->"

	r := g.job(t, "preview.yml", "check")
	assert.Equal(t, r.code, 0, "%s", r)

	b.edit(t, "    name: mqtt.lab.test\n", "    name: mqtt.lab.test\n    ttl: 30\n")
	r = g.job(t, "preview.yml", "preview")
	assert.Equal(t, r.code, 0, "%s", r)
	comments := g.entries(t, "comments")
	assert.Equal(t, len(comments), 1)
	assert.Assert(t, strings.HasPrefix(comments[0].Body, marker+"\n"), "%s", comments[0].Body)
	assert.Assert(t, strings.Contains(comments[0].Body, "Rrset"), "%s", comments[0].Body)

	// The next push goes too far: the job fails, and the same comment says why.
	b.edit(t, "    count: 3\n", "    count: 2\n")
	r = g.job(t, "preview.yml", "preview")
	assert.Equal(t, r.code, 3, "%s", r)
	comments = g.entries(t, "comments")
	assert.Equal(t, len(comments), 1, "the comment is updated, not repeated")
	assert.Assert(t, strings.HasPrefix(comments[0].Body, marker+"\n"), "%s", comments[0].Body)
	assert.Assert(t, strings.Contains(comments[0].Body, "volume-delete"), "%s", comments[0].Body)
	b.edit(t, "    count: 2\n", "    count: 3\n")

	r = g.job(t, "deploy.yml", "staging")
	assert.Equal(t, r.code, 0, "%s", r)
	assert.Assert(t, strings.Contains(r.stdout, "G5 round trip: a message came back"), "%s", r)
	summary, err := os.ReadFile(filepath.Join(g.dir, "summary"))
	assert.NilError(t, err)
	assert.Assert(t, strings.Contains(string(summary), "Rrset"), "%s", summary)

	r = g.job(t, "drift.yml", "drift")
	assert.Equal(t, r.code, 0, "%s", r)
	assert.Equal(t, len(g.entries(t, "issues")), 0)

	changed := changeBehindTheStack(t)
	r = g.job(t, "drift.yml", "drift")
	assert.Equal(t, r.code, 4, "%s", r)
	assert.Assert(t, strings.Contains(r.stdout+r.stderr, "consul:Keys"), "%s", r)
	b.must(t, "refresh", "lab")
	b.must(t, "up", "lab", "--yes")
	again, _, err := consulClient(t).KV().Get(changed.Key, nil)
	assert.NilError(t, err)
	assert.DeepEqual(t, again.Value, changed.Value)
	all := steps(t, "drift.yml", "drift")
	issue := all[len(all)-1]
	assert.Equal(t, issue.Name, "Issue")
	assert.Equal(t, g.script(t, issue, "failure").code, 0) // of the next night
	issues := g.entries(t, "issues")
	assert.Equal(t, len(issues), 1, "the issue is updated, not repeated")
	assert.Equal(t, issues[0].Title, "Drift check of stack lab")
	assert.Assert(t, strings.Contains(issues[0].Body, "Keys"), "%s", issues[0].Body)
	assert.Equal(t, g.script(t, issue, "success").code, 0)
	assert.Equal(t, g.entries(t, "issues")[0].State, "closed")
}

// changeBehindTheStack writes over one of its entries in Consul, and gives what was there.
func changeBehindTheStack(t *testing.T) *consul.KVPair {
	t.Helper()
	kv := consulClient(t).KV()
	pairs, _, err := kv.List("emqx/", nil)
	assert.NilError(t, err)
	assert.Assert(t, len(pairs) > 0)
	_, err = kv.Put(&consul.KVPair{Key: pairs[0].Key, Value: []byte("by hand"), Flags: pairs[0].Flags}, nil)
	assert.NilError(t, err)
	return pairs[0]
}
