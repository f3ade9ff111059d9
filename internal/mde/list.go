package mde

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"packhorse/internal/investigation"
)

const (
	// pageRows is asked for as $top. Microsoft allows 10,000; half of that keeps a page of full
	// rows (1 to 2 KiB each) within the deadline of a call on a slow line.
	pageRows = 5_000

	// pageRowsMax is the documented maximum: more is not what was asked for.
	pageRowsMax = 10_000

	// pagesMax bounds a listing at what the list budget has for a minute (25 calls): a longer one
	// could never be finished. 125,000 actions are six times what the budget of getPackageUri can
	// carry in the default look-back of a week.
	pagesMax = 25

	// pageBytesMax allows pageRows rows of 13 KiB.
	pageBytesMax = 64 << 20

	// actionBytesMax bounds the answer of Get.
	actionBytesMax = 1 << 20

	// nextLinkBytesMax bounds @odata.nextLink.
	nextLinkBytesMax = 8 << 10
)

// List returns the CollectInvestigationPackage actions created at or after since, each of them
// once and valid. Rows that make no sense are returned as skipped errors, which quote them.
//
// An error that wraps *investigation.PostponedError names when to ask again. A listing is whole or
// an error: a page that cannot be had fails it.
//
// No order is asked for ($orderby is not documented for this list). By default the newest come
// first, so actions that appear between two pages make the pages overlap; and an action listed
// twice is returned as it was seen last.
func (c *Client) List(ctx context.Context, since time.Time) (
	actions []investigation.Action, skipped []error, err error,
) {
	listing := listing{tenantID: c.tenantID, since: since, at: map[string]int{}}
	route := route{api: c.api(), next: c.api("machineactions")}
	route.next.RawQuery = listQuery(since, 0)
	for range pagesMax {
		body, _, err := c.call(ctx, c.lister, route.next, pageBytesMax)
		if err != nil {
			return nil, nil, fmt.Errorf("list machine actions: %w", err)
		}
		page, err := parsePage(body)
		if err != nil {
			return nil, nil, fmt.Errorf("list machine actions: %w", err)
		}
		listing.add(page.rows)
		more, err := route.advance(page, since)
		if err != nil {
			return nil, nil, fmt.Errorf("list machine actions: %w", err)
		}
		if !more {
			return listing.actions, listing.skipped, nil
		}
	}
	return nil, nil, fmt.Errorf("list machine actions: there are more than %d pages", pagesMax)
}

// Get returns one action. An unknown id is a *[StatusError] with status 404; an action of another
// type is an error.
func (c *Client) Get(ctx context.Context, actionID string) (investigation.Action, error) {
	id, err := investigation.CanonicalID(actionID)
	if err != nil {
		return investigation.Action{}, fmt.Errorf("get machine action: %w", err)
	}
	body, _, err := c.call(ctx, c.lister, c.api("machineactions", id), actionBytesMax)
	if err != nil {
		return investigation.Action{}, fmt.Errorf("get machine action %s: %w", id, err)
	}
	a, ok, err := decodeRow(c.tenantID, body)
	if err == nil && !ok {
		err = errors.New("it is not one that collects an investigation package")
	}
	if err != nil {
		return investigation.Action{}, fmt.Errorf("get machine action %s: %w", id, err)
	}
	return a, nil
}

// api returns the address of a resource.
func (c *Client) api(elements ...string) *url.URL {
	return c.base.JoinPath(append([]string{"api"}, elements...)...)
}

// listing gathers the actions of the pages.
type listing struct {
	tenantID string
	since    time.Time
	actions  []investigation.Action
	at       map[string]int // action id → its place in actions
	skipped  []error
}

func (l *listing) add(rows []json.RawMessage) {
	for _, raw := range rows {
		a, ok, err := decodeRow(l.tenantID, raw)
		if err != nil {
			l.skipped = append(l.skipped, err)
			continue
		}
		if !ok || a.CreatedAt.Before(l.since) {
			continue
		}
		if i, again := l.at[a.ActionID]; again {
			l.actions[i] = a
			continue
		}
		l.at[a.ActionID] = len(l.actions)
		l.actions = append(l.actions, a)
	}
}

// page is one answer of the list.
type page struct {
	rows     []json.RawMessage
	nextLink string // empty where the service named none
}

func parsePage(body []byte) (page, error) {
	var wire struct {
		Value    *[]json.RawMessage `json:"value"`
		NextLink *string            `json:"@odata.nextLink"`
	}
	if err := json.Unmarshal(body, &wire); err != nil || wire.Value == nil {
		return page{}, errors.New("the answer is no list: a JSON object with a value is expected")
	}
	if len(*wire.Value) > pageRowsMax {
		return page{}, fmt.Errorf("the page has %d rows, more than %d", len(*wire.Value), pageRowsMax)
	}
	p := page{rows: *wire.Value}
	if wire.NextLink != nil {
		p.nextLink = *wire.NextLink
	}
	if len(p.nextLink) > nextLinkBytesMax {
		return page{}, fmt.Errorf("the next page's address is longer than %d bytes", nextLinkBytesMax)
	}
	return p, nil
}

// route is the way through the pages.
type route struct {
	api  *url.URL // below it lies every page
	next *url.URL

	rows     int // so far
	linked   bool
	visited  []string
	previous []json.RawMessage
}

// advance sets next to the page that follows p, and reports whether there is one. Where the service
// gives a link, the link is followed. Where it gives none, only an empty page is believed to be the
// end: a service that caps pages below $top would otherwise hide all but the newest actions. That
// costs a call a sweep, of a budget of 25 a minute.
func (r *route) advance(p page, since time.Time) (more bool, err error) {
	again := len(p.rows) > 0 && slices.EqualFunc(p.rows, r.previous, sameRow)
	short := len(p.rows) < pageRows
	r.previous = p.rows
	r.rows += len(p.rows)
	r.visited = append(r.visited, r.next.String())
	switch {
	case p.nextLink != "":
		r.linked = true
		r.next, err = follow(r.api, r.next, p.nextLink)
		if err == nil && slices.Contains(r.visited, r.next.String()) {
			err = errors.New("the pages lead in a circle")
		}
		return err == nil, err
	case r.linked, len(p.rows) == 0:
		return false, nil
	case again && short:
		return false, nil // $skip was ignored, and what came is less than was asked for: it is all
	case again:
		return false, errors.New("the same page came twice")
	default:
		next := *r.next
		next.RawQuery = listQuery(since, r.rows)
		r.next = &next
		return true, nil
	}
}

func sameRow(a, b json.RawMessage) bool { return bytes.Equal(a, b) }

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
