package gates_test

import (
	"context"
	"strings"
	"testing"

	nomad "github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// userAPI answers what the script would, and remembers what was asked.
type userAPI struct {
	gates.NomadClient
	asked []string
	old   []string // clients of user "old", and one of somebody else
}

func (a *userAPI) Allocations(context.Context, string) ([]*nomad.AllocationListStub, error) {
	return []*nomad.AllocationListStub{{ID: "x", ClientStatus: "running", DesiredStatus: "run"}}, nil
}

func (a *userAPI) Exec(_ context.Context, _, _ string, command ...string) (gates.ExecResult, error) {
	asked := strings.Join(command[6:], " ")
	a.asked = append(a.asked, asked)
	switch {
	case asked == "import":
		return gates.ExecResult{Stdout: "added ann\n"}, nil
	case strings.Contains(asked, "GET /clients"):
		out := strings.Join(append(a.old, `{"clientid":"other","username":"ann"}`), ",")
		a.old = nil
		return gates.ExecResult{Stdout: "\n--- 200\n{\"data\":[" + out + "]}\n"}, nil
	case strings.Contains(asked, "GET "):
		return gates.ExecResult{Stdout: "\n--- 200\n{\"data\":[{\"user_id\":\"ann\"},{\"user_id\":\"old\"}]}\n"}, nil
	}
	return gates.ExecResult{Stdout: "\n--- 204\n\n"}, nil
}

func TestUsersThatAreNotDeclaredAreRemovedAndCutOff(t *testing.T) {
	api := &userAPI{old: []string{`{"clientid":"c1","username":"old"}`}}
	done, err := gates.MatchUsers(api, gates.MatchUsersArgs{Job: "emqx-lab", Names: []string{"ann"}}).Do(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, done, "added ann; removed old; clients cut off: 1")
	assert.Assert(t, strings.Contains(strings.Join(api.asked, "\n"), `kickout/bulk ["c1"]`), "%v", api.asked)
	assert.Assert(t, strings.Contains(strings.Join(api.asked, "\n"), "DELETE /authentication/password_based%3Abuilt_in_database/users/old"), "%v", api.asked)
}
