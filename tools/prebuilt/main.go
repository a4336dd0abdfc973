package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
)

//go:embed SHA256SUMS
var committed string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv(baseVariable), os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "prebuilt:", err)
		os.Exit(1)
	}
}

const (
	// baseVariable names a mirror: a folder of HTTP with all archives, lists and signatures.
	baseVariable = "EMQX_OCI_RELEASES"
	// noBase as its value means that nothing is taken from anywhere.
	noBase = "none"

	usage = "prebuilt [-to FOLDER | -update FILE] PROGRAM=VERSION ..."
)

// run is the command with its arguments; base is where everything is taken from, empty for
// each vendor's own server.
func run(ctx context.Context, args []string, base string, out io.Writer) error {
	flags := flag.NewFlagSet(usage, flag.ContinueOnError)
	to := flags.String("to", "", "the `folder` that gets the programs")
	update := flags.String("update", "", "write this `file` of sums anew instead")
	if err := flags.Parse(args); err != nil {
		return err
	}
	releases, err := releasesOf(flags.Args())
	if err != nil {
		return err
	}
	if (*to == "") == (*update == "") {
		return fmt.Errorf("-to and -update: give one of them: %s", usage)
	}
	if base == noBase {
		return fmt.Errorf("%s is %q: no release archive is taken", baseVariable, noBase)
	}
	f := fetcher{base: base, client: newClient(), answer: answerTimeout, stall: stallTimeout}
	if *update != "" {
		return f.update(ctx, releases, *update)
	}
	sums, err := parseSums("tools/prebuilt/SHA256SUMS", committed)
	if err != nil {
		return err
	}
	var failed []error
	for _, r := range releases {
		if err := f.install(ctx, r, platform{runtime.GOOS, runtime.GOARCH}, sums, *to); err != nil {
			failed = append(failed, fmt.Errorf("%s %s: %w", r.program, r.version, err))
			continue
		}
		if _, err := fmt.Fprintf(out, "took %s %s from its vendor's release archive\n", r.program, r.version); err != nil {
			return err
		}
	}
	return errors.Join(failed...)
}

// release is one version of one program.
type release struct{ program, version string }

func releasesOf(args []string) ([]release, error) {
	if len(args) == 0 {
		return nil, errors.New(usage)
	}
	var all []release
	var faults []error
	for _, arg := range args {
		program, version, _ := strings.Cut(arg, "=")
		switch _, known := vendors[program]; {
		case !known:
			faults = append(faults, fmt.Errorf("%s: must be one of %s", arg, programs()))
		case version == "":
			faults = append(faults, fmt.Errorf("%s: must name a version: %s=1.2.3", arg, program))
		}
		all = append(all, release{program, version})
	}
	return all, errors.Join(faults...)
}
