package cloud

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/internal/ocicli"
)

// oci runs a command as an instance principal and returns its data.
func (l *lab) oci(caller, line string) any {
	l.t.Helper()
	stdout, stderr, exit := l.CLI(context.Background(), caller, append(strings.Fields(line), "--auth", "instance_principal"))
	assert.Equal(l.t, exit, 0, "%s: %s", line, stderr)
	if len(stdout) == 0 {
		return nil
	}
	var out Props
	assert.NilError(l.t, json.Unmarshal(stdout, &out), "%s", stdout)
	return out["data"]
}

func (l *lab) ociList(caller, line string) []Props {
	l.t.Helper()
	return subs(Props{"x": l.oci(caller, line)}, "x")
}

// ociFails runs a command that is refused.
func (l *lab) ociFails(caller, line string, exit int, message string) {
	l.t.Helper()
	stdout, stderr, got := l.CLI(context.Background(), caller, append(strings.Fields(line), "--auth", "instance_principal"))
	assert.Equal(l.t, got, exit, "%s: %s", line, stderr)
	assert.Equal(l.t, len(stdout), 0)
	assert.Assert(l.t, strings.Contains(string(stderr), message), "%s", stderr)
}

// mine is how the boot script finds what belongs to its node.
func mine(all []Props, i string) Props {
	for _, p := range all {
		if str(sub(p, "freeform-tags"), "group-index") == i && str(sub(p, "freeform-tags"), "emqx-cluster") == "lab" {
			return p
		}
	}
	return nil
}

// boot claims volume and address as the boot script does and returns the address.
func (l *lab) boot(i instance, index string) string {
	l.t.Helper()
	vol := mine(l.ociList(i.ID, "bv volume list --compartment-id "+CompartmentID+" --availability-domain "+i.AD+" --lifecycle-state AVAILABLE --all"), index)
	assert.Assert(l.t, vol != nil, "no volume")
	held := false
	for _, a := range l.ociList(i.ID, "compute volume-attachment list --compartment-id "+CompartmentID+" --volume-id "+str(vol, "id")+" --all") {
		held = held || str(a, "lifecycle-state") != "DETACHED"
	}
	assert.Assert(l.t, !held, "the volume is still held")
	a := l.oci(i.ID, "compute volume-attachment attach --type paravirtualized --instance-id "+i.ID+" --volume-id "+str(vol, "id")+
		" --device /dev/oracleoci/oraclevdb --wait-for-state ATTACHED").(Props)
	assert.Equal(l.t, a["lifecycle-state"], "ATTACHED")
	address := mine(l.ociList(i.ID, "network private-ip list --subnet-id "+PrivateSubnet+" --all"), index)
	out := l.oci(i.ID, "network vnic assign-private-ip --vnic-id "+i.VNIC+" --ip-address "+str(address, "ip-address")+
		" --unassign-if-already-assigned").(Props)
	assert.Equal(l.t, out["vnic-id"], i.VNIC)
	assert.Equal(l.t, out["ip-state"], "ASSIGNED")
	return str(out, "ip-address")
}

func TestRelaunchedInstanceReclaimsVolumeAndAddress(t *testing.T) {
	l := newLab(t)
	g := l.group("nodes")
	l.create(typeRule, ingress(g, g, 4370, 4370))
	vol, _ := l.create(typeVolume, volumeArgs(0))
	address, out := l.create(typePrivateIP, addressArgs(0))
	assert.Equal(t, out["ipAddress"], "10.80.1.10")
	assert.Equal(t, out["ipState"], "AVAILABLE")
	assert.Equal(t, out["vnicId"], nil)
	pool := l.pool(0, g)
	first := l.instanceOf(pool)
	assert.Equal(t, l.boot(first, "0"), "10.80.1.10")
	assert.Equal(t, l.m.tied[vol], first.ID)
	assert.Equal(t, l.m.devices[vol], "/dev/oracleoci/oraclevdb")
	assert.Equal(t, len(l.m.firewall(first.ID).Addresses), 2)
	same(t, l.m.firewall(first.ID).Ingress[0].CIDRs, prefixes(first.Address+"/32", "10.80.1.10/32"))

	l.run()
	l.m.kill(first.ID)
	l.eventually("another instance runs", func() bool {
		s := l.Snapshot()
		return len(s.Instances) == 1 && s.Instances[0].ID != first.ID && s.Instances[0].State == running
	})
	read, err := l.Read(context.Background(), typePrivateIP, address)
	assert.NilError(t, err)
	assert.Equal(t, read["ipState"], "AVAILABLE", "the dead instance's claim is released")
	second := l.instanceOf(pool)
	assert.Equal(t, l.boot(second, "0"), "10.80.1.10")
	assert.Equal(t, l.m.tied[vol], second.ID)
	read, err = l.Read(context.Background(), typePrivateIP, address)
	assert.NilError(t, err)
	assert.Equal(t, read["vnicId"], second.VNIC)
	// OCI goes on listing the old attachment; scripts have to look at its state.
	assert.Equal(t, len(l.ociList(second.ID, "compute volume-attachment list --compartment-id "+CompartmentID+" --volume-id "+vol)), 2)
	assert.Equal(t, len(l.ociList(second.ID, "compute volume-attachment list --compartment-id "+CompartmentID+" --instance-id "+second.ID)), 1)
}

