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
	// pageRowsMax is the documented maximum: more is not what was asked for.
	pageRowsMax = 10_000

	// pageBytesMax allows pageRows rows of 13 KiB. The rows beyond it are asked for with the next call.
	pageBytesMax = 64 << 20

	// pageTimeMax is how long one page is read, likewise. A call's lease ends 30 s after it was sent,
	// and whoever is handed rows takes a part of that.
	pageTimeMax = 20 * time.Second

	// batchBytesMax bounds the rows that are held at a time. An ordinary page, of rows with short
	// comments, is one batch, so nobody else's work holds up its transfer.
	batchBytesMax = 4 << 20

	// actionBytesMax bounds one action: the answer of Get, and a row of the list.
	actionBytesMax = 1 << 20

	// itemBytes is what a row takes beyond its texts.
	itemBytes = 400

	// nextLinkBytesMax bounds @odata.nextLink.
	nextLinkBytesMax = 8 << 10

	// nameOfMemberBytesMax bounds the names of what stands beside the rows.
	nameOfMemberBytesMax = 256
)

var (
	errNoList = errors.New("the answer is not a list: a JSON object with a value is expected")

	// errCut ends a page early: what was read is used, and the next call begins after it.
	errCut = errors.New("the rest of the page is for the next call")

	// errStopped: whoever is handed the rows wants no more of them for now.
	errStopped = errors.New("the listing is to go on later")
)

// page reads one answer of the list and hands its rows on in batches while it does.
type page struct {
	tenantID string
	since    time.Time
	now      func() time.Time
	see      Seer

	in       *scanner
	until    time.Time // when to leave the rest for the next call
	listed   bool      // there was a value
	nextLink string    // empty where the service named none

	read    int // rows
	taken   int // rows of the batches that see took
	cut     bool
	stopped bool
	sum     hash.Hash // of all rows

	actions []investigation.Action // the batch
	odd     []error
	held    int // bytes
}

func (c *Client) newPage(since time.Time, see Seer) *page {
	return &page{
		tenantID: c.tenantID, since: since, now: c.now, see: see,
		until: c.now().Add(pageTimeMax), sum: sha256.New(),
	}
}

// readFrom reads the page. The last batch is left for flush: there is no need for the connection then.
func (p *page) readFrom(body io.Reader) error {
	p.in = newScanner(&capped{body, pageBytesMax})
	err := p.in.each('{', '}', p.member)
	if err == nil {
		_, err = p.in.next()
		if err == nil {
			err = errNotJSON // something follows the object
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
		return fmt.Errorf("the first row of the page takes more than %d bytes or %v", pageBytesMax,
			pageTimeMax)
	case errors.Is(err, io.EOF):
		return errors.New("the answer breaks off: its JSON is not complete")
	case err == nil && !p.listed:
		return errNoList
	case errors.Is(err, errNotJSON) && !p.listed:
		return errNoList
	}
	return err
}

// member reads one name of the answer's object and what stands under it.
func (p *page) member() error {
	_, err := p.in.value(nameOfMemberBytesMax)
	if err != nil {
		return err
	}
	var name string
	if err := json.Unmarshal(p.in.kept, &name); err != nil {
		name = "" // too long to be one of the two, or not a name at all: then no colon follows
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
		return errors.New("the next page's address is not text")
	}
	if link != nil {
		p.nextLink = *link
	}
	return nil
}

// row reads one row. A row that makes no sense is told of and costs no other row.
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
		ok, odd = false, senseless(p.in.kept, fmt.Errorf("it is longer than %d bytes", actionBytesMax))
	}
	if odd != nil {
		p.odd = append(p.odd, odd)
		p.held += itemBytes + excerptBytesMax
	}
	if ok && !a.CreatedAt.Before(p.since) {
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

// flush hands the batch on. Where it was not taken, the listing goes on at its first row.
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

// capped reads as far as left goes. After that it says that the page is to be cut.
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
