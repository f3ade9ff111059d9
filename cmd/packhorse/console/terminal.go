package console

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"packhorse/internal/investigation"
	"packhorse/internal/tenant"
)

// barWidth is the width of a bar of a verification, in columns.
const barWidth = 32

const (
	// quiet is how long nothing new is seen before a burst ends and is shown.
	quiet = 500 * time.Millisecond

	// burstMax is how long a burst may last before it is shown in parts.
	burstMax = 10 * time.Second
)

// Terminal draws a bar for each package being fetched and, below them, one line that says how the run
// stands. Finished packages and log lines scroll above. It shows each fact once: an action that has a bar
// has no line, and of many actions seen at once it shows the numbers only. Close MUST be called before
// anything else writes to the terminal.
type Terminal struct {
	now    func() time.Time
	color  Color
	size   *fitted
	screen *mpb.Progress
	status *mpb.Bar
	stands standings

	mu         sync.Mutex // guards the fields below; the bars are drawn without it
	began      bool
	bars       map[investigation.ID]*packageBar
	burst      burst
	burstBegan time.Time
	burstEnds  *time.Timer
}

// packageBar is the bar of one package.
type packageBar struct {
	bar      *mpb.Bar
	download atomic.Pointer[download]
}

// download is one download of a package.
type download struct {
	began time.Time
	size  int64
}

// NewTerminal starts drawing on out, which MUST be a terminal.
func NewTerminal(out io.Writer, now func() time.Time, color Color) *Terminal {
	return newTerminal(now, color, onTerminal(out))
}

func newTerminal(now func() time.Time, color Color, console *fitted) *Terminal {
	t := &Terminal{
		now: now, color: color, size: console,
		screen: mpb.New(mpb.WithConsoleWriter(console), mpb.WithAutoRefresh()),
		bars:   map[investigation.ID]*packageBar{},
	}
	t.status = t.add(func(s decor.Statistics) string {
		return t.stands.line(t.now(), s.AvailableWidth, t.color)
	}, mpb.BarPriority(1<<30)) // below every package
	t.burstEnds = time.AfterFunc(quiet, t.show)
	return t
}

// add adds a row that line draws.
func (t *Terminal) add(line func(decor.Statistics) string, options ...mpb.BarOption) *mpb.Bar {
	return t.screen.New(0, mpb.NopStyle(), append(options,
		mpb.BarFillerTrim(), mpb.PrependDecorators(decor.Any(line)))...)
}

// Close draws one last frame and leaves the bars of unfinished packages on the screen. It may be called
// more than once.
func (t *Terminal) Close() {
	t.burstEnds.Stop()
	t.show()
	t.mu.Lock()
	for _, b := range t.bars {
		b.bar.Abort(false)
	}
	t.mu.Unlock()
	t.status.Abort(true)
	t.screen.Wait()
}

// Write scrolls text above the bars. The logger writes here.
func (t *Terminal) Write(p []byte) (int, error) { return t.screen.Write(p) }

func (t *Terminal) println(line string) {
	// After Close the write fails, and there is nothing left to report it on.
	_, _ = fmt.Fprintln(t.screen, line)
}

// show scrolls what was seen in the burst that ends.
func (t *Terminal) show() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, line := range t.burst.lines() {
		t.println(t.size.whole(line))
	}
}

// see adds an action to the burst. The caller has locked mu.
func (t *Terminal) see(rec investigation.Record, word, line string) {
	now := t.now()
	if len(t.burst.seen) == 0 {
		t.burstBegan = now
	}
	t.burst.add(sighting{rec.ID, word, line})
	t.burstEnds.Reset(max(0, min(quiet, t.burstBegan.Add(burstMax).Sub(now))))
}

// Tenants names the tenants, if there are several, from now on.
func (t *Terminal) Tenants(all []tenant.Served) { t.stands.serve(all) }

