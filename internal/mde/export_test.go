package mde

import (
	"context"
	"io"
	"net/url"
	"time"

	"packhorse/internal/investigation"
)

// Exported for tests of the parsers and limits.
const (
	PageRows         = pageRows
	PagesMax         = pagesMax
	ListingPagesMax  = listingPagesMax
	PageBytesMax     = pageBytesMax
	PageTimeMax      = pageTimeMax
	BatchBytesMax    = batchBytesMax
	ActionBytesMax   = actionBytesMax
	NameBytesMax     = nameBytesMax
	CommentBytesMax  = commentBytesMax
	MessageBytesMax  = messageBytesMax
	StallTimeout     = stallTimeout
	RedirectsMax     = redirectsMax
	ResumesMax       = resumesMax
	PackageBytesMax  = int64(packageBytesMax)
	CredentialPause  = credentialPause
	UnreachablePause = unreachablePause
	IDBytesMax       = idBytesMax
)

func DecodeRow(tenantID string, raw []byte) (investigation.Action, bool, error) {
	return decodeRow(tenantID, raw)
}

// ParsePage reads a page of the test's tenant and returns its number of rows.
func ParsePage(body io.Reader) (rows int, nextLink string, err error) {
	c := &Client{now: time.Now}
	p := c.newPage(investigation.Listing{}, func([]investigation.Action, []error) bool { return true })
	err = p.readFrom(body)
	return p.read, p.nextLink, err
}

// ListAll reads a whole listing and returns the latest version of each action.
func (c *Client) ListAll(ctx context.Context, since time.Time) (
	actions []investigation.Action, odd []error, err error,
) {
	place := map[string]int{}
	for at := investigation.NewListing(since); at.UnderWay() && err == nil; {
		at, err = c.List(ctx, at, func(batch []investigation.Action, odds []error) bool {
			odd = append(odd, odds...)
			for _, a := range batch {
				if i, again := place[a.ActionID]; again {
					actions[i] = a
					continue
				}
				place[a.ActionID] = len(actions)
				actions = append(actions, a)
			}
			return true
		})
	}
	return actions, odd, err
}

func Follow(api, current *url.URL, link string) (*url.URL, error) { return follow(api, current, link) }

func ParseLinkAnswer(body []byte) (*url.URL, error) { return parseLinkAnswer(body) }

func ParseErrorBody(body []byte) *StatusError { return parseErrorBody(body) }

func ParseRetryAfter(value string, now time.Time) time.Duration { return parseRetryAfter(value, now) }

func ParseContentRange(value string) (first, total int64, err error) { return parseContentRange(value) }

func ParseTime(s string) (time.Time, error) { return parseTime(s) }
