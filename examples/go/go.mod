module example.com/iot

go 1.26.6

require (
	github.com/emqx-oci/emqx-oci v0.1.0
	github.com/pulumi/pulumi/sdk/v3 v3.276.0
)
