package load

import (
	"math"
	"time"
)

// A bucket is 2 % wider than the one before, from 10 µs on: 1,200 of them reach beyond a day.
const (
	bucketGrowth = 1.02
	bucketFirst  = 10 * time.Microsecond
	bucketCount  = 1200
)

// histogram counts durations in little memory; what it gives back is at most 2 % too much, the largest value exact.
type histogram struct {
	buckets []uint64
	count   uint64
	max     time.Duration
}

func (h *histogram) add(d time.Duration) {
	if h.buckets == nil {
		h.buckets = make([]uint64, bucketCount)
	}
	i := 0
	if d > bucketFirst {
		i = min(int(math.Ceil(math.Log(float64(d)/float64(bucketFirst))/math.Log(bucketGrowth))), bucketCount-1)
	}
	h.buckets[i]++
	h.count++
	h.max = max(h.max, d)
}

func (h *histogram) merge(other *histogram) {
	if other.count == 0 {
		return
	}
	if h.buckets == nil {
		h.buckets = make([]uint64, bucketCount)
	}
	for i, n := range other.buckets {
		h.buckets[i] += n
	}
	h.count += other.count
	h.max = max(h.max, other.max)
}

// quantile is the value that a part q of all values does not exceed (nearest rank).
func (h *histogram) quantile(q float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank, seen := max(uint64(math.Ceil(q*float64(h.count))), 1), uint64(0)
	for i, n := range h.buckets {
		if seen += n; seen >= rank && i < bucketCount-1 {
			return min(time.Duration(float64(bucketFirst)*math.Pow(bucketGrowth, float64(i))), h.max)
		}
	}
	return h.max
}

func (h *histogram) quantiles() Quantiles {
	return Quantiles{Count: h.count, P50: seconds(h.quantile(0.5)), P99: seconds(h.quantile(0.99)), Max: seconds(h.max)}
}

// seconds rounds to milliseconds: a report is read by people, too.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }
