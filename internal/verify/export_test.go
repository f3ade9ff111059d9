package verify

// Again takes a key apart and puts it together again.
func Again(key string) (string, bool) {
	n, ok := parseName(key)
	return n.key(), ok
}
