package manifest

// Canonical and CheckCanonical open the canonical form to its test.
var (
	Canonical      = canonical
	CheckCanonical = checkCanonical
)
