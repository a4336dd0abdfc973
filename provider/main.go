package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/provider"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// packageName is the first part of every token.
const packageName = "emqx"

// version is set by the linker (-X main.version=0.1.0).
var version string

func main() {
	err := provider.Main(packageName, func(host *provider.HostClient) (pulumirpc.ResourceProviderServer, error) {
		return newServer(host, pluginVersion())
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "pulumi-resource-emqx:", err)
		os.Exit(1)
	}
}

// pluginVersion is the version without a v: the linker's, or else the module's as far as it is a release.
func pluginVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && strings.HasPrefix(info.Main.Version, "v") {
		return strings.TrimPrefix(info.Main.Version, "v")
	}
	return "0.0.0-dev"
}
