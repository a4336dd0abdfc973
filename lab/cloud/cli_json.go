package cloud

import "time"

// cliTime is a time as the real command prints it.
func cliTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000+00:00") }

func cliVolume(r *resource) Props {
	return Props{
		"id": r.ID, "availability-domain": str(r.In, "availabilityDomain"), "compartment-id": CompartmentID, "display-name": nameOf(r),
		"lifecycle-state": r.State, "size-in-gbs": volumeGB(r.In), "size-in-mbs": volumeGB(r.In) * 1024,
		"vpus-per-gb": wholeOr(r.In, "vpusPerGb", 10), "auto-tuned-vpus-per-gb": nil, "autotune-policies": nil,
		"block-volume-replicas": nil, "cluster-placement-group-id": nil, "is-auto-tune-enabled": false, "is-hydrated": true,
		"is-reservations-enabled": false, "kms-key-id": nil, "source-details": nil, "volume-group-id": nil, "system-tags": Props{},
		"defined-tags": orEmptyMap(sub(r.In, "definedTags")), "freeform-tags": orEmptyMap(sub(r.In, "freeformTags")),
		"time-created": cliTime(r.Created),
	}
}

func cliAttachment(a *attachment) Props {
	return Props{
		"id": a.ID, "instance-id": a.Instance, "volume-id": a.Volume, "device": a.Device, "lifecycle-state": a.State,
		"attachment-type": a.Type, "availability-domain": a.AD, "compartment-id": CompartmentID, "display-name": a.Name,
		"encryption-in-transit-type": "NONE", "is-multipath": nil, "is-pv-encryption-in-transit-enabled": false, "is-read-only": false,
		"is-shareable": false, "is-volume-created-during-launch": false, "iscsi-login-state": nil, "time-created": cliTime(a.Created),
	}
}

func cliInstance(i *instance) Props {
	return Props{
		"id": i.ID, "display-name": i.Name, "availability-domain": i.AD, "fault-domain": i.FaultDomain, "compartment-id": CompartmentID,
		"lifecycle-state": i.State, "region": Region, "shape": i.Shape, "image-id": i.Image, "instance-configuration-id": i.Config,
		"shape-config": Props{"ocpus": i.OCPUs, "memory-in-gbs": i.MemoryGB},
		"metadata":     strings2any(i.Metadata), "extended-metadata": orEmptyMap(i.ExtendedMetadata), "launch-mode": "PARAVIRTUALIZED",
		"source-details": Props{"source-type": "image", "image-id": i.Image},
		"freeform-tags":  strings2any(i.Tags), "defined-tags": orEmptyMap(i.Defined), "system-tags": Props{},
		"time-created": cliTime(i.Created), "time-maintenance-reboot-due": nil,
	}
}

func cliVNIC(i *instance) Props {
	groups := []any{}
	for _, g := range i.Groups {
		groups = append(groups, g)
	}
	return Props{
		"id": i.VNIC, "display-name": i.VNICName, "availability-domain": i.AD, "compartment-id": CompartmentID, "lifecycle-state": available,
		"private-ip": i.Address, "public-ip": nil, "mac-address": i.MAC, "subnet-id": i.Subnet, "is-primary": true, "nsg-ids": groups,
		"hostname-label": i.Hostname, "skip-source-dest-check": false, "vlan-id": nil, "freeform-tags": strings2any(i.VNICTags),
		"defined-tags": orEmptyMap(i.VNICsDefined), "time-created": cliTime(i.Created),
	}
}

func cliPrivateIP(r *resource) Props {
	out := cliAddress(r.ID, r.Subnet, r.Address, r.VNIC, strOr(r.In, "lifetime", "EPHEMERAL"), false, r.Created)
	out["display-name"] = nameOf(r)
	out["freeform-tags"] = orEmptyMap(sub(r.In, "freeformTags"))
	out["defined-tags"] = orEmptyMap(sub(r.In, "definedTags"))
	return out
}

func cliPrimaryIP(i *instance) Props {
	out := cliAddress(i.PrivateIP, i.Subnet, i.Address, i.VNIC, "EPHEMERAL", true, i.Created)
	out["display-name"], out["hostname-label"] = i.VNICName, i.Hostname
	return out
}

func cliAddress(id, subnetID, address, vnic, lifetime string, primary bool, created time.Time) Props {
	out := Props{
		"id": id, "subnet-id": subnetID, "ip-address": address, "vnic-id": nil, "ip-state": available, "lifetime": lifetime,
		"is-primary": primary, "is-reserved": lifetime == "RESERVED", "availability-domain": nil, "cidr-prefix-length": nil,
		"compartment-id": CompartmentID, "hostname-label": nil, "route-table-id": nil, "vlan-id": nil, "freeform-tags": Props{},
		"defined-tags": Props{}, "time-created": cliTime(created),
	}
	if vnic != "" {
		out["vnic-id"], out["ip-state"] = vnic, "ASSIGNED"
	}
	return out
}
