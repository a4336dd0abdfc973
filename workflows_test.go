package emqxoci_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rhysd/actionlint"
	"gopkg.in/yaml.v3"
	"gotest.tools/v3/assert"

	labcli "github.com/emqx-oci/emqx-oci/cmd/emqx-oci-lab/cli"
	"github.com/emqx-oci/emqx-oci/cmd/emqx-oci/cli"
)

const gitlabFile = "docs/ci/gitlab-ci.yml"

// workflow is what the tests look at of a file for GitHub.
type workflow struct {
	On          yaml.Node              `yaml:"on"`
	Permissions map[string]string      `yaml:"permissions"`
	Jobs        map[string]workflowJob `yaml:"jobs"`
}

type workflowJob struct {
	If          string            `yaml:"if"`
	Needs       string            `yaml:"needs"`
	RunsOn      string            `yaml:"runs-on"`
	Environment string            `yaml:"environment"`
	Timeout     int               `yaml:"timeout-minutes"`
	Permissions map[string]string `yaml:"permissions"`
	Concurrency struct {
		Group  string `yaml:"group"`
		Cancel *bool  `yaml:"cancel-in-progress"`
	} `yaml:"concurrency"`
	Steps []workflowStep `yaml:"steps"`
}

type workflowStep struct {
	Name string            `yaml:"name"`
	If   string            `yaml:"if"`
	Uses string            `yaml:"uses"`
	Run  string            `yaml:"run"`
	With map[string]string `yaml:"with"`
	Env  map[string]string `yaml:"env"`
}

func workflows(t *testing.T) map[string]workflow {
	t.Helper()
	files, err := filepath.Glob(".github/workflows/*.yml")
	assert.NilError(t, err)
	found := map[string]workflow{}
	for _, path := range files {
		text, err := os.ReadFile(path)
		assert.NilError(t, err)
		var w workflow
		assert.NilError(t, yaml.Unmarshal(text, &w), "%s", path)
		found[filepath.Base(path)] = w
	}
	for _, name := range []string{"preview.yml", "deploy.yml", "drift.yml", "test.yml", "release.yml"} {
		assert.Assert(t, len(found[name].Jobs) > 0, "%s has no jobs", name)
	}
	return found
}

func TestWorkflowsAreAccepted(t *testing.T) {
	shellcheck, _ := exec.LookPath("shellcheck") // "": without it, on a bare machine
	linter, err := actionlint.NewLinter(io.Discard, &actionlint.LinterOptions{Shellcheck: shellcheck})
	assert.NilError(t, err)
	for name := range workflows(t) {
		faults, err := linter.LintFile(filepath.Join(".github/workflows", name), nil)
		assert.NilError(t, err)
		for _, f := range faults {
			t.Errorf("%s", f.Error())
		}
	}
	faults, err := linter.Lint("sample.yml", []byte("on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps: [{run: 'echo ${{ github.nothing }}'}]\n"), nil)
	assert.NilError(t, err)
	assert.Equal(t, len(faults), 1, "the linter must find what is wrong")
}

// What a job may do, with GitHub's token, beyond reading the source.
var mayWrite = map[string][]string{
	"preview.yml/preview": {"pull-requests"}, "drift.yml/drift": {"issues"}, "release.yml/release": {"contents", "id-token", "attestations"},
}

