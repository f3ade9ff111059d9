package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"packhorse/cmd/packhorse/console"
)

const (
	factIndent = 2
	nameMax    = 62 // characters; longer names are not aligned, and their value follows a colon
)

// Text writes the report as text.
func (r Report) Text(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n", r.Title, r.Subtitle)
	b.WriteString(strings.Repeat("=", min(console.LineMax, max(utf8.RuneCountInString(r.Title),
		utf8.RuneCountInString(r.Subtitle)))) + "\n\n")
	b.WriteString(console.Fill(r.Verdict, "", "") + "\n")
	for _, s := range r.Sections {
		s.text(&b)
	}
	b.WriteString("\n" + console.Fill(r.Footer, "", "") + "\n")
	_, err := io.WriteString(out, b.String())
	return err
}

func (s Section) text(b *strings.Builder) {
	fmt.Fprintf(b, "\n%s\n%s\n", s.Title, strings.Repeat("-", utf8.RuneCountInString(s.Title)))
	for _, p := range s.Paragraphs {
		b.WriteString(console.Fill(p, "", "") + "\n")
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
			b.WriteString(console.Fill(name+": "+f.Value, "", strings.Repeat(" ", factIndent+2)) + "\n")
			continue
		}
		pad := strings.Repeat(" ", len(indent)-utf8.RuneCountInString(name))
		b.WriteString(console.Fill(f.Value, name+pad, indent) + "\n")
	}
	for _, line := range s.Lines {
		b.WriteString(console.Fill(line, "  * ", "    ") + "\n")
	}
	for _, step := range s.Steps {
		fmt.Fprintf(b, "\n  $ %s\n    → %s\n", strings.ReplaceAll(step.Do, "\n", "\n  "), step.Expect)
	}
}
