package machine

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// proxiedConfig is how the machine's HAProxy stands in for what OCI runs behind its load balancers: it takes the
// connections of all of them in the gateway's namespace, ends TLS where it is to, and says in a header who the client is.
type proxiedConfig struct {
	// text is HAProxy's configuration; files are those that it names, by their paths.
	text  string
	files map[string]string
	// states are those of the servers, by "<backend>/<server>": whether they get new connections.
	states map[string]bool
}

// empty tells whether no balancer takes connections itself.
func (c proxiedConfig) empty() bool {
	return len(c.states) == 0 && !strings.Contains(c.text, "frontend ")
}

// id tells one configuration from another, whatever the states of its servers.
func (c proxiedConfig) id() string { return fmt.Sprintf("%x", sha256.Sum256([]byte(c.text)))[:16] }

// proxiedBalances are HAProxy's words for OCI's policies.
var proxiedBalances = map[string]string{"LEAST_CONNECTIONS": "leastconn", "ROUND_ROBIN": "roundrobin", "IP_HASH": "source"}

// renderProxied makes the configuration, whose files lie in dir.
func renderProxied(dir string, balancers []cloud.Balancer) proxiedConfig {
	c := proxiedConfig{files: map[string]string{}, states: map[string]bool{}}
	var b strings.Builder
	fmt.Fprintf(&b, "global\n    maxconn 8000\n    log stdout format raw local0 notice\n    stats socket %s mode 600 level admin\n", filepath.Join(dir, "admin.sock"))
	b.WriteString("    tune.ssl.default-dh-param 2048\n    spread-checks 0\ndefaults\n    mode tcp\n    log global\n    timeout connect 5s\n")
	for n, balancer := range balancers {
		for _, l := range balancer.Listeners {
			if l.Proxied != nil {
				c.listener(&b, dir, fmt.Sprintf("b%d-%s", n, l.Name), balancer, l)
			}
		}
	}
	c.text = b.String()
	return c
}

func (c *proxiedConfig) listener(b *strings.Builder, dir, name string, balancer cloud.Balancer, l cloud.Listener) {
	idle := int(l.IdleTimeout / time.Second)
	bind := ""
	if t := l.Proxied.TLS; t != nil {
		bind = c.ends(dir, name, *t)
	}
	fmt.Fprintf(b, "frontend %s\n    bind %s:%d%s\n    timeout client %ds\n    default_backend %s\n", name, balancer.Private, l.Port, bind, idle, name)
	fmt.Fprintf(b, "backend %s\n    balance %s\n    timeout server %ds\n    timeout tunnel %ds\n    source %s\n", name, proxiedBalances[l.Proxied.Policy], idle, idle, balancer.Private)
	header := map[int]string{1: " send-proxy", 2: " send-proxy-v2"}[l.Proxied.ProxyProtocol]
	for i, end := range l.Proxied.Ends {
		server := fmt.Sprintf("n%d", i)
		c.states[name+"/"+server] = end.Up
		fmt.Fprintf(b, "    server %s %s%s\n", server, end.Address, header)
	}
}

// ends is what stands behind a bind that ends TLS. The certificate's file has another name for every other certificate.
func (c *proxiedConfig) ends(dir, name string, t cloud.ListenerTLS) string {
	sum := sha256.Sum256([]byte(t.Certificate))
	file := filepath.Join(dir, fmt.Sprintf("%s-%x.pem", name, sum[:8]))
	c.files[file] = t.Certificate
	var suites, ciphers []string
	for _, cipher := range t.Ciphers {
		if strings.HasPrefix(cipher, "TLS_") {
			suites = append(suites, cipher)
		} else {
			ciphers = append(ciphers, cipher)
		}
	}
	bind := " ssl crt " + file
	if len(ciphers) > 0 {
		bind += " ciphers " + strings.Join(ciphers, ":")
	}
	if len(suites) > 0 {
		bind += " ciphersuites " + strings.Join(suites, ":")
	}
	// OCI's list is a range, as TLS negotiates one.
	bind += " ssl-min-ver " + strings.Replace(least(t.Protocols), "TLSv1-", "TLSv1.0", 1) + " ssl-max-ver " + strings.Replace(most(t.Protocols), "TLSv1-", "TLSv1.0", 1)
	if !t.ServerOrder {
		bind += " prefer-client-ciphers"
	}
	if !t.Tickets {
		bind += " no-tls-tickets"
	}
	return bind
}

// least and most are the oldest and the newest of versions such as TLSv1.2, with TLSv1 as "TLSv1-".
func least(versions []string) string {
	return edgeOf(versions, func(a, b string) bool { return a < b })
}

func most(versions []string) string { return edgeOf(versions, func(a, b string) bool { return a > b }) }

func edgeOf(versions []string, before func(a, b string) bool) string {
	found := ""
	for _, v := range versions {
		if v == "TLSv1" {
			v = "TLSv1-" // it sorts before TLSv1.1
		}
		if found == "" || before(v, found) {
			found = v
		}
	}
	return found
}
