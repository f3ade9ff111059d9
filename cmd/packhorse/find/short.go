package find

import (
	"slices"
	"strings"

	"packhorse/internal/investigation"
)

// shortMin is the length of the shortest short id.
const shortMin = 8

// ShortIDs returns the beginning of each record's action id, at least eight characters and long enough to tell
// it from the others. An action that several tenants have keeps its whole id.
func ShortIDs(records []investigation.Record) []string {
	sorted := make([]string, len(records))
	for i, rec := range records {
		sorted[i] = rec.ActionID
	}
	slices.Sort(sorted)
	short := make([]string, len(records))
	for i, rec := range records {
		at, _ := slices.BinarySearch(sorted, rec.ActionID)
		n := shortMin - 1
		if at > 0 {
			n = max(n, common(sorted[at-1], rec.ActionID))
		}
		if at < len(sorted)-1 {
			n = max(n, common(sorted[at+1], rec.ActionID))
		}
		short[i] = beginning(rec.ActionID, n+1)
	}
	return short
}

// common returns how many bytes both begin with.
func common(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// beginning returns the first n characters of an id, one more if the last would be a hyphen.
func beginning(id string, n int) string {
	n = min(n, len(id))
	if n < len(id) && strings.HasSuffix(id[:n], "-") {
		n++
	}
	return id[:n]
}
