// Package racing sizes the tests that only repeat arithmetic. The race detector makes them ten times slower and
// finds nothing that a small part of them does not show, so `make test` runs them twice: a part with the detector,
// and everything without it.
package racing

// Size returns plain without the race detector, and raced with it.
func Size(plain, raced int) int {
	if On {
		return raced
	}
	return plain
}
