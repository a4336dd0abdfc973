package ocicli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

func TestParse(t *testing.T) {
	call, err := Parse(strings.Fields("compute --auth instance_principal volume-attachment detach --volume-attachment-id=a --force " +
		"--wait-for-state failed --wait-for-state SUCCEEDED --max-wait-seconds 1 --max-wait-seconds 20"))
	assert.NilError(t, err)
	assert.Equal(t, call.Command, "compute volume-attachment detach")
	assert.DeepEqual(t, call.Options, map[string][]string{
		"auth": {"instance_principal"}, "volume-attachment-id": {"a"}, "force": {"true"},
		"wait-for-state": {"FAILED", "SUCCEEDED"}, "max-wait-seconds": {"20"},
	})
	assert.Equal(t, call.Option("wait-for-state"), "SUCCEEDED")
	assert.Equal(t, call.Option("if-match"), "")
}

func TestParseRefuses(t *testing.T) {
	for line, want := range map[string]Refusal{
		"": {Stdout: "Missing command.", Exit: 2},
		"compute instance get --instance-id x --force": {Stdout: "No such option: --force", Exit: 2},
		"compute instance get --auth me":               {Stdout: "Invalid value for '--auth': invalid choice: me. (choose from api_key, instance_principal", Exit: 2},
		"bv volume list --limit all":                   {Stdout: "Invalid value for '--limit': 'all' is not a valid integer.", Exit: 2},
		"bv volume list --lifecycle-state ATTACHED":    {Stdout: "invalid choice: ATTACHED. (choose from PROVISIONING, RESTORING,", Exit: 2},
		// Since oci-cli 3.86.0 it is the state of a work request.
		"compute volume-attachment detach --volume-attachment-id x --force --wait-for-state DETACHED": {
			Stdout: "Usage: oci compute volume-attachment detach [OPTIONS]\n\nError: Invalid value for '--wait-for-state': " +
				"invalid choice: DETACHED. (choose from ACCEPTED, IN_PROGRESS, FAILED, SUCCEEDED)", Exit: 2,
		},
		"compute volume-attachment attach --instance-id i --volume-id v --type nfs":                {Stdout: "invalid choice: nfs.", Exit: 2},
		"compute volume-attachment attach --instance-id i --volume-id v --type iscsi --device":     {Stdout: "Option '--device' requires an argument.", Exit: 2},
		"compute volume-attachment attach --instance-id i --volume-id v --is-shareable perhaps":    {Stdout: "'perhaps' is not a valid boolean.", Exit: 2},
		"network private-ip update --private-ip-id p --vnic-id v":                                  {Stdout: "No such option: --vnic-id", Exit: 2},
		"network vnic assign-private-ip --ip-address 10.0.0.1":                                     {Stderr: "UsageError: Either --vnic-id or --vlan-id", Exit: 1},
		"network vnic assign-private-ip --ip-address 10.0.0.1 --vnic-id v --vlan-id v":             {Stderr: "UsageError: Only one of", Exit: 1},
		"compute volume-attachment list":                                                           {Stderr: "UsageError: Either --compartment-id or --instance-id has to be provided", Exit: 1},
		"compute volume-attachment attach --type iscsi":                                            {Stderr: "Error: Missing option(s) --instance-id, --volume-id.", Exit: 1},
		"compute volume-attachment detach --volume-attachment-id x":                                {Stdout: "[y/N]: ", Stderr: "Aborted!\n", Exit: 1},
		"compute instance get --instance-id=":                                                      {Stderr: "UsageError: Parameter --instance-id cannot be whitespace or empty string", Exit: 1},
		"compute instance get --instance-id x y":                                                   {Stdout: "Got unexpected extra argument (y)", Exit: 2},
		"compute instance get -i x":                                                                {Stdout: "No such option: -i", Exit: 2},
		"compute instance terminate --instance-id x --force --wait-for-state TERMINATED":           {Stdout: "invalid choice: TERMINATED.", Exit: 2},
		"compute volume-attachment attach --instance-id i --volume-id v --wait-for-state ACCEPTED": {Stdout: "invalid choice: ACCEPTED.", Exit: 2},
	} {
		_, err := Parse(strings.Fields(line))
		var got *Refusal
		assert.Assert(t, errors.As(err, &got), line)
		assert.Equal(t, got.Exit, want.Exit, line)
		assert.Assert(t, strings.Contains(got.Stdout, want.Stdout) && strings.Contains(got.Stderr, want.Stderr), "%s: %+v", line, got)
		assert.Equal(t, got.Exit == ExitUsage, got.Stderr == "", "%s: click's complaints are on standard output", line)
	}
}

var (
	// documented is a call of `oci` with options, up to a comment or the document's own syntax.
	documented = regexp.MustCompile("\\boci ((?:bv|compute|network|secrets) [^`|#\n]*--[^`|#\n]*)")
	word       = regexp.MustCompile(`'[^']*'|\S+`)
)

// What the documents tell people to type.
func TestDocumentsCallOCIAsItIs(t *testing.T) {
	found := 0
	err := filepath.WalkDir("../../docs", func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".md" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range documented.FindAllStringSubmatch(string(text), -1) {
			// "<OCID of the old instance>" is one word.
			line := regexp.MustCompile(`<[^>]*>`).ReplaceAllString(m[1], "x")
			_, err := Parse(word.FindAllString(line, -1))
			var refusal *Refusal
			// Without --force a person is asked.
			if errors.As(err, &refusal) && strings.Contains(refusal.Stdout, "[y/N]") {
				err = nil
			}
			assert.NilError(t, err, "%s: oci %s", path, m[1])
			found++
		}
		return nil
	})
	assert.NilError(t, err)
	assert.Assert(t, found >= 8, "the test must see the documents: %d", found)
}
