package ocihosts

import (
	"github.com/emqx-oci/emqx-oci/components/blast"
	"github.com/emqx-oci/emqx-oci/components/blast/phrase"
)

// Seconds of OCI: those of lab/cloud/latency.go, which names source or assumption of each.
const (
	wordsVolumeSeconds  = 11
	wordsPoolSeconds    = 15
	wordsLaunchSeconds  = 75
	wordsBootSeconds    = 60
	wordsAttachSeconds  = 15
	wordsAddressSeconds = 3
	wordsEndSeconds     = 60
)

const (
	// wordsInstallSeconds is for packages and agents of a fresh instance; none where the image has them.
	wordsInstallSeconds = 60
	// wordsUnitsSeconds is what an instance's boot takes on a cloud without latencies.
	wordsUnitsSeconds = 8
)

// takes is the time of all that was found.
func (w *wordsHosts) takes() {
	if len(w.Nodes.Added)+len(w.Nodes.Relaunched)-w.turns > 0 {
		w.Takes(blast.Making, blast.Part{What: "launch and boot of instances, all at once", Seconds: w.launch(wordsVolumeSeconds)})
	} else if w.Has(wordsTakesVolume) {
		w.Takes(blast.Making, blast.Part{What: "volumes", Seconds: w.Latency(wordsVolumeSeconds)})
	}
	if w.turns > 0 {
		w.Takes(blast.Relaunching, blast.Part{What: phrase.InTurn(w.turns, "instance") + " relaunched", Seconds: w.turns * w.away()})
	}
	if len(w.Nodes.Removed) > 0 {
		w.Takes(blast.Ending, blast.Part{What: "end of instances", Seconds: w.Latency(wordsEndSeconds + wordsPoolSeconds)})
	}
}

// launch is what a pool's instance takes after what OCI does before, in seconds: it boots, however quick the
// cloud.
func (w *wordsHosts) launch(before int) int {
	const seconds = wordsPoolSeconds + wordsLaunchSeconds + wordsBootSeconds + wordsInstallSeconds + wordsAttachSeconds + wordsAddressSeconds
	return max(wordsUnitsSeconds, w.Latency(before+seconds))
}

// away is how long a node that is relaunched is not there: its pool and its instance end, and others come.
func (w *wordsHosts) away() int { return w.Rejoin() + w.launch(wordsPoolSeconds+wordsEndSeconds) }

// wordsTakesVolume fits changes of volumes that OCI takes its time for.
func wordsTakesVolume(c *blast.Change) bool {
	if c.ShortType() != wordsVolume {
		return false
	}
	switch c.Op {
	case blast.Update, blast.Replace:
		return true
	case blast.Create:
		return wordsBackupOf(c) != ""
	}
	return c.Op == blast.Delete && !c.Retained
}
