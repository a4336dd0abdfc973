package main

import (
	"fmt"
	"os"
	"path/filepath"
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
	c, err := readComments(filepath.Join(root, "components", "settings", "settings.go"))
	if err != nil {
		return nil, err
	}
	all, err := describe(c)
	if err != nil {
		return nil, err
	}
	schema, err := schema(all)
	if err != nil {
		return nil, err
	}
	args, err := args(all)
	if err != nil {
		return nil, err
	}
	pkg, err := packageSchema(all, filepath.Join(root, "components", "cluster.go"))
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		"components/settings/schema.json": schema, "docs/settings.md": page(all), "components/args_cluster.go": args,
		"provider/schema.json": pkg,
	}, nil
}
