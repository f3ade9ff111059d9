package mde

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"packhorse/internal/investigation"
)

const (
	// pageRowsMax is the documented maximum; more rows than that were not requested.
	pageRowsMax = 10_000

	// pageBytesMax allows pageRows rows of 13 KiB. The next call asks for the rows beyond it.
	pageBytesMax = 64 << 20

	// pageTimeMax limits the time spent on one page; the next call asks for the rest. A call's lease
	// ends 30 s after it was sent, and processing the rows takes part of that.
	pageTimeMax = 20 * time.Second

	// batchBytesMax bounds the rows held at a time. An ordinary page with short comments fits in one
	// batch, so the transfer does not wait for the receiver.
	batchBytesMax = 4 << 20

	// actionBytesMax bounds one action, whether from Get or in a row of the list.
	actionBytesMax = 1 << 20

	// itemBytes is the estimated size of a row without its texts.
	itemBytes = 400

	// nextLinkBytesMax bounds @odata.nextLink.
	nextLinkBytesMax = 8 << 10

	// nameOfMemberBytesMax bounds the names of the object's members.
	nameOfMemberBytesMax = 256
)

var (
	errNoList = errors.New("the answer is not a list: want a JSON object with a value")

	// errCut ends a page early: the rows read so far are used, and the next call starts after them.
	errCut = errors.New("the page is cut: the next call reads the rest")

	// errStopped means that see did not take a batch.
	errStopped = errors.New("the listing stopped and continues later")
)

// page reads one list response and passes its rows on in batches as they arrive.
type page struct {
	tenantID string
	listing  investigation.Listing
	now      func() time.Time
	see      Seer

	in       *scanner
	until    time.Time // after this, leave the rest for the next call
	listed   bool      // a value member was seen
	nextLink string    // empty if the service sent none

	read    int // rows
	taken   int // rows in the batches that see took
	cut     bool
	stopped bool
	sum     hash.Hash // over all rows

	actions []investigation.Action // the current batch
	odd     []error
	held    int // bytes
}

func (c *Client) newPage(at investigation.Listing, see Seer) *page {
	return &page{
		tenantID: c.tenantID, listing: at, now: c.now, see: see,
		until: c.now().Add(pageTimeMax), sum: sha256.New(),
	}
}

// readFrom reads the page. It leaves the last batch for flush, which does not need the connection.
func (p *page) readFrom(body io.Reader) error {
	p.in = newScanner(&capped{body, pageBytesMax})
	err := p.in.each('{', '}', p.member)
	if err == nil {
		_, err = p.in.next()
		if err == nil {
			err = errNotJSON // there is data after the object
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	switch {
	case errors.Is(err, errStopped):
		return nil
	case errors.Is(err, errCut) && p.read > 0:
		p.cut = true
		return nil
	case errors.Is(err, errCut):
		return fmt.Errorf("the first row of the page exceeds %d bytes or %v", pageBytesMax,
			pageTimeMax)
	case errors.Is(err, io.EOF):
		return errors.New("the answer breaks off: its JSON is incomplete")
	case err == nil && !p.listed:
		return errNoList
	case errors.Is(err, errNotJSON) && !p.listed:
		return errNoList
	}
	return err
}

// member reads one member of the response object: its name and its value.
func (p *page) member() error {
	_, err := p.in.value(nameOfMemberBytesMax)
	if err != nil {
		return err
	}
	var name string
	if err := json.Unmarshal(p.in.kept, &name); err != nil {
		name = "" // too long to match, or not a string: then expect fails
	}
	err = p.in.expect(':')
	switch {
	case err != nil:
		return err
	case strings.EqualFold(name, "value") && p.listed:
		return errors.New("the answer has two lists")
	case strings.EqualFold(name, "value"):
		p.listed = true
		err = p.in.each('[', ']', p.row)
		if errors.Is(err, errNotJSON) && p.read == 0 {
			return errNoList
		}
		return err
	case strings.EqualFold(name, "@odata.nextLink"):
		return p.link()
	default:
		_, err = p.in.value(0)
		return err
	}
}

func (p *page) link() error {
	whole, err := p.in.value(nextLinkBytesMax)
	if err != nil {
		return err
	}
	if !whole {
		return fmt.Errorf("the next page's address is longer than %d bytes", nextLinkBytesMax)
	}
	var link *string
	if err := json.Unmarshal(p.in.kept, &link); err != nil {
		return errors.New("the next page's address is not a string")
	}
	if link != nil {
		p.nextLink = *link
	}
	return nil
}

// row reads one row. A malformed row is reported and does not affect the others.
func (p *page) row() error {
	whole, err := p.in.value(actionBytesMax)
	if err != nil {
		return err
	}
	if p.read == pageRowsMax {
		return fmt.Errorf("the page has more than %d rows", pageRowsMax)
	}
	p.read++
	_, _ = p.sum.Write(p.in.kept) // a hash never fails
	_, _ = p.sum.Write([]byte{0})
	a, ok, odd := decodeRow(p.tenantID, p.in.kept)
	if !whole {
		ok, odd = false, malformed(p.in.kept, fmt.Errorf("longer than %d bytes", actionBytesMax))
	}
	if odd != nil {
		p.odd = append(p.odd, odd)
		p.held += itemBytes + excerptBytesMax
	}
	if ok && p.listing.Lists(a) {
		p.actions = append(p.actions, a)
		p.held += itemBytes + len(a.ComputerDNSName) + len(a.Requestor) + len(a.RequestorComment) +
			len(a.RequestSource) + len(a.Status)
	}
	if p.held >= batchBytesMax {
		p.flush()
	}
	switch {
	case p.stopped:
		return errStopped
	case p.now().After(p.until):
		return errCut
	default:
		return nil
	}
}

// flush passes the batch to see. If see does not take it, the listing resumes at the batch's first
// row.
func (p *page) flush() {
	if p.stopped {
		return
	}
	if len(p.actions)+len(p.odd) > 0 && !p.see(p.actions, p.odd) {
		p.stopped = true
		return
	}
	p.taken = p.read
	p.actions, p.odd, p.held = nil, nil, 0
}

// capped reads up to left bytes, then returns errCut.
type capped struct {
	r    io.Reader
	left int64
}

func (c *capped) Read(b []byte) (int, error) {
	if c.left <= 0 {
		return 0, errCut
	}
	n, err := c.r.Read(b[:min(int64(len(b)), c.left)])
	c.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("read the answer: %w", err)
	}
	return n, err
}
