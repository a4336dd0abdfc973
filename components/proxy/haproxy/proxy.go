package haproxy

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/nomad"
	"github.com/emqx-oci/emqx-oci/components/seams"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// Proxy is HAProxy as an implementation of [seams.Proxy].
type Proxy struct{}

var _ seams.Proxy = Proxy{}

const (
	// Service is the proxies' name in Consul's catalog, with the environment as its tag. Its check is what gate G3 waits for.
	Service = "emqx-haproxy"
	// HealthPath is what the balancer asks: it fails when no broker runs, as far as this HAProxy can see, and when it
	// stops. A protocol that no broker accepts is no reason: the balancer would cut the clients of the others, too.
	HealthPath = "/haproxy_health"
	// ReadyPath is what Consul asks: it fails, and says why, when a protocol of the stack has no broker that accepts it.
	ReadyPath = "/haproxy_ready"
)

// JobID is the id of the proxies' job. It never changes in the life of a stack.
func JobID(environment string) string { return cluster.Name(environment) + "-haproxy" }

// Provider is none but Nomad's.
func (Proxy) Provider() *seams.Provider { return nil }

// Phase is nobody's: its job and its secrets are among the cluster's.
func (Proxy) Phase(string) string { return "" }

// StandIn has nothing to stand in for.
func (Proxy) StandIn(*settings.Settings) seams.Answers { return nil }

// Title is what people call it.
func (Proxy) Title() string { return "HAProxy" }

// JobID is that of [JobID].
func (Proxy) JobID(environment string) string { return JobID(environment) }

// Service is [Service].
func (Proxy) Service() string { return Service }

// HealthPath is [HealthPath].
func (Proxy) HealthPath() string { return HealthPath }

func vars(s settings.Settings, arrival cluster.Arrival) Vars {
	return Vars{
		Environment:          s.Environment,
		Datacenter:           s.Nomad.Datacenter,
		Region:               s.Nomad.Region,
		Namespace:            s.Nomad.Namespace,
		NodeCount:            s.Nodes.Count,
		Image:                s.Proxy.Image,
		CPU:                  s.Proxy.CPU,
		MemoryMB:             s.Proxy.MemoryMB,
		MaxConn:              s.Proxy.MaxConn,
		MaxConnPerSource:     s.Proxy.MaxConnPerSource,
		MaxConnRatePerSource: s.Proxy.MaxConnRatePerSource,
		ConnectTimeout:       s.Broker.Limits.ConnectTimeout,
		Listeners:            listeners(s),
		NoFile:               s.Proxy.NoFile,
		KeepAliveMax:         s.Broker.KeepAliveMax,
		Ports:                s.Ports.Cluster(),
		TLS:                  s.TLS.Enabled(),
		TLSOutside:           s.TLS.Outside(),
		TLSAtProxy:           s.TLS.AtProxy(),
		TLSAtEdge:            s.TLS.AtEdge(),
		ProxyProtocolFrom:    arrival.ProxyProtocolFrom,
		TLSProfile:           s.TLS.Profile,
		TLSClients:           s.TLS.Clients,
		TLSRevocations:       s.TLS.ClientCRL != "",
		TLSDevices:           s.TLS.DeviceCA != "",
		TLSTickets:           s.TLS.TicketKeys != "",
		ConsulIdentity:       s.Consul.AuthMethod != "",
		Times:                s.Proxy.Times(),
	}
}

// listeners are those that the stack offers, with their limits.
func listeners(s settings.Settings) []Listener {
	offered := s.Offered()
	own := make([]Listener, len(offered))
	for i, l := range offered {
		of := s.Listeners.Named(l.Name)
		own[i] = Listener{Name: l.Name, MaxConn: of.MaxConn, MaxConnRate: of.MaxConnRate, Inside: l.Inside}
	}
	return own
}

// Job is the job file and the values of its variables.
func (Proxy) Job(s settings.Settings, arrival cluster.Arrival) (file string, variables map[string]string, err error) {
	variables, err = vars(s, arrival).HCL2()
	return Job, variables, err
}

