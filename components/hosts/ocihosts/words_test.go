package ocihosts_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/golden"

	"github.com/emqx-oci/emqx-oci/components/blast"
	"github.com/emqx-oci/emqx-oci/components/edge/nlb"
	"github.com/emqx-oci/emqx-oci/components/hosts/ocihosts"
	"github.com/emqx-oci/emqx-oci/components/names/ocidns"
	"github.com/emqx-oci/emqx-oci/components/proxy/haproxy"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

var wordsKinds = blast.Kinds{Hosts: ocihosts.Hosts{}.Words(), Edge: nlb.Edge{}.Words(), Proxy: haproxy.Proxy{}.Words(), Names: ocidns.Names{}.Words()}

// wordsSettings are those of a stack of three nodes.
func wordsSettings() settings.Settings {
	s := settings.Settings{Environment: "lab", Latency: 1}
	s.Nodes.Count = 3
	s.Broker.ShutdownDelay, s.Broker.MinHealthyTime = 15*time.Second, 15*time.Second
	return s
}

// wordsAccounted: every change is in exactly one line.
func wordsAccounted(t *testing.T, changes []blast.Change, r blast.Report) {
	t.Helper()
	var want, got []string
	for i := range changes {
		want = append(want, changes[i].Label())
	}
	for _, l := range r.Lines {
		got = append(got, l.Resources...)
	}
	slices.Sort(want)
	slices.Sort(got)
	assert.DeepEqual(t, got, want)
}

// A volume that shrinks is refused by a guard; should one come through, the
// report does not call it growth.
func TestWordsOfAVolumeThatShrinks(t *testing.T) {
	r := blast.Assess([]blast.Change{{Op: blast.Update, Type: "oci:Core/volume:Volume", Name: "volumes-1", Diffs: []blast.Diff{{Path: "sizeInGbs", Kind: "update", Old: "150", New: "100"}}}}, wordsSettings(), wordsKinds)
	assert.Equal(t, r.Lines[0].Text, "The volume of emqx-lab-1 shrinks from 150 to 100 GB")
	assert.Equal(t, r.Severity, blast.Interruption)
}

func TestWordsOfVolumesThatAreAllLost(t *testing.T) {
	var changes []blast.Change
	for i := range 3 {
		changes = append(changes, blast.Change{
			Op: blast.Replace, Type: "oci:Core/volume:Volume", Name: fmt.Sprintf("volumes-%d", i), Old: map[string]any{"sizeInGbs": "150"},
			Diffs: []blast.Diff{{Path: "availabilityDomain", Kind: "update", Replaces: true, Old: "A", New: "B"}},
		})
	}
	r := blast.Assess(changes, wordsSettings(), wordsKinds)
	assert.Equal(t, r.Severity, blast.DataLoss)
	assert.DeepEqual(t, r.Nodes.VolumeLost, []string{"emqx-lab-0", "emqx-lab-1", "emqx-lab-2"})
	assert.Assert(t, strings.Contains(r.Lines[0].Details[1], "the whole cluster"), "%+v", r.Lines)
}

func TestWordsOfVolumesThatComeWithData(t *testing.T) {
	const volume = "oci:Core/volume:Volume"
	from := func(id string) map[string]any {
		return map[string]any{"sizeInGbs": "50", "sourceDetails": map[string]any{"type": "volumeBackup", "id": id}}
	}
	changes := []blast.Change{
		{Op: blast.Create, Type: volume, Name: "volumes-1", New: from("ocid1.volumebackup.oc1..night")},
		{Op: blast.Import, Type: volume, Name: "volumes-2", New: map[string]any{"sizeInGbs": "50"}},
	}
	s := wordsSettings()
	s.Volumes.Restore = map[string]string{"0": "ocid1.volumebackup.oc1..old", "1": "ocid1.volumebackup.oc1..night"}
	s.Volumes.Adopt = map[string]string{"2": "ocid1.volume.oc1..kept"}
	report := blast.Assess(changes, s, wordsKinds)
	wordsAccounted(t, changes, report)
	var text bytes.Buffer
	assert.NilError(t, report.Text(&text, false))
	golden.Assert(t, text.String(), "volumes-with-data.txt")

	// Settings that stay in the file when all is done are no reason to worry.
	report = blast.Assess(nil, s, wordsKinds)
	text.Reset()
	assert.NilError(t, report.Text(&text, false))
	golden.Assert(t, text.String(), "volumes-as-they-are.txt")
}

