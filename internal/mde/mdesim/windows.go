package mdesim

import (
	"slices"
	"time"
)

// MostIn returns the most instants that lie in any half-open window of the given length. The
// instants need not be sorted.
func MostIn(instants []time.Time, window time.Duration) int {
	sorted := slices.SortedFunc(slices.Values(instants), time.Time.Compare)
	most, first := 0, 0
	for i, at := range sorted {
		for !sorted[first].Add(window).After(at) {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// MostInAligned returns the most instants in any window that begins at a whole multiple of its
// length, as a server counts that resets a counter on the minute.
func MostInAligned(instants []time.Time, window time.Duration) int {
	most := 0
	counts := map[time.Time]int{}
	for _, at := range instants {
		begin := at.Truncate(window)
		counts[begin]++
		most = max(most, counts[begin])
	}
	return most
}
