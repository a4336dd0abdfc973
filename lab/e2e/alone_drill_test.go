//go:build lab && drill

package e2e

import "testing"

// Chapters of the story of TestLab, each group on a lab of its own: for work on them.

// TestOperate is the work between two updates on a lab of its own.
func TestOperate(t *testing.T) {
	b := newBed(t)
	b.must(t, "lab", "up")
	b.must(t, "up", "lab", "--yes")
	for name, chapter := range map[string]func(*testing.T, *bed){"rebalanced": rebalanced, "full stop": fullStop} {
		if !t.Run(name, func(t *testing.T) { chapter(t, b) }) {
			b.diagnose(t)
			t.FailNow()
		}
	}
}

// TestRelaunch is both chapters on a lab of their own.
func TestRelaunch(t *testing.T) {
	b := newBed(t)
	b.must(t, "lab", "up")
	b.must(t, "up", "lab", "--yes")
	for _, c := range []struct {
		name string
		f    func(*testing.T)
	}{
		{"more memory", func(t *testing.T) { b.underLoad(t, func() { vertical(t, b) }) }},
		{"a lost instance, then another image", func(t *testing.T) { relaunchThenImage(t, b) }},
	} {
		if !t.Run(c.name, c.f) {
			b.diagnose(t)
			return
		}
	}
}

// TestVolumes is the chapters on volumes by themselves.
func TestVolumes(t *testing.T) {
	b := newBed(t)
	t.Cleanup(func() {
		if t.Failed() {
			b.diagnose(t)
		}
	})
	b.must(t, "lab", "up")
	b.must(t, "up", "lab", "--yes")
	t.Run("back", func(t *testing.T) { volumesBack(t, b) })
	t.Run("stay", func(t *testing.T) { volumesStay(t, b) })
	destroyed(t, b)
}
