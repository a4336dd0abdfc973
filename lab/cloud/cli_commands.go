package cloud

import (
	"context"
	"fmt"
	"maps"
	"strings"
)

// paging are options of every list command; the lab's lists have one page.
var paging = []string{"limit", "page", "page-size", "sort-by", "sort-order"}

var waiting = []string{"wait-for-state", "max-wait-seconds", "wait-interval-seconds"}

// commands of the real `oci` that the lab has, by their full name. Their options
// are the real ones. Note that `oci network private-ip update` has no --vnic-id:
// the real command suppresses it and moves addresses with `network vnic
// assign-private-ip` only (oci-cli, virtualnetwork_cli_extended.py).
var commands map[string]command

func init() {
	commands = map[string]command{
		"bv volume list": {
			options: append([]string{"compartment-id", "availability-domain", "display-name", "lifecycle-state", "volume-group-id"}, paging...),
			flags:   []string{"all"}, service: "blockstorage", run: listVolumes,
		},
		"bv volume get": {
			options: []string{"volume-id"}, required: []string{"volume-id"}, service: "blockstorage",
			run: func(_ context.Context, c *Cloud, opt map[string]string) (*answer, error) {
				return one(c, typeVolume, opt["volume-id"], cliVolume)
			},
		},
		"compute volume-attachment list": {
			options:  append([]string{"compartment-id", "availability-domain", "instance-id", "volume-id"}, paging...),
			required: []string{"compartment-id"}, flags: []string{"all"}, service: "compute", run: listAttachments,
		},
		"compute volume-attachment get": {
			options: []string{"volume-attachment-id"}, required: []string{"volume-attachment-id"}, service: "compute",
			run: func(_ context.Context, c *Cloud, opt map[string]string) (*answer, error) {
				return oneAttachment(c, opt["volume-attachment-id"], "", "")
			},
		},
		"compute volume-attachment attach": {
			options:  append([]string{"type", "instance-id", "volume-id", "device", "display-name", "is-read-only", "is-shareable"}, waiting...),
			required: []string{"instance-id", "type", "volume-id"}, service: "compute", run: runAttach,
		},
		"compute volume-attachment attach-paravirtualized-volume": {
			options: append([]string{
				"instance-id", "volume-id", "device", "display-name", "is-read-only", "is-shareable", "is-pv-encryption-in-transit-enabled",
			}, waiting...),
			required: []string{"instance-id", "volume-id"}, service: "compute", run: runAttach,
		},
		"compute volume-attachment detach": {
			options: append([]string{"volume-attachment-id", "if-match"}, waiting...), flags: []string{"force"},
			required: []string{"volume-attachment-id"}, confirm: true, service: "compute", run: runDetach,
		},
		"compute instance get": {
			options: []string{"instance-id"}, required: []string{"instance-id"}, service: "compute",
			run: func(_ context.Context, c *Cloud, opt map[string]string) (*answer, error) {
				var data any
				c.read(func(s *state) {
					if i, ok := s.Instances[opt["instance-id"]]; ok {
						data = cliInstance(i)
					}
				})
				if data == nil {
					return nil, notFound(opt["instance-id"])
				}
				return &answer{data: data, etag: true}, nil
			},
		},
		"network private-ip list": {
			options: append([]string{"subnet-id", "vnic-id", "ip-address", "vlan-id"}, paging...),
			flags:   []string{"all"}, service: "virtual_network", run: listPrivateIPs,
		},
		"network private-ip get": {
			options: []string{"private-ip-id"}, required: []string{"private-ip-id"}, service: "virtual_network",
			run: func(_ context.Context, c *Cloud, opt map[string]string) (*answer, error) {
				return onePrivateIP(c, opt["private-ip-id"])
			},
		},
		"network vnic get": {
			options: []string{"vnic-id"}, required: []string{"vnic-id"}, service: "virtual_network",
			run: func(_ context.Context, c *Cloud, opt map[string]string) (*answer, error) {
				var data any
				c.read(func(s *state) {
					if i := s.byVNIC(opt["vnic-id"]); i != nil {
						data = cliVNIC(i)
					}
				})
				if data == nil {
					return nil, notFound(opt["vnic-id"])
				}
				return &answer{data: data, etag: true}, nil
			},
		},
		"network vnic assign-private-ip": {
			options: []string{"vnic-id", "vlan-id", "ip-address", "display-name", "hostname-label", "defined-tags", "freeform-tags"},
			flags:   []string{"unassign-if-already-assigned"}, required: []string{"vnic-id"}, service: "virtual_network", run: runAssign,
		},
	}
	maps.Copy(commands, backupCommands)
}

