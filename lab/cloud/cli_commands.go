package cloud

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/emqx-oci/emqx-oci/internal/ocicli"
)

// commands of the real `oci` that the lab has, by their full name. Note that `oci
// network private-ip update` has no --vnic-id: the real command suppresses it and moves
// addresses with `network vnic assign-private-ip` only.
var commands map[string]command

func init() {
	commands = map[string]command{
		"bv volume list":                                          {service: "blockstorage", run: listVolumes},
		"bv volume get":                                           {service: "blockstorage", run: getVolume},
		"compute volume-attachment list":                          {service: "compute", run: listAttachments},
		"compute volume-attachment get":                           {service: "compute", run: getAttachment},
		"compute volume-attachment attach":                        {service: "compute", run: runAttach},
		"compute volume-attachment attach-paravirtualized-volume": {service: "compute", run: runAttach},
		"compute volume-attachment detach":                        {service: "compute", run: runDetach},
		"compute instance get":                                    {service: "compute", run: getInstance},
		"network private-ip list":                                 {service: "virtual_network", run: listPrivateIPs},
		"network private-ip get":                                  {service: "virtual_network", run: getPrivateIP},
		"network vnic get":                                        {service: "virtual_network", run: getVNIC},
		"network vnic assign-private-ip":                          {service: "virtual_network", run: runAssign},
		"secrets secret-bundle get":                               {service: "secrets", run: getSecret},
	}
	maps.Copy(commands, backupCommands)
}

func getVolume(_ context.Context, c *Cloud, call *ocicli.Call) (*answer, error) {
	return oneResource(c, typeVolume, call.Option("volume-id"), cliVolume)
}

func getAttachment(_ context.Context, c *Cloud, call *ocicli.Call) (*answer, error) {
	return oneAttachment(c, call.Option("volume-attachment-id"))
}

func getInstance(_ context.Context, c *Cloud, call *ocicli.Call) (*answer, error) {
	id := call.Option("instance-id")
	return one(c, id, func(s *state) Props {
		if i, ok := s.Instances[id]; ok {
			return cliInstance(i)
		}
		return nil
	})
}

func getVNIC(_ context.Context, c *Cloud, call *ocicli.Call) (*answer, error) {
	id := call.Option("vnic-id")
	return one(c, id, func(s *state) Props {
		if i := s.byVNIC(id); i != nil {
			return cliVNIC(i)
		}
		return nil
	})
}

// getSecret has the vault's secrets, each in its one version.
func getSecret(_ context.Context, c *Cloud, call *ocicli.Call) (*answer, error) {
	id := call.Option("secret-id")
	content, ok := c.secrets[id]
	if !ok {
		return nil, notFound(id)
	}
	return &answer{
		data: Props{
			"secret-id": id, "version-number": 1, "version-name": nil, "stages": []any{"CURRENT", "LATEST"},
			"secret-bundle-content": Props{"content-type": "BASE64", "content": base64.StdEncoding.EncodeToString([]byte(content))},
			"metadata":              nil, "time-created": fixedCreated, "time-of-deletion": nil, "time-of-expiry": nil,
		},
		etag: true,
	}, nil
}

func ofCompartment(call *ocicli.Call) error {
	if id := call.Option("compartment-id"); id != CompartmentID {
		if id == "" {
			return &Error{400, "MissingParameter", "compartmentId is required"}
		}
		return notFound(id)
	}
	return nil
}

// one prints what look finds; nil is not found.
func one(c *Cloud, id string, look func(s *state) Props) (*answer, error) {
	var data Props
	c.read(func(s *state) { data = look(s) })
	if data == nil {
		return nil, notFound(id)
	}
	return &answer{data: data, etag: true}, nil
}

func oneResource(c *Cloud, token, id string, view func(r *resource) Props) (*answer, error) {
	return one(c, id, func(s *state) Props {
		if r, ok := s.get(token, id); ok {
			return view(r)
		}
		return nil
	})
}

