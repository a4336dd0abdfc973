// Package policies has the rights that a cluster needs in Nomad, Consul and Oracle Cloud: who deploys, who previews, the
// nodes, and the jobs, each what it needs and no more. They are text for an operator to hand to the servers; the test of
// the whole story runs with exactly them.
package policies

import (
	"cmp"
	"embed"
	"fmt"
	"strings"
	"text/template"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

//go:embed files
var files embed.FS

// Names of the policies.
const (
	NomadDeployer  = "nomad-deployer"
	NomadPreview   = "nomad-preview"
	NomadNodes     = "nomad-nodes"
	NomadJobEMQX   = "nomad-job-emqx"
	ConsulDeployer = "consul-deployer"
	ConsulPreview  = "consul-preview"
	ConsulAgent    = "consul-agent"
	ConsulDNS      = "consul-dns"
	ConsulJobEMQX  = "consul-job-emqx"
	ConsulJobProxy = "consul-job-proxy"
	CloudNodes     = "cloud-nodes"
)

// Names are all of them, in the order in which people meet them.
var Names = []string{
	NomadDeployer, NomadPreview, NomadNodes, NomadJobEMQX, ConsulDeployer, ConsulPreview, ConsulAgent, ConsulDNS, ConsulJobEMQX,
	ConsulJobProxy, CloudNodes,
}

// DefaultAuthMethod is how Nomad's own `nomad setup consul` calls the auth method of its jobs in Consul.
const DefaultAuthMethod = "nomad-workloads"

// Audience is what a job's identity is for when it logs in to Consul; Nomad's own default.
const Audience = "consul.io"

// Of says whose policies they are.
type Of struct {
	// Environment of the cluster. Required.
	Environment string
	// ProxyJob and ProxyService are the names of the job in front of EMQX, and of its service. Required.
	ProxyJob, ProxyService string
	// Namespace of its jobs in Nomad; default "default".
	Namespace string
	// Secrets are the OCIDs of the vault's secrets that its nodes read; none by default.
	Secrets []string
}

// Text is a policy in HCL, or the cloud's statements. An unknown name is an error that tells the known ones.
func (o Of) Text(name string) (string, error) {
	raw, err := files.ReadFile("files/" + name + ".hcl")
	if name == CloudNodes {
		raw, err = files.ReadFile("files/" + name + ".txt")
	}
	if err != nil {
		return "", fmt.Errorf("no policy is called %q: there are %s", name, strings.Join(Names, ", "))
	}
	t, err := template.New(name).Parse(string(raw))
	if err != nil {
		return "", fmt.Errorf("reading policy %s: %w", name, err)
	}
	var b strings.Builder
	if err := t.Execute(&b, map[string]any{
		"Environment": o.Environment, "Namespace": cmp.Or(o.Namespace, cluster.DefaultNamespace), "EMQXServices": emqxServices,
		"ProxyJob": o.ProxyJob, "ProxyService": o.ProxyService, "Secrets": o.Secrets,
	}); err != nil {
		return "", fmt.Errorf("writing policy %s: %w", name, err)
	}
	return b.String(), nil
}

// emqxServices are those that EMQX's job registers.
var emqxServices = []string{"emqx", "emqx-ws", "emqx-tls", "emqx-wss", "emqx-dashboard", "emqx-metrics", "emqx-listeners"}

// Policy is the name of a policy as the servers know it, "emqx-prod-deployer".
func (o Of) Policy(name string) string {
	_, short, _ := strings.Cut(name, "-")
	return cluster.Name(o.Environment) + "-" + short
}

// Login is a rule of Consul's auth method: which identity gets which policy.
type Login struct {
	// Policy is the name of one of this package's: [ConsulJobEMQX] or [ConsulJobProxy].
	Policy string
	// Selector picks the identities of one job; Consul's filter over the claims.
	Selector string
}

// Logins are those of both jobs.
func (o Of) Logins() []Login {
	of := func(policy, job string) Login {
		return Login{Policy: policy, Selector: fmt.Sprintf("value.nomad_namespace == %q and value.nomad_job_id == %q", cmp.Or(o.Namespace, cluster.DefaultNamespace), job)}
	}
	return []Login{of(ConsulJobEMQX, cluster.EMQXJobID(o.Environment)), of(ConsulJobProxy, o.ProxyJob)}
}

// Workload is a policy of Nomad's that the identities of one job have, beside what each may do with its own.
type Workload struct {
	// Policy is the name of one of this package's: [NomadJobEMQX].
	Policy string
	// Namespace and Job are the job's.
	Namespace, Job string
}

// Workloads are those of both jobs.
func (o Of) Workloads() []Workload {
	return []Workload{{NomadJobEMQX, cmp.Or(o.Namespace, cluster.DefaultNamespace), cluster.EMQXJobID(o.Environment)}}
}

// AuthMethod is the configuration of Consul's auth method of type jwt by which Nomad's jobs log in. jwks is Nomad's
// `/.well-known/jwks.json` as Consul's servers reach it, ca the PEM text that verifies it, "" for the system's authorities.
func AuthMethod(jwks, ca string) map[string]any {
	config := map[string]any{
		"JWKSURL":          jwks,
		"JWTSupportedAlgs": []string{"RS256", "ES256"},
		"BoundAudiences":   []string{Audience},
		"ClaimMappings": map[string]string{
			"nomad_namespace": "nomad_namespace", "nomad_job_id": "nomad_job_id", "nomad_task": "nomad_task", "nomad_service": "nomad_service",
		},
	}
	if ca != "" {
		config["JWKSCACert"] = ca
	}
	return config
}
