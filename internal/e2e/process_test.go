package e2e_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/memory"
	"packhorse/internal/ratelimit"
	"packhorse/internal/tenant"
)

// The columns of the failure table.
const (
	failed    = "failed"
	persisted = "failed but persisted"
	killed    = "process killed here"

	// undisturbed lets the step succeed: the process is not to blame for what happens then.
	undisturbed = "undisturbed"
)

var errInjected = errors.New("injected: the answer is lost")

// fault is one cell. It strikes once; afterwards somebody else may act.
type fault struct {
	row, column string
	then        func(subject string)
	struck      atomic.Bool
}

func (f *fault) take(row string) string {
	if row == "" || f.row != row || !f.struck.CompareAndSwap(false, true) {
		return ""
	}
	return f.column
}

// proc is one process: a poller, or one invocation of the fetcher. Every external effect goes
// through do, so a dead process has no further effects.
type proc struct {
	w    *world
	dead atomic.Bool
	end  context.CancelFunc
}

func (p *proc) live() {
	if p.dead.Load() {
		runtime.Goexit()
	}
}

func (p *proc) do(row string, effect func() error) error { return p.doTo(row, "", effect) }

// doTo is do for an effect on the given subject.
func (p *proc) doTo(row, subject string, effect func() error) error {
	p.live()
	column := p.w.fault.take(row)
	if column == failed {
		return errInjected
	}
	err := effect()
	if column != "" && p.w.fault.then != nil {
		p.w.fault.then(subject)
	}
	switch column {
	case persisted:
		return errors.Join(errInjected, err)
	case killed:
		p.dead.Store(true)
		p.end()
		p.live()
	}
	return err
}

// ledgerPort is one process's access to the ledger. Methods that are not overridden are not rows of
// the table.
type ledgerPort struct {
	*memory.Ledger
	p *proc
}

func (l ledgerPort) Due(ctx context.Context, tenant string, lane investigation.Lane, now time.Time,
	limit int,
) ([]investigation.Record, error) {
	l.p.live()
	return l.Ledger.Due(ctx, tenant, lane, now, limit)
}

// ledgerRows are the steps that change a record; other changes are not rows of the table.
var ledgerRows = map[investigation.ChangeName]string{
	investigation.ChangeObserve:  "observe",
	investigation.ChangeClaim:    "claim",
	investigation.ChangeArchive:  "ledger archived",
	investigation.ChangeClose:    "ledger not collected",
	investigation.ChangeSeal:     "ledger sealed",
	investigation.ChangeAnnounce: "ledger announced",
}

func (l ledgerPort) Change(ctx context.Context, id investigation.ID, c investigation.Change) (
	rec investigation.Record, err error,
) {
	err = l.p.doTo(ledgerRows[c.Name], id.ActionID, func() error {
		rec, err = l.Ledger.Change(ctx, id, c)
		return err
	})
	return rec, err
}

func (l ledgerPort) Seal(ctx context.Context, id investigation.ID, c investigation.Change,
	by investigation.Sealer,
) (rec investigation.Record, err error) {
	err = l.p.doTo(ledgerRows[c.Name], id.ActionID, func() error {
		rec, err = l.Ledger.Seal(ctx, id, c, by)
		return err
	})
	return rec, err
}

func (l ledgerPort) SetHealth(ctx context.Context, tenantID string, h tenant.Health) error {
	return l.p.do("health", func() error { return l.Ledger.SetHealth(ctx, tenantID, h) })
}

// counterPort is one process's access to the link budget.
type counterPort struct {
	*ratelimit.Memory
	p *proc
}

func (c counterPort) Lease(ctx context.Context, b ratelimit.Budget, owner string, now time.Time) (
	d ratelimit.Decision, err error,
) {
	err = c.p.do("lease", func() error {
		d, err = c.Memory.Lease(ctx, b, owner, now)
		if err == nil && d.Allowed {
			c.p.w.leases.Add(1)
		}
		return err
	})
	return d, err
}

func (c counterPort) Settle(ctx context.Context, b ratelimit.Budget, owner string, slot int,
	at time.Time,
) error {
	return c.p.do("settle", func() error { return c.Memory.Settle(ctx, b, owner, slot, at) })
}

// wire is one process's network: requests go to a handler without a socket. Its errors show the
// URL, as an http.Client's do.
type wire struct {
	p       *proc
	row     string
	handler http.Handler
	token   string // sent if not empty
}

func (t wire) RoundTrip(req *http.Request) (*http.Response, error) {
	var resp *http.Response
	err := t.p.do(t.row, func() error {
		sent := req.Clone(req.Context())
		sent.Host = req.URL.Host
		if t.token != "" {
			sent.Header.Set("Authorization", "Bearer "+t.token)
		}
		rec := httptest.NewRecorder()
		t.handler.ServeHTTP(rec, sent)
		resp = rec.Result()
		resp.Request = req
		return nil
	})
	if err != nil {
		return nil, &url.Error{Op: "Get", URL: req.URL.String(), Err: err}
	}
	if t.row == "open link" {
		resp.Body = &body{ReadCloser: resp.Body, p: t.p, left: resp.ContentLength, url: req.URL.String()}
	}
	return resp, nil
}

// body is a download in progress. Its "copy" step happens halfway.
type body struct {
	io.ReadCloser
	p    *proc
	left int64
	url  string
	once sync.Once
}

func (b *body) Read(buf []byte) (n int, err error) {
	b.once.Do(func() {
		failure := b.p.do("copy", func() error {
			n, err = io.ReadFull(b.ReadCloser, buf[:min(int64(len(buf)), b.left/2)])
			return err
		})
		if failure != nil {
			err = &url.Error{Op: "Get", URL: b.url, Err: failure}
		}
	})
	if n > 0 || err != nil {
		return n, err
	}
	b.p.live()
	return b.ReadCloser.Read(buf)
}