func listVolumes(_ context.Context, c *Cloud, call *ocicli.Call) (*answer, error) {
	if err := ofCompartment(call); err != nil {
		return nil, err
	}
	if ad := call.Option("availability-domain"); ad != "" && !knownAD(ad) {
		return nil, invalid("availabilityDomain %q does not exist", ad)
	}
	out := []any{}
	c.read(func(s *state) {
		for _, r := range s.of(typeVolume) {
			if matches(call, map[string]string{
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
func matches(call *ocicli.Call, has map[string]string) bool {
	for key, value := range has {
		wanted := call.Option(key)
		if key == "lifecycle-state" {
			wanted = strings.ToUpper(wanted)
		}
		if wanted != "" && wanted != value {
			return false
		}
	}
	return true
}

func listAttachments(_ context.Context, c *Cloud, call *ocicli.Call) (*answer, error) {
	if err := ofCompartment(call); err != nil {
		return nil, err
	}
	out := []any{}
	c.read(func(s *state) {
		for _, a := range s.attachments() {
			if matches(call, map[string]string{"instance-id": a.Instance, "volume-id": a.Volume, "availability-domain": a.AD}) {
				out = append(out, cliAttachment(a))
			}
		}
	})
	return &answer{data: out}, nil
}

func oneAttachment(c *Cloud, id string) (*answer, error) {
	return one(c, id, func(s *state) Props {
		if a, ok := s.Attachments[id]; ok {
			return cliAttachment(a)
		}
		return nil
	})
}

// begun prints what a command has made: in its first state, which is what the real
// command has seen by then, or as it is after the wait that was asked for.
func begun(call *ocicli.Call, first string, a *answer, err error) (*answer, error) {
	if err != nil {
		return nil, err
	}
	if call.Option("wait-for-state") != "" {
		a.note = waitNote(call, "resource")
		return a, nil
	}
	a.data.(Props)["lifecycle-state"] = first
	return a, nil
}

// waitNote is what the real command says while it waits for a state of what.
func waitNote(call *ocicli.Call, what string) string {
	return fmt.Sprintf("Action completed. Waiting until the %s has entered state: ('%s',)\n", what, strings.Join(call.Options["wait-for-state"], "', '"))
}

func runAttach(ctx context.Context, c *Cloud, call *ocicli.Call) (*answer, error) {
	if t := call.Option("type"); t != "" && t != "paravirtualized" {
		return nil, &Error{501, "NotImplemented", "the lab attaches volumes paravirtualized only"}
	}
	id, err := c.attach(ctx, call.Option("instance-id"), call.Option("volume-id"), call.Option("device"), "paravirtualized", call.Option("display-name"))
	if err != nil {
		return nil, err
	}
	a, err := oneAttachment(c, id)
	return begun(call, attaching, a, err)
}

// runDetach prints nothing, or what it waited for: a work request, which is done by then.
func runDetach(ctx context.Context, c *Cloud, call *ocicli.Call) (*answer, error) {
	states := call.Options["wait-for-state"]
	if len(states) > 0 && !slices.Contains(states, "SUCCEEDED") {
		return nil, clientError("ERROR: the lab's oci command does not simulate --wait-for-state without SUCCEEDED\n")
	}
	if err := c.detach(ctx, call.Option("volume-attachment-id")); err != nil {
		return nil, err
	}
	if len(states) == 0 {
		return &answer{}, nil
	}
	return &answer{
		data: Props{
			"id": newOCID("workrequest"), "operation-type": "DetachVolume", "status": "SUCCEEDED", "percent-complete": 100.0,
			"compartment-id": CompartmentID, "time-finished": cliTime(c.clock.Now()),
		},
		etag: true, note: waitNote(call, "work request"),
	}, nil
}

func listPrivateIPs(_ context.Context, c *Cloud, call *ocicli.Call) (*answer, error) {
	if call.Option("subnet-id") == "" && call.Option("vnic-id") == "" {
		return nil, invalid("one of subnetId, vnicId or vlanId is required, and subnetId with ipAddress")
	}
	if id := call.Option("subnet-id"); id != "" {
		if _, ok := findSubnet(id); !ok {
			return nil, notFound(id)
		}
	}
	out := []any{}
	found := false
	c.read(func(s *state) {
		for _, i := range s.instances() {
			found = found || i.VNIC == call.Option("vnic-id")
			if matches(call, map[string]string{"subnet-id": i.Subnet, "vnic-id": i.VNIC, "ip-address": i.Address}) {
				out = append(out, cliPrimaryIP(i))
			}
		}
		for _, r := range s.of(typePrivateIP) {
			if r.State == available && matches(call, map[string]string{"subnet-id": r.Subnet, "vnic-id": r.VNIC, "ip-address": r.Address}) {
				out = append(out, cliPrivateIP(r))
			}
		}
	})
	if id := call.Option("vnic-id"); id != "" && !found {
		return nil, notFound(id)
	}
	return &answer{data: out}, nil
}

func getPrivateIP(_ context.Context, c *Cloud, call *ocicli.Call) (*answer, error) {
	return onePrivateIP(c, call.Option("private-ip-id"))
}

func onePrivateIP(c *Cloud, id string) (*answer, error) {
	return one(c, id, func(s *state) Props {
		for _, i := range s.Instances {
			if i.PrivateIP == id {
				return cliPrimaryIP(i)
			}
		}
		if r, ok := s.get(typePrivateIP, id); ok {
			return cliPrivateIP(r)
		}
		return nil
	})
}

// runAssign does what the real command does on the client's side: it looks the
// address up in the VNIC's subnet, leaves it alone when the VNIC has it, and
// moves it only when told to.
func runAssign(ctx context.Context, c *Cloud, call *ocicli.Call) (*answer, error) {
	vnic, address := call.Option("vnic-id"), call.Option("ip-address")
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
	case call.Option("unassign-if-already-assigned") == "":
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
