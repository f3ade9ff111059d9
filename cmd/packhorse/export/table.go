package export

import (
	"fmt"
	"io"
	"strings"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/manifest"
)

// advice fits a terminal of 80 columns.
const advice = `
Tell the recipient these two kinds of fingerprints (Key, Sums) another way than
with the export, such as by phone. CHECK.txt says what to do with them.
`

// Table writes what was exported, for people. path is where.
func (r Result) Table(out io.Writer, path string) error {
	i := r.Index
	text := fmt.Sprintf("\nExport   %s\n         %d files, %s\n", console.CleanLine(path), r.Files, console.Bytes(r.Bytes))
	if i.Simulated() {
		text += "         SIMULATION: this is not evidence\n"
	}
	for n, id := range i.Tenants {
		text += label("Tenant", n) + id + "\n"
	}
	counts := map[string]int{}
	for _, p := range i.Packages {
		if !p.Failed {
			counts[p.Outcome]++
		}
	}
	parts := []string{fmt.Sprintf("%d archived", counts[string(manifest.OutcomeArchived)])}
	for _, of := range []struct {
		n    int
		what string
	}{
		{counts[string(manifest.OutcomeNotCollected)], "not collected"},
		{counts[string(manifest.OutcomeQuarantined)], "in quarantine"},
		{i.Failed(), "in mismatch/ because they do not verify"},
		{len(i.Pending), "not stored yet, and left out"},
	} {
		if of.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", of.n, of.what))
		}
	}
	text += console.Fill(strings.Join(parts, ", "), "Packages ", "         ") + "\n"
	for n, key := range i.Keys {
		text += label("Key", n) + key.ID + "\n"
	}
	text += label("Sums", 0) + r.SumsSHA256 + "\n         the SHA-256 of SHA256SUMS\n" + advice
	_, err := fmt.Fprintf(out, "%s\n%s\n", text, console.Fill(console.CleanLine(string(i.Verdict)+": "+i.Headline), "", ""))
	return err
}

// label begins a line: with a word, if it is the first of its kind.
func label(word string, n int) string {
	if n > 0 {
		word = ""
	}
	return fmt.Sprintf("%-9s", word)
}

// JSON writes one line with the event "exported". path is where.
func (r Result) JSON(out io.Writer, path string) error {
	return console.WriteJSON(out, struct {
		Version    string `json:"version"`
		Event      string `json:"event"`
		Path       string `json:"path"`
		Files      int    `json:"files"`
		Bytes      int64  `json:"bytes"`
		SumsSHA256 string `json:"sha256sumsSha256"`
		Index      Index  `json:"index"`
	}{"1", "exported", path, r.Files, r.Bytes, r.SumsSHA256, r.Index})
}
