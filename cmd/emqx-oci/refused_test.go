package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/preflight"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/internal/registrations"
	"github.com/emqx-oci/emqx-oci/stacks/example"
)

// What the command line refuses plain pulumi refuses, in the same words, before
// anything is registered. A file that is no stack file Pulumi's own reader refuses for both.
func TestBothEntriesRefuseEachStackFile(t *testing.T) {
	paths, err := filepath.Glob("../../components/settings/testdata/bad/*.yaml")
	assert.NilError(t, err)
	assert.Assert(t, len(paths) > 100)
	project, err := os.ReadFile("../../Pulumi.yaml")
	assert.NilError(t, err)
	program, ran := registrations.Link(t, "program"), 0
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(path)
			assert.NilError(t, err)
			dir := t.TempDir()
			assert.NilError(t, os.WriteFile(filepath.Join(dir, "Pulumi.yaml"), project, 0o600))
			assert.NilError(t, os.WriteFile(filepath.Join(dir, "Pulumi.prod.yaml"), text, 0o600))
			c, err := orchestrate.Read(dir, "prod")
			values, secretKeys, plainErr := settings.ParseStackFile(text)
			if err != nil || plainErr != nil {
				assert.Assert(t, err != nil && plainErr != nil, "one reads it: %v; %v", err, plainErr)
				return
			}
			assert.Assert(t, len(preflight.Errors(check("prod", c))) > 0, "check accepts it")

			ran++
			got := registrations.Refusal(t, program, registrations.Run{Project: "emqx-oci", Stack: "prod", Config: opened(t, values), SecretKeys: secretKeys})
			assert.Assert(t, got != "", "plain pulumi accepts it")
			for _, line := range refusedWith(string(text)) {
				assert.Assert(t, strings.Contains(got, line), "plain pulumi does not say %q, but:\n%s", line, got)
			}
		})
	}
	assert.Assert(t, ran > 100)
}

// refusedWith are the messages in a bad file's first comment, but for what only the file
// tells: which of a group's values are encrypted.
func refusedWith(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		line, comment := strings.CutPrefix(strings.TrimSpace(line), "# ")
		if !comment {
			break
		}
		if line != "Refused with:" && !strings.Contains(line, "encrypted") && !strings.Contains(line, "in clear") {
			lines = append(lines, line)
		}
	}
	return lines
}

// opened puts secrets into the place of those that the file holds encrypted.
func opened(t *testing.T, values map[string]string) map[string]string {
	t.Helper()
	put := func(group string, change func(given map[string]any)) {
		var given map[string]any
		if json.Unmarshal([]byte(values[group]), &given) != nil {
			return
		}
		change(given)
		body, err := json.Marshal(given)
		assert.NilError(t, err)
		values[group] = string(body)
	}
	replace := func(given map[string]any, secrets map[string]string) {
		for name, secret := range secrets {
			if given[name] == "[secret]" {
				given[name] = secret
			}
		}
	}
	put(settings.Project+":secrets", func(given map[string]any) { replace(given, example.Secrets()) })
	put(settings.Project+":auth", func(given map[string]any) {
		users, _ := given["users"].([]any)
		for _, u := range users {
			if user, ok := u.(map[string]any); ok {
				replace(user, map[string]string{"password": "a-word-of-a-user", "passwordHash": "$2b$10$" + strings.Repeat("a", 53)})
			}
		}
	})
	return values
}
