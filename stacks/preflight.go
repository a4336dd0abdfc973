package stacks

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components"
	"github.com/emqx-oci/emqx-oci/components/edge/nlb"
	"github.com/emqx-oci/emqx-oci/components/guards"
	"github.com/emqx-oci/emqx-oci/components/hosts/ocihosts"
	"github.com/emqx-oci/emqx-oci/components/names/ocidns"
	"github.com/emqx-oci/emqx-oci/components/preflight"
	"github.com/emqx-oci/emqx-oci/components/proxy/haproxy"
	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Checks are all that is checked before an update, in the order of the page.
func Checks() []preflight.Check {
	return preflight.Join(preflight.Checks, ocihosts.Checks(), nlb.Checks(), haproxy.Checks(), ocidns.Checks())
}

// Preflight checks a stack before anything is registered, without a cloud:
// [preflight.Run] on what these settings make.
func Preflight(s settings.Settings) []preflight.Finding {
	return preflight.Run(Checks(), s, func() ([]recorder.Resource, error) { return Record(s) }, time.Now())
}

// preflightFirst ends a program with all errors at once, and logs the warnings.
func preflightFirst(ctx *pulumi.Context, s settings.Settings) error {
	findings := Preflight(s)
	for _, f := range preflight.Warnings(findings) {
		if err := ctx.Log.Warn(f.String(), nil); err != nil {
			return err
		}
	}
	return preflight.Err(findings)
}

// Record returns what a stack with these settings registers, without an engine
// or a cloud: what only the cloud knows is unknown, as in a first preview. An
// error is the program's own.
func Record(s settings.Settings) ([]recorder.Resource, error) {
	standIns(&s)
	var refused error
	recording, err := recorder.Run(func(ctx *pulumi.Context) error {
		// The guards are for the engine's run: they know what was before.
		ctx = components.WithoutGates(guards.WithCollector(ctx, &guards.Collector{}))
		_, refused = deploy(ctx, s)
		return refused
	}, recorder.Options{Stack: s.Environment, Preview: true, Call: emptyCloud(s.Network.VCN)})
	if refused != nil {
		err = refused
	}
	return recording.Resources, err
}

// emptyCloud answers the questions that ids leave open: any subnet is large, and
// may have public addresses; there is no instance pool yet.
func emptyCloud(vcn string) func(string, resource.PropertyMap) (map[string]any, error) {
	return func(function string, _ resource.PropertyMap) (map[string]any, error) {
		switch function {
		case "oci:Core/getSubnet:getSubnet":
			return map[string]any{"vcnId": vcn, "cidrBlock": "10.0.0.0/8", "prohibitPublicIpOnVnic": false}, nil
		case "oci:Core/getInstancePools:getInstancePools":
			return map[string]any{"instancePools": []any{}}, nil
		}
		return nil, fmt.Errorf("calling %s: nobody answers without a cloud", function)
	}
}

// standIns take the place of what cannot be had here: answers of the cloud, secrets
// that nobody has opened, and ids that are none.
func standIns(s *settings.Settings) {
	if len(s.OCI.AvailabilityDomains) == 0 {
		s.OCI.AvailabilityDomains = []string{"lookedup:AD-1", "lookedup:AD-2", "lookedup:AD-3"}
	}
	// What the settings have refused is not refused again for each resource with it.
	if !strings.HasPrefix(s.OCI.Compartment, "ocid1.tenancy.") {
		giveID(&s.OCI.Compartment, "compartment")
	}
	giveID(&s.Nodes.Image, "image")
	s.Volumes.Restore, s.Volumes.Adopt = maps.Clone(s.Volumes.Restore), maps.Clone(s.Volumes.Adopt)
	for index, id := range s.Volumes.Restore {
		giveID(&id, "volumebackup")
		s.Volumes.Restore[index] = id
	}
	for index, id := range s.Volumes.Adopt {
		giveID(&id, "volume")
		s.Volumes.Adopt[index] = id
	}
	giveID(&s.Network.VCN, "vcn")
	giveID(&s.Network.PublicSubnet, "subnet")
	giveID(&s.Network.PrivateSubnet, "subnet")
	if s.Volumes.BackupPolicy != "" {
		giveID(&s.Volumes.BackupPolicy, "volumebackuppolicy")
	}
	s.Network.PrivateSubnetCIDR = "" // it has a check of its own
	s.StandInSecrets()
}

// giveID gives something that is named, not numbered, an id: looking it up is the
// cloud's.
func giveID(id *string, kind string) {
	if prefix := "ocid1." + kind + "."; !strings.HasPrefix(*id, prefix) {
		*id = prefix + "lookedup"
	}
}
