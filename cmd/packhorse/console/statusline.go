package console

import (
	"fmt"
	"strings"
	"time"
)

// standing is how a run stands. Zero values are not known yet.
type standing struct {
	freeAt   []time.Time // of the budget's slots, ascending
	queued   int         // packages that are ready and not being fetched
	lastAt   time.Time   // when the link of the last queued package can be requested
	sweptAt  time.Time   // the last successful sweep
	failedAt time.Time   // the last sweep, if it failed
}

// part is one fact in the status line.
type part struct {
	text string
	rank int // parts with a higher rank are left out first
}

// line says in one line, of at most width columns, how the run stands.
func (s standing) line(now time.Time, width int, color Color) string {
	var parts []part
	add := func(rank int, format string, args ...any) {
		parts = append(parts, part{fmt.Sprintf(format, args...), rank})
	}
	if s.queued > 0 {
		add(0, "%s queued", thousands(s.queued))
		if s.lastAt.After(now) {
			add(1, "ETA %s", Span(s.lastAt.Sub(now)+half(s.lastAt.Sub(now))))
		}
	}
	if !s.failedAt.IsZero() {
		add(2, "%s", color.bad("sweep failed "+ago(s.failedAt, now)))
	}
	if !s.sweptAt.IsZero() {
		add(4, "last sweep %s", ago(s.sweptAt, now))
	}
	if len(s.freeAt) > 0 {
		add(3, "%s", budget(s.freeAt, now))
	}
	if len(parts) == 0 {
		add(0, "starting")
	}
	return fit(parts, width)
}

// separator stands between the parts of the status line.
const separator = " · "

// fit joins the parts, without those of the highest ranks if not all fit.
func fit(parts []part, width int) string {
	for rank := len(parts) + 4; ; rank-- {
		var texts []string
		for _, p := range parts {
			if p.rank <= rank {
				texts = append(texts, p.text)
			}
		}
		line := strings.Join(texts, separator)
		if columns(line) <= width {
			return line
		}
		if rank <= 0 {
			return cut(plain(line), width, "…")
		}
	}
}

// budget says how many calls are free or, if none is, when the next one will be.
func budget(freeAt []time.Time, now time.Time) string {
	free := 0
	for _, at := range freeAt {
		if !at.After(now) {
			free++
		}
	}
	if free == 0 {
		return "next slot in " + Span(freeAt[0].Sub(now)+time.Second-1)
	}
	return fmt.Sprintf("budget: %d of %d calls free", free, len(freeAt))
}

// ago returns how long ago t was.
func ago(t, now time.Time) string { return Span(max(0, now.Sub(t))) + " ago" }

// half returns half of the unit in which Span shows d, to round an estimate up rather than down.
func half(d time.Duration) time.Duration {
	if d < spanMinutes {
		return time.Second / 2
	}
	return time.Minute / 2
}

// spanMinutes is the shortest duration that Span shows in minutes: "1 min" would be too rough.
const spanMinutes = 2 * time.Minute

// Span formats a duration in words a person would use: 90 s, 6 min, 2 h 5 min, 3 d 4 h.
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < spanMinutes:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < day:
		return two(int(d/time.Hour), "h", int(d%time.Hour/time.Minute), "min")
	default:
		return two(int(d/day), "d", int(d%day/time.Hour), "h")
	}
}

// two joins two numbers with their units. It leaves the second out if it is zero.
func two(a int, unitA string, b int, unitB string) string {
	if b == 0 {
		return fmt.Sprintf("%d %s", a, unitA)
	}
	return fmt.Sprintf("%d %s %d %s", a, unitA, b, unitB)
}

// thousands formats a number with separators: 2,000.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}
