package export

import (
	"fmt"
	"io"
	"strings"
	"time"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/manifest"
	"packhorse/internal/verify"
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
		text += label("Tenant", n) + id
		if name := i.TenantNames[id]; name != "" {
			text += "  " + console.CleanLine(name)
		}
		text += "\n"
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

// exported is one action of the line "exported". index.json, in the export, has all about it.
type exported struct {
	TenantID        string `json:"tenantId"`
	ActionID        string `json:"actionId"`
	MachineID       string `json:"machineId"`
	ComputerDNSName string `json:"computerDnsName"`
	Outcome         string `json:"outcome"`
	Failed          bool   `json:"failed"`
	File            string `json:"file"`
}

// JSON writes one line with the event "exported"; docs/lines describes it. path is where the export is.
func (r Result) JSON(out io.Writer, path string, now time.Time) error {
	i := r.Index
	packages := []exported{}
	for _, p := range i.Packages {
		packages = append(packages, exported{
			p.TenantID, p.ActionID, p.MachineID, p.Host, p.Outcome, p.Failed, p.Files.Object,
		})
	}
	keys := []string{}
	for _, key := range i.Keys {
		keys = append(keys, key.ID)
	}
	return console.WriteJSON(out, struct {
		console.Head

		Path          string         `json:"path"`
		Files         int            `json:"files"`
		Bytes         int64          `json:"bytes"`
		SumsSHA256    string         `json:"sumsSha256"`
		Keys          []string       `json:"keys"`
		KeyNotTrusted bool           `json:"keyNotTrusted"`
		Tenants       []string       `json:"tenants"`
		Packages      []exported     `json:"packages"`
		Pending       int            `json:"pending"`
		Verdict       verify.Overall `json:"verdict"`
		Headline      string         `json:"headline"`
		Incomplete    []verify.Gap   `json:"incomplete"`
	}{
		console.NewHead("exported", i.Simulated(), now), path, r.Files, r.Bytes, r.SumsSHA256, keys, r.Summary.KeyNotTrusted(),
		i.Tenants, packages, len(i.Pending), i.Verdict, i.Headline, i.Incomplete,
	})
}
