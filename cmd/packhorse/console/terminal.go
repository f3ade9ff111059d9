package console

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"packhorse/internal/investigation"
)

// barWidth is the width of a bar, in columns.
const barWidth = 32

// Terminal draws a progress bar for each package being fetched, and the budget below them. Events and
// log lines scroll above. Close MUST be called before anything else writes to the terminal.
type Terminal struct {
	now      func() time.Time
	progress *mpb.Progress
	budget   *mpb.Bar
	freeAt   atomic.Pointer[[]time.Time]

	mu   sync.Mutex // guards bars
	bars map[string]*packageBar
}

// packageBar is the bar of one package.
type packageBar struct {
	bar   *mpb.Bar
	phase atomic.Pointer[string]
}

func (b *packageBar) say(phase string) { b.phase.Store(&phase) }

// NewTerminal starts drawing on out, which MUST be a terminal.
func NewTerminal(out io.Writer, now func() time.Time) *Terminal {
	return newTerminal(now, mpb.WithOutput(out))
}

func newTerminal(now func() time.Time, output mpb.ContainerOption) *Terminal {
	t := &Terminal{
		now:      now,
		progress: mpb.New(output, mpb.WithWidth(barWidth), mpb.WithAutoRefresh()),
		bars:     map[string]*packageBar{},
	}
	t.freeAt.Store(&[]time.Time{})
	t.budget = t.progress.New(0, mpb.NopStyle(),
		mpb.BarPriority(1<<30), // below every package
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string {
			return budgetLine(*t.freeAt.Load(), t.now())
		})))
	return t
}

// Close draws one last frame and leaves the bars of unfinished packages on the screen. It may be called
// more than once.
func (t *Terminal) Close() {
	t.mu.Lock()
	for _, b := range t.bars {
		b.bar.Abort(false)
	}
	t.mu.Unlock()
	t.budget.Abort(true)
	t.progress.Wait()
}

// Write scrolls text above the bars. The logger writes here.
func (t *Terminal) Write(p []byte) (int, error) { return t.progress.Write(p) }

func (t *Terminal) println(line string) {
	// After Close the write fails, and there is nothing left to report it on.
	_, _ = fmt.Fprintln(t.progress, line)
}

// Began scrolls a line if this is a simulation.
func (t *Terminal) Began(simulated bool) {
	if simulated {
		t.println(simulation)
	}
}

// Observed scrolls a line. It skips actions whose outcome is already decided, because Decided reports
// those.
func (t *Terminal) Observed(rec investigation.Record) {
	if !rec.State.Decided() {
		t.println(observed(rec))
	}
}

// Fetching starts the package's bar.
func (t *Terminal) Fetching(rec investigation.Record) {
	t.barOf(rec.Action).say("requesting the link")
}

// Download advances the bar as body is read. It restarts the bar if the package is downloaded again.
func (t *Terminal) Download(actionID string, size int64, body io.ReadCloser) io.ReadCloser {
	t.mu.Lock()
	b, ok := t.bars[actionID]
	t.mu.Unlock()
	if !ok {
		return body
	}
	b.say("streaming")
	b.bar.SetCurrent(0)
	if size != investigation.SizeUnknown {
		b.bar.SetTotal(size+1, false) // full only once the archive has confirmed it
	}
	counted, err := b.bar.ProxyReader(body)
	if err != nil {
		return body // closed
	}
	return counted
}

// Decided replaces the bar with a line of text. Finished bars cannot stay: with more bars than the
// terminal has lines, mpb draws each frame below the previous one.
func (t *Terminal) Decided(rec investigation.Record) {
	t.drop(rec.ActionID)
	t.println(decided(rec))
}

// Postponed replaces the bar with a line of text.
func (t *Terminal) Postponed(rec investigation.Record, _ error) {
	t.drop(rec.ActionID)
	t.println(postponed(rec))
}

// drop removes the action's bar, if it has one.
func (t *Terminal) drop(actionID string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b, ok := t.bars[actionID]; ok {
		b.bar.Abort(true)
		delete(t.bars, actionID)
	}
}

// Budget updates the budget line.
func (t *Terminal) Budget(freeAt []time.Time) { t.freeAt.Store(&freeAt) }

func (t *Terminal) barOf(a investigation.Action) *packageBar {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b, ok := t.bars[a.ActionID]; ok {
		return b
	}
	b := &packageBar{}
	b.say("")
	b.bar = t.progress.New(0,
		style(),
		mpb.PrependDecorators(decor.Name(host(a), decor.WCSyncSpaceR)),
		mpb.AppendDecorators(
			decor.CurrentKibiByte("% .1f", decor.WCSyncSpace),
			decor.AverageSpeed(decor.SizeB1024(0), "% .1f", decor.WCSyncSpace),
			decor.Any(func(decor.Statistics) string { return "  " + *b.phase.Load() }, decor.WCSyncSpaceR),
		))
	t.bars[a.ActionID] = b
	return b
}

// style is the look of all bars.
func style() mpb.BarStyleComposer {
	return mpb.BarStyle().Lbound("").Filler("━").Tip("━").Padding(" ").Rbound("")
}
