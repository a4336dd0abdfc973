// Command gen-nomad-sdk writes the local Go package of Nomad's Pulumi provider
// from a schema, as `pulumi package add` would from the provider's plugin.
//
//	gen-nomad-sdk <schema.json> <folder>
//
// Files that the generator no longer makes are removed from the folder's go/
// tree, so that what stands there is exactly what the schema says.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	gogen "github.com/pulumi/pulumi/pkg/v3/codegen/go"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gen-nomad-sdk:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: gen-nomad-sdk <schema.json> <folder>")
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return fmt.Errorf("reading the schema: %w", err)
	}
	var spec schema.PackageSpec
	if err := json.Unmarshal(text, &spec); err != nil {
		return fmt.Errorf("parsing %s: %w", args[0], err)
	}
	pkg, err := schema.ImportSpec(spec, map[string]schema.Language{"go": gogen.Importer},
		schema.NewNullLoader(), schema.ValidationOptions{})
	if err != nil {
		return fmt.Errorf("checking %s: %w", args[0], err)
	}
	files, err := gogen.GeneratePackage("gen-nomad-sdk", pkg, nil)
	if err != nil {
		return fmt.Errorf("generating the package: %w", err)
	}
	if err := os.RemoveAll(filepath.Join(args[1], "go")); err != nil {
		return fmt.Errorf("clearing the old package: %w", err)
	}
	for name, body := range files {
		// go.mod in the folder is ours, with pinned versions.
		if filepath.Base(name) == "go.mod" {
			continue
		}
		path := filepath.Join(args[1], "go", "nomad", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("making a folder of the package: %w", err)
		}
		if err := os.WriteFile(path, body, 0o644); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}