// Began scrolls a line if this is a simulation, once for all tenants.
func (t *Terminal) Began(_ string, simulated bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if simulated && !t.began {
		t.println(simulation)
	}
	t.began = true
}

// Observed shows the action, at the end of a burst. It skips actions whose outcome is already decided,
// because Decided reports those.
func (t *Terminal) Observed(rec investigation.Record) {
	if rec.State.Decided() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.see(rec, string(rec.State), observed(rec, t.name(rec.Action)))
}

// Fetching starts the package's bar.
func (t *Terminal) Fetching(rec investigation.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.burst.remove(rec.ID)
	t.stands.update(rec.TenantID, func(s *standing) { s.queued = max(0, s.queued-1) })
	b, ok := t.bars[rec.ID]
	if !ok {
		b = t.barOf(rec.Action)
		t.bars[rec.ID] = b
	}
	b.download.Store(nil)
}

func (t *Terminal) barOf(a investigation.Action) *packageBar {
	b := &packageBar{}
	name := t.name(a)
	b.bar = t.add(func(s decor.Statistics) string {
		m := meter{host: name}
		if d := b.download.Load(); d != nil {
			m.began, m.current, m.size = true, s.Current, d.size
			m.rate = int64(float64(s.Current) / max(t.now().Sub(d.began), time.Millisecond).Seconds())
		}
		return m.line(s.AvailableWidth)
	})
	return b
}

// Download advances the bar as body is read. It restarts the bar if the package is downloaded again.
func (t *Terminal) Download(a investigation.Action, size int64, body io.ReadCloser) io.ReadCloser {
	t.mu.Lock()
	b, ok := t.bars[a.ID]
	t.mu.Unlock()
	if !ok {
		return body
	}
	b.bar.SetCurrent(0)
	b.download.Store(&download{t.now(), size})
	counted, err := b.bar.ProxyReader(body)
	if err != nil {
		return body // closed
	}
	return counted
}

// Decided replaces the bar with a line of text. What is decided without a bar is part of a burst.
func (t *Terminal) Decided(rec investigation.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	word, line := decided(rec, t.name(rec.Action), t.color)
	if !t.drop(rec.ID) {
		t.see(rec, word, line)
		return
	}
	t.println(line)
}

// Postponed replaces the bar with a line of text.
func (t *Terminal) Postponed(rec investigation.Record, _ error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(rec.ID)
	t.println(postponed(rec, t.name(rec.Action), t.color))
}

// drop removes the action's bar and what is yet to be shown of it. It reports whether there was a bar: a
// bar that stayed would crowd out the others.
func (t *Terminal) drop(id investigation.ID) bool {
	t.burst.remove(id)
	b, ok := t.bars[id]
	if ok {
		b.bar.Abort(true)
		delete(t.bars, id)
	}
	return ok
}

// name names the action's machine. Among several tenants it also says whose it is, and leaves out the domain.
func (t *Terminal) name(a investigation.Action) string {
	whose, name := t.stands.whose(a.TenantID), host(a)
	if whose == "" {
		return name
	}
	name, _, _ = strings.Cut(name, ".")
	return whose + name
}

// Budget updates the status line.
func (t *Terminal) Budget(tenantID string, freeAt []time.Time) {
	t.stands.update(tenantID, func(s *standing) { s.freeAt = freeAt })
}

// Queue updates the status line.
func (t *Terminal) Queue(tenantID string, queued int, lastAt time.Time) {
	t.stands.update(tenantID, func(s *standing) { s.queued, s.lastAt = queued, lastAt })
}

// Swept updates the status line.
func (t *Terminal) Swept(tenantID string, err error) {
	now := t.now()
	t.stands.update(tenantID, func(s *standing) {
		if err != nil {
			s.failedAt = now
			return
		}
		s.sweptAt, s.failedAt = now, time.Time{}
	})
}

// style is the look of the bars of a verification.
func style() mpb.BarStyleComposer {
	return mpb.BarStyle().Lbound("").Filler("━").Tip("━").Padding(" ").Rbound("")
}
