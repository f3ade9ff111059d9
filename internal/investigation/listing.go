package investigation

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"time"
)

// AlsoMax is how many actions a listing can ask for by id. The ids are part of an address, which must not be
// too long for the proxies on the way.
const AlsoMax = 40

// ErrCannotAsk reports that the service refused a listing that asks for actions by id. List without them.
var ErrCannotAsk = errors.New("the service does not list actions by id")

// Listing tracks how far one pass over a tenant's actions has come. A tenant may have more actions than
// one sweep can read: start with [NewListing], and hand each Listing back to Defender until it is Done.
// Losing a Listing loses only the position: a new one shows every action again.
//
// Since, Also and Done are for the reader. The other fields belong to the implementation of the listing.
type Listing struct {
	Since time.Time // leave out actions created earlier; the same for the whole listing
	Also  string    // ids of actions to list whenever they were created, with spaces in between
	Done  bool      // every page has been read

	Pages int               // read so far
	Rows  int               // on those pages; the next page starts after them unless Next says where
	Next  string            // the next page's address, if the service gave one
	Mark  string            // the address of an earlier page: reaching it again means a loop
	Last  [sha256.Size]byte // digest of the last page's rows, to notice a service that repeats it
}

// NewListing returns a Listing at the start of the actions created at or after since.
func NewListing(since time.Time) Listing { return Listing{Since: since} }

// Lists reports whether the action belongs to the listing.
func (l Listing) Lists(a Action) bool {
	return !a.CreatedAt.Before(l.Since) || slices.Contains(l.Asked(), a.ActionID)
}

// Asking returns a listing that also shows these actions, at most AlsoMax, whenever they were created.
func (l Listing) Asking(ids []string) Listing {
	l.Also = strings.Join(ids, " ")
	return l
}

// Asked returns the ids that the listing asks for.
func (l Listing) Asked() []string { return strings.Fields(l.Also) }

// UnderWay reports whether the listing has started and is not done.
func (l Listing) UnderWay() bool { return !l.Since.IsZero() && !l.Done }
