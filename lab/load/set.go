package load

import (
	"iter"
	"slices"
)

// span is a range of numbers, both ends included.
type span struct{ from, to uint64 }

// set is a set of numbers as ranges in ascending order. Messages come almost in order, so it holds one range for each gap,
// whatever their number.
type set struct {
	spans []span
	count uint64
}

// add tells whether n is new.
func (s *set) add(n uint64) bool {
	last := len(s.spans) - 1
	if last >= 0 && s.spans[last].to+1 == n { // almost always
		s.spans[last].to = n
		s.count++
		return true
	}
	i := s.after(n) // the first range that ends at n or later
	if i < len(s.spans) && s.spans[i].from <= n {
		return false
	}
	s.count++
	left := i > 0 && s.spans[i-1].to+1 == n
	right := i < len(s.spans) && s.spans[i].from == n+1
	switch {
	case left && right:
		s.spans[i-1].to = s.spans[i].to
		s.spans = slices.Delete(s.spans, i, i+1)
	case left:
		s.spans[i-1].to = n
	case right:
		s.spans[i].from = n
	default:
		s.spans = slices.Insert(s.spans, i, span{n, n})
	}
	return true
}

func (s *set) has(n uint64) bool {
	i := s.after(n)
	return i < len(s.spans) && s.spans[i].from <= n
}

// highest is the largest number; false when there is none.
func (s *set) highest() (uint64, bool) {
	if len(s.spans) == 0 {
		return 0, false
	}
	return s.spans[len(s.spans)-1].to, true
}

func (s *set) after(n uint64) int {
	i, _ := slices.BinarySearchFunc(s.spans, n, func(r span, n uint64) int {
		if r.to < n {
			return -1
		}
		return 1
	})
	return i
}

// without gives the ranges of s that are not in other.
func (s *set) without(other *set) iter.Seq[span] {
	return func(yield func(span) bool) {
		j := 0
		for _, r := range s.spans {
			for j < len(other.spans) && other.spans[j].to < r.from {
				j++
			}
			from := r.from
			for k := j; k < len(other.spans) && other.spans[k].from <= r.to; k++ {
				if o := other.spans[k]; o.from > from && !yield(span{from, o.from - 1}) {
					return
				}
				from = max(from, other.spans[k].to+1)
			}
			if from <= r.to && !yield(span{from, r.to}) {
				return
			}
		}
	}
}