func ofCompartment(opt map[string]string) error {
	if id := opt["compartment-id"]; id != CompartmentID {
		if id == "" {
			return &Error{400, "MissingParameter", "compartmentId is required"}
		}
		return notFound(id)
	}
	return nil
}

// one prints a resource.
func one(c *Cloud, token, id string, view func(r *resource) Props) (*answer, error) {
	var data any
	c.read(func(s *state) {
		if r, ok := s.get(token, id); ok {
			data = view(r)
		}
	})
	if data == nil {
		return nil, notFound(id)
	}
	return &answer{data: data, etag: true}, nil
}

func listVolumes(_ context.Context, c *Cloud, opt map[string]string) (*answer, error) {
	if err := ofCompartment(opt); err != nil {
		return nil, err
	}
	if ad := opt["availability-domain"]; ad != "" && !knownAD(ad) {
		return nil, invalid("availabilityDomain %q does not exist", ad)
	}
	out := []any{}
	c.read(func(s *state) {
		for _, r := range s.of(typeVolume) {
			if matches(opt, map[string]string{
				"availability-domain": str(r.In, "availabilityDomain"), "lifecycle-state": r.State, "display-name": nameOf(r),
			}) {
				out = append(out, cliVolume(r))
			}
		}
	})
	return &answer{data: out}, nil
}

// matches compares the filters that were given; states in any case, as the real
// command takes them.
func matches(opt, has map[string]string) bool {
	for key, value := range has {
		wanted := opt[key]
		if key == "lifecycle-state" {
			wanted = strings.ToUpper(wanted)
		}
		if wanted != "" && wanted != value {
			return false
		}
	}
	return true
}

func listAttachments(_ context.Context, c *Cloud, opt map[string]string) (*answer, error) {
	if err := ofCompartment(opt); err != nil {
		return nil, err
	}
	out := []any{}
	c.read(func(s *state) {
		for _, a := range s.attachments() {
			if matches(opt, map[string]string{"instance-id": a.Instance, "volume-id": a.Volume, "availability-domain": a.AD}) {
				out = append(out, cliAttachment(a))
			}
		}
	})
	return &answer{data: out}, nil
}

func oneAttachment(c *Cloud, id, as, note string) (*answer, error) {
	var data Props
	c.read(func(s *state) {
		if a, ok := s.Attachments[id]; ok {
			data = cliAttachment(a)
		}
	})
	if data == nil {
		return nil, notFound(id)
	}
	if as != "" {
		data["lifecycle-state"] = as
	}
	return &answer{data: data, etag: true, note: note}, nil
}

// waitNote is what the real command says while it waits for a state.
func waitNote(opt map[string]string) string {
	return fmt.Sprintf("Action completed. Waiting until the resource has entered state: ('%s',)\n", strings.ToUpper(opt["wait-for-state"]))
}

func runAttach(ctx context.Context, c *Cloud, opt map[string]string) (*answer, error) {
	if t := strings.ToLower(opt["type"]); t != "" && t != "paravirtualized" {
		if t != "iscsi" {
			return nil, invalid("type must be iscsi or paravirtualized, got %q", t)
		}
		return nil, &Error{501, "NotImplemented", "the lab attaches volumes paravirtualized only"}
	}
	id, err := c.attach(ctx, opt["instance-id"], opt["volume-id"], opt["device"], "paravirtualized", opt["display-name"])
	if err != nil {
		return nil, err
	}
	if opt["wait-for-state"] == "" {
		return oneAttachment(c, id, attaching, "") // what the real one has seen by then
	}
	return oneAttachment(c, id, "", waitNote(opt))
}