func TestWorkflowsHaveTheLeastRights(t *testing.T) {
	secret := regexp.MustCompile(`secrets\.|github\.token`)
	for file, w := range workflows(t) {
		events := eventNames(w.On)
		assert.Assert(t, !slices.Contains(events, "pull_request_target") && !slices.Contains(events, "workflow_run"),
			"%s: code of a fork would run with secrets", file)
		assert.Assert(t, w.Permissions != nil && len(w.Permissions) == 0, "%s: permissions: {} at the top", file)
		for name, job := range w.Jobs {
			at := file + "/" + name
			want := map[string]string{"contents": "read"}
			for _, right := range mayWrite[at] {
				want[right] = "write"
			}
			assert.DeepEqual(t, job.Permissions, want)
			assert.Assert(t, job.Timeout > 0, "%s has no timeout", at)
			assert.Assert(t, job.Concurrency.Group != "" || name == "check", "%s has no concurrency", at)
			usesSecrets := false
			for _, s := range job.Steps {
				for _, value := range s.Env {
					usesSecrets = usesSecrets || strings.Contains(value, "secrets.")
				}
				assert.Assert(t, !strings.Contains(s.Run, "${{"), "%s: %q takes an expression into a script: use env", at, s.Name)
				for _, value := range s.With {
					assert.Assert(t, !secret.MatchString(value), "%s: %s gets a secret", at, s.Uses)
				}
				if strings.HasPrefix(s.Uses, "actions/checkout@") {
					assert.Equal(t, s.With["persist-credentials"], "false", at)
				}
			}
			assert.Equal(t, usesSecrets, job.Environment != "", "%s: secrets come from an environment, and only from there", at)
			if slices.Contains(events, "pull_request") && usesSecrets {
				assert.Assert(t, strings.Contains(job.If, "github.event.pull_request.head.repo.full_name == github.repository"), "%s: forks", at)
			}
			if strings.Contains(job.RunsOn, "vars.") {
				assert.Assert(t, usesSecrets, "%s needs no machine of yours", at)
			}
		}
	}
}

// What a pull request brings runs on the machines of previews. One that also deploys
// would meet the credentials of the next deployment there, and fill its caches.
func TestPreviewsAndDeploymentsHaveMachinesOfTheirOwn(t *testing.T) {
	const deploys, previews = "${{ vars.EMQX_OCI_RUNNER }}", "${{ vars.EMQX_OCI_PREVIEW_RUNNER }}"
	seen := map[string]int{}
	for file, w := range workflows(t) {
		for name, job := range w.Jobs {
			at := file + "/" + name
			if !strings.Contains(job.RunsOn, "vars.") {
				continue
			}
			want := previews
			if file == "deploy.yml" {
				want = deploys
			}
			assert.Equal(t, job.RunsOn, want, at)
			seen[want]++
			if job.Needs == "" { // else it is skipped with what it needs
				differ := strings.Contains(job.If, "vars.EMQX_OCI_RUNNER != vars.EMQX_OCI_PREVIEW_RUNNER") ||
					strings.Contains(job.If, "vars.EMQX_OCI_PREVIEW_RUNNER != vars.EMQX_OCI_RUNNER")
				assert.Assert(t, differ, "%s runs with one label for both", at)
			}
			for _, s := range job.Steps {
				if want == deploys && strings.HasPrefix(s.Uses, "actions/setup-go@") {
					assert.Equal(t, s.With["cache"], "false", "%s takes what a preview's machine has left in the cache", at)
				}
				assert.Assert(t, want != deploys || !strings.HasPrefix(s.Uses, "actions/cache@"), "%s: the same", at)
			}
		}
	}
	assert.DeepEqual(t, seen, map[string]int{deploys: 2, previews: 2})

	text, err := os.ReadFile(gitlabFile)
	assert.NilError(t, err)
	var nodes map[string]yaml.Node
	assert.NilError(t, yaml.Unmarshal(text, &nodes))
	gitlab := map[string]gitlabJob{}
	for name, n := range nodes {
		var job gitlabJob
		if n.Kind == yaml.MappingNode && n.Decode(&job) == nil {
			gitlab[name] = job
		}
	}
	for name, tag := range map[string]string{"preview": "emqx-oci-preview", "drift": "emqx-oci-preview", "staging": "emqx-oci", "prod": "emqx-oci"} {
		tags, cache := inherited(gitlab, name)
		assert.DeepEqual(t, tags, []string{tag})
		assert.Equal(t, cache, tag == "emqx-oci-preview", "%s: the cache", name)
	}
}

type gitlabJob struct {
	Extends string    `yaml:"extends"`
	Tags    []string  `yaml:"tags"`
	Cache   yaml.Node `yaml:"cache"`
}

// inherited are a job's tags and whether it has a cache, with what it extends.
func inherited(jobs map[string]gitlabJob, name string) (tags []string, cache bool) {
	decided := false
	for ; name != ""; name = jobs[name].Extends {
		job := jobs[name]
		if len(tags) == 0 {
			tags = job.Tags
		}
		if !decided && job.Cache.Kind != 0 {
			decided, cache = true, job.Cache.Kind == yaml.MappingNode
		}
	}
	return tags, cache
}

