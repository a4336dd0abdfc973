// Command draw writes the picture of the lab stack's dependency graph, as SVG,
// to its standard output. It runs in the root of the tree: `make graph`.
package main

import (
	"fmt"
	"os"

	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/stacks"
	"github.com/emqx-oci/emqx-oci/stacks/draw"
	"github.com/emqx-oci/emqx-oci/stacks/example"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "drawing the graph:", err)
		os.Exit(1)
	}
}

func run() error {
	opts, err := example.Options(".", "lab", true)
	if err != nil {
		return err
	}
	// A preview asks for nobody but the leaders.
	opts.Preview = true
	stop, err := example.Answering(opts.Config)
	if err != nil {
		return err
	}
	defer stop()
	recording, err := recorder.Run(stacks.Run, opts)
	if err != nil {
		return err
	}
	return draw.Picture(os.Stdout, draw.Boxes(recording))
}
