package report

import (
	"cmp"
	"fmt"
	"strings"

	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
)

// strangers lists foreign objects that are or were stored where the evidence belongs.
func (w writer) strangers() (Section, bool) {
	s := Section{Title: "Foreign files stored in its place"}
	if !isOf(w.s, w.asked) {
		s.Paragraphs = append(s.Paragraphs, fmt.Sprintf("You asked for %s, but no trusted manifest "+
			"describes a file with that key. This report is about the evidence of the same request.", clean(w.asked)))
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
			}, "It is stored there now.")
		}
	}
	for _, found := range w.m.Strangers {
		add(found, "The record lists it.")
	}
	if w.s.Record != nil {
		for _, found := range w.s.Record.Strangers.List() {
			add(ofLedger(found), "The ledger lists it.")
		}
	}
	if w.m.StrangersMore > 0 {
		s.Lines = append(s.Lines, fmt.Sprintf("The record counts %d more.", w.m.StrangersMore))
	}
	if len(s.Lines) > 0 {
		s.Paragraphs = append(s.Paragraphs, "Someone else stored files where Packhorse stores its own. Packhorse "+
			"neither used nor changed them, and this report does not describe their content.")
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
