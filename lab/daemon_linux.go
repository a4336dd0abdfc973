package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
	"github.com/emqx-oci/emqx-oci/lab/cloud/rest"
	"github.com/emqx-oci/emqx-oci/lab/faults"
	"github.com/emqx-oci/emqx-oci/lab/images"
	"github.com/emqx-oci/emqx-oci/lab/machine"
	"github.com/emqx-oci/emqx-oci/lab/providers"
)

// controlSocket is where the daemon answers status and stop, inside the lab's folder.
const controlSocket = "daemon.sock"

func machineConfig(o Options) machine.Config {
	cfg := machine.Config{
		Dir: o.Dir, Name: o.Name, Door: o.Door,
		GuestBinary:  filepath.Join(o.Bin, "lab-guest"),
		ConsulBinary: filepath.Join(o.Tools, "consul"), NomadBinary: filepath.Join(o.Tools, "nomad"),
		Log: func(format string, args ...any) { o.Log(fmt.Sprintf(format, args...)) },
	}
	for _, ref := range o.BrokerImages {
		cfg.Images = append(cfg.Images, brokerImage(o, ref))
	}
	for _, ref := range o.ProxyImages {
		cfg.Images = append(cfg.Images, proxyImage(ref))
	}
	return cfg
}

func brokerImage(o Options, ref string) machine.Image {
	return machine.Image{Ref: ref, Build: func() (v1.Image, error) { return images.Broker(filepath.Join(o.Bin, "emqx")) }}
}

func proxyImage(ref string) machine.Image { return machine.Image{Ref: ref, Build: images.HAProxy} }

// addImages gives the running lab images that it does not have, and records them
// for the next daemon.
func addImages(ctx context.Context, m *machine.Machine, o *Options, want Images) error {
	for _, ref := range want.Broker {
		if slices.Contains(o.BrokerImages, ref) {
			continue
		}
		if err := m.AddImage(ctx, brokerImage(*o, ref)); err != nil {
			return err
		}
		o.BrokerImages = append(o.BrokerImages, ref)
	}
	for _, ref := range want.Proxy {
		if slices.Contains(o.ProxyImages, ref) {
			continue
		}
		if err := m.AddImage(ctx, proxyImage(ref)); err != nil {
			return err
		}
		o.ProxyImages = append(o.ProxyImages, ref)
	}
	return o.save()
}

// Daemon builds or adopts the lab and serves it until ctx ends. Ending it leaves
// the lab's instances and servers alone.
func Daemon(ctx context.Context, o Options) (err error) {
	o, err = o.known()
	if err != nil {
		return err
	}
	keys, err := servers(o.Dir, o.Door)
	if err != nil {
		return err
	}
	cfg := machineConfig(o)
	cfg.Servers = keys.machine(o.Secured)
	m, err := machine.New(cfg)
	if err != nil {
		return err
	}
	if err := m.Up(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	vault, err := admit(ctx, o, keys)
	if err != nil {
		return err
	}
	c, err := cloud.Open(filepath.Join(o.Dir, "cloud"), m, cloud.Options{Log: o.Log, Latency: cloud.LatencyOCI(o.Latency), Secrets: vault})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	m.SetHandler(c)
	log := func(format string, args ...any) { o.Log(fmt.Sprintf(format, args...)) }
	p, err := providers.Serve(ctx, providers.Config{OCI: c, Pace: o.Latency, NomadAddr: o.nomadDoor(), ConsulAddr: o.consulDoor(), Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	key, err := apiKey(o.Dir)
	if err != nil {
		return err
	}
	api, err := rest.Serve(ctx, "127.0.0.1:0", rest.Handler(c, key), log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, api.Close()) }()

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	broken, err := faults.Open(ctx, breakable{m, c}, filepath.Join(o.Dir, "faults.json"), o.Log)
	if err != nil {
		return err
	}
	go broken.Run(ctx)
	status := func() Status {
		st := Status{
			PID: os.Getpid(), Name: o.Name, Dir: o.Dir, Door: o.Door.String(), Providers: p.Env(), API: api.URL(), Cloud: c.Snapshot(),
		}
		st.Faults, _ = broken.Active(ctx)
		for _, i := range m.Instances() {
			st.Guests = append(st.Guests, Guest{ID: i.ID, Name: i.Name, PID: i.PID, Logs: i.LogDir})
		}
		return st
	}
	var adding sync.Mutex
	add := func(ctx context.Context, want Images) error {
		adding.Lock()
		defer adding.Unlock()
		return addImages(ctx, m, &o, want)
	}
	closeControl, err := serveControl(ctx, o.Dir, status, add, broken, stop)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeControl()) }()
	if err := c.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// serveControl answers on the control socket. Its being there means that the lab is up.
func serveControl(
	ctx context.Context, dir string, status func() Status, add func(context.Context, Images) error,
	broken faults.Injector, stop func(),
) (func() error, error) {
	path := filepath.Join(dir, controlSocket)
	// A socket of a killed daemon; the machine's lock says that none other lives.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("opening the lab's control socket: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("opening the lab's control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the lab's control socket: %w", err), l.Close())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(status())
	})
	mux.HandleFunc("POST /images", func(w http.ResponseWriter, r *http.Request) {
		var want Images
		err := json.NewDecoder(r.Body).Decode(&want)
		if err == nil {
			err = add(r.Context(), want)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	serveFaults(mux, broken)
	mux.HandleFunc("POST /stop", func(http.ResponseWriter, *http.Request) { stop() })
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = s.Serve(l) }()
	return s.Close, nil
}