// An update of a claimed address leaves it on its node, unless it says otherwise. (It is
// the official provider that takes it off with every update: lab/providers/oci.)
func TestAClaimedAddressIsDetachedWhenThatIsAsked(t *testing.T) {
	l := newLab(t)
	ctx := context.Background()
	l.create(typeVolume, volumeArgs(0))
	id, _ := l.create(typePrivateIP, addressArgs(0))
	pool := l.pool(0)
	out, err := l.Update(ctx, typePrivateIP, id, with(addressArgs(0), "displayName", "before"))
	assert.NilError(t, err)
	assert.Equal(t, out["displayName"], "before", "one that nobody has claimed can be updated")
	i := l.instanceOf(pool)
	l.boot(i, "0")
	assert.Equal(t, len(l.m.firewall(i.ID).Addresses), 2)

	out, err = l.Update(ctx, typePrivateIP, id, with(addressArgs(0), "displayName", "after"))
	assert.NilError(t, err)
	assert.Equal(t, out["displayName"], "after")
	assert.Equal(t, out["vnicId"], i.VNIC)
	assert.Equal(t, len(l.m.firewall(i.ID).Addresses), 2)

	out, err = l.Update(ctx, typePrivateIP, id, Props{"vnicId": ""})
	assert.NilError(t, err)
	assert.Equal(t, out["displayName"], "after")
	assert.Equal(t, out["vnicId"], nil)
	assert.Equal(t, len(l.m.firewall(i.ID).Addresses), 1)
}

func TestAddresses(t *testing.T) {
	l := newLab(t)
	_, a := l.create(typePrivateIP, addressArgs(0))
	_, b := l.create(typePrivateIP, addressArgs(1))
	assert.Equal(t, a["ipAddress"], "10.80.1.10")
	assert.Equal(t, b["ipAddress"], "10.80.1.11")
	_, c := l.create(typePrivateIP, with(addressArgs(2), "ipAddress", "10.80.1.50"))
	assert.Equal(t, c["ipAddress"], "10.80.1.50")
	l.refused(typePrivateIP, with(addressArgs(3), "ipAddress", "10.80.1.50"), 409, "in use")
	l.refused(typePrivateIP, with(addressArgs(3), "ipAddress", "10.80.2.50"), 400, "subnet")
	l.refused(typePrivateIP, with(addressArgs(3), "ipAddress", "10.80.1.1"), 400, "kept")
	l.refused(typePrivateIP, with(addressArgs(3), "lifetime", "FOREVER"), 400, "lifetime")
	l.refused(typePrivateIP, with(addressArgs(3), "lifetime", "EPHEMERAL"), 400, "RESERVED")
	l.refused(typePrivateIP, with(addressArgs(3), "subnetId", nil), 400, "subnetId or vnicId")
	l.refused(typePrivateIP, with(addressArgs(3), "subnetId", "ocid1.no"), 404, "ocid1.no")
	for n := 3; n < 90; n++ {
		l.create(typePrivateIP, addressArgs(n))
	}
	l.refused(typePrivateIP, addressArgs(90), 400, "no free address")
}

