package mde

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"packhorse/internal/investigation"
)

const (
	// pageRows is asked for as $top. Microsoft allows 10,000; half of that keeps a page of full
	// rows (1 to 2 KiB each) within the deadline of a call on a slow line, and one of the longest rows
	// that make sense (13 KiB) within pageBytesMax.
	pageRows = 5_000

	// pagesMax bounds the pages of one call of List at what the list budget has for a minute (25
	// calls). 125,000 actions are six times what the budget of getPackageUri can carry in the default
	// look-back of a week.
	pagesMax = 25

	// listingPagesMax bounds a listing, however many calls of List it takes: five million actions. A
	// service whose pages never end must not keep the reader from starting over.
	listingPagesMax = 1_000
)

// Seer is handed what was read of a listing: actions, each of them valid, and odd, the errors of rows
// that make no sense and are left out, and of parts of a row that are left out of its action. Each
// error quotes its row. A Seer that returns false did not take the batch: the listing stops, and goes
// on with the same rows later.
type Seer = func(actions []investigation.Action, odd []error) bool

// List reads on in a listing of the CollectInvestigationPackage actions, hands them to see in batches
// of bounded size, and returns how far it came. It reads until the listing is Done, see returns false,
// or it has read as many pages as the list budget has calls in a minute. Each page is one call.
//
// Beside an error it returns how far it came without it; the rows read before the error were handed
// on. An error that wraps *investigation.PostponedError names when to ask again. After any other
// error, start over: a page that can't be had would otherwise hide the newest actions.
//
// No order is asked for ($orderby is not documented for this list). By default the newest come
// first, so actions that appear between two pages make the pages overlap: an action may come twice.
func (c *Client) List(ctx context.Context, at investigation.Listing, see Seer) (
	investigation.Listing, error,
) {
	for range pagesMax {
		if at.Done {
			return at, nil
		}
		next, more, err := c.readPage(ctx, at, see)
		if err != nil {
			return next, fmt.Errorf("list machine actions: %w", err)
		}
		at = next
		if !more {
			return at, nil
		}
	}
	return at, nil
}

// readPage reads one page. more is false where see wants no more for now.
func (c *Client) readPage(ctx context.Context, at investigation.Listing, see Seer) (
	next investigation.Listing, more bool, err error,
) {
	target, err := c.pageAt(at)
	if err != nil {
		return at, false, err
	}
	page := c.newPage(at.Since, see)
	_, err = c.call(ctx, c.lister, target, page.readFrom)
	page.flush()
	if err != nil {
		return at, false, err
	}
	next, err = c.advance(at, page, target)
	if err != nil {
		return at, false, err
	}
	return next, !page.stopped, nil
}

// Get returns one action. An unknown id is a *[StatusError] with status 404; an action of another
// type is an error.
func (c *Client) Get(ctx context.Context, actionID string) (investigation.Action, error) {
	id, err := investigation.CanonicalID(actionID)
	if err != nil {
		return investigation.Action{}, fmt.Errorf("get machine action: %w", err)
	}
	var body []byte
	_, err = c.call(ctx, c.lister, c.api("machineactions", id), keepAtMost(&body, actionBytesMax))
	if err != nil {
		return investigation.Action{}, fmt.Errorf("get machine action %s: %w", id, err)
	}
	a, ok, err := decodeRow(c.tenantID, body)
	if err == nil && !ok {
		err = errors.New("it is not one that collects an investigation package")
	}
	if !ok {
		return investigation.Action{}, fmt.Errorf("get machine action %s: %w", id, err)
	}
	return a, nil
}

// api returns the address of a resource.
func (c *Client) api(elements ...string) *url.URL {
	return c.base.JoinPath(append([]string{"api"}, elements...)...)
}

// pageAt returns the address of the page that follows what was read. An address the service named is
// looked at again, however the listing was kept meanwhile: the bearer token goes there.
func (c *Client) pageAt(at investigation.Listing) (*url.URL, error) {
	if at.Next != "" {
		return follow(c.api(), c.api(), at.Next)
	}
	target := c.api("machineactions")
	target.RawQuery = listQuery(at.Since, at.Rows)
	return target, nil
}

// advance returns the listing after a page. Where the service gives a link, the link is followed.
// Where it gives none, only an empty page is believed to be the end: a service that caps pages below
// $top would otherwise hide all but the newest actions. That costs a call a sweep, of a budget of 25 a
// minute. A page of which a part was left goes on after that part, by $skip.
func (c *Client) advance(at investigation.Listing, p *page, from *url.URL) (
	investigation.Listing, error,
) {
	if p.stopped && p.taken == 0 {
		return at, nil
	}
	linked := at.Next != ""
	var sum [sha256.Size]byte
	p.sum.Sum(sum[:0])
	again := p.read > 0 && sum == at.Last
	short := p.read < pageRows
	at.Pages, at.Rows, at.Last, at.Next = at.Pages+1, at.Rows+p.taken, sum, ""
	switch {
	case at.Pages > listingPagesMax:
		return at, fmt.Errorf("there are more than %d pages", listingPagesMax)
	case p.stopped:
	case again && !linked && p.nextLink == "" && (p.cut || !short):
		return at, errors.New("the same page came twice")
	case p.cut:
	case p.nextLink != "":
		next, err := follow(c.api(), from, p.nextLink)
		if err != nil {
			return at, err
		}
		at.Next = next.String()
		if at.Next == at.Mark || at.Next == from.String() {
			return at, errors.New("the pages lead in a circle")
		}
		if at.Pages&(at.Pages-1) == 0 { // at each power of two, so a circle of any length is noticed
			at.Mark = at.Next
		}
	case linked, p.read == 0:
		at.Done = true
	case again:
		at.Done = true // $skip was ignored, and what came is less than was asked for: it is all
	}
	return at, nil
}

// follow returns the address link means, if it lies below api. The bearer token goes where this
// leads: nothing but the API's own server will do. The error names the host only.
func follow(api, current *url.URL, link string) (*url.URL, error) {
	next, err := current.Parse(link)
	if err != nil {
		return nil, errors.New("the next page's address is no URL")
	}
	if !sameOrigin(api, next) || next.User != nil {
		return nil, fmt.Errorf("the next page lies at %.100q, not at %q", next.Host, api.Host)
	}
	if next.Path != path.Clean(next.Path) || !strings.HasPrefix(next.Path, api.Path+"/") {
		return nil, fmt.Errorf("the next page lies outside of %q", api.Path)
	}
	next.Fragment = ""
	return next, nil
}

// listQuery asks for the actions since an instant. Times are compared to the second, downwards:
// what lies before since is sorted out by whoever reads the rows. Blanks are sent as %20, because
// not every OData parser takes a plus for one.
func listQuery(since time.Time, skip int) string {
	filter := fmt.Sprintf("type eq '%s' and creationDateTimeUtc ge %s",
		investigation.TypeCollectPackage, since.UTC().Format(time.RFC3339))
	query := "$filter=" + strings.ReplaceAll(url.QueryEscape(filter), "+", "%20") +
		"&$top=" + strconv.Itoa(pageRows)
	if skip > 0 {
		query += "&$skip=" + strconv.Itoa(skip)
	}
	return query
}
