package oci

import (
	ocisdk "github.com/pulumi/pulumi-oci/sdk/v3/go/oci"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/seams"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Package is the name of OCI's provider among Pulumi's packages.
const Package = "oci"

// Provider is OCI's, of the stack's region.
var Provider = &seams.Provider{
	Package: Package,
	New: func(ctx *pulumi.Context, name string, s settings.Settings) (pulumi.ProviderResource, error) {
		return ocisdk.NewProvider(ctx, name, &ocisdk.ProviderArgs{Region: pulumi.String(s.OCI.Region)})
	},
	Find: Find, Fates: Fates, Secret: Secret,
}
