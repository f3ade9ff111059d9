// Package console shows a person or a machine what a run of Packhorse does.
//
// Three reporters for three readers: [Terminal] (progress bars), [Lines] (a log a person can read
// in a file), [JSON] (one object a line). A [Summary] closes each of them.
//
// What Defender says of hosts and people is somebody else's words and may hold anything: whatever
// is shown passes through Clean or WriteJSON first, so that a host name cannot steer the terminal.
package console

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"packhorse/internal/investigation"
)

// widthMax is how many columns somebody else's words take at most.
const widthMax = 40

// hidden reports whether a character shows nothing by itself, but may steer a terminal (U+001B, U+009B) or
// change the order in which others are shown (U+202E).
func hidden(r rune) bool { return !unicode.IsPrint(r) }

// replace returns s with another character in the place of each that is hidden.
func replace(s string, by rune) string {
	return strings.Map(func(r rune) rune {
		if hidden(r) {
			return by
		}
		return r
	}, s)
}

// Clean makes text from outside safe for a terminal and short enough for a column.
func Clean(s string) string {
	return cut(replace(s, '?'), widthMax, "…")
}

// host names the action's machine: by its DNS name where there is one.
func host(a investigation.Action) string {
	if a.ComputerDNSName != "" {
		return Clean(a.ComputerDNSName)
	}
	return a.MachineID[:min(12, len(a.MachineID))]
}

// Bytes shows a size in binary units.
func Bytes(n int64) string {
	const unit = 1024
	const rounded = unit - 0.05 // from here on one digit would show 1024.0
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	size, suffix := float64(n)/unit, "KiB"
	for _, next := range []string{"MiB", "GiB", "TiB"} {
		if size < rounded {
			break
		}
		size, suffix = size/unit, next
	}
	return fmt.Sprintf("%.1f %s", size, suffix)
}

// budgetLine says how much of the budget is free, and when more will be. Before anybody has looked, it
// says that.
func budgetLine(freeAt []time.Time, now time.Time) string {
	if len(freeAt) == 0 {
		return "starting"
	}
	free := 0
	for _, at := range freeAt {
		if !at.After(now) {
			free++
		}
	}
	line := fmt.Sprintf("budget: %d of %d calls free", free, len(freeAt))
	if free < len(freeAt) {
		line += fmt.Sprintf(", next in %s", freeAt[free].Sub(now).Round(time.Second))
	}
	return line
}

// simulation says that what is shown is none of a real tenant's, for people.
const simulation = "SIMULATION: the tenant and its packages are made up; nothing here is evidence"

// clock is the time of day an event is shown with.
func clock(t time.Time) string { return t.UTC().Format("15:04:05Z") }

// CleanLine makes text from outside safe for a terminal without shortening it.
func CleanLine(s string) string { return replace(s, ' ') }

// CleanText does what CleanLine does, line by line.
func CleanText(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = CleanLine(line)
	}
	return strings.Join(lines, "\n")
}

// WriteJSON writes v as one line of JSON, in one write. What is hidden in its words is escaped: whoever
// reads the line sees it, and whoever decodes it gets the words as they were.
func WriteJSON(out io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	line := make([]byte, 0, len(text)+1)
	for _, r := range string(text) { // outside of words there is nothing but ASCII
		if hidden(r) {
			for _, unit := range utf16.Encode([]rune{r}) {
				line = fmt.Appendf(line, `\u%04x`, unit)
			}
			continue
		}
		line = utf8.AppendRune(line, r)
	}
	_, err = out.Write(append(line, '\n'))
	return err
}

// plainWord is what a shell takes as it stands. In zsh a leading = expands to the path of a command.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+:,./][A-Za-z0-9_@%+=:,./-]*$`)

// ShellQuote returns text as one word of a shell's command line, whatever is in it. Text that begins
// with a hyphen stays one: whoever uses it as a name puts something before.
func ShellQuote(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// LineMax is how many columns a line of running text has at most, except where a single word has more.
const LineMax = 100

// Fill breaks text into lines of at most LineMax columns; the first begins with first, the others with next.
func Fill(text, first, next string) string {
	var out strings.Builder
	out.WriteString(first)
	width, fresh := measure.StringWidth(first), true
	for word := range strings.FieldsSeq(text) {
		n := measure.StringWidth(word)
		switch {
		case fresh:
		case width+1+n > LineMax:
			out.WriteString("\n" + next)
			width = measure.StringWidth(next)
		default:
			out.WriteByte(' ')
			width++
		}
		out.WriteString(word)
		width += n
		fresh = false
	}
	return out.String()
}
