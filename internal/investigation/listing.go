package investigation

import (
	"crypto/sha256"
	"time"
)

// Listing tracks how far one pass over a tenant's actions has come. A tenant may have more actions than
// one sweep can read: start with [NewListing], and hand each Listing back to Defender until it is Done.
// Losing a Listing loses only the position: a new one shows every action again.
//
// Since and Done are for the reader. The other fields belong to the implementation of the listing.
type Listing struct {
	Since time.Time // leave out actions created earlier; the same for the whole listing
	Done  bool      // every page has been read

	Pages int               // read so far
	Rows  int               // on those pages; the next page starts after them unless Next says where
	Next  string            // the next page's address, if the service gave one
	Mark  string            // the address of an earlier page: reaching it again means a loop
	Last  [sha256.Size]byte // digest of the last page's rows, to notice a service that repeats it
}

// NewListing returns a Listing at the start of the actions created at or after since.
func NewListing(since time.Time) Listing { return Listing{Since: since} }

// UnderWay reports whether the listing has started and is not done.
func (l Listing) UnderWay() bool { return !l.Since.IsZero() && !l.Done }
