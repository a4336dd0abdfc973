//go:build lab

package providers_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/core"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/edge/flexible"
	"github.com/emqx-oci/emqx-oci/lab/cloud"
	"github.com/emqx-oci/emqx-oci/lab/cloud/cloudtest"
	"github.com/emqx-oci/emqx-oci/lab/providers"
)

func certificateWithKey(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	assert.NilError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	assert.NilError(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	assert.NilError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
}

// flexibleProgram is the stack's own edge of that kind, in front of so many nodes.
func flexibleProgram(nodes, retries int, secure *flexible.TLS) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		group, err := core.NewNetworkSecurityGroup(ctx, "balancer", &core.NetworkSecurityGroupArgs{CompartmentId: pulumi.String(cloud.CompartmentID), VcnId: pulumi.String(cloud.VCNID)})
		if err != nil {
			return err
		}
		var backends []flexible.Backend
		for i := range nodes {
			backends = append(backends, flexible.Backend{Name: cluster.NodeName("lab", i), Address: pulumi.Sprintf("10.80.1.%d", 10+i)})
		}
		listeners := cluster.Listeners(cluster.DefaultPorts, true)
		b, err := flexible.NewLoadBalancer(ctx, "edge", &flexible.LoadBalancerArgs{
			Environment: "lab", CompartmentID: cloud.CompartmentID, SubnetID: cloud.PublicSubnet, SecurityGroupID: group.ID(),
			Listeners: listeners, Backends: backends, Health: flexible.HealthCheck{Path: "/haproxy_health", Retries: retries}, TLS: secure,
		})
		if err != nil {
			return err
		}
		_, err = flexible.NewListeners(ctx, "listeners", &flexible.ListenersArgs{Balancer: b, Listeners: listeners, IdleTimeoutSeconds: 900})
		ctx.Export("address", b.Address)
		return err
	}
}

// The engine makes what cannot be changed beside the old one, moves the listener, and deletes the old one after that: the
// cloud, which refuses to delete what a listener has, refuses nothing. What is there stays as it is.
func TestFlexibleEdgeOnTheEngine(t *testing.T) {
	c, err := cloud.Open(t.TempDir(), cloudtest.NewMachine(), cloud.Options{})
	assert.NilError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	e := newEngine(t, providers.Config{OCI: c})
	certificate, key := certificateWithKey(t)
	renewed, renewedKey := certificateWithKey(t)
	secure := &flexible.TLS{Certificate: certificate, PrivateKey: key, Profile: cluster.ProfileIntermediate}

	done, out := e.up(flexibleProgram(2, 3, secure))
	assert.Equal(t, done["create"] > 15, true, "%v", done)
	assert.Assert(t, out.Outputs["address"].Value.(string) != "")
	again, _ := e.up(flexibleProgram(2, 3, secure))
	assert.Equal(t, again["create"]+again["update"]+again["replace"]+again["delete"], 0, "%v", again)
	refreshed := e.refresh()
	assert.Equal(t, refreshed["update"]+refreshed["delete"], 0, "%v", refreshed)
	state := e.state()
	assert.Assert(t, !strings.Contains(state, "PRIVATE KEY") && !strings.Contains(state, "BEGIN CERTIFICATE"), "in clear in the state")

	names := func() (certificates, sets []string) {
		for _, x := range []struct {
			function, key string
			into          *[]string
		}{
			{"oci:LoadBalancer/getCertificates:getCertificates", "certificateName", &certificates},
			{"oci:LoadBalancer/getBackendSets:getBackendSets", "name", &sets},
		} {
			all, err := c.List(t.Context(), x.function, nil)
			assert.NilError(t, err)
			for _, one := range all {
				*x.into = append(*x.into, one[x.key].(string))
			}
		}
		return certificates, sets
	}
	oldCertificates, oldSets := names()
	// Another certificate.
	done, _ = e.up(flexibleProgram(2, 3, &flexible.TLS{Certificate: renewed, PrivateKey: renewedKey, Profile: cluster.ProfileIntermediate}))
	assert.Equal(t, done["update"], 2, "both TLS listeners: %v", done)
	certificates, sets := names()
	assert.Assert(t, len(certificates) == 1 && certificates[0] != oldCertificates[0], "%v", certificates)
	assert.DeepEqual(t, sets, oldSets)
	// Other checks: other sets, with their backends, and the old ones gone.
	done, _ = e.up(flexibleProgram(2, 4, &flexible.TLS{Certificate: renewed, PrivateKey: renewedKey, Profile: cluster.ProfileModern}))
	assert.Equal(t, done["update"], 4, "all listeners: %v", done)
	_, sets = names()
	assert.Assert(t, len(sets) == 4 && sets[0] != oldSets[0], "%v", sets)
	// A node more, and TLS that passes through.
	_, _ = e.up(flexibleProgram(3, 4, nil))
	certificates, _ = names()
	assert.Equal(t, len(certificates), 0)
	backends, err := c.List(t.Context(), "oci:LoadBalancer/getBackends:getBackends", nil)
	assert.NilError(t, err)
	assert.Equal(t, len(backends), 12)
	e.destroy()
	snapshot := c.Snapshot()
	assert.Equal(t, len(snapshot.Balancers), 0)
}