func runDetach(ctx context.Context, c *Cloud, opt map[string]string) (*answer, error) {
	if err := c.detach(ctx, opt["volume-attachment-id"]); err != nil {
		return nil, err
	}
	if opt["wait-for-state"] == "" {
		return &answer{}, nil
	}
	return oneAttachment(c, opt["volume-attachment-id"], "", waitNote(opt))
}

func listPrivateIPs(_ context.Context, c *Cloud, opt map[string]string) (*answer, error) {
	if opt["subnet-id"] == "" && opt["vnic-id"] == "" {
		return nil, invalid("one of subnetId, vnicId or vlanId is required, and subnetId with ipAddress")
	}
	if id := opt["subnet-id"]; id != "" {
		if _, ok := findSubnet(id); !ok {
			return nil, notFound(id)
		}
	}
	out := []any{}
	found := false
	c.read(func(s *state) {
		for _, i := range s.instances() {
			found = found || i.VNIC == opt["vnic-id"]
			if matches(opt, map[string]string{"subnet-id": i.Subnet, "vnic-id": i.VNIC, "ip-address": i.Address}) {
				out = append(out, cliPrimaryIP(i))
			}
		}
		for _, r := range s.of(typePrivateIP) {
			if r.State == available && matches(opt, map[string]string{"subnet-id": r.Subnet, "vnic-id": r.VNIC, "ip-address": r.Address}) {
				out = append(out, cliPrivateIP(r))
			}
		}
	})
	if id := opt["vnic-id"]; id != "" && !found {
		return nil, notFound(id)
	}
	return &answer{data: out}, nil
}

func onePrivateIP(c *Cloud, id string) (*answer, error) {
	var data any
	c.read(func(s *state) {
		for _, i := range s.Instances {
			if i.PrivateIP == id {
				data = cliPrimaryIP(i)
			}
		}
	})
	if data != nil {
		return &answer{data: data, etag: true}, nil
	}
	return one(c, typePrivateIP, id, cliPrivateIP)
}

// runAssign does what the real command does on the client's side: it looks the
// address up in the VNIC's subnet, leaves it alone when the VNIC has it, and
// moves it only when told to.
func runAssign(ctx context.Context, c *Cloud, opt map[string]string) (*answer, error) {
	vnic, address := opt["vnic-id"], opt["ip-address"]
	var id, holder string
	known, primary := false, false
	c.read(func(s *state) {
		i := s.byVNIC(vnic)
		if known = i != nil; !known {
			return
		}
		for _, r := range s.of(typePrivateIP) {
			if r.State == available && r.Subnet == i.Subnet && r.Address == address {
				id, holder = r.ID, r.VNIC
			}
		}
		for _, o := range s.Instances {
			if o.Subnet == i.Subnet && o.Address == address {
				id, holder, primary = o.PrivateIP, o.VNIC, true
			}
		}
	})
	switch {
	case !known:
		return nil, notFound(vnic)
	case id == "":
		return nil, &Error{501, "NotImplemented", "the lab assigns existing private IPs only, and " + address + " is none of the subnet's"}
	case holder == vnic:
		return &answer{note: fmt.Sprintf("Taking no action as IP address %s is already assigned to VNIC %s\n", address, vnic)}, nil
	case opt["unassign-if-already-assigned"] == "":
		if holder == "" {
			holder = "None"
		}
		return nil, clientError(fmt.Sprintf("IP address %s is already assigned to a different VNIC: %s. To reassign it, "+
			"re-run this command with the --unassign-if-already-assigned option\n", address, holder))
	case primary:
		return nil, invalid("IP address %s is the primary one of VNIC %s and cannot be moved", address, holder)
	}
	if err := c.assign(ctx, id, vnic); err != nil {
		return nil, err
	}
	return onePrivateIP(c, id)
}
