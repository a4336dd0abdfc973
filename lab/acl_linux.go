package lab

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"

	"github.com/emqx-oci/emqx-oci/components/policies"
	"github.com/emqx-oci/emqx-oci/lab/machine"
)

// environment is that of the lab's stack, whose rights the tokens are for.
const environment = "lab"

// bootstrap is what the operator of production's servers does once: policies, a token for each who asks, and the
// auth method of Nomad's jobs. What is there already stays, so that a lab that was cut off goes on.
type bootstrap struct {
	keys   *serverKeys
	of     policies.Of
	consul *consul.Client
	nomad  *nomad.Client
}

// admit gives the stack what it needs of the servers that run, and returns the vault's secrets for its nodes.
func admit(ctx context.Context, o Options, keys *serverKeys) (map[string]string, error) {
	if o.Secured {
		if err := secureServers(ctx, o, keys); err != nil {
			return nil, err
		}
	}
	if err := addSecrets(o.Dir, keys.settings(o.Secured)); err != nil {
		return nil, err
	}
	return keys.vault(o.Secured)
}

// secureServers gives running servers their policies and tokens, which are kept in dir.
func secureServers(ctx context.Context, o Options, keys *serverKeys) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	b := bootstrap{keys: keys, of: policies.Of{Environment: environment, ProxyJob: "emqx-" + environment + "-haproxy", ProxyService: "emqx-haproxy"}}
	var err error
	// In clear through the doors, which are this machine's and root's.
	if b.consul, err = consul.NewClient(&consul.Config{Address: o.consulDoor(), Token: keys.Consul.Management}); err != nil {
		return fmt.Errorf("securing Consul: %w", err)
	}
	if b.nomad, err = nomad.NewClient(&nomad.Config{Address: o.nomadDoor(), SecretID: keys.Nomad.Management}); err != nil {
		return fmt.Errorf("securing Nomad: %w", err)
	}
	if err := b.secureConsul(ctx); err != nil {
		return fmt.Errorf("securing Consul: %w", err)
	}
	if err := b.secureNomad(ctx); err != nil {
		return fmt.Errorf("securing Nomad: %w", err)
	}
	return keys.save(o.Dir)
}

func (b bootstrap) secureConsul(ctx context.Context) error {
	server := "node_prefix \"\" { policy = \"write\" }\nservice_prefix \"\" { policy = \"read\" }\n"
	// As Nomad's documents have it for its servers.
	ofNomad := "agent_prefix \"\" { policy = \"read\" }\nnode_prefix \"\" { policy = \"read\" }\nservice \"nomad\" { policy = \"write\" }\n"
	texts := map[string]string{"lab-server": server, "lab-nomad": ofNomad}
	for _, name := range policies.Names {
		if !strings.HasPrefix(name, "consul-") {
			continue
		}
		text, err := b.of.Text(name)
		if err != nil {
			return err
		}
		texts[b.of.Policy(name)] = text
	}
	// The first leader may still be making its own policies.
	if err := retried(ctx, func() error { return b.consulPolicies(ctx, texts) }); err != nil {
		return err
	}
	t := b.keys.Consul
	for token, policy := range map[string]string{
		t.Server: "lab-server", t.Nomad: "lab-nomad", t.Deployer: b.of.Policy(policies.ConsulDeployer), t.Preview: b.of.Policy(policies.ConsulPreview),
		t.Agent: b.of.Policy(policies.ConsulAgent), t.Default: b.of.Policy(policies.ConsulDNS),
	} {
		if err := b.consulToken(ctx, token, policy); err != nil {
			return err
		}
	}
	return b.consulLogins(ctx)
}

func (b bootstrap) consulPolicies(ctx context.Context, texts map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		known, _, err := b.consul.ACL().PolicyReadByName(name, (&consul.QueryOptions{}).WithContext(ctx))
		if err != nil {
			return fmt.Errorf("policy %s: %w", name, err)
		}
		w := (&consul.WriteOptions{}).WithContext(ctx)
		if known == nil {
			_, _, err = b.consul.ACL().PolicyCreate(&consul.ACLPolicy{Name: name, Rules: texts[name]}, w)
		} else {
			known.Rules = texts[name]
			_, _, err = b.consul.ACL().PolicyUpdate(known, w)
		}
		if err != nil {
			return fmt.Errorf("policy %s: %w", name, err)
		}
	}
	return nil
}