func TestAttachRefusals(t *testing.T) {
	l := newLab(t)
	i := l.instanceOf(l.pool(0))
	other := l.instanceOf(l.pool(0))
	here, _ := l.create(typeVolume, volumeArgs(0))
	there, _ := l.create(typeVolume, volumeArgs(1))
	attach := func(inst, vol, device string) string {
		return "compute volume-attachment attach --type paravirtualized --instance-id " + inst + " --volume-id " + vol + " --device " + device
	}
	const b = "/dev/oracleoci/oraclevdb"
	l.ociFails(i.ID, attach(i.ID, there, b), 1, "availability domain")
	l.ociFails(i.ID, attach(i.ID, "ocid1.no", b), 1, "NotAuthorizedOrNotFound")
	l.ociFails(i.ID, attach("ocid1.no", here, b), 1, "NotAuthorizedOrNotFound")
	l.ociFails(i.ID, attach(i.ID, here, "/dev/sdb"), 1, "/dev/sdb")
	data := l.oci(i.ID, attach(i.ID, here, b)).(Props)
	assert.Equal(t, data["lifecycle-state"], "ATTACHING", "without --wait-for-state")
	l.ociFails(i.ID, attach(other.ID, here, b), 1, "already ATTACHED")
	l.ociFails(i.ID, attach(i.ID, here, b), 1, "Conflict")
	second, _ := l.create(typeVolume, volumeArgs(0))
	l.ociFails(i.ID, attach(i.ID, second, b), 1, "in use by volume "+here)

	id := str(data, "id")
	detach := "compute volume-attachment detach --volume-attachment-id " + id
	_, stderr, exit := l.CLI(context.Background(), i.ID, append(strings.Fields(detach), "--auth", "instance_principal"))
	assert.Equal(t, exit, 1)
	assert.Equal(t, string(stderr), "Aborted!\n", "without --force it asks")
	assert.Equal(t, l.m.tied[here], i.ID)
	// The state of a work request, since oci-cli 3.86.0: that of the attachment is refused.
	stdout, _, code := l.CLI(context.Background(), i.ID, append(strings.Fields(detach), "--force", "--wait-for-state", "DETACHED", "--auth", "instance_principal"))
	assert.Equal(t, code, 2)
	assert.Assert(t, strings.Contains(string(stdout), "(choose from ACCEPTED, IN_PROGRESS, FAILED, SUCCEEDED)"), "%s", stdout)
	assert.Equal(t, l.m.tied[here], i.ID)
	data = l.oci(i.ID, detach+" --force --wait-for-state SUCCEEDED --wait-for-state FAILED").(Props)
	assert.Equal(t, data["status"], "SUCCEEDED")
	assert.Equal(t, len(l.m.tied), 0)
	l.ociFails(i.ID, detach+" --force", 1, "IncorrectState")
	l.oci(other.ID, attach(other.ID, here, b))
	assert.Equal(t, l.m.tied[here], other.ID)
}

func TestTwoInstancesRaceForOneVolume(t *testing.T) {
	l := newLab(t)
	a, b := l.instanceOf(l.pool(0)), l.instanceOf(l.pool(0))
	vol, _ := l.create(typeVolume, volumeArgs(0))
	var wg sync.WaitGroup
	exits := make([]int, 2)
	for n, i := range []instance{a, b} {
		wg.Go(func() {
			_, _, exits[n] = l.CLI(context.Background(), i.ID, strings.Fields("compute volume-attachment attach --type paravirtualized --instance-id "+
				i.ID+" --volume-id "+vol+" --wait-for-state ATTACHED --auth instance_principal"))
		})
	}
	wg.Wait()
	assert.Equal(t, exits[0]+exits[1], 1, "exactly one wins")
}

func TestCLIJSONShapes(t *testing.T) {
	l := newLab(t)
	i := l.instanceOf(l.pool(1))
	stdout, _, exit := l.CLI(context.Background(), i.ID, []string{"compute", "instance", "get", "--instance-id=" + i.ID, "--auth=instance_principal"})
	assert.Equal(t, exit, 0)
	assert.Assert(t, strings.HasPrefix(string(stdout), "{\n  \"data\": {\n    \"availability-domain\": \"LAB:AD-2\","), "%s", stdout)
	assert.Assert(t, strings.Contains(string(stdout), "\n  \"etag\": "))
	got := l.oci(i.ID, "compute instance get --instance-id "+i.ID).(Props)
	assert.Equal(t, got["lifecycle-state"], "RUNNING")
	assert.Equal(t, got["display-name"], "emqx-lab-1")
	assert.Equal(t, str(sub(got, "freeform-tags"), "group-index"), "1")

	// An empty list prints nothing at all, as the real command does.
	list := "bv volume list --compartment-id " + CompartmentID
	stdout, stderr, exit := l.CLI(context.Background(), i.ID, append(strings.Fields(list), "--auth", "instance_principal"))
	assert.Equal(t, string(stdout)+string(stderr), "")
	assert.Equal(t, exit, 0)
	l.create(typeVolume, volumeArgs(0))
	vol := l.ociList(i.ID, list)[0]
	assert.Equal(t, vol["size-in-gbs"], 150.0)
	assert.Equal(t, vol["lifecycle-state"], "AVAILABLE")
	assert.Assert(t, strings.HasSuffix(str(vol, "time-created"), "+00:00"))
	assert.Equal(t, len(l.ociList(i.ID, list+" --lifecycle-state terminated")), 0)
	assert.Equal(t, len(l.ociList(i.ID, list+" --availability-domain LAB:AD-2")), 0)

	ips := l.ociList(i.ID, "network private-ip list --vnic-id "+i.VNIC+" --all")
	assert.Equal(t, len(ips), 1)
	assert.Equal(t, ips[0]["is-primary"], true)
	assert.Equal(t, ips[0]["subnet-id"], PrivateSubnet)
	vnic := l.oci(i.ID, "network vnic get --vnic-id "+i.VNIC).(Props)
	assert.Equal(t, vnic["private-ip"], i.Address)
}