func eventNames(on yaml.Node) []string {
	var names []string
	switch on.Kind {
	case yaml.ScalarNode:
		names = append(names, on.Value)
	case yaml.SequenceNode:
		for _, n := range on.Content {
			names = append(names, n.Value)
		}
	default:
		for i := 0; i < len(on.Content); i += 2 {
			names = append(names, on.Content[i].Value)
		}
	}
	return names
}

func TestActionsArePinned(t *testing.T) {
	pinned := regexp.MustCompile(`^\s*-? *uses: [a-z-]+/[a-z-]+@[0-9a-f]{40} # v[0-9]+\.[0-9]+\.[0-9]+$`)
	sha := map[string]string{}
	uses := 0
	for name := range workflows(t) {
		text, err := os.ReadFile(filepath.Join(".github/workflows", name))
		assert.NilError(t, err)
		for line := range strings.Lines(string(text)) {
			if !strings.Contains(line, "uses:") {
				continue
			}
			line = strings.TrimRight(line, "\n")
			assert.Assert(t, pinned.MatchString(line), "%s: %s", name, line)
			action, commit, _ := strings.Cut(line[strings.Index(line, "uses: ")+len("uses: "):], "@")
			if sha[action] == "" {
				sha[action] = commit
			}
			assert.Equal(t, sha[action], commit, "one version of %s everywhere", action)
			uses++
		}
	}
	assert.Assert(t, uses >= 10, "the test must see the actions")
}

// prod is updated by the very steps that staging was.
func TestDeployDoesTheSameToEveryEnvironment(t *testing.T) {
	jobs := workflows(t)["deploy.yml"].Jobs
	assert.DeepEqual(t, jobs["prod"].Steps, jobs["staging"].Steps)
	assert.Equal(t, jobs["prod"].Needs, "staging")
	for stack, job := range jobs {
		assert.Equal(t, job.Environment, stack)
		assert.Assert(t, job.Concurrency.Cancel != nil && !*job.Concurrency.Cancel, "an update must not be cut off")
	}
}

// scripts are all that the workflows, and the file for GitLab, run.
func scripts(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for name, w := range workflows(t) {
		for _, job := range w.Jobs {
			for _, s := range job.Steps {
				if s.Run != "" {
					found[name] = append(found[name], s.Run)
				}
			}
		}
	}
	text, err := os.ReadFile(gitlabFile)
	assert.NilError(t, err)
	var gitlab map[string]yaml.Node
	assert.NilError(t, yaml.Unmarshal(text, &gitlab))
	for name, n := range gitlab {
		if n.Kind != yaml.MappingNode {
			continue
		}
		var job struct {
			Before []string `yaml:"before_script"`
			Script []string `yaml:"script"`
			After  []string `yaml:"after_script"`
		}
		assert.NilError(t, n.Decode(&job), "%s: %s", gitlabFile, name)
		found[gitlabFile] = append(found[gitlabFile], slices.Concat(job.Before, job.Script, job.After)...)
	}
	return found
}

// A pipeline runs what a person types: this program, make, and what carries a report to where it is read.
func TestPipelinesRunOnlyWhatAPersonTypes(t *testing.T) {
	makefile, err := os.ReadFile("Makefile")
	assert.NilError(t, err)
	allowed := strings.Fields("bin/emqx-oci make gh jq head cat curl echo sudo apt-get [")
	calls := 0
	for file, all := range scripts(t) {
		for _, script := range all {
			for _, words := range commandsOf(script) {
				assert.Assert(t, slices.Contains(allowed, words[0]), "%s runs %q", file, strings.Join(words, " "))
				if i := slices.Index(words, "make"); i >= 0 {
					for _, target := range words[i+1:] {
						assert.Assert(t, regexp.MustCompile(`(?m)^`+target+`:`).Match(makefile), "%s: there is no target %q", file, target)
					}
				}
				if words[0] == "bin/emqx-oci" {
					assert.NilError(t, checkCall(words[1:]), "%s: %s", file, strings.Join(words, " "))
					calls++
				}
			}
		}
	}
	assert.Assert(t, calls >= 8, "the test must see the calls, got %d", calls)
}

