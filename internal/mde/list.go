package mde

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"packhorse/internal/investigation"
)

const (
	// pageRows is the $top of each page. Microsoft allows 10,000; half of that fits a page of full
	// rows (1 to 2 KiB each) into a call's deadline on a slow line, and a page of the longest valid
	// rows (13 KiB) into pageBytesMax.
	pageRows = 5_000

	// pagesMax caps the pages per List call at one minute of the list budget (25 calls). 125,000
	// actions are six times what the getPackageUri budget can carry in the default look-back of a
	// week.
	pagesMax = 25

	// listingPagesMax caps a listing across all its List calls, at five million actions. A service
	// whose pages never end must not keep the reader from starting over.
	listingPagesMax = 1_000
)

// Seer receives a batch of a listing: valid actions, and in odd one error for each malformed row
// that was skipped and each malformed part of a row that was left out of its action. Each error
// quotes its row. A Seer that returns false did not take the batch: the listing stops and resumes
// later with the same rows.
type Seer = func(actions []investigation.Action, odd []error) bool

// List continues a listing of the CollectInvestigationPackage actions, passes them to see in
// bounded batches, and returns the new position. It reads until the listing is Done, see returns
// false, or it has read as many pages as the list budget allows in a minute. Each page is one call.
//
// When List fails, it returns the position of the last page without an error; see already received
// the rows read before the error. An error that wraps *investigation.PostponedError says when to
// ask again. After any other error, start over: a page that cannot be read would otherwise hide the
// newest actions.
//
// List requests no order ($orderby is not documented for this list). By default the newest come
// first, so pages overlap when new actions appear between them: an action may be seen twice.
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

// readPage reads one page. more is false if see did not take a batch.
func (c *Client) readPage(ctx context.Context, at investigation.Listing, see Seer) (
	next investigation.Listing, more bool, err error,
) {
	target, err := c.pageAt(at)
	if err != nil {
		return at, false, err
	}
	page := c.newPage(at, see)
	_, err = c.call(ctx, c.lister, target, page.readFrom)
	if answer, ok := errors.AsType[*StatusError](err); ok && answer.Status == http.StatusBadRequest && at.Also != "" {
		err = fmt.Errorf("%w: %w", investigation.ErrCannotAsk, err)
	}
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

// Get returns one action. An unknown id returns a *[StatusError] with status 404; an action of
// another type is an error.
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
		err = errors.New("not an action that collects an investigation package")
	}
	if !ok {
		return investigation.Action{}, fmt.Errorf("get machine action %s: %w", id, err)
	}
	return a, nil
}

// api returns the URL of a resource.
func (c *Client) api(elements ...string) *url.URL {
	return c.base.JoinPath(append([]string{"api"}, elements...)...)
}

// pageAt returns the URL of the next page. It checks a URL from the service again even if the
// listing was stored in between, because the bearer token goes there.
func (c *Client) pageAt(at investigation.Listing) (*url.URL, error) {
	if at.Next != "" {
		return follow(c.api(), c.api(), at.Next)
	}
	target := c.api("machineactions")
	target.RawQuery = listQuery(at)
	return target, nil
}

// advance returns the listing after a page. It follows the service's next link if there is one.
// Without one, only an empty page ends the listing: a service that caps pages below $top would
// otherwise hide all but the newest actions. That costs one call per sweep, from a budget of 25 a
// minute. After a partly read page it continues with $skip.
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
		return at, fmt.Errorf("the listing has more than %d pages", listingPagesMax)
	case p.stopped:
	case again && !linked && p.nextLink == "" && (p.cut || !short):
		return at, errors.New("received the same page twice")
	case p.cut:
	case p.nextLink != "":
		next, err := follow(c.api(), from, p.nextLink)
		if err != nil {
			return at, err
		}
		at.Next = next.String()
		if at.Next == at.Mark || at.Next == from.String() {
			return at, errors.New("the next-page links form a cycle")
		}
		if at.Pages&(at.Pages-1) == 0 { // at each power of two, which detects a cycle of any length
			at.Mark = at.Next
		}
	case linked, p.read == 0:
		at.Done = true
	case again:
		at.Done = true // $skip was ignored, and a short page holds every row
	}
	return at, nil
}

// follow resolves a next-page link and checks that it lies below api. The bearer token goes there,
// so only the API's own server is acceptable. The error shows only the host.
func follow(api, current *url.URL, link string) (*url.URL, error) {
	next, err := current.Parse(link)
	if err != nil {
		return nil, errors.New("the next page's address is not a valid URL")
	}
	if !sameOrigin(api, next) || next.User != nil {
		return nil, fmt.Errorf("the next page is on %.100q, not on %q", next.Host, api.Host)
	}
	if next.Path != path.Clean(next.Path) || !strings.HasPrefix(next.Path, api.Path+"/") {
		return nil, fmt.Errorf("the next page is outside %q", api.Path)
	}
	next.Fragment = ""
	return next, nil
}

// listQuery selects the actions created since an instant, and those asked for by id. The time is rounded down
// to the second; the reader drops rows before since. Spaces are sent as %20 because not every OData parser
// accepts a plus. Both properties are documented as filterable.
func listQuery(at investigation.Listing) string {
	created := "creationDateTimeUtc ge " + at.Since.UTC().Format(time.RFC3339)
	if at.Also != "" {
		created = "(" + created
		for _, id := range at.Asked() {
			created += " or id eq '" + id + "'" // canonical: hexadecimal digits and hyphens
		}
		created += ")"
	}
	filter := fmt.Sprintf("type eq '%s' and %s", investigation.TypeCollectPackage, created)
	query := "$filter=" + strings.ReplaceAll(url.QueryEscape(filter), "+", "%20") +
		"&$top=" + strconv.Itoa(pageRows)
	if at.Rows > 0 {
		query += "&$skip=" + strconv.Itoa(at.Rows)
	}
	return query
}