func TestAssignPrivateIPAsTheRealCommandDoes(t *testing.T) {
	l := newLab(t)
	a, b := l.instanceOf(l.pool(0)), l.instanceOf(l.pool(1))
	l.create(typePrivateIP, addressArgs(0))
	assign := func(i instance) string {
		return "network vnic assign-private-ip --vnic-id " + i.VNIC + " --ip-address 10.80.1.10"
	}
	l.ociFails(a.ID, assign(a), 1, "re-run this command with the --unassign-if-already-assigned option")
	l.oci(a.ID, assign(a)+" --unassign-if-already-assigned")
	_, stderr, exit := l.CLI(context.Background(), a.ID, append(strings.Fields(assign(a)), "--auth", "instance_principal"))
	assert.Equal(t, exit, 0)
	assert.Assert(t, strings.Contains(string(stderr), "Taking no action"))
	l.oci(b.ID, assign(b)+" --unassign-if-already-assigned")
	assert.Equal(t, len(l.m.firewall(a.ID).Addresses), 1)
	assert.Equal(t, len(l.m.firewall(b.ID).Addresses), 2)
	l.ociFails(a.ID, "network vnic assign-private-ip --vnic-id "+a.VNIC+" --unassign-if-already-assigned --ip-address "+b.Address, 1, "primary")
}

// What the command refuses by itself is ocicli's to know; that the lab says it is tried here.
func TestCLIRefusesAsTheRealCommandDoes(t *testing.T) {
	l := newLab(t)
	i := l.instanceOf(l.pool(0))
	for line, want := range map[string]ocicli.Refusal{
		"compute instance get --id x":                {Stdout: "No such option: --id", Exit: ocicli.ExitUsage},
		"compute instance get":                       {Stderr: "Missing option(s) --instance-id.", Exit: ocicli.ExitRefused},
		"bv backup create --volume-id x --type HALF": {Stdout: "invalid choice: HALF. (choose from FULL, INCREMENTAL)", Exit: ocicli.ExitUsage},
		"bv volume list --query data[0]":             {Stderr: "does not simulate --query", Exit: 1},
		"bv volume list --output table":              {Stderr: "does not simulate --output table", Exit: 1},
		"bv volume update --volume-id x":             {Stderr: "does not simulate bv volume update", Exit: 1},
		"network private-ip update --vnic-id x":      {Stdout: "No such option: --vnic-id", Exit: ocicli.ExitUsage},
	} {
		stdout, stderr, exit := l.CLI(context.Background(), i.ID, strings.Fields(line))
		assert.Equal(t, exit, want.Exit, "%s: %s%s", line, stdout, stderr)
		assert.Assert(t, strings.Contains(string(stdout), want.Stdout) && strings.Contains(string(stderr), want.Stderr), "%s: %s%s", line, stdout, stderr)
	}
}

// A command that oci-cli has not would be one of the lab's own.
func TestCLIHasRealCommandsOnly(t *testing.T) {
	for name := range commands {
		assert.Assert(t, slices.Contains(ocicli.Commands(), name), name)
	}
}

func TestCLIIsForInstancePrincipals(t *testing.T) {
	l := newLab(t)
	i := l.instanceOf(l.pool(0))
	get := []string{"compute", "instance", "get", "--instance-id", i.ID}
	_, stderr, exit := l.CLI(context.Background(), i.ID, get)
	assert.Equal(t, exit, 1)
	assert.Assert(t, strings.Contains(string(stderr), "Could not find config file at"), "%s", stderr)
	_, stderr, exit = l.CLI(context.Background(), "ocid1.instance.no", append(get, "--auth", "instance_principal"))
	assert.Equal(t, exit, 1)
	assert.Assert(t, strings.Contains(string(stderr), "certificates"), "%s", stderr)
	_, stderr, exit = l.CLI(context.Background(), i.ID, []string{
		"compute", "instance", "get", "--instance-id", "ocid1.no", "--auth", "instance_principal",
	})
	assert.Equal(t, exit, 1)
	text, found := strings.CutPrefix(string(stderr), "ServiceError:\n")
	assert.Assert(t, found, "%s", stderr)
	var e Props
	assert.NilError(t, json.Unmarshal([]byte(text), &e))
	assert.Equal(t, e["status"], 404.0)
	assert.Equal(t, e["code"], "NotAuthorizedOrNotFound")
}

