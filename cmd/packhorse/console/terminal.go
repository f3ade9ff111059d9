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

// barWidth is in characters.
const barWidth = 32

// Terminal shows a progress bar per package, and under them the budget. Lines of text scroll above.
// Close MUST be called before anything else writes to the terminal.
type Terminal struct {
	now      func() time.Time
	progress *mpb.Progress
	budget   *mpb.Bar
	freeAt   atomic.Pointer[[]time.Time]

	mu   sync.Mutex // guards bars
	bars map[string]*packageBar
}

// packageBar is one package's line.
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

// Close draws once more and leaves the bars of unfinished packages on the screen.
func (t *Terminal) Close() {
	t.mu.Lock()
	for _, b := range t.bars {
		b.bar.Abort(false)
	}
	t.mu.Unlock()
	t.budget.Abort(true)
	t.progress.Wait()
}

// Write scrolls text above the bars. It is where the log goes.
func (t *Terminal) Write(p []byte) (int, error) { return t.progress.Write(p) }

func (t *Terminal) println(line string) {
	// After Close there is no screen to write to, and nothing to be done about it.
	_, _ = fmt.Fprintln(t.progress, line)
}

// Began scrolls a line where the tenant is a simulated one.
func (t *Terminal) Began(simulated bool) {
	if simulated {
		t.println(simulation)
	}
}

// Observed scrolls a line, except for an action that is decided already: Settled tells of that.
func (t *Terminal) Observed(rec investigation.Record) {
	if !rec.State.Settled() {
		t.println(observed(rec))
	}
}

// Fetching begins the package's bar.
func (t *Terminal) Fetching(rec investigation.Record) {
	t.barOf(rec.Action).say("asking for the link")
}

// Download lets the bar grow with the bytes. A link that is opened again begins it anew.
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
		b.bar.SetTotal(size+1, false) // the last step is the archive's answer
	}
	counted, err := b.bar.ProxyReader(body)
	if err != nil {
		return body // the screen is closed
	}
	return counted
}

// Settled takes the bar away and scrolls a line. Finished bars cannot stay: with more of them than the
// terminal has lines, mpb would draw every frame below the one before.
func (t *Terminal) Settled(rec investigation.Record) {
	t.drop(rec.ActionID)
	t.println(settled(rec))
}

// Postponed takes the bar away and scrolls a line.
func (t *Terminal) Postponed(rec investigation.Record, _ error) {
	t.drop(rec.ActionID)
	t.println(postponed(rec))
}

// drop takes the action's bar away, if it has one.
func (t *Terminal) drop(actionID string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b, ok := t.bars[actionID]; ok {
		b.bar.Abort(true)
		delete(t.bars, actionID)
	}
}

// Budget remembers what the budget line shows.
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

// style is how every bar looks.
func style() mpb.BarStyleComposer {
	return mpb.BarStyle().Lbound("").Filler("━").Tip("━").Padding(" ").Rbound("")
}
