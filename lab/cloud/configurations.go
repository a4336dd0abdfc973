package cloud

import (
	"encoding/base64"
	"maps"
	"slices"
)

// maxMetadata is OCI's limit for all metadata of an instance together, in bytes.
const maxMetadata = 32000

var configurationKind = kind{
	noun: "instanceconfiguration", starting: available, ready: available,
	check: func(s *state, _ string, in, old Props) error {
		if err := need(in, "compartmentId"); err != nil {
			return err
		}
		details := sub(in, "instanceDetails")
		if details == nil {
			return &Error{400, "MissingParameter", "instanceDetails is required"}
		}
		if old != nil {
			if !equal(details, sub(old, "instanceDetails")) {
				return invalid("instanceDetails of an instance configuration cannot be changed; make a new configuration")
			}
			return nil
		}
		if err := oneOf(details, "instanceType", "compute"); err != nil {
			return err
		}
		launch := sub(details, "launchDetails")
		if launch == nil {
			return &Error{400, "MissingParameter", "instanceDetails.launchDetails is required"}
		}
		return checkLaunch(s, launch)
	},
	held: func(s *state, r *resource) error {
		for _, p := range s.of(typePool) {
			if str(p.In, "instanceConfigurationId") == r.ID {
				return conflict("InstanceConfiguration %s is in use by instance pool %s", r.ID, p.ID)
			}
		}
		return nil
	},
	view: func(_ *state, r *resource) Props {
		deferred := []any{}
		details := clone(sub(r.In, "instanceDetails"))
		launch := sub(details, "launchDetails")
		// The service answers what it was not told, too.
		if vnic := sub(launch, "createVnicDetails"); vnic != nil && vnic["assignPrivateDnsRecord"] == nil {
			vnic["assignPrivateDnsRecord"] = true
		}
		for _, k := range []string{"availabilityDomain", "compartmentId"} {
			if str(launch, k) == "" {
				deferred = append(deferred, k)
			}
		}
		return Props{
			"id": r.ID, "compartmentId": str(r.In, "compartmentId"), "displayName": nameOf(r), "source": "NONE",
			"definedTags": orEmptyMap(sub(r.In, "definedTags")), "freeformTags": orEmptyMap(sub(r.In, "freeformTags")),
			"instanceDetails": details, "deferredFields": deferred, "timeCreated": stamp(r.Created),
		}
	},
}

// checkLaunch refuses early what OCI refuses only when a pool launches: a pool
// that stays in SCALING says nothing about the reason.
func checkLaunch(s *state, launch Props) error {
	if err := need(launch, "shape"); err != nil {
		return err
	}
	if c := str(launch, "compartmentId"); c != "" && c != CompartmentID {
		return notFound(c)
	}
	if ad := str(launch, "availabilityDomain"); ad != "" && !knownAD(ad) {
		return invalid("availabilityDomain %q does not exist", ad)
	}
	source := sub(launch, "sourceDetails")
	if source == nil {
		return &Error{400, "MissingParameter", "launchDetails.sourceDetails is required"}
	}
	if err := oneOf(source, "sourceType", "image"); err != nil {
		return err
	}
	if image := str(source, "imageId"); image != ImageID {
		return notFound(image)
	}
	if err := within(source, "bootVolumeSizeInGbs", 50, maxVolumeGB); err != nil {
		return err
	}
	vnic := sub(launch, "createVnicDetails")
	if id := str(vnic, "subnetId"); id != "" {
		net, ok := findSubnet(id)
		if !ok {
			return notFound(id)
		}
		if !net.public && flag(vnic, "assignPublicIp", false) {
			return invalid("subnet %s prohibits public IP addresses, but assignPublicIp is true", net.name)
		}
	}
	if err := checkGroups(s, strs(vnic, "nsgIds")); err != nil {
		return err
	}
	total := 0
	for _, key := range slices.Sorted(maps.Keys(sub(launch, "metadata"))) {
		value, ok := sub(launch, "metadata")[key].(string)
		if !ok {
			return invalid("metadata.%s must be a string", key)
		}
		total += len(key) + len(value)
		if key == "user_data" {
			if _, err := base64.StdEncoding.DecodeString(value); err != nil {
				return invalid("metadata.user_data must be base64-encoded: %v", err)
			}
		}
	}
	if total > maxMetadata {
		return invalid("metadata must not be larger than %d bytes in all, got %d", maxMetadata, total)
	}
	return nil
}