func TestMetadata(t *testing.T) {
	l := newLab(t)
	i := l.instanceOf(l.pool(1))
	get := func(path string) string {
		body, _, ok := l.Metadata(i.ID, path)
		assert.Assert(t, ok, path)
		return string(body)
	}
	var all Props
	assert.NilError(t, json.Unmarshal([]byte(get("/opc/v2/instance/")), &all))
	assert.Equal(t, all["id"], i.ID)
	assert.Equal(t, all["displayName"], "emqx-lab-1")
	assert.Equal(t, all["canonicalRegionName"], Region)
	assert.Equal(t, all["state"], "Running")
	assert.Equal(t, sub(all, "freeformTags")["group-index"], "1")
	assert.Equal(t, get("/opc/v2/instance/availabilityDomain"), "LAB:AD-2")
	assert.Equal(t, get("/opc/v2/instance/compartmentId"), CompartmentID)
	assert.Equal(t, get("/opc/v2/instance/metadata/user_data"), "IyEvYmluL2Jhc2gKZWNobyBoZWxsbwo=")
	assert.Equal(t, get("/opc/v2/vnics/0/privateIp"), i.Address)
	var vnics []Props
	assert.NilError(t, json.Unmarshal([]byte(get("/opc/v2/vnics/")), &vnics))
	assert.Equal(t, vnics[0]["vnicId"], i.VNIC)
	assert.Equal(t, vnics[0]["subnetCidrBlock"], "10.80.1.0/24")
	assert.Equal(t, vnics[0]["virtualRouterIp"], "10.80.1.1")
	for _, path := range []string{"/", "/opc/v2/", "/opc/v3/instance/", "/opc/v2/instance/no", "/opc/v2/vnics/1", "/opc/v2/instance/id/x", "/opc/v2/host"} {
		_, _, ok := l.Metadata(i.ID, path)
		assert.Assert(t, !ok, path)
	}
	_, _, ok := l.Metadata("ocid1.no", "/opc/v2/instance/")
	assert.Assert(t, !ok)
}

// OCI's default, which this project switches off.
func TestMetadataOfVersion1(t *testing.T) {
	l := newLab(t)
	for off, want := range map[bool]bool{false: true, true: false} {
		args := configurationArgs(1)
		details := sub(args, "instanceDetails")
		details["launchDetails"] = with(sub(details, "launchDetails"), "instanceOptions", Props{"areLegacyImdsEndpointsDisabled": off})
		cfg, _ := l.create(typeConfiguration, args)
		pool, _ := l.create(typePool, poolArgs(1, cfg))
		id := l.instanceOf(pool).ID
		for path, answers := range map[string]bool{"/opc/v1/instance/id": want, "/opc/v2/instance/id": true} {
			_, _, ok := l.Metadata(id, path)
			assert.Equal(t, ok, answers, "%s, version 1 off: %v", path, off)
		}
	}
}

// A guest that asks before its own launch is complete waits: in OCI the instance
// is RUNNING, and its rules in place, long before its first program runs.
func TestGuestWaitsForItsLaunch(t *testing.T) {
	l := newLab(t)
	cfg, _ := l.create(typeConfiguration, configurationArgs(0))
	gate := make(chan struct{})
	l.m.block["launch"] = gate
	created := make(chan error, 1)
	go func() { _, _, err := l.Create(context.Background(), typePool, poolArgs(0, cfg)); created <- err }()
	l.eventually("the launch began", func() bool { return len(l.Snapshot().Instances) == 1 })
	id := l.Snapshot().Instances[0].ID
	answer := make(chan string, 1)
	go func() { body, _, _ := l.Metadata(id, "/opc/v2/instance/state"); answer <- string(body) }()
	select {
	case a := <-answer:
		t.Fatalf("answered %q before the launch was complete", a)
	case <-time.After(50 * time.Millisecond):
	}
	close(gate)
	assert.Equal(t, <-answer, "Running")
	assert.NilError(t, <-created)
}
