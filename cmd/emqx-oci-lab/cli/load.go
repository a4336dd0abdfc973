package cli

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/emqx-oci/emqx-oci/cmd/internal/console"
	"github.com/emqx-oci/emqx-oci/lab"
	"github.com/emqx-oci/emqx-oci/lab/load"
)

// labLoadFlags are the flags of `lab load` that are no option of the workload as they stand.
type labLoadFlags struct {
	protocols   []string
	sources, ca string
	nodesEvery  time.Duration
	here, leash bool
}

// labEndpoints are what the lab's stack offers unless it was changed.
var labEndpoints = map[string]string{
	"mqtt": "mqtt://mqtt.lab.test:1883", "mqtts": "mqtts://mqtt.lab.test:8883",
	"ws": "ws://mqtt.lab.test:8083/mqtt", "wss": "wss://mqtt.lab.test:8084/mqtt",
}

func (a *app) labLoad() *cobra.Command {
	o := load.Options{
		Publishers: load.DefaultPublishers, Subscribers: load.DefaultSubscribers, Fan: 1, Rate: load.DefaultRate, QoS: 1,
		Payload: load.DefaultPayload, Duration: load.DefaultDuration, KeepAlive: load.DefaultKeepAlive, PingTimeout: load.DefaultPingTimeout,
		SessionExpiry: load.DefaultSessionExpiry, Backoff: load.DefaultBackoff, BackoffCap: load.DefaultBackoffCap, Settle: load.DefaultSettle,
		ConnectTimeout: load.DefaultConnectTime,
	}
	with := labLoadFlags{protocols: []string{"mqtt", "mqtts", "ws", "wss"}, nodesEvery: 2 * time.Second}
	c := &cobra.Command{
		Use:   "load",
		Short: "Publish and subscribe through the public name, and account for every message",
		Long: `load runs clients on the lab's internet: publishers of numbered messages, and subscribers that account for every one.
They come back as real clients do when their connection breaks. A line each second goes to the error output; the report
tells what was lost, repeated or out of order, and how long clients were away. Ctrl-C ends it early, with its report.
It fails when a message was lost that the broker had acknowledged.`,
		Example: "  emqx-oci lab load --duration 1m\n  emqx-oci lab load --publishers 300 --sources 203.0.113.11-99 --json",
		Args:    console.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if with.here {
				return a.loadHere(c.Context(), o, with)
			}
			return a.loadInLab(c, o, with)
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.IntVar(&o.Publishers, "publishers", o.Publishers, "clients that publish, each to a topic of its own")
	f.IntVar(&o.Subscribers, "subscribers", o.Subscribers, "clients that subscribe, each to a share of the topics")
	f.IntVar(&o.Fan, "fan", o.Fan, "subscribers of each topic")
	f.Float64Var(&o.Rate, "rate", o.Rate, "messages per second of each publisher")
	f.DurationVar(&o.Duration, "duration", o.Duration, "how long to publish")
	f.Uint8Var(&o.QoS, "qos", o.QoS, "QoS of publications and subscriptions: 0, 1 or 2")
	f.IntVar(&o.Payload, "payload", o.Payload, "size of a message, in bytes")
	f.StringSliceVar(&with.protocols, "protocols", with.protocols, "protocols that the clients take in turns")
	f.StringSliceVar(&o.Endpoints, "endpoints", nil, "URLs instead of those of the stack, such as mqtts://mqtt.lab.test:8883")
	f.StringVar(&with.sources, "sources", "", "addresses that the clients come from, such as 203.0.113.11-99")
	f.StringVar(&with.ca, "ca", "", "file with the authority of the brokers' certificate (default: the lab's)")
	f.StringVar(&o.ServerName, "server-name", "", "name in the brokers' certificate (default: the endpoint's)")
	f.StringVar(&o.Username, "username", "", "user of all clients, whom the stack lets use emqx-oci/load/#")
	f.StringVar(&o.Password, "password", "", "its password")
	f.DurationVar(&o.KeepAlive, "keep-alive", o.KeepAlive, "silence after which a client asks with a PING")
	f.DurationVar(&o.PingTimeout, "ping-timeout", o.PingTimeout, "how long it waits for the answer")
	f.DurationVar(&o.ConnectTimeout, "connect-timeout", o.ConnectTimeout, "how long an attempt to connect may take")
	f.DurationVar(&o.SessionExpiry, "session-expiry", o.SessionExpiry, "how long brokers keep the session of a client that is away")
	f.DurationVar(&o.Backoff, "backoff", o.Backoff, "longest pause before the first attempt to come back; it doubles")
	f.DurationVar(&o.BackoffCap, "backoff-cap", o.BackoffCap, "longest pause before any attempt")
	f.DurationVar(&o.Settle, "settle", o.Settle, "how long to wait at the end for what is under way")
	f.Uint64Var(&o.Seed, "seed", 0, "makes pauses and names repeatable")
	f.DurationVar(&with.nodesEvery, "nodes-every", with.nodesEvery, "how often to ask the stack's brokers who is connected to which; 0 is never")
	f.BoolVar(&with.here, "here", false, "run the clients in this machine's network, not in the lab's; needs --endpoints")
	f.BoolVar(&with.leash, "leash", false, "end with the standard input")
	_ = f.MarkHidden("leash")
	return c
}

// loadInLab runs this program again, on the lab's internet.
func (a *app) loadInLab(c *cobra.Command, o load.Options, with labLoadFlags) error {
	l := a.Lab(a.labDir)
	if !l.Running() {
		return lab.ErrNotUp
	}
	var stack labStack
	if len(o.Endpoints) == 0 {
		stack = a.labStack(c.Context())
		var err error
		if o.Endpoints, err = stack.offers(with.protocols); err != nil {
			return err
		}
	}
	if with.ca == "" {
		with.ca = l.CAFile()
	}
	if _, err := workload(o, with); err != nil {
		return err
	}
	argv := []string{a.Executable, "load", "--here", "--leash", "--endpoints", strings.Join(o.Endpoints, ","), "--ca", with.ca}
	inherited := c.InheritedFlags()
	c.Flags().Visit(func(f *pflag.Flag) {
		switch {
		case slices.Contains([]string{"endpoints", "ca", "protocols"}, f.Name), f.Name != "json" && inherited.Lookup(f.Name) != nil:
		default:
			argv = append(argv, "--"+f.Name+"="+f.Value.String())
		}
	})
	// The clients end when this program does, whatever ends it.
	leash, hand, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("starting the clients: %w", err)
	}
	defer leash.Close()
	defer hand.Close()
	defer context.AfterFunc(c.Context(), func() { _ = hand.Close() })()
	ctx, kill := context.WithCancel(context.WithoutCancel(c.Context()))
	defer kill()
	go func() {
		select {
		case <-a.console.Kill:
			kill()
		case <-ctx.Done():
		}
	}()
	if with.nodesEvery > 0 && stack.dashboard != "" {
		go a.tellNodes(ctx, l, stack, with.nodesEvery, hand)
	}
	exit, err := l.Exec(ctx, "internet", argv, Stdio{In: leash, Out: a.Stdout, Err: a.Stderr})
	if err != nil {
		return err
	}
	if exit != 0 {
		return console.Code(exit)
	}
	return nil
}

