// Command gen-nomad-sdk writes the local Go package of Nomad's Pulumi provider
// from a schema, as `pulumi package add` would from the provider's plugin.
//
//	gen-nomad-sdk <schema.json> <folder>
//
// Go files that the generator no longer makes are removed from the folder, so
// that what stands there is exactly what the schema says.
package main

import (
	"bytes"
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
	if err := removeGenerated(args[1]); err != nil {
		return fmt.Errorf("clearing the old package: %w", err)
	}
	for name, body := range files {
		switch filepath.Base(name) {
		case "go.mod": // the package is one of the main module's
			continue
		case "init.go":
			// It registers the types, to read a resource back by its URN. Nobody does, and the
			// SDK panics where a program that imports the official package, too, registers them twice.
			continue
		}
		if filepath.Base(name) == "pulumiVersion.go" {
			// Without it the SDK takes the major version from the name of an official module.
			body = bytes.ReplaceAll(body, []byte("= semver.Version{}"), fmt.Appendf(nil, "= semver.MustParse(%q)", spec.Version))
		}
		path := filepath.Join(args[1], name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("making a folder of the package: %w", err)
		}
		if err := os.WriteFile(path, body, 0o644); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}

// removeGenerated removes the package that stands in a folder, and leaves its schema.
func removeGenerated(dir string) error {
	old, err := filepath.Glob(filepath.Join(dir, "*.go"))
	for _, path := range old {
		err = errors.Join(err, os.Remove(path))
	}
	return errors.Join(err, os.RemoveAll(filepath.Join(dir, "internal")))
}