func TestWordsOfVolumesThatStay(t *testing.T) {
	var changes []blast.Change
	for _, n := range []string{"1", "2"} {
		changes = append(changes, blast.Change{
			Op: blast.Replace, Type: "oci:Core/volume:Volume", Name: "volumes-" + n, Retained: true, ID: "ocid1.volume.oc1.lab-1." + n,
			Old:   map[string]any{"sizeInGbs": "50"},
			Diffs: []blast.Diff{{Path: "availabilityDomain", Kind: "update", Replaces: true, Old: "AD-" + n, New: "AD-3"}},
		})
	}
	report := blast.Assess(changes, wordsSettings(), wordsKinds)
	wordsAccounted(t, changes, report)
	assert.Assert(t, len(report.Nodes.VolumeLost) == 0, "%+v", report)
	var text bytes.Buffer
	assert.NilError(t, report.Text(&text, false))
	golden.Assert(t, text.String(), "volumes-exchanged-retained.txt")
}

// A cloud with a part of OCI's latencies has a part of the estimate; an instance has to boot all the same.
func TestWordsFollowTheCloudsLatency(t *testing.T) {
	for latency, want := range map[float64][2]int{1: {239, 303 + 20}, 0.5: {120, 152 + 10}, 0: {8, 8}} {
		s := wordsSettings()
		s.Latency = latency
		seconds := func(op, what string) int {
			r := blast.Assess([]blast.Change{{Op: op, Type: "oci:Core/instancePool:InstancePool", Name: "pools-2"}}, s, wordsKinds)
			i := slices.IndexFunc(r.Estimate.Parts, func(p blast.Part) bool { return strings.HasPrefix(p.What, what) })
			assert.Assert(t, i >= 0, "%+v", r.Estimate)
			return r.Estimate.Parts[i].Seconds
		}
		// EMQX leaves, stops, joins and stays healthy, however quick the cloud.
		const fixed = 15 + 5 + 15 + 15
		assert.Equal(t, seconds(blast.Create, "launch and boot"), want[0])
		assert.Equal(t, seconds(blast.Replace, "1 instance relaunched"), want[1]+fixed)
	}
}

// A listener that goes shuts its clients out, whatever ranges others have; a range that goes
// inside a wider one of the same listener shuts out nobody.
func TestWordsOfAListenerThatGoes(t *testing.T) {
	gone := func(s settings.Settings) blast.Line {
		r := blast.Assess([]blast.Change{{
			Op: blast.Delete, Type: "oci:Core/networkSecurityGroupSecurityRule:NetworkSecurityGroupSecurityRule", Name: "groups-nodes-in-tcp-1883-from-203.0.113.0-24",
			Old: map[string]any{"description": "clients through the balancer, mqtt"},
		}}, s, wordsKinds)
		assert.Equal(t, len(r.Lines), 1)
		return r.Lines[0]
	}
	s := wordsSettings()
	s.Network.ClientCIDRs = []string{"203.0.113.0/24"}
	s.Listeners.MQTT.Open = settings.OpenNone
	l := gone(s)
	assert.Equal(t, l.Severity, blast.Interruption)
	assert.Equal(t, l.Text, "Clients of 203.0.113.0/24 may no longer reach mqtt")
	s.Listeners.MQTT = settings.Listener{ClientCIDRs: []string{"203.0.0.0/16"}}
	l = gone(s)
	assert.Equal(t, l.Severity, blast.Notice)
	assert.Equal(t, l.Text, "Clients of 203.0.113.0/24 may no longer reach mqtt, but another range of theirs lets them in")
}