// labStack is what a workload needs of the lab's stack.
type labStack struct {
	endpoints map[string]string
	nodes     []string
	dashboard string
}

// labStack asks emqx-oci for the outputs. Where there are none, because the stack was never deployed or there is no project,
// the endpoints are those that it has unless it was changed.
func (a *app) labStack(ctx context.Context) labStack {
	s := labStack{endpoints: labEndpoints}
	args := []string{"outputs", DefaultStack, "--json"}
	for _, f := range []struct{ name, value string }{{"--project", a.project}, {"--stage-dir", a.stageDir}, {"--lab-dir", a.labDir}} {
		if f.value != "" {
			args = append(args, f.name, f.value)
		}
	}
	text, err := a.Deploy(ctx, args...)
	if err != nil {
		return s
	}
	var out struct {
		Endpoints        map[string]string `json:"endpoints"`
		NodeNames        []string          `json:"nodeNames"`
		DashboardAddress string            `json:"dashboardAddress"`
	}
	if json.Unmarshal(text, &out) != nil {
		return s
	}
	if len(out.Endpoints) > 0 {
		s.endpoints = out.Endpoints
	}
	s.nodes, s.dashboard = out.NodeNames, out.DashboardAddress
	return s
}

// offers are the URLs for the protocols.
func (s labStack) offers(protocols []string) ([]string, error) {
	known := s.endpoints
	var all, unknown []string
	for _, p := range protocols {
		switch {
		case known[p] != "":
			all = append(all, known[p])
		case labEndpoints[p] == "":
			unknown = append(unknown, p)
		}
	}
	if len(unknown) > 0 {
		return nil, console.Usage(fmt.Errorf("--protocols: must be of mqtt, mqtts, ws and wss, got %s", strings.Join(unknown, ", ")))
	}
	if len(all) == 0 {
		return nil, console.Usage(fmt.Errorf("--protocols: the stack offers none of %s: it has no certificate", strings.Join(protocols, ", ")))
	}
	return all, nil
}

