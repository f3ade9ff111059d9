package manifest

// Canonical and CheckCanonical export the canonical form for its tests.
var (
	Canonical      = canonical
	CheckCanonical = checkCanonical
)
