// Command reduce reads a package schema, as `pulumi package get-schema consul@3.11.3` writes it, and writes what
// pluginschema keeps of it:
//
//	pulumi package get-schema consul@3.11.3 | go run ./internal/pluginschema/cmd/reduce TOKEN... > internal/pluginschema/official/consul-3.11.3.json
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"

	"github.com/emqx-oci/emqx-oci/internal/pluginschema"
)

// flat is an object without objects inside.
var flat = regexp.MustCompile(`\{\n\s+("[^{}\[\]]*?)\n\s+\}`)

func run() error {
	s, err := pluginschema.Read(os.Stdin)
	if err != nil {
		return fmt.Errorf("reading the schema on standard input: %w", err)
	}
	if s, err = pluginschema.Reduce(s, os.Args[1:]); err != nil {
		return err
	}
	text, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err
	}
	line := regexp.MustCompile(`\n\s+`)
	text = flat.ReplaceAllFunc(text, func(object []byte) []byte { return line.ReplaceAll(object, []byte(" ")) })
	_, err = os.Stdout.Write(append(text, '\n'))
	return err
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "reduce:", err)
		os.Exit(1)
	}
}
