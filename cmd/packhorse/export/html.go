package export

import (
	"bytes"
	_ "embed"
	"html/template"
	"time"

	"packhorse/cmd/packhorse/console"
)

//go:embed index.html
var pageText string

var page = template.Must(template.New("index").Funcs(template.FuncMap{
	"clean": console.CleanLine,
	"bytes": console.Bytes,
	"when":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
}).Parse(pageText))

// html writes the index as a page, without scripts or external resources.
func (i Index) html() ([]byte, error) {
	var text bytes.Buffer
	err := page.Execute(&text, i)
	return text.Bytes(), err
}

// Simulated reports whether something in the index is of a simulation.
func (i Index) Simulated() bool {
	for _, p := range i.Packages {
		if p.Simulated {
			return true
		}
	}
	return false
}

// Failed counts the packages that do not verify.
func (i Index) Failed() (n int) {
	for _, p := range i.Packages {
		if p.Failed {
			n++
		}
	}
	return n
}

// Example returns a package to show commands with: one that verified, if possible with an object. It returns
// false if there is none.
func (i Index) Example() *Package {
	var best *Package
	for n := range i.Packages {
		p := &i.Packages[n]
		if p.Failed || best != nil && best.Files.Object != "" {
			continue
		}
		if best == nil || p.Files.Object != "" {
			best = p
		}
	}
	return best
}
