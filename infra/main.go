// Command infra is the Pulumi program, for `pulumi up`; the command line
// emqx-oci runs the same function.
package main

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/stacks"
)

func main() { pulumi.Run(stacks.Run) }
