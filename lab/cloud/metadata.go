package cloud

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"strings"
)

// Metadata is the instance metadata service as one instance sees it. path is the
// request's, such as /opc/v2/instance/ or /opc/v2/vnics/0/vnicId. The server in front
// must refuse requests of version 2 without "Authorization: Bearer Oracle"; version 1
// answers whoever asks, unless the instance's options have it switched off. An answer
// waits until the instance's launch is complete and, with latencies on, its boot time is
// over.
func (c *Cloud) Metadata(instanceID, path string) (body []byte, contentType string, ok bool) {
	i, ok := c.awaitLaunch(context.Background(), instanceID)
	if !ok {
		return nil, "", false
	}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(parts) < 3 || parts[0] != "opc" || parts[1] != "v2" && (parts[1] != "v1" || !i.LegacyMetadata) {
		return nil, "", false
	}
	var node any
	switch parts[2] {
	case "instance":
		node = instanceMetadata(&i)
	case "vnics":
		node = vnicMetadata(&i)
	default:
		return nil, "", false
	}
	for _, key := range parts[3:] {
		switch n := node.(type) {
		case map[string]any:
			if node, ok = n[key]; !ok {
				return nil, "", false
			}
		case []any:
			at, err := strconv.Atoi(key)
			if err != nil || at < 0 || at >= len(n) {
				return nil, "", false
			}
			node = n[at]
		default:
			return nil, "", false
		}
	}
	switch n := node.(type) {
	case map[string]any, []any:
		return indented(n, "  "), "application/json", true
	case string:
		return []byte(n), "text/plain", true
	default:
		return bytes.TrimSpace(indented(n, "")), "text/plain", true
	}
}

func indented(v any, indent string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	_ = e.Encode(v) // only JSON values come here
	return b.Bytes()
}

func instanceMetadata(i *instance) map[string]any {
	out := Props{
		"id": i.ID, "displayName": i.Name, "hostname": i.Hostname, "availabilityDomain": i.AD, "faultDomain": i.FaultDomain,
		"ociAdName": strings.ToLower(Region + "-" + i.AD[strings.Index(i.AD, ":")+1:]), "compartmentId": CompartmentID, "tenantId": TenancyID,
		"region": Region, "canonicalRegionName": Region, "shape": i.Shape, "image": i.Image, "state": titled(i.State),
		"timeCreated": i.Created.UnixMilli(),
		"regionInfo": Props{
			"realmKey": "oc1", "realmDomainComponent": "oraclecloud.com", "regionKey": "LAB", "regionIdentifier": Region,
		},
		"agentConfig": Props{"monitoringDisabled": true, "managementDisabled": true, "allPluginsDisabled": true},
		"shapeConfig": Props{"ocpus": i.OCPUs, "memoryInGBs": i.MemoryGB, "maxVnicAttachments": 2},
	}
	// Empty maps are left out, as the real service does.
	for key, m := range map[string]map[string]string{"metadata": i.Metadata, "freeformTags": i.Tags} {
		if len(m) > 0 {
			out[key] = strings2any(m)
		}
	}
	if len(i.Defined) > 0 {
		out["definedTags"] = i.Defined
	}
	if len(i.ExtendedMetadata) > 0 {
		out["extendedMetadata"] = i.ExtendedMetadata
	}
	return out
}

func strings2any(m map[string]string) map[string]any {
	out := Props{}
	for k, v := range m {
		out[k] = v
	}
	return out
}

// vnicMetadata names the primary address only: the real service says nothing of
// secondary ones.
func vnicMetadata(i *instance) []any {
	net, _ := findSubnet(i.Subnet)
	return []any{Props{
		"vnicId": i.VNIC, "privateIp": i.Address, "subnetCidrBlock": net.prefix.String(), "virtualRouterIp": net.router.String(),
		"macAddr": i.MAC, "vlanTag": 0,
	}}
}