// Secrets are the login of the statistics, who may get clients and where, and what TLS needs. The certificate is there
// wherever TLS ends: HAProxy has it before EMQX's listeners go, and keeps it until they are
// there again. To the authorities of clients comes the one of the round trip.
func (Proxy) Secrets(s settings.Settings) (*nomad.JobSecrets, error) {
	items := map[string]string{ItemStatsUser: "stats", ItemStatsPassword: s.Secrets.StatsPassword.Reveal()}
	for _, l := range cluster.Listeners(s.Ports.Cluster(), true) {
		items[itemBroker(l.Name)] = strconv.Itoa(l.BrokerPort)
	}
	if s.TLS.Enabled() {
		items[ItemTerminate], items[ItemClients] = s.TLS.Terminate, s.TLS.Clients
		if !s.TLS.Outside() {
			items[ItemCertificate] = s.TLS.Certificate.Reveal()
			items[ItemPrivateKey] = s.TLS.PrivateKey.Reveal()
		}
	}
	for _, c := range s.TLS.Certificates {
		items[ItemFurther] += lines(furtherMark, c.Certificate.Reveal(), c.PrivateKey.Reveal())
	}
	if s.TLS.TicketKeys != "" {
		items[ItemTicketKeys] = s.TLS.TicketKeys.Reveal()
	}
	if s.TLS.VerifiesClients() {
		gate, err := s.GateAuthority()
		if err != nil {
			return nil, err
		}
		items[ItemClientCA] = clientAuthorities(s.TLS, gate.Certificate)
		if s.TLS.ClientCRL != "" {
			items[ItemClientCRL] = lines(s.TLS.ClientCRL.Reveal(), gate.Revocations)
		}
	}
	check := func(items map[string]string) error { return CheckSecrets(items, s.TLS.Outside()) }
	return &nomad.JobSecrets{JobID: JobID(s.Environment), Name: "haproxy", Items: items, Check: check, Members: ItemMembers}, nil
}

// lines are texts of PEM behind each other.
func lines(texts ...string) string {
	for i, text := range texts {
		texts[i] = strings.TrimSuffix(text, "\n") + "\n"
	}
	return strings.Join(texts, "")
}

// clientAuthorities are those of the clients' certificates, that of the devices, and that of the
// round trip.
func clientAuthorities(t settings.TLS, gate string) string {
	var all []string
	for _, s := range []settings.Secret{t.ClientCA, t.DeviceCA} {
		if s != "" {
			all = append(all, s.Reveal())
		}
	}
	return lines(append(all, gate)...)
}

// Declare registers the job.
func (Proxy) Declare(
	ctx *pulumi.Context, in seams.Given, gates []pulumi.ResourceOption, opts ...pulumi.ResourceOption,
) (seams.Proxies, error) {
	job, err := New(ctx, in.Name+"-haproxy", &Args{Vars: vars(in.Settings, in.Arrival), ChildOptions: gates}, opts...)
	if err != nil {
		return seams.Proxies{}, err
	}
	return seams.Proxies{ModifyIndex: job.ModifyIndex, Each: job.Each}, nil
}

// Ready is gate G3.
func (Proxy) Ready(s settings.Settings, ask seams.ProxyReadyArgs) gates.Gate {
	return gates.ProxiesReady(ask.Consul, gates.ProxiesReadyArgs{
		Service: Service, Environment: s.Environment, Count: s.Nodes.Count, Timeout: s.Gates.ProxiesReady,
		Nomad: ask.Nomad, Job: JobID(s.Environment), Text: ask.Text,
		Next: fmt.Sprintf("the %s checks in Consul, http://<node>:%d%s, and the logs of the haproxy task", Service, s.Ports.Admin, HealthPath),
	})
}

// Refused reads what run.sh has copied: see there.
func (Proxy) Refused() (task string, command []string) {
	return "haproxy", []string{"cat", "/tmp/haproxy/revoked.inuse"}
}

// CertificateVariable is that of the job's group, where no other job may read.
func (Proxy) CertificateVariable(environment string) string {
	return cluster.CertificateVariable(JobID(environment), "haproxy")
}

// Shown reads what run.sh has written down: see there.
func (Proxy) Shown() (task string, command []string) {
	return "haproxy", []string{"/bin/sh", "-c", "cat /tmp/haproxy/certificate.inuse /tmp/haproxy/refused 2>/dev/null; :"}
}

// StopTime is how long one takes to stop: it lets the balancer turn away first.
func (Proxy) StopTime(s settings.Settings) time.Duration {
	return s.Proxy.ShutdownDelay + s.Proxy.KillTimeout
}
