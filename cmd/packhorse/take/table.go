package take

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/manifest"
	"packhorse/internal/verify"
)

// Table writes what was copied to where, for people. The result MUST have files.
func (r Result) Table(out io.Writer, folder string) error {
	m := r.outcome()
	text := fmt.Sprintf("\nHost     %s\n", console.CleanLine(cmp.Or(m.Action.ComputerDNSName, m.Action.MachineID)))
	if m.Action.CaseID != "" {
		text += fmt.Sprintf("Case     %s\n", console.CleanLine(m.Action.CaseID))
	}
	text += fmt.Sprintf("Asked    %s UTC by %s\n", m.Action.CreatedAt.UTC().Format(console.Minute),
		console.CleanLine(cmp.Or(m.Action.Requestor, "an unknown requestor")))
	if m.Simulated {
		text += "         SIMULATION: this is not evidence\n"
	}
	if n := m.NotCollected; n != nil {
		text += fmt.Sprintf("Package  none: %s; this is the signed record of that\n", console.CleanLine(string(n.Reason)))
	}
	if m.Object != nil {
		text += fmt.Sprintf("SHA-256  %s\n", m.Object.SHA256)
	}
	for _, key := range r.Summary.Keys {
		if key.ID == m.Signature.KeyID {
			text += fmt.Sprintf("Key      %s\n         from %s\n", key.ID, console.CleanLine(key.From))
		}
	}
	text += fmt.Sprintf("\nIn %s:\n", console.CleanLine(folder))
	for _, f := range r.Files {
		text += "  " + f.Name
		switch {
		case f.Already:
			text += "  (was there already, identical)"
		case f.What == WhatPackage || f.What == WhatQuarantine:
			text += "  " + console.Bytes(f.Size)
		}
		text += "\n"
	}
	_, err := fmt.Fprintf(out, "%s\n%s\n", text, console.Fill(console.CleanLine(Verdict(r.Summary)), "", ""))
	return err
}

// Verdict returns the verdict on what was copied, with its reason.
func Verdict(s verify.Summary) string { return string(s.Verdict()) + ": " + s.Headline() }

// outcome returns the manifest of the action's outcome: not that of a quarantined object, if there is another.
func (r Result) outcome() manifest.Manifest {
	for _, i := range r.Items {
		if i.Manifest.Outcome != manifest.OutcomeQuarantined {
			return i.Manifest
		}
	}
	return r.Items[0].Manifest
}

// simulated reports whether this is of a simulation.
func (r Result) simulated() bool { return len(r.Items) > 0 && r.outcome().Simulated }

// JSON writes one line with the event "got"; docs/lines describes it.
func (r Result) JSON(out io.Writer, folder string, now time.Time) error {
	type file struct {
		What    string `json:"what"`
		Name    string `json:"name"`
		Size    int64  `json:"size"` // bytes
		SHA256  string `json:"sha256"`
		Already bool   `json:"already"`
	}
	files := []file{}
	for _, f := range r.Files {
		files = append(files, file{f.What, f.Name, f.Size, f.SHA256, f.Already})
	}
	line := struct {
		console.Head

		TenantID        string         `json:"tenantId"`
		ActionID        string         `json:"actionId"`
		MachineID       string         `json:"machineId"`
		ComputerDNSName string         `json:"computerDnsName"`
		CaseID          string         `json:"caseId"`
		Outcome         string         `json:"outcome"`
		Reason          string         `json:"reason"`
		Key             string         `json:"key"`
		Folder          string         `json:"folder"`
		Files           []file         `json:"files"`
		KeyID           string         `json:"keyId"`
		KeyNotTrusted   bool           `json:"keyNotTrusted"`
		Verdict         verify.Overall `json:"verdict"`
		Headline        string         `json:"headline"`
		Incomplete      []verify.Gap   `json:"incomplete"`
	}{
		Head: console.NewHead("got", r.simulated(), now), Key: r.Summary.Scope.Key, Folder: folder, Files: files,
		KeyNotTrusted: r.Summary.KeyNotTrusted(), Verdict: r.Summary.Verdict(), Headline: r.Summary.Headline(),
		Incomplete: append([]verify.Gap{}, r.Summary.Gaps...),
	}
	if len(r.Items) > 0 {
		m := r.outcome()
		a := m.Action
		line.TenantID, line.ActionID, line.MachineID, line.ComputerDNSName = a.TenantID, a.ID, a.MachineID, a.ComputerDNSName
		line.CaseID, line.Outcome, line.KeyID = a.CaseID, string(m.Outcome), m.Signature.KeyID
		if m.NotCollected != nil {
			line.Reason = string(m.NotCollected.Reason)
		}
	}
	return console.WriteJSON(out, line)
}