// tellNodes tells the clients' process, as a line of JSON each time, which node each client is connected to: that is
// nothing a client can know. A time in which no broker answers has no line.
func (a *app) tellNodes(ctx context.Context, l Lab, s labStack, every time.Duration, w io.Writer) {
	secrets, err := l.Secrets()
	if err != nil {
		return
	}
	// The credentials go through curl's standard input: arguments are for everybody to see.
	config := fmt.Sprintf("user = %q\n", secrets["emqx-oci:secrets.apiKey"]+":"+secrets["emqx-oci:secrets.apiSecret"])
	lines := json.NewEncoder(w)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		// The name leads to a broker that is healthy; any instance that runs can ask.
		for _, node := range s.nodes {
			asked, cancel := context.WithTimeout(ctx, 5*time.Second)
			var out bytes.Buffer
			exit, err := l.Exec(asked, node, []string{
				"curl", "-sS", "-m", "3", "-K", "-", s.dashboard + "/api/v5/clients?limit=10000&conn_state=connected&like_clientid=load-",
			}, Stdio{In: strings.NewReader(config), Out: &out, Err: io.Discard})
			cancel()
			var answer struct {
				Data []struct{ ClientID, Node string }
			}
			if err != nil || exit != 0 || json.Unmarshal(out.Bytes(), &answer) != nil || answer.Data == nil {
				continue
			}
			nodes := map[string]string{}
			for _, c := range answer.Data {
				nodes[c.ClientID] = c.Node
			}
			if lines.Encode(nodes) != nil {
				return // the clients are gone
			}
			break
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// workload completes the options, or tells everything that is wrong with them, by the flags' names.
func workload(o load.Options, with labLoadFlags) (load.Options, error) {
	var faults []error
	var err error
	if o.Sources, err = addresses(with.sources); err != nil {
		faults = append(faults, err)
	}
	if with.ca != "" {
		text, err := os.ReadFile(with.ca)
		o.Roots = x509.NewCertPool()
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("--ca: %w", err))
		case !o.Roots.AppendCertsFromPEM(text):
			faults = append(faults, fmt.Errorf("--ca: %s has no certificate in PEM", with.ca))
		}
	}
	var wrong *load.OptionsError
	if err := o.Validate(); errors.As(err, &wrong) {
		for _, f := range wrong.Faults {
			name, text, _ := strings.Cut(f, ":")
			faults = append(faults, errors.New(flagName(name)+":"+text))
		}
	}
	if len(faults) > 0 {
		return o, console.Usage(errors.Join(faults...))
	}
	return o, nil
}

// flagName is --keep-alive for keepAlive.
func flagName(name string) string {
	var b strings.Builder
	for _, r := range "--" + name {
		if unicode.IsUpper(r) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// addresses reads 203.0.113.11-99,203.0.113.200.
func addresses(text string) ([]netip.Addr, error) {
	var all []netip.Addr
	if text == "" {
		return nil, nil
	}
	for _, part := range strings.Split(text, ",") {
		first, last, isRange := strings.Cut(part, "-")
		from, err := netip.ParseAddr(first)
		to := from
		if err == nil && isRange {
			dot := strings.LastIndexAny(first, ".:")
			to, err = netip.ParseAddr(first[:dot+1] + last)
		}
		if err != nil || to.Less(from) {
			return nil, fmt.Errorf("--sources: must be addresses or ranges such as 203.0.113.11-99, got %q", part)
		}
		for a := from; !to.Less(a); a = a.Next() {
			all = append(all, a)
		}
	}
	return all, nil
}

// loadHere runs the clients in this process.
func (a *app) loadHere(ctx context.Context, o load.Options, with labLoadFlags) error {
	o, err := workload(o, with)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if with.leash {
		// The one that holds it tells about signals.
		a.console.Announce(func(string) {})
		var latest atomic.Pointer[map[string]string]
		o.NodeEvery = max(with.nodesEvery, time.Second)
		o.NodeOf = func(context.Context) (map[string]string, error) {
			if nodes := latest.Swap(nil); nodes != nil {
				return *nodes, nil
			}
			return nil, nil
		}
		go func() {
			defer cancel()
			for in := json.NewDecoder(a.Stdin); ; {
				var nodes map[string]string
				if in.Decode(&nodes) != nil {
					return
				}
				latest.Store(&nodes)
			}
		}()
	}
	o.OnEvent = func(e load.Event) { _, _ = fmt.Fprintln(a.Stderr, e) }
	type result struct {
		report load.Report
		err    error
	}
	done := make(chan result, 1)
	go func() {
		r, err := a.Load(ctx, o)
		done <- result{r, err}
	}()
	var r result
	select {
	case r = <-done:
	case <-a.console.Kill:
		return context.Canceled
	}
	if r.err != nil {
		return r.err
	}
	if a.asJSON {
		err = json.NewEncoder(a.Stdout).Encode(r.report)
	} else {
		err = r.report.Text(a.Stdout)
	}
	if err == nil && o.QoS > 0 && r.report.Lost > 0 {
		err = fmt.Errorf("%d messages that the broker had acknowledged were lost", r.report.Lost)
	}
	return err
}
