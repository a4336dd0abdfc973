package gates

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	consul "github.com/hashicorp/consul/api"
)

// ConsulClient is what the gates ask Consul.
type ConsulClient interface {
	// Leader returns why Consul has none to name.
	Leader(ctx context.Context) error
	// Service lists the instances of a service that carry the tag, with their
	// checks, the failing ones too.
	Service(ctx context.Context, name, tag string) ([]*consul.ServiceEntry, error)
}

// ConsulConfig says where Consul is. Only Address is required.
type ConsulConfig struct {
	// Address is a URL: "http://10.80.2.10:8500".
	Address string
	// Token is an ACL token with service:read and node:read.
	Token string
	// Datacenter defaults to the agent's own.
	Datacenter string
	// CACert is the PEM text that verifies an https address; empty means the
	// system's authorities.
	CACert string
	// Cert and Key are the client's own, as PEM text, for a server that asks for
	// them; both or none.
	Cert, Key string
	// Timeout bounds each request; default 10 s.
	Timeout time.Duration
}

// NewConsul returns a client of the Consul API. Nothing is dialled yet.
func NewConsul(c ConsulConfig) (ConsulClient, error) {
	if c.Address == "" {
		return nil, errors.New("connecting to Consul: no address given")
	}
	cfg := &consul.Config{Address: c.Address, Token: c.Token, Datacenter: c.Datacenter}
	if c.CACert != "" || c.Cert != "" {
		// Made here, because CONSUL_CACERT of the environment would win otherwise.
		client, err := consul.NewHttpClient(consul.DefaultConfig().Transport, consul.TLSConfig{
			CAPem: []byte(c.CACert), CertPEM: []byte(c.Cert), KeyPEM: []byte(c.Key),
		})
		if err != nil {
			return nil, fmt.Errorf("connecting to Consul at %s: %w", c.Address, err)
		}
		cfg.HttpClient = client
	}
	api, err := consul.NewClient(cfg)
	if err != nil {
		return nil, fmt.Errorf("connecting to Consul at %s: %w", c.Address, err)
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultRequestTimeout
	}
	return &consulClient{api: api, address: c.Address, timeout: c.Timeout}, nil
}

type consulClient struct {
	api     *consul.Client
	address string
	timeout time.Duration
}

func (c *consulClient) Service(ctx context.Context, name, tag string) ([]*consul.ServiceEntry, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	entries, _, err := c.api.Health().Service(name, tag, false, (&consul.QueryOptions{}).WithContext(ctx))
	return entries, c.explain("service "+name, err)
}

func (c *consulClient) Leader(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	leader, err := c.api.Status().LeaderWithQueryOptions((&consul.QueryOptions{}).WithContext(ctx))
	if err == nil && leader == "" {
		return fmt.Errorf("reading the leader from Consul at %s: %w", c.address, errNoLeader)
	}
	return c.explain("the leader", err)
}

// explain puts the address into a request's error: see nomadClient.
func (c *consulClient) explain(what string, err error) error {
	if err == nil {
		return nil
	}
	var answer consul.StatusError
	switch {
	case !errors.As(err, &answer):
		return fmt.Errorf("cannot reach Consul at %s: %w", c.address, rootCause(err))
	case answer.Code == http.StatusForbidden:
		return Fatal(fmt.Errorf("reading %s from Consul at %s: permission denied; check consul.token", what, c.address))
	}
	return fmt.Errorf("reading %s from Consul at %s: %w", what, c.address, err)
}