// secretWord is a word that becomes a secret when a shell expands it.
var secretWord = regexp.MustCompile(`\$\{?[A-Za-z_]*(TOKEN|SECRET|PASSWORD|PASSPHRASE|PRIVATE_KEY|ACCESS_KEY|COOKIE)`)

// secretIn is the word of a command that every process on the machine may read in its
// arguments while it runs; "" when there is none. What a shell does itself has none.
func secretIn(words []string) string {
	if slices.Contains([]string{"echo", "printf", "[", "export", "test", "."}, words[0]) {
		return ""
	}
	i := slices.IndexFunc(words, secretWord.MatchString)
	if i < 0 {
		return ""
	}
	return words[i]
}

// Arguments of a process are there for everybody: a secret goes through a pipe, a file
// or the environment.
func TestNoCommandHasASecretInItsArguments(t *testing.T) {
	seen := 0
	look := func(where, script string) {
		for _, words := range commandsOf(script) {
			word := secretIn(words)
			assert.Check(t, word == "", "%s: %q stands in the arguments of %s", where, word, words[0])
			seen++
		}
	}
	for file, all := range scripts(t) {
		for _, script := range all {
			look(file, script)
		}
	}
	pages, err := filepath.Glob("docs/*.md")
	assert.NilError(t, err)
	tasks, err := filepath.Glob("docs/tasks/*.md")
	assert.NilError(t, err)
	for _, page := range slices.Concat(pages, tasks, []string{"README.md"}) {
		text, err := os.ReadFile(page)
		assert.NilError(t, err)
		for _, line := range codeIn(string(text)) {
			look(page, line)
		}
	}
	for _, pattern := range []string{"components/*/files/*.sh", "components/*/files/*.tmpl"} {
		files, err := filepath.Glob(pattern)
		assert.NilError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			assert.NilError(t, err)
			look(file, string(text))
		}
	}
	assert.Assert(t, seen > 300, "the test must see the commands, got %d", seen)
	for script, want := range map[string]string{
		`curl -H "PRIVATE-TOKEN: $NOTES_TOKEN" "$url"`:             `PRIVATE-TOKEN: $NOTES_TOKEN`,
		`x=$(curl -u "a:${API_SECRET}" http://b)`:                  `a:${API_SECRET}`,
		`echo "PRIVATE-TOKEN: $NOTES_TOKEN" | curl --header @- $u`: "",
	} {
		found := ""
		for _, words := range commandsOf(script) {
			found += secretIn(words)
		}
		assert.Equal(t, found, want, script)
	}
}

var (
	assignment = regexp.MustCompile(`^[A-Za-z_]+=`)
	keyword    = regexp.MustCompile(`^(if|then|elif|else|fi|!)$`)
)

// commandsOf gives the simple commands of a script as words, without redirections: enough of a shell for what stands in
// these files.
func commandsOf(script string) [][]string {
	script = strings.ReplaceAll(script, "\\\n", " ")
	var all [][]string
	for _, part := range splitShell(script) {
		words := part
		for len(words) > 0 && (keyword.MatchString(words[0]) || assignment.MatchString(words[0])) {
			words = words[1:]
		}
		if i := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, ">") || strings.HasPrefix(w, "<") }); i >= 0 {
			words = words[:i]
		}
		if len(words) > 0 {
			all = append(all, words)
		}
	}
	return all
}

// splitShell cuts a script at what ends a command, outside of quotes, and the commands into words.
func splitShell(script string) [][]string {
	var commands [][]string
	var words []string
	var word strings.Builder
	quote := rune(0)
	flush := func() {
		if word.Len() > 0 {
			words = append(words, word.String())
			word.Reset()
		}
	}
	end := func() {
		flush()
		if len(words) > 0 {
			commands = append(commands, words)
			words = nil
		}
	}
	runes := []rune(script)
	for i := 0; i < len(runes); i++ {
		r := runes[i]
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			} else {
				word.WriteRune(r)
			}
		case r == '\'' || r == '"':
			quote = r
		case r == '#' && word.Len() == 0:
			for i+1 < len(runes) && runes[i+1] != '\n' {
				i++
			}
		case r == '$' && i+1 < len(runes) && runes[i+1] == '(':
			i++
			end()
		case strings.ContainsRune("\n;|&()", r):
			end()
		case r == ' ' || r == '\t':
			flush()
		default:
			word.WriteRune(r)
		}
	}
	end()
	return commands
}

