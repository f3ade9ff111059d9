package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

const (
	// lineMax is how many characters a line has at most, except where a single word has more.
	lineMax = 100

	factIndent = 2
	nameMax    = 62 // characters of a fact's name before its value goes below
)

// Text writes the report as text.
func (r Report) Text(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n", r.Title, r.Subtitle)
	b.WriteString(strings.Repeat("=", min(lineMax, max(utf8.RuneCountInString(r.Title),
		utf8.RuneCountInString(r.Subtitle)))) + "\n\n")
	b.WriteString(fill(r.Verdict, "", "") + "\n")
	for _, s := range r.Sections {
		s.text(&b)
	}
	b.WriteString("\n" + fill(r.Footer, "", "") + "\n")
	_, err := io.WriteString(out, b.String())
	return err
}

func (s Section) text(b *strings.Builder) {
	fmt.Fprintf(b, "\n%s\n%s\n", s.Title, strings.Repeat("-", utf8.RuneCountInString(s.Title)))
	for _, p := range s.Paragraphs {
		b.WriteString(fill(p, "", "") + "\n")
	}
	width := 0
	for _, f := range s.Facts {
		width = max(width, utf8.RuneCountInString(f.Name))
	}
	width = min(width, nameMax)
	indent := strings.Repeat(" ", factIndent+width+2)
	for _, f := range s.Facts {
		name := strings.Repeat(" ", factIndent) + f.Name
		if n := utf8.RuneCountInString(f.Name); n > width {
			b.WriteString(fill(name+": "+f.Value, "", strings.Repeat(" ", factIndent+2)) + "\n")
			continue
		}
		pad := strings.Repeat(" ", len(indent)-utf8.RuneCountInString(name))
		b.WriteString(fill(f.Value, name+pad, indent) + "\n")
	}
	for _, line := range s.Lines {
		b.WriteString(fill(line, "  * ", "    ") + "\n")
	}
	for _, step := range s.Steps {
		fmt.Fprintf(b, "\n  $ %s\n    → %s\n", strings.ReplaceAll(step.Do, "\n", "\n  "), step.Expect)
	}
}

// fill breaks text into lines; the first begins with first, the others with next.
func fill(text, first, next string) string {
	var out strings.Builder
	out.WriteString(first)
	width, fresh := utf8.RuneCountInString(first), true
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case fresh:
		case width+1+n > lineMax:
			out.WriteString("\n" + next)
			width = utf8.RuneCountInString(next)
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
