package investigation

import (
	"path"
	"strconv"
	"strings"
)

// PlaceMax is the number of a key's last place.
const PlaceMax = 9999

// Place returns the nth place of a key: the key itself for 0, else the key with "~n" before the
// extension, as in "….zip" and "…~1.zip". Objects that Packhorse did not store may occupy any of the
// places; Packhorse stores to the first free one.
func Place(key string, n int) string {
	if n == 0 {
		return key
	}
	ending := path.Ext(key)
	return strings.TrimSuffix(key, ending) + "~" + strconv.Itoa(n) + ending
}

// PlaceOf reports whether candidate is a place of key, and its number.
func PlaceOf(key, candidate string) (n int, ok bool) {
	if candidate == key {
		return 0, true
	}
	ending := path.Ext(key)
	digits, ok := strings.CutPrefix(candidate, strings.TrimSuffix(key, ending)+"~")
	if !ok {
		return 0, false
	}
	digits, ok = strings.CutSuffix(digits, ending)
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 1 || n > PlaceMax || Place(key, n) != candidate {
		return 0, false
	}
	return n, true
}

// PlacesPrefix returns the common prefix of all places of a key.
func PlacesPrefix(key string) string { return strings.TrimSuffix(key, path.Ext(key)) }

// BaseOf splits a key in a later place into the key of its first place and its number. It returns false
// for a key in its first place.
func BaseOf(key string) (base string, n int, ok bool) {
	ending := path.Ext(key)
	stem, n := cutPlace(strings.TrimSuffix(key, ending))
	if n == 0 {
		return "", 0, false
	}
	return stem + ending, n, true
}
