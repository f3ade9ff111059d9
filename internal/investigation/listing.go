package investigation

import (
	"crypto/sha256"
	"time"
)

// Listing is how far one reading of a tenant's actions has come. A tenant with more actions than one
// sweep can read is read in several: start with [NewListing], and hand each Listing back to Defender
// until it is Done. Nothing is lost with a Listing but the way: whoever starts over sees every action
// again.
//
// Since and Done are for the reader. The other fields belong to whoever lists.
type Listing struct {
	Since time.Time // actions created earlier are left out; the same for the whole of the listing
	Done  bool      // every page was read

	Pages int               // read so far
	Rows  int               // of those pages; the next page begins after them unless Next says where
	Next  string            // the next page's address, where the service named one
	Mark  string            // the address of an earlier page: reaching it again means going in circles
	Last  [sha256.Size]byte // of the rows of the last page, to notice a service that repeats it
}

// NewListing returns the beginning of a listing of the actions created at or after since.
func NewListing(since time.Time) Listing { return Listing{Since: since} }

// UnderWay reports whether the listing was begun and is not done.
func (l Listing) UnderWay() bool { return !l.Since.IsZero() && !l.Done }