var (
	codeSpan = regexp.MustCompile("`([^`]+)`")
	fence    = regexp.MustCompile("(?ms)^```[a-z]*\n(.*?)^```")
	ourCall  = regexp.MustCompile(`(?:^|[\s(:$"'])(?:bin/)?emqx-oci ([a-z-].*)`)
	holder   = regexp.MustCompile(`<[a-z ]+>`)
)

// checkCall holds a call against the command line, and what follows "lab" against the lab's.
func checkCall(words []string) error {
	if len(words) > 0 && words[0] == "lab" {
		return labcli.CheckCall(words[1:])
	}
	return cli.CheckCall(words)
}

// Whoever types what a document shows is not told that there is no such command or flag.
func TestDocumentsShowCommandsThatExist(t *testing.T) {
	pages, err := filepath.Glob("docs/*.md")
	assert.NilError(t, err)
	decisions, err := filepath.Glob("docs/decisions/*.md")
	assert.NilError(t, err)
	tasks, err := filepath.Glob("docs/tasks/*.md")
	assert.NilError(t, err)
	calls := 0
	for _, page := range slices.Concat(pages, tasks, decisions, []string{"README.md"}) {
		text, err := os.ReadFile(page)
		assert.NilError(t, err)
		for _, call := range callsIn(string(text)) {
			err := checkCall(call)
			if err != nil { // prose also names a command without what it wants
				err = checkCall(append(call, "x"))
			}
			assert.Check(t, err, "%s shows: emqx-oci %s", page, strings.Join(call, " "))
			calls++
		}
	}
	assert.Assert(t, calls > 30, "the test must see the commands, got %d", calls)
}

// codeIn are the lines that a page shows as code, in a block or within a line.
func codeIn(page string) []string {
	var code []string
	page = strings.ReplaceAll(page, "\\\n", " ")
	for _, m := range fence.FindAllStringSubmatch(page, -1) {
		code = append(code, strings.Split(m[1], "\n")...)
	}
	page = fence.ReplaceAllString(page, "")
	for _, line := range strings.Split(page, "\n") {
		if strings.HasPrefix(line, "    ") && !strings.Contains(line, "`") {
			code = append(code, line)
		}
	}
	for _, paragraph := range strings.Split(page, "\n\n") {
		for _, m := range codeSpan.FindAllStringSubmatch(paragraph, -1) {
			code = append(code, strings.ReplaceAll(m[1], "\n", " "))
		}
	}
	return code
}

// callsIn are this program's calls among them.
func callsIn(page string) [][]string {
	var calls [][]string
	for _, line := range codeIn(page) {
		m := ourCall.FindStringSubmatch(holder.ReplaceAllString(line, "x"))
		if m == nil {
			continue
		}
		if commands := commandsOf(m[1]); len(commands) > 0 {
			calls = append(calls, commands[0])
		}
	}
	return calls
}

func TestCallsAreFoundInAPage(t *testing.T) {
	page := "Run `bin/emqx-oci up <env> --yes` or\n`eval \"$(emqx-oci lab\nenv)\"`; `emqx-oci` and emqx-oci:nodes are none.\n\n" +
		"    $ bin/emqx-oci preview lab          # after count: 3 -> 4\n" +
		"    kill \"$(bin/emqx-oci lab status --json | jq -r .pid)\"\n\n```\nemqx-oci lab exec -- a --json > out\n```\n"
	assert.DeepEqual(t, callsIn(page), [][]string{
		{"lab", "exec", "--", "a", "--json"}, {"preview", "lab"}, {"lab", "status", "--json"}, {"up", "x", "--yes"}, {"lab", "env"},
	})
	for _, wrong := range []string{"upp lab", "up --force", "lab bogus", "preview a b", "version now"} {
		assert.Assert(t, checkCall(strings.Fields(wrong)) != nil, wrong)
	}
	assert.NilError(t, checkCall([]string{"lab", "exec", "--in", "x", "--", "y", "--z"}))
}
