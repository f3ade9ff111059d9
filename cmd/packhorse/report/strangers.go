package report

import (
	"cmp"
	"fmt"
	"strings"

	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
)

// strangers says what else lies, or lay, where the evidence belongs.
func (w writer) strangers() (Section, bool) {
	s := Section{Title: "What else lies in its place"}
	if !isOf(w.s, w.asked) {
		s.Paragraphs = append(s.Paragraphs, fmt.Sprintf("You asked for %s. No manifest that you can trust "+
			"speaks of a file under that key. This report is on the evidence of the same request.", clean(w.asked)))
	}
	seen := map[string]bool{}
	add := func(found manifest.Stranger, by string) {
		id := found.Key + " " + found.VersionID
		if seen[id] {
			return
		}
		seen[id] = true
		s.Lines = append(s.Lines, strangerLine(found, by))
	}
	for _, f := range w.sum.Strangers {
		if f.Stranger != nil && w.s.Covers(f.Key) {
			add(manifest.Stranger{
				Key: f.Key, VersionID: f.Stranger.VersionID, Size: f.Stranger.Size, SHA256: f.Stranger.SHA256,
				Note: f.Stranger.Note,
			}, "It lies there now.")
		}
	}
	for _, found := range w.m.Strangers {
		add(found, "The record names it.")
	}
	if w.s.Record != nil {
		for _, found := range w.s.Record.Strangers.List() {
			add(ofLedger(found), "The ledger names it.")
		}
	}
	if w.m.StrangersMore > 0 {
		s.Lines = append(s.Lines, fmt.Sprintf("The record counts %d more.", w.m.StrangersMore))
	}
	if len(s.Lines) > 0 {
		s.Paragraphs = append(s.Paragraphs, "Somebody else put files where Packhorse stores its own. They were "+
			"neither used nor changed, and nothing in this report is about their content.")
	}
	return s, len(s.Paragraphs) > 0
}

func ofLedger(s investigation.Stranger) manifest.Stranger { return manifest.Stranger(s) }

func strangerLine(s manifest.Stranger, by string) string {
	parts := []string{clean(s.Key)}
	if s.VersionID != "" {
		parts = append(parts, "version "+clean(s.VersionID))
	}
	parts = append(parts, fmt.Sprintf("%d bytes", s.Size),
		cmp.Or(strings.TrimSpace("SHA-256 "+clean(s.SHA256)), clean(s.Note)))
	if s.SHA256 == "" {
		parts[len(parts)-1] = cmp.Or(clean(s.Note), "SHA-256 not known")
	}
	if !s.FoundAt.IsZero() {
		parts = append(parts, "found "+when(s.FoundAt))
	}
	return strings.Join(parts, ", ") + ". " + by
}
