// Command drill breaks and changes the cluster of a lab of its own, measures what clients see, and holds it to
// docs/availability.md. It needs root, and the programs that `make build` makes.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/emqx-oci/emqx-oci/lab"
	"github.com/emqx-oci/emqx-oci/lab/drill"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "drill: "+err.Error())
		stop()
		os.Exit(1)
	}
}

type options struct {
	pick                              *regexp.Regexp
	runs                              int
	original, list, keep              bool
	limit                             time.Duration
	project, page, bin, tools, folder string
	name, door, reports               string
	images                            []string
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("drill", flag.ContinueOnError)
	pick := f.String("run", "", "regular expression of the cases to run (default: all)")
	f.IntVar(&o.runs, "runs", 0, "how often to run each (default: 3 for kills, else once)")
	f.BoolVar(&o.original, "original", false, "with the original's figures in both jobs: the comparison")
	f.BoolVar(&o.list, "list", false, "list the cases, and do nothing")
	f.BoolVar(&o.keep, "keep", false, "leave the lab as it is at the end")
	f.DurationVar(&o.limit, "limit", 75*time.Minute, "the drill ends after so long; cases that were not run break the promise")
	f.StringVar(&o.project, "project", ".", "folder with Pulumi.yaml and Pulumi.lab.yaml")
	f.StringVar(&o.page, "page", "", "page whose measured part to write")
	f.StringVar(&o.reports, "reports", "", "folder for the clients' whole report of each run")
	f.Func("image", "archive of `docker save` with a real EMQX, as both images that the roll changes between (may be given again)",
		func(path string) error { o.images = append(o.images, path); return nil })
	f.StringVar(&o.bin, "bin", "bin", "folder with emqx-oci, emqx-oci-lab, lab-guest and emqx")
	f.StringVar(&o.tools, "tools", ".tools/bin", "folder with nomad, consul and pulumi")
	f.StringVar(&o.folder, "dir", "", "folder of the lab (default: a new one)")
	f.StringVar(&o.name, "name", "drill", "name of the lab")
	f.StringVar(&o.door, "door", "127.0.82.1", "loopback address of the lab's doors")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.pick, err = regexp.Compile(*pick); err != nil {
		return o, fmt.Errorf("-run: %w", err)
	}
	if o.original && len(o.images) > 0 {
		return o, errors.New("-original and -image: one of them, the page has no part for both")
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("takes no arguments, got %q", f.Args())
	}
	return o, nil
}

func run(ctx context.Context, args []string) (err error) {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	all := append(drill.Breaking(), drill.Working()...)
	part := "drill"
	if o.original {
		all, part = drill.Original(), "drill-original"
	}
	if len(o.images) > 0 {
		part = "drill-real"
	}
	var scenarios []drill.Scenario
	for _, s := range all {
		if o.pick.MatchString(s.Name) {
			scenarios = append(scenarios, s)
		}
	}
	if o.list || len(scenarios) == 0 {
		for _, s := range all {
			fmt.Fprintf(os.Stdout, "%-20s %-20s %s\n", s.Name, s.Promise, s.Does)
		}
		if !o.list {
			return fmt.Errorf("-run: no case is called so")
		}
		return nil
	}
	if os.Geteuid() != 0 {
		return errors.New("the lab needs root")
	}
	b, err := o.bed()
	if err != nil {
		return err
	}
	start := time.Now()
	b.Log = func(line string) { fmt.Fprintf(os.Stderr, "%6.0f s  %s\n", time.Since(start).Seconds(), line) }
	if err := b.Prepare(o.project); err != nil {
		return err
	}
	if !o.keep {
		defer func() {
			// Whatever ended the drill, also a signal.
			down, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer cancel()
			if e := drill.Remove(down, b); e != nil {
				err = errors.Join(err, e) // what is left is found by its folder
			} else if o.folder == "" {
				err = errors.Join(err, os.RemoveAll(filepath.Dir(b.Project)))
			}
		}()
	}
	return o.measure(ctx, b, scenarios, part)
}

// measure runs the cases, prints the table, and writes the page.
func (o options) measure(ctx context.Context, b drill.Bed, scenarios []drill.Scenario, part string) error {
	if err := drill.Deploy(ctx, b); err != nil {
		return err
	}
	d, err := drill.Open(ctx, b)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("the drill's limit of %s is over", o.limit))
	defer cancel()
	if o.original {
		if err := d.Originalise(limited); err != nil {
			return err
		}
	}
	var results []drill.Result
	ran := d.All(limited, scenarios, o.runs, func(r drill.Result) {
		results = append(results, r)
		if err := o.save(r, len(results)); err != nil {
			b.Log(err.Error())
		}
	})
	lines := drill.Lines(results)
	if err := drill.Text(os.Stdout, lines); err != nil {
		return err
	}
	if o.page != "" && len(lines) > 0 {
		text, err := os.ReadFile(o.page)
		if err != nil {
			return fmt.Errorf("writing the page: %w", err)
		}
		page, err := drill.Replace(string(text), part, drill.Markdown(lines))
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.page, []byte(page), 0o644); err != nil { //nolint:gosec // a page for everybody
			return fmt.Errorf("writing the page: %w", err)
		}
	}
	if ran != nil {
		return fmt.Errorf("%d of %d cases were run: %w", len(lines), len(scenarios), ran)
	}
	for _, l := range lines {
		if len(l.Broken) > 0 {
			return errors.New("a promise is broken")
		}
	}
	return nil
}

// save writes what the clients saw, for whom the table is too short.
func (o options) save(r drill.Result, n int) error {
	if o.reports == "" {
		return nil
	}
	text, err := json.MarshalIndent(r.Report, "", "  ")
	if err == nil {
		err = os.MkdirAll(o.reports, 0o750)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(o.reports, fmt.Sprintf("%02d-%s.json", n, r.Scenario.Name)), text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("writing the clients' report: %w", err)
	}
	return nil
}

func (o options) bed() (drill.Bed, error) {
	door, err := netip.ParseAddr(o.door)
	if err != nil {
		return drill.Bed{}, fmt.Errorf("-door: %w", err)
	}
	// Not under a long path: the lab has sockets in it.
	if o.folder == "" {
		if o.folder, err = os.MkdirTemp("/var/tmp", "emqx-drill-"); err != nil {
			return drill.Bed{}, fmt.Errorf("making the drill's folder: %w", err)
		}
	}
	paths := append([]string{o.bin, o.tools, o.folder}, o.images...)
	for i, p := range paths {
		if paths[i], err = filepath.Abs(p); err != nil {
			return drill.Bed{}, fmt.Errorf("finding %s: %w", p, err)
		}
	}
	return drill.Bed{
		Lab:     lab.Options{Bin: paths[0], Tools: paths[1], Dir: filepath.Join(paths[2], "lab"), Name: o.name, Door: door, Log: func(string) {}},
		Project: filepath.Join(paths[2], "project"),
		Images:  paths[3:],
	}, nil
}
