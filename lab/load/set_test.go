package load

import (
	"math/rand/v2"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

func TestASetIsWhatAMapIs(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var a, b set
		inA, inB := map[uint64]bool{}, map[uint64]bool{}
		for range random.IntN(120) {
			n := random.Uint64N(60)
			assert.Equal(t, a.add(n), !inA[n])
			inA[n] = true
			n = random.Uint64N(60)
			assert.Equal(t, b.add(n), !inB[n])
			inB[n] = true
		}
		assert.Equal(t, a.count, uint64(len(inA)))
		got := map[uint64]bool{}
		last := int64(-2)
		for r := range a.without(&b) {
			assert.Assert(t, r.from <= r.to && int64(r.from) > last, "%v after %d", r, last)
			last = int64(r.to)
			for n := r.from; n <= r.to; n++ {
				got[n] = true
			}
		}
		for n := range uint64(60) {
			assert.Equal(t, a.has(n), inA[n])
			assert.Equal(t, got[n], inA[n] && !inB[n], "%d: %v without %v", n, a.spans, b.spans)
		}
		for i := 1; i < len(a.spans); i++ {
			assert.Assert(t, a.spans[i-1].to+1 < a.spans[i].from, "ranges that touch: %v", a.spans)
		}
	}
}

func TestQuantiles(t *testing.T) {
	var h histogram
	assert.Equal(t, h.quantile(0.99), time.Duration(0))
	for i := 1; i <= 1000; i++ {
		h.add(time.Duration(i) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Millisecond, 0.99: 990 * time.Millisecond, 1: time.Second} {
		got := h.quantile(q)
		assert.Assert(t, got >= want && got <= want*103/100, "%g: %s", q, got)
	}
	assert.Equal(t, h.quantiles().Max, 1.0)
	var one histogram
	one.add(7 * time.Second)
	assert.Equal(t, one.quantile(0.5), 7*time.Second, "never more than the largest")
	h.add(100 * 24 * time.Hour)
	assert.Equal(t, h.quantile(1), 100*24*time.Hour)
}

func TestTheLedgerForgetsWhatIsSettled(t *testing.T) {
	r := newRow(2, true)
	for n := range uint64(10 * blockSize) {
		at := time.Duration(n) * time.Millisecond
		assert.Equal(t, r.send(at), n)
		r.acknowledge(n, at+time.Millisecond, false)
		r.receive(0, n)
		if n != 300 {
			r.receive(1, n)
		}
	}
	assert.Equal(t, len(r.blocks), 1)
	var losses []Loss
	r.missing(1, forever, nil, func(l Loss) { losses = append(losses, l) })
	assert.DeepEqual(t, losses, []Loss{{From: 300, To: 300, Messages: 1, Fate: Lost, SentAtSeconds: 0.3, AckedAtSeconds: 0.302}})
	r.missing(0, forever, nil, func(l Loss) { t.Fatal(l) })
	r.missing(1, 300*time.Millisecond, nil, func(l Loss) { t.Fatal("that may be under way", l) })
}

func TestLossesAreToldFromWhatWasMissedWhileAway(t *testing.T) {
	r := newRow(1, true)
	second := func(d time.Duration) window {
		return window{d + lastMoment + time.Second, d + lastMoment + 2*time.Second}
	}
	assert.Equal(t, fateOf([]window{second(0)}, 0, time.Second), LostWithSession)
	assert.Equal(t, fateOf([]window{second(1)}, 0, time.Second), Lost)
	assert.Equal(t, fateOf([]window{second(0), {0, 1}}, 0, time.Second), MissedWhileAway)
	for n := range uint64(100) {
		r.send(time.Duration(n) * 10 * time.Millisecond)
		r.acknowledge(n, time.Duration(n)*10*time.Millisecond+2*time.Millisecond, false)
		if n < 20 || n > 40 && n != 90 {
			r.receive(0, n)
		}
	}
	var losses []Loss
	away := []window{{195 * time.Millisecond, 200 * time.Millisecond}, {300 * time.Millisecond, forever}}
	r.missing(0, forever, away[:1], func(l Loss) { losses = append(losses, l) })
	assert.Equal(t, len(losses), 3)
	assert.DeepEqual(t, []any{losses[0].From, losses[0].To, losses[0].Fate}, []any{uint64(20), uint64(20), MissedWhileAway})
	assert.DeepEqual(t, []any{losses[1].From, losses[1].To, losses[1].Fate}, []any{uint64(21), uint64(40), Lost})
	assert.DeepEqual(t, []any{losses[2].From, losses[2].To, losses[2].Fate}, []any{uint64(90), uint64(90), Lost})
	losses = nil
	r.missing(0, forever, away, func(l Loss) { losses = append(losses, l) })
	assert.Equal(t, len(losses), 4)
	assert.DeepEqual(t, []any{losses[1].To, losses[2].From, losses[2].Fate}, []any{uint64(29), uint64(30), MissedWhileAway})
	// What nobody acknowledged is promised to nobody.
	r.send(2 * time.Second)
	losses = nil
	r.missing(0, forever, away, func(l Loss) { losses = append(losses, l) })
	assert.Equal(t, len(losses), 4)
	first, known := r.receive(0, 1000)
	assert.Equal(t, first || known, false)
}

func BenchmarkAccounting(b *testing.B) {
	r := newRow(1, true)
	for n := range uint64(b.N) {
		at := time.Duration(n) * time.Microsecond
		r.send(at)
		r.acknowledge(n, at, false)
		r.receive(0, n)
	}
	b.ReportMetric(float64(len(r.blocks)), "blocks")
}

// One message in a hundred is lost, half of them come late.
func BenchmarkAccountingOfLosses(b *testing.B) {
	r := newRow(1, true)
	for n := range uint64(b.N) {
		at := time.Duration(n) * time.Microsecond
		r.send(at)
		r.acknowledge(n, at, false)
		if n%100 != 0 {
			r.receive(0, n)
		}
		if n%200 == 150 {
			r.receive(0, n-50)
		}
	}
	b.ReportMetric(float64(len(r.blocks)*(blockSize*8+16)+len(r.seen[0].set.spans)*16)/float64(b.N), "bytes/message")
}
