package console

import (
	"fmt"
	"strings"

	"packhorse/internal/investigation"
)

// meter shows how far a package has come.
type meter struct {
	host string

	began   bool  // the download has
	current int64 // bytes so far
	size    int64 // or investigation.SizeUnknown
	rate    int64 // bytes per second
}

// Widths of the parts of a bar, in columns.
const (
	hostMin, hostMax = 12, 32
	barMin, barMax   = 10, 32
	sizeWidth        = 10 // 1023.9 MiB

	allParts = 64 // from this width on, a bar has all its parts
	barParts = 36 // from this width on, it has a bar
)

// line draws the package in one line of at most width columns. It leaves out what does not fit: the speed
// and the size first, then the bar.
func (p meter) line(width int) string {
	var numbers string
	switch {
	case !p.began:
		numbers = "requesting the link"
	case width >= allParts:
		numbers = fmt.Sprintf("%*s%s  %*s", sizeWidth, Bytes(p.current), p.of(), sizeWidth+2, p.speed())
	default:
		numbers = fmt.Sprintf("%*s", sizeWidth, Bytes(p.current))
	}
	host, bar := min(hostMax, max(width-len(numbers)-len(gap), 1)), 0
	if p.began && width >= barParts {
		room := width - len(numbers) - 2*len(gap) // for the host and the bar
		host = min(hostMax, max(hostMin, room-barMin-(room-barMin-hostMin)/3))
		bar = min(barMax, max(room-host, 0))
	}
	name := cut(p.host, host, "…")
	line := name + strings.Repeat(" ", host-measure.StringWidth(name)) + gap
	if bar > 0 {
		line += p.bar(bar) + gap
	}
	return strings.TrimRight(cut(line+numbers, width, "…"), " ")
}

// of returns the declared size as the second half of "4.0 MiB of 10.0 MiB".
func (p meter) of() string {
	if p.size == investigation.SizeUnknown {
		return strings.Repeat(" ", sizeWidth+len(" of "))
	}
	return fmt.Sprintf(" of %-*s", sizeWidth, Bytes(p.size))
}

// speed returns the average speed. When all bytes have come, the archive still confirms them.
func (p meter) speed() string {
	if p.size == p.current {
		return "storing"
	}
	return Bytes(p.rate) + "/s"
}

func (p meter) bar(width int) string {
	filled := 0
	if p.size > 0 {
		filled = int(min(p.current, p.size) * int64(width) / p.size)
	}
	return strings.Repeat("━", filled) + strings.Repeat(" ", width-filled)
}
