package orchestrate

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/interrupted"
)

const halfDone = `{
 "secrets_providers": {"type": "passphrase", "state": {"salt": "v1:x"}},
 "resources": [
  {"urn": "urn:pulumi:lab::p::pulumi:pulumi:Stack::p-lab", "type": "pulumi:pulumi:Stack"},
  {"urn": "urn:pulumi:lab::p::t:m:T::old", "custom": true, "id": "1", "type": "t:m:T", "inputs": {"n": 12345678901234567890}}
 ],
 "pending_operations": [
  {"type": "creating", "resource": {"urn": "urn:pulumi:lab::p::t:m:T::new", "custom": true, "type": "t:m:T", "inputs": {"name": "new"}}},
  {"type": "creating", "resource": {"urn": "urn:pulumi:lab::p::t:m:T::old", "custom": true, "type": "t:m:T", "inputs": {"name": "old"}}},
  {"type": "updating", "resource": {"urn": "urn:pulumi:lab::p::t:m:T::other", "custom": true, "type": "t:m:T", "id": "3"}}
 ]
}`

func resolveText(t *testing.T, text string, adopt func(context.Context, interrupted.Lost) (string, error)) (resolution, map[string]json.RawMessage, []string, error) {
	t.Helper()
	d, err := readDeployment([]byte(text))
	assert.NilError(t, err)
	var notes []string
	s, err := d.resolve(t.Context(), adopt, func(n string) { notes = append(notes, n) })
	return s, d.raw, notes, err
}

func TestInterruptedCreatesAreForgottenWithoutAWayToLook(t *testing.T) {
	s, raw, notes, err := resolveText(t, halfDone, nil)
	assert.NilError(t, err)
	assert.Assert(t, s.refresh && s.changed, "%+v", s)
	assert.DeepEqual(t, notes, []string{
		"an earlier run was interrupted while creating t:m:T new: creating it again",
		"an earlier run was interrupted while creating t:m:T old: creating it again",
	})
	var ops []struct{ Type string }
	assert.NilError(t, json.Unmarshal(raw["pending_operations"], &ops))
	assert.Equal(t, len(ops), 1)
	assert.Equal(t, ops[0].Type, "updating")
	assert.Equal(t, string(raw["secrets_providers"]), `{"type": "passphrase", "state": {"salt": "v1:x"}}`)
}

func TestInterruptedCreatesThatExistAreTakenOver(t *testing.T) {
	s, raw, notes, err := resolveText(t, halfDone, func(_ context.Context, p interrupted.Lost) (string, error) {
		assert.Equal(t, p.Type, "t:m:T")
		return "id-of-" + p.Inputs["name"].(string), nil
	})
	assert.NilError(t, err)
	assert.Assert(t, s.refresh && s.changed)
	assert.Equal(t, notes[0], "an earlier run was interrupted while creating t:m:T new: it exists, continuing with it")
	var res []struct {
		URN, ID string
		Delete  bool
		Inputs  struct{ N json.Number }
	}
	assert.NilError(t, json.Unmarshal(raw["resources"], &res))
	assert.Equal(t, len(res), 4)
	assert.Equal(t, res[2].ID, "id-of-new")
	// The second one was to replace a resource that is still there.
	assert.Assert(t, res[1].Delete && !res[3].Delete)
	assert.Equal(t, res[1].Inputs.N.String(), "12345678901234567890", "numbers pass through as they are")
	assert.Equal(t, res[3].ID, "id-of-old")
}

func TestAStateWithoutInterruptionIsNotTouched(t *testing.T) {
	s, _, notes, err := resolveText(t, `{"resources": []}`, nil)
	assert.NilError(t, err)
	assert.Assert(t, !s.refresh && !s.changed && notes == nil)
}

func TestFailingToLookStopsTheUpdate(t *testing.T) {
	_, _, _, err := resolveText(t, halfDone, func(context.Context, interrupted.Lost) (string, error) { return "", errors.New("no answer") })
	assert.Error(t, err, "looking for t:m:T new, which an interrupted run was creating: no answer")
}

func TestAStateInAFolderIsKeptWithoutAttributes(t *testing.T) {
	for _, c := range []struct{ env, want []string }{
		{[]string{"A=b"}, nil},
		{[]string{"PULUMI_BACKEND_URL=s3://bucket"}, nil},
		{[]string{"PULUMI_BACKEND_URL=file:///a"}, []string{"PULUMI_BACKEND_URL=file:///a?metadata=skip"}},
		{[]string{"PULUMI_BACKEND_URL=file:///a", "PULUMI_BACKEND_URL=file:///b?x=y"}, []string{"PULUMI_BACKEND_URL=file:///b?x=y&metadata=skip"}},
		{[]string{"PULUMI_BACKEND_URL=file:///a?metadata=skip"}, nil},
	} {
		assert.DeepEqual(t, skipMetadata(c.env), c.want)
	}
}
