package investigation

import (
	"path"
	"strconv"
	"strings"
)

// PlaceMax is the last place of a key.
const PlaceMax = 9999

// Place returns the nth place of a key: the key itself for 0, and for the others its name with "~n"
// before the ending, such as "….zip" and "…~1.zip". Something that Packhorse did not store may lie
// in any of them; what Packhorse stores goes to the first that is free.
func Place(key string, n int) string {
	if n == 0 {
		return key
	}
	ending := path.Ext(key)
	return strings.TrimSuffix(key, ending) + "~" + strconv.Itoa(n) + ending
}

// PlaceOf reports whether candidate is a place of key, and which.
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

// PlacesPrefix returns what every place of a key begins with.
func PlacesPrefix(key string) string { return strings.TrimSuffix(key, path.Ext(key)) }

// BaseOf takes a key that is in a later place apart: into the key of its first place, and the number.
// It returns false for a key in its first place.
func BaseOf(key string) (base string, n int, ok bool) {
	ending := path.Ext(key)
	stem, n := cutPlace(strings.TrimSuffix(key, ending))
	if n == 0 {
		return "", 0, false
	}
	return stem + ending, n, true
}
