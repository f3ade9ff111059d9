package mdesim

import (
	"slices"
	"time"
)

// MostIn returns the largest number of instants in any half-open window of the given length. The
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

// MostInAligned returns the largest number of instants in any window that starts at a multiple of
// its length, like a server that resets its counter on the minute.
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
