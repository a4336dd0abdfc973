package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/urn"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/fault"
)

func text(s string) property.Value { return property.New(s) }

func values(of map[string]property.Value) property.Value { return property.New(property.NewMap(of)) }

func inputs(of map[string]property.Value) property.Map { return property.NewMap(of) }

// Whatever is wrong is told by its path, all at once.
func TestArgumentsAreRefusedByTheirPaths(t *testing.T) {
	_, err := arguments(inputs(map[string]property.Value{
		"nodes": values(map[string]property.Value{
			"coutn": property.New(3.0), "count": property.New(2.5), "image": text("ocid1.image").WithSecret(true), "shape": property.New(true),
		}),
		"network": values(map[string]property.Value{
			"vcn": property.New(property.Computed), "clientCidrs": text("10.0.0.0/8"),
			"serverCidrs": property.New(property.NewArray([]property.Value{text("10.0.0.0/8"), property.New(1.0)})),
		}),
		"volumes": values(map[string]property.Value{"retain": text("yes"), "sizeGbByNode": values(map[string]property.Value{"1": text("big")})}),
		"broker":  values(map[string]property.Value{"env": values(map[string]property.Value{"EMQX_A": property.New(1.0)}), "drain": text("fast")}),
		"secrets": values(map[string]property.Value{"apiKey": property.New(7.0).WithSecret(true)}),
		"edge":    property.New(property.Computed),
		"nodse":   text(""),
	}))
	var faults *fault.Error
	assert.Assert(t, errors.As(err, &faults), "%v", err)
	var got []string
	for _, f := range faults.Faults {
		got = append(got, f.Path)
		assert.Assert(t, f.Text != "", f.Path)
	}
	assert.DeepEqual(t, got, []string{
		"broker.drain", "broker.env.EMQX_A", "edge", "network.clientCidrs", "network.serverCidrs[1]", "network.vcn",
		"nodes.count", "nodes.coutn", "nodes.image", "nodes.shape", "nodse", "secrets.apiKey", "volumes.retain", "volumes.sizeGbByNode.1",
	})
	assert.Assert(t, !strings.Contains(err.Error(), "7"), "a secret shows in %v", err)
}

// A group that is an output as a whole hands on what it is, and what other resources gave is taken as far as it is known.
func TestAGroupHandsOnWhatItIs(t *testing.T) {
	from := []urn.URN{"urn:pulumi:lab::p::pulumi:pulumi:StackReference::network"}
	got, err := arguments(inputs(map[string]property.Value{
		"secrets": values(map[string]property.Value{"apiKey": text("an-api-key"), "apiSecret": property.New(property.Computed)}).
			WithSecret(true).WithDependencies(from),
		"network": values(map[string]property.Value{"vcn": text("ocid1.vcn").WithDependencies(from)}),
		"nodes":   values(map[string]property.Value{"count": property.New(3.0), "sshKey": property.New(property.Null)}),
		"broker":  values(map[string]property.Value{"env": values(map[string]property.Value{"EMQX_A": text("b").WithSecret(true)})}),
	}))
	assert.NilError(t, err)
	secrets := got.Get("secrets").AsMap()
	assert.Assert(t, !got.Get("secrets").Secret())
	assert.Assert(t, secrets.Get("apiKey").Equals(text("an-api-key").WithSecret(true).WithDependencies(from)), "%v", secrets)
	assert.Assert(t, secrets.Get("apiSecret").IsComputed() && secrets.Get("apiSecret").Secret(), "%v", secrets)
	assert.Assert(t, got.Get("network").AsMap().Get("vcn").Equals(text("ocid1.vcn")), "%v", got)
	assert.Assert(t, got.Get("nodes").Equals(values(map[string]property.Value{"count": property.New(3.0)})), "%v", got)
	assert.Assert(t, got.Get("broker").AsMap().Get("env").AsMap().Get("EMQX_A").Secret())

	// What is plain in a group that is a secret would no longer be one.
	_, err = arguments(inputs(map[string]property.Value{"nomad": values(map[string]property.Value{
		"address": text("http://n:4646"), "token": text("t"),
	}).WithSecret(true)}))
	assert.ErrorContains(t, err, "nomad.address: must be no secret")
	assert.Assert(t, !strings.Contains(err.Error(), "nomad.token"), "%v", err)

	// All of a group may be known only later when all of it is secret.
	got, err = arguments(inputs(map[string]property.Value{"secrets": property.New(property.Computed)}))
	assert.NilError(t, err)
	assert.Assert(t, got.Get("secrets").AsMap().Get("erlangCookie").IsComputed(), "%v", got)
	assert.Assert(t, got.Get("secrets").AsMap().Get("license").IsNull(), "%v", got)
}