func (b bootstrap) consulToken(ctx context.Context, secret, policy string) error {
	_, _, err := b.consul.ACL().TokenReadSelf((&consul.QueryOptions{Token: secret}).WithContext(ctx))
	if err == nil {
		return nil
	}
	_, _, err = b.consul.ACL().TokenCreate(&consul.ACLToken{
		SecretID: secret, Description: policy, Policies: []*consul.ACLTokenPolicyLink{{Name: policy}},
	}, (&consul.WriteOptions{}).WithContext(ctx))
	if err != nil {
		return fmt.Errorf("token of %s: %w", policy, err)
	}
	return nil
}

func (b bootstrap) consulLogins(ctx context.Context) error {
	q, w := (&consul.QueryOptions{}).WithContext(ctx), (&consul.WriteOptions{}).WithContext(ctx)
	method, _, err := b.consul.ACL().AuthMethodRead(policies.DefaultAuthMethod, q)
	if err == nil && method == nil {
		_, _, err = b.consul.ACL().AuthMethodCreate(&consul.ACLAuthMethod{
			Name: policies.DefaultAuthMethod, Type: "jwt", TokenLocality: "local",
			Config: policies.AuthMethod(fmt.Sprintf("https://%s:4646/.well-known/jwks.json", machine.ServerAddress()), b.keys.CA),
		}, w)
	}
	if err != nil {
		return fmt.Errorf("auth method %s: %w", policies.DefaultAuthMethod, err)
	}
	rules, _, err := b.consul.ACL().BindingRuleList(policies.DefaultAuthMethod, q)
	if err != nil {
		return fmt.Errorf("binding rules: %w", err)
	}
	for _, l := range b.of.Logins() {
		name := b.of.Policy(l.Policy)
		if slices.ContainsFunc(rules, func(r *consul.ACLBindingRule) bool { return r.BindName == name && r.Selector == l.Selector }) {
			continue
		}
		if _, _, err := b.consul.ACL().BindingRuleCreate(&consul.ACLBindingRule{
			AuthMethod: policies.DefaultAuthMethod, BindType: consul.BindingRuleBindTypePolicy, BindName: name, Selector: l.Selector,
		}, w); err != nil {
			return fmt.Errorf("binding rule of %s: %w", name, err)
		}
	}
	return nil
}

func (b bootstrap) secureNomad(ctx context.Context) error {
	w := (&nomad.WriteOptions{}).WithContext(ctx)
	err := retried(ctx, func() error {
		_, _, err := b.nomad.ACLTokens().BootstrapOpts(b.keys.Nomad.Management, w)
		var answer nomad.UnexpectedResponseError
		if errors.As(err, &answer) && answer.StatusCode() == http.StatusBadRequest && strings.Contains(answer.Body(), "already") {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("beginning with its ACLs: %w", err)
	}
	for _, x := range b.of.Workloads() {
		if err := b.nomadPolicy(w, x.Policy, &nomad.JobACL{Namespace: x.Namespace, JobID: x.Job}); err != nil {
			return err
		}
	}
	t := &b.keys.Nomad
	for _, x := range []struct {
		policy string
		token  *string
	}{{policies.NomadDeployer, &t.Deployer}, {policies.NomadPreview, &t.Preview}, {policies.NomadNodes, &t.Nodes}} {
		if err := b.nomadPolicy(w, x.policy, nil); err != nil {
			return err
		}
		name := b.of.Policy(x.policy)
		if *x.token != "" {
			continue
		}
		made, _, err := b.nomad.ACLTokens().Create(&nomad.ACLToken{Name: name, Type: "client", Policies: []string{name}}, w)
		if err != nil {
			return fmt.Errorf("token of %s: %w", name, err)
		}
		*x.token = made.SecretID
	}
	return nil
}

// nomadPolicy makes one, of a job where that is given.
func (b bootstrap) nomadPolicy(w *nomad.WriteOptions, policy string, job *nomad.JobACL) error {
	name := b.of.Policy(policy)
	text, err := b.of.Text(policy)
	if err == nil {
		_, err = b.nomad.ACLPolicies().Upsert(&nomad.ACLPolicy{Name: name, Rules: text, JobACL: job}, w)
	}
	if err != nil {
		return fmt.Errorf("policy %s: %w", name, err)
	}
	return nil
}

// retried does what may need a moment after a leader was elected.
func retried(ctx context.Context, do func() error) error {
	for {
		err := do()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}
