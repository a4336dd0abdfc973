package consul

import (
	"context"
	"fmt"
	"maps"

	"github.com/hashicorp/consul/api"

	"github.com/emqx-oci/emqx-oci/lab/providers/rpc"
	"github.com/emqx-oci/emqx-oci/lab/providers/table"
)

// node is an external node: an entry in the catalog that no agent maintains.
type node struct{ *client }

func (n node) create(ctx context.Context, in rpc.Props) (string, rpc.Props, error) {
	out, err := n.update(ctx, nil, in)
	return text(in["name"]) + "-" + text(in["address"]), out, err
}

func (n node) update(ctx context.Context, _, in rpc.Props) (rpc.Props, error) {
	dc, err := n.dc(in)
	if err != nil {
		return nil, err
	}
	name, address := text(in["name"]), text(in["address"])
	_, err = n.api.Catalog().Register(&api.CatalogRegistration{
		Node: name, Address: address, Datacenter: dc, NodeMeta: textMap(in["meta"]), Partition: text(in["partition"]),
	}, n.write(ctx, dc, in))
	if err != nil {
		return nil, fmt.Errorf("failed to register Consul catalog node with name '%s' at address '%s' in %s: %w", name, address, dc, err)
	}
	with := maps.Clone(in)
	with["datacenter"] = dc
	return n.read(ctx, "", with)
}

func (n node) read(ctx context.Context, _ string, state rpc.Props) (rpc.Props, error) {
	dc, err := n.dc(state)
	if err != nil {
		return nil, err
	}
	now, _, err := n.api.Catalog().Node(text(state["name"]), n.client.read(ctx, dc, state))
	if err != nil {
		return nil, fmt.Errorf("failed to get name '%s' from Consul catalog: %w", text(state["name"]), err)
	}
	if now == nil {
		return nil, rpc.ErrGone
	}
	delete(now.Node.Meta, "consul-version") // Consul's own
	return rpc.Props{
		"name": now.Node.Node, "address": now.Node.Address, "datacenter": dc, "meta": table.StringMap(now.Node.Meta),
	}, nil
}

func (n node) remove(ctx context.Context, _ string, state rpc.Props) error {
	dc, err := n.dc(state)
	if err != nil {
		return err
	}
	_, err = n.api.Catalog().Deregister(&api.CatalogDeregistration{
		Node: text(state["name"]), Address: text(state["address"]), Datacenter: dc, Partition: text(state["partition"]),
	}, n.write(ctx, dc, state))
	if err != nil {
		return fmt.Errorf("failed to deregister Consul catalog node with name '%s' at address '%s' in %s: %w",
			text(state["name"]), text(state["address"]), dc, err)
	}
	return nil
}

// service is one service of a node, external or not.
type service struct{ *client }

// The plugin marks the services it makes, and hides the mark in what it reads.
const (
	sourceKey   = "external-source"
	sourceValue = "terraform"
)

func (s service) create(ctx context.Context, in rpc.Props) (string, rpc.Props, error) {
	dc, err := s.dc(in)
	if err != nil {
		return "", nil, err
	}
	name := text(in["node"])
	n, _, err := s.api.Catalog().Node(name, s.client.read(ctx, dc, in))
	if err != nil {
		return "", nil, fmt.Errorf("cannot retrieve node '%s': %w", name, err)
	}
	if n == nil {
		// Consul would make the node up; nobody would ever remove it.
		return "", nil, fmt.Errorf("node does not exist: '%s'", name)
	}
	with := maps.Clone(in)
	with["datacenter"] = dc
	if text(with["serviceId"]) == "" {
		with["serviceId"] = text(in["name"])
	}
	if text(with["address"]) == "" {
		with["address"] = n.Node.Address
	}
	out, err := s.update(ctx, nil, with)
	return text(with["serviceId"]), out, err
}

func (s service) update(ctx context.Context, state, in rpc.Props) (rpc.Props, error) {
	dc, err := s.dc(in)
	if err != nil {
		return nil, err
	}
	with := maps.Clone(in)
	with["datacenter"] = dc
	if text(with["address"]) == "" {
		with["address"] = text(state["address"])
	}
	checks, err := healthChecks(with)
	if err != nil {
		return nil, err
	}
	meta := textMap(in["meta"])
	if _, given := meta[sourceKey]; !given {
		meta[sourceKey] = sourceValue
	}
	override, _ := in["enableTagOverride"].(bool)
	_, err = s.api.Catalog().Register(&api.CatalogRegistration{
		Datacenter: dc,
		Node:       text(in["node"]),
		Address:    text(with["address"]),
		// A service leaves its node as it is.
		SkipNodeUpdate: true,
		Partition:      text(in["partition"]),
		Service: &api.AgentService{
			ID: text(with["serviceId"]), Service: text(in["name"]), Address: text(with["address"]),
			Port: number(in["port"]), Tags: texts(in["tags"]), Meta: meta, EnableTagOverride: override,
			Namespace: text(in["namespace"]), Partition: text(in["partition"]),
		},
		Checks: checks,
	}, s.write(ctx, dc, in))
	if err != nil {
		return nil, fmt.Errorf("failed to register service (dc: '%s'): %w", dc, err)
	}
	return s.read(ctx, text(with["serviceId"]), with)
}

func (s service) read(ctx context.Context, id string, state rpc.Props) (rpc.Props, error) {
	dc, err := s.dc(state)
	if err != nil {
		return nil, err
	}
	name, q := text(state["name"]), s.client.read(ctx, dc, state)
	all, _, err := s.api.Catalog().Service(name, "", q)
	if err != nil {
		return nil, fmt.Errorf("failed to read service '%s': %w", name, err)
	}
	for _, now := range all {
		if now.ServiceID != id || now.Node != text(state["node"]) {
			continue
		}
		checks, _, err := s.api.Health().Checks(name, q)
		if err != nil {
			return nil, fmt.Errorf("failed to fetch health-checks: %w", err)
		}
		meta := table.StringMap(now.ServiceMeta)
		if _, given := textMap(state["meta"])[sourceKey]; !given {
			delete(meta, sourceKey)
		}
		return rpc.Props{
			"serviceId": now.ServiceID, "name": now.ServiceName, "node": now.Node, "datacenter": now.Datacenter,
			"address": now.ServiceAddress, "port": float64(now.ServicePort), "tags": table.StringList(now.ServiceTags),
			"meta": meta, "enableTagOverride": now.ServiceEnableTagOverride,
			"checks": checkProps(checks, now.Node, now.ServiceID),
		}, nil
	}
	return nil, rpc.ErrGone
}

func (s service) remove(ctx context.Context, id string, state rpc.Props) error {
	dc, err := s.dc(state)
	if err != nil {
		return err
	}
	_, err = s.api.Catalog().Deregister(&api.CatalogDeregistration{
		Datacenter: dc, Node: text(state["node"]), ServiceID: id,
		Namespace: text(state["namespace"]), Partition: text(state["partition"]),
	}, s.write(ctx, dc, state))
	if err != nil {
		return fmt.Errorf("failed to deregister Consul service with id '%s' in %s: %w", id, dc, err)
	}
	return nil
}
