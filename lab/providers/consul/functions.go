package consul

import (
	"context"
	"fmt"
	"strconv"

	"github.com/hashicorp/consul/api"

	"github.com/emqx-oci/emqx-oci/lab/providers/rpc"
	"github.com/emqx-oci/emqx-oci/lab/providers/table"
)

func (c *client) Invoke(ctx context.Context, f *table.Resource, args rpc.Props) (rpc.Props, error) {
	dc, err := c.dc(args)
	if err != nil {
		return nil, err
	}
	q := c.read(ctx, dc, args)
	for _, o := range objects(args["queryOptions"]) {
		if d := text(o["datacenter"]); d != "" {
			q.Datacenter = d
		}
		q.Token, q.Near, q.NodeMeta = text(o["token"]), text(o["near"]), textMap(o["nodeMeta"])
		q.Namespace, q.Partition = text(o["namespace"]), text(o["partition"])
	}
	q.Filter = text(args["filter"])
	switch f.Token {
	case "consul:index/getNodes:getNodes":
		return c.getNodes(q)
	case "consul:index/getService:getService":
		return c.getService(q, args)
	case "consul:index/getServiceHealth:getServiceHealth":
		return c.getServiceHealth(q, args)
	}
	return nil, fmt.Errorf("the lab's consul provider has no function %s", f.Token)
}

func (c *client) getNodes(q *api.QueryOptions) (rpc.Props, error) {
	all, _, err := c.api.Catalog().Nodes(q)
	if err != nil {
		return nil, fmt.Errorf("failed to list nodes: %w", err)
	}
	ids, names, nodes := []any{}, []any{}, []any{}
	for _, n := range all {
		ids, names = append(ids, n.ID), append(names, n.Node)
		nodes = append(nodes, map[string]any{
			"id": n.ID, "name": n.Node, "address": n.Address, "meta": table.StringMap(n.Meta), "taggedAddresses": table.StringMap(n.TaggedAddresses),
		})
	}
	return rpc.Props{"id": "catalog-nodes-" + q.Datacenter, "datacenter": q.Datacenter, "nodeIds": ids, "nodeNames": names, "nodes": nodes}, nil
}

func (c *client) getService(q *api.QueryOptions, args rpc.Props) (rpc.Props, error) {
	name := text(args["name"])
	all, _, err := c.api.Catalog().Service(name, text(args["tag"]), q)
	if err != nil {
		return nil, fmt.Errorf("failed to read service '%s': %w", name, err)
	}
	services := []any{}
	for _, s := range all {
		services = append(services, map[string]any{
			"id": s.ServiceID, "name": s.ServiceName, "address": s.ServiceAddress, "port": strconv.Itoa(s.ServicePort),
			"tags": table.StringList(s.ServiceTags), "meta": table.StringMap(s.ServiceMeta),
			"nodeId": s.ID, "nodeName": s.Node, "nodeAddress": s.Address, "nodeMeta": table.StringMap(s.NodeMeta),
			"taggedAddresses":   table.StringMap(s.TaggedAddresses),
			"enableTagOverride": strconv.FormatBool(s.ServiceEnableTagOverride),
			"createIndex":       strconv.FormatUint(s.CreateIndex, 10), "modifyIndex": strconv.FormatUint(s.ModifyIndex, 10),
		})
	}
	return rpc.Props{"id": "catalog-service-" + q.Datacenter + "-" + name, "datacenter": q.Datacenter, "services": services}, nil
}

func (c *client) getServiceHealth(q *api.QueryOptions, args rpc.Props) (rpc.Props, error) {
	name := text(args["name"])
	passing, _ := args["passing"].(bool)
	q.Near, q.NodeMeta = text(args["near"]), textMap(args["nodeMeta"])
	all, _, err := c.api.Health().Service(name, text(args["tag"]), passing, q)
	if err != nil {
		return nil, fmt.Errorf("failed to read the health of service '%s': %w", name, err)
	}
	results := []any{}
	for _, e := range all {
		checks := []any{}
		for _, h := range e.Checks {
			checks = append(checks, map[string]any{
				"id": h.CheckID, "name": h.Name, "node": h.Node, "notes": h.Notes, "output": h.Output, "status": h.Status,
				"serviceId": h.ServiceID, "serviceName": h.ServiceName, "serviceTags": table.StringList(h.ServiceTags),
			})
		}
		results = append(results, map[string]any{
			"nodes": []any{map[string]any{
				"id": e.Node.ID, "name": e.Node.Node, "address": e.Node.Address, "datacenter": e.Node.Datacenter,
				"meta": table.StringMap(e.Node.Meta), "taggedAddresses": table.StringMap(e.Node.TaggedAddresses),
			}},
			"services": []any{map[string]any{
				"id": e.Service.ID, "name": e.Service.Service, "address": e.Service.Address,
				"port": float64(e.Service.Port), "tags": table.StringList(e.Service.Tags), "meta": table.StringMap(e.Service.Meta),
			}},
			"checks": checks,
		})
	}
	return rpc.Props{"id": "health-service-" + q.Datacenter + "-" + name, "datacenter": q.Datacenter, "results": results}, nil
}
