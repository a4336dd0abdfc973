package broker

import (
	"context"
	"net"
	"strconv"
	"time"
)

// resolveHost finds a node's address; members and ctl need names that resolve.
func resolveHost(ctx context.Context, r *net.Resolver, host string) (string, error) {
	if ip := net.ParseIP(host); ip != nil {
		return host, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	addrs, err := r.LookupHost(ctx, host)
	if err != nil {
		return "", err
	}
	for _, a := range addrs { // inet_tcp, the default, is IPv4
		if net.ParseIP(a).To4() != nil {
			return a, nil
		}
	}
	return addrs[0], nil
}

func (n *node) dial(ctx context.Context, to nodeName, kind string) (*wire, error) {
	host, err := resolveHost(ctx, n.opts.Resolver, to.host)
	if err != nil {
		return nil, err
	}
	port := to.distPort()
	if kind == kindCall || kind == kindCast {
		port = n.cfg.rpcPort
		if n.cfg.rpcByDig {
			port = baseRPCPort + to.offset()
		}
	}
	addr := net.JoinHostPort(host, strconv.Itoa(port))
	return dialWire(ctx, addr, kind, n.cfg.node.String(), to.String(), n.cfg.cookie)
}
