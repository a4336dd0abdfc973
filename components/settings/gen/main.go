package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/internal/structconfig/reference"
)

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	if err := write(root); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func write(root string) error {
	files, err := generate(root)
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(root, name), text, 0o644); err != nil { //nolint:gosec // files of the source tree
			return err
		}
	}
	return nil
}

// generate reads the comments below root, the tree's root, and returns each
// generated file by its path there.
func generate(root string) (map[string][]byte, error) {
	comments, err := reference.ReadComments(filepath.Join(root, "components", "settings", "settings.go"))
	if err != nil {
		return nil, err
	}
	r, err := reference.New(settings.Spec(), comments, secure(""))
	if err != nil {
		return nil, err
	}
	schema, err := stackFile(r)
	if err != nil {
		return nil, err
	}
	args, err := args(r, comments)
	if err != nil {
		return nil, err
	}
	pkg, err := packageSchema(r, comments, filepath.Join(root, "components", "cluster.go"))
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		"components/settings/schema.json": schema, "components/args_cluster.go": args, "provider/schema.json": pkg,
		"docs/settings.md": append([]byte(intro), r.Page("Of the stack itself")...),
	}, nil
}
