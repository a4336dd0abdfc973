package policies

import (
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"
)

func ofProd() Of {
	return Of{Environment: "prod", Namespace: "iot", ProxyJob: "emqx-prod-haproxy", ProxyService: "emqx-haproxy", Secrets: []string{"ocid1.vaultsecret.oc1..a"}}
}

func TestEveryPolicyIsThereAndNamesItsCluster(t *testing.T) {
	for _, name := range Names {
		text, err := ofProd().Text(name)
		assert.NilError(t, err)
		assert.Assert(t, !strings.Contains(text, "{{") && !strings.Contains(text, "<no value>"), text)
		if name == CloudNodes {
			continue
		}
		_, faults := hclsyntax.ParseConfig([]byte(text), name+".hcl", hcl.InitialPos)
		assert.Assert(t, !faults.HasErrors(), "%s", faults)
	}
	_, err := ofProd().Text("nomad-root")
	assert.ErrorContains(t, err, `no policy is called "nomad-root": there are nomad-deployer, `)
}

func TestWhoMayWriteWhat(t *testing.T) {
	has := func(name string, want ...string) string {
		t.Helper()
		text, err := ofProd().Text(name)
		assert.NilError(t, err)
		for _, w := range want {
			assert.Assert(t, cmp.Contains(text, w))
		}
		return text
	}
	has(NomadDeployer, `namespace "iot"`, `path "nomad/jobs/emqx-prod"`, `path "nomad/jobs/emqx-prod-haproxy"`, `"alloc-exec"`)
	// Where a renewed certificate lies.
	has(NomadDeployer, `path "nomad/jobs/emqx-prod/*"`, `path "nomad/jobs/emqx-prod-haproxy/*"`)
	has(NomadJobEMQX, `namespace "iot"`, `capabilities = ["read-job-scaling"]`)
	preview := has(NomadPreview, `"parse-job", "plan-job", "read-job"`)
	assert.Assert(t, !strings.Contains(preview, "submit-job") && !strings.Contains(preview, "variables"), preview)
	has(ConsulDeployer, `key_prefix "emqx/prod/"`, `node "emqx-prod-members"`, `service "emqx-cluster"`)
	has(ConsulAgent, `service "emqx-listeners"`, `service "emqx-haproxy"`)
	// No one without a token registers a service.
	for _, name := range []string{ConsulDNS, ConsulPreview} {
		text := has(name, `service_prefix ""`)
		_, after, _ := strings.Cut(text, `service_prefix ""`)
		assert.Assert(t, !strings.Contains(after, "write") && !strings.Contains(text, "service \""), text)
	}
	has(ConsulJobEMQX, `service "emqx"`, `service "emqx-listeners"`, `key "emqx/prod/size"`)
	has(ConsulJobProxy, `service "emqx-haproxy"`, `key "emqx/prod/revoked-devices"`)
	has(CloudNodes, `where target.secret.id = 'ocid1.vaultsecret.oc1..a'`)
}

func TestLoginsAreOfOneJobEach(t *testing.T) {
	assert.DeepEqual(t, ofProd().Logins(), []Login{
		{ConsulJobEMQX, `value.nomad_namespace == "iot" and value.nomad_job_id == "emqx-prod"`},
		{ConsulJobProxy, `value.nomad_namespace == "iot" and value.nomad_job_id == "emqx-prod-haproxy"`},
	})
}

func TestNomadKnowsTheJobThatMayReadItsCount(t *testing.T) {
	assert.DeepEqual(t, ofProd().Workloads(), []Workload{{NomadJobEMQX, "iot", "emqx-prod"}})
}
