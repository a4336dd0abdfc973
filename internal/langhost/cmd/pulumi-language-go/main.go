// Command pulumi-language-go lets the tests run plain `pulumi` on this tree's
// program where Pulumi's own language host is not installed. A test tool: see
// the package langhost.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"

	"github.com/emqx-oci/emqx-oci/internal/langhost"
)

func main() {
	if err := serve(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error: "+err.Error())
		os.Exit(1)
	}
}

// serve answers the engine until it is ended by it. The engine's address is the
// last argument; the port to reach this process on is the first line it prints.
func serve(args []string) error {
	if len(args) == 0 {
		return errors.New("no engine: this program is started by pulumi")
	}
	cancel := make(chan bool)
	defer close(cancel)
	handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Cancel: cancel,
		Init: func(s *grpc.Server) error {
			pulumirpc.RegisterLanguageRuntimeServer(s, langhost.New(args[len(args)-1], os.Stdout, os.Stderr))
			return nil
		},
	})
	if err != nil {
		return fmt.Errorf("serving the engine: %w", err)
	}
	_, _ = fmt.Fprintln(os.Stdout, handle.Port)
	return <-handle.Done
}
