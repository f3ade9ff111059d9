package console

import (
	"cmp"
	"fmt"
	"io"
	"path"
	"sync"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"packhorse/internal/verify"
)

// Quiet is a [verify.Reporter] that prints nothing: the final table has everything.
type Quiet struct{}

// Begin implements verify.Reporter.
func (Quiet) Begin(int, int64) {}

// Reading implements verify.Reporter.
func (Quiet) Reading(_ string, _ int64, body io.Reader) io.Reader { return body }

// Checked implements verify.Reporter.
func (Quiet) Checked(verify.Subject) {}

// Found implements verify.Reporter.
func (Quiet) Found(verify.Finding) {}

// barFrom is the size from which an object gets its own bar, in bytes. The bars of smaller ones would
// only flicker.
const barFrom = 16 << 20

// VerifyBars draws a bar for each large object being read and, below them, one for all objects.
// Findings scroll above. Close MUST be called before anything else writes to the terminal.
type VerifyBars struct {
	progress *mpb.Progress
	color    Color

	mu    sync.Mutex // guards what follows
	total *mpb.Bar
	open  map[*mpb.Bar]bool // the bars of large objects that are being read
}

// NewVerifyBars starts drawing on out, which MUST be a terminal.
func NewVerifyBars(out io.Writer, color Color) *VerifyBars {
	return newVerifyBars(color, onTerminal(out))
}

func newVerifyBars(color Color, console *fitted) *VerifyBars {
	return &VerifyBars{
		color:    color,
		progress: mpb.New(mpb.WithConsoleWriter(console), mpb.WithWidth(barWidth), mpb.WithAutoRefresh()),
		open:     map[*mpb.Bar]bool{},
	}
}

// Begin starts the bar for all objects.
func (b *VerifyBars) Begin(_ int, size int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total = b.bar(size, mpb.BarPriority(1<<30),
		mpb.PrependDecorators(decor.Name("all", decor.WCSyncSpaceR)),
		mpb.AppendDecorators(
			decor.CountersKibiByte("% .1f of % .1f", decor.WCSyncSpace),
			decor.AverageSpeed(decor.SizeB1024(0), "% .1f", decor.WCSyncSpace),
		))
}

// bar adds a bar that ends only with Abort, even if more bytes are read than size.
func (b *VerifyBars) bar(size int64, options ...mpb.BarOption) *mpb.Bar {
	bar := b.progress.New(0, style(), options...)
	bar.SetTotal(size, false)
	return bar
}

// Reading advances the bars as body is read. A large object's bar disappears when its reader ends:
// several versions of one key may be read before it is checked.
func (b *VerifyBars) Reading(key string, size int64, body io.Reader) io.Reader {
	b.mu.Lock()
	defer b.mu.Unlock()
	counted := counter{source: body, bars: []*mpb.Bar{b.total}, end: func() {}}
	if size >= barFrom {
		bar := b.bar(size, mpb.PrependDecorators(decor.Name(cut(Clean(path.Base(key)), nameMax, ""), decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.CountersKibiByte("% .1f of % .1f", decor.WCSyncSpace)))
		b.open[bar] = true
		counted.bars = append(counted.bars, bar)
		counted.end = func() { b.end(bar) }
	}
	return counted
}

// end removes a bar.
func (b *VerifyBars) end(bar *mpb.Bar) {
	b.mu.Lock()
	defer b.mu.Unlock()
	bar.Abort(true)
	delete(b.open, bar)
}

type counter struct {
	source io.Reader
	bars   []*mpb.Bar
	end    func() // called when Read fails or reaches the end
}

func (c counter) Read(p []byte) (int, error) {
	n, err := c.source.Read(p)
	for _, bar := range c.bars {
		bar.IncrBy(n)
	}
	if err != nil {
		c.end()
	}
	return n, err
}

// Checked does nothing: the bars end with their readers.
func (b *VerifyBars) Checked(verify.Subject) {}

// Found scrolls a line.
func (b *VerifyBars) Found(f verify.Finding) {
	word, paint := "FAIL", b.color.bad
	switch {
	case f.Kind == verify.KindStranger:
		word = "STRANGER"
	case f.Unread:
		word, paint = "NOT READ", b.color.caution
	}
	text := CleanLine(fmt.Sprintf("  %s %s: %s", f.Check, cmp.Or(f.Host, path.Base(f.Key), f.TenantID),
		cmp.Or(f.Headline, f.What)))
	// Only the first line: the final table has all of it, sorted by cause. After Close the write fails.
	_, _ = io.WriteString(b.progress, paint(word)+cut(text, foundMax-len(word), "")+"\n")
}

// Columns of an 80-column terminal.
const (
	nameMax  = 24 // of an object's name before its bar
	foundMax = 78 // of a finding while others are looked for
)

// Close removes the bars. It may be called more than once.
func (b *VerifyBars) Close() {
	b.mu.Lock()
	for bar := range b.open {
		bar.Abort(true)
	}
	if b.total != nil {
		b.total.Abort(true)
	}
	b.mu.Unlock()
	b.progress.Wait()
}

var (
	_ verify.Reporter = Quiet{}
	_ verify.Reporter = (*VerifyBars)(nil)
)
