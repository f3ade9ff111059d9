package export

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"slices"
	"strconv"
	"strings"
	"time"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/take"
	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
	"packhorse/internal/verify"
)

// Index lists what is in an export. index.json is its encoding.
type Index struct {
	Version    string         `json:"version"`
	ExportedAt time.Time      `json:"exportedAt"`
	Selected   string         `json:"selected"`
	Verdict    verify.Overall `json:"verdict"`
	Headline   string         `json:"headline"`
	Incomplete []verify.Gap   `json:"incomplete"` // checks that were called for and could not be made
	Tenants    []string       `json:"tenants"`
	// TenantNames are what the tenants are called, by id; those that are not registered have no name.
	TenantNames map[string]string `json:"tenantNames,omitempty"`
	Keys        []Key             `json:"keys"`
	Packages    []Package         `json:"packages"`
	Pending     []Pending         `json:"pending"` // selected, but not stored yet

	folders []string // the names of the tenants' own folders, if what was selected is of several
}

// Key is a public key in the export.
type Key struct {
	ID   string `json:"keyId"` // SHA-256 of the key (DER): its fingerprint
	File string `json:"file"`
	// NotTrusted: the key came with the archive itself, and nobody else vouched for it.
	NotTrusted bool `json:"notTrusted"`
}

// Package is one manifest in the export.
type Package struct {
	ActionID       string          `json:"actionId"`
	TenantID       string          `json:"tenantId"`
	Host           string          `json:"computerDnsName"`
	MachineID      string          `json:"machineId"`
	Case           string          `json:"caseId"`
	Requestor      string          `json:"requestor"`
	Comment        string          `json:"requestorComment"`
	CreatedAt      time.Time       `json:"createdAt"`
	Outcome        string          `json:"outcome"`
	Reason         string          `json:"reason"`
	Message        string          `json:"message"`
	Simulated      bool            `json:"simulated,omitempty"`
	Bucket         string          `json:"bucket"`
	Key            string          `json:"key"` // in the archive
	VersionID      string          `json:"versionId"`
	Size           int64           `json:"size"` // bytes
	SHA256         string          `json:"sha256"`
	CRC32C         string          `json:"crc32c"`
	ManifestKey    string          `json:"manifestKey"`
	ManifestSHA256 string          `json:"manifestSha256"`
	Sequence       int64           `json:"sequence"` // in the tenant's chain
	KeyID          string          `json:"keyId"`
	Verdict        verify.Overall  `json:"verdict"`
	Headline       string          `json:"headline"`
	Failed         bool            `json:"failed"` // kept apart, because it does not verify
	Checks         []verify.Result `json:"checks"`
	Findings       []string        `json:"findings"`
	Files          Files           `json:"files"`
}

// Files are paths in the export. Those of files that do not exist are empty.
type Files struct {
	Object    string `json:"object"`
	Manifest  string `json:"manifest"`
	Signature string `json:"signature"`
	Report    string `json:"report"`
}

// Pending is an action that was selected, but has nothing stored yet.
type Pending struct {
	ActionID  string    `json:"actionId"`
	TenantID  string    `json:"tenantId"`
	Host      string    `json:"computerDnsName"`
	CreatedAt time.Time `json:"createdAt"`
	State     string    `json:"state"`
}

const indexVersion = "1"

// packageOf describes one item.
func packageOf(rec investigation.Record, m manifest.Manifest, sum verify.Summary, item take.Item, files Files,
	failed bool,
) Package {
	a := m.Action
	p := Package{
		ActionID: a.ID, TenantID: a.TenantID, Host: a.ComputerDNSName, MachineID: a.MachineID, Case: a.CaseID,
		Requestor: a.Requestor, Comment: a.RequestorComment, CreatedAt: a.CreatedAt,
		Outcome: cmp.Or(string(m.Outcome), string(rec.State)), Simulated: m.Simulated, Key: item.Key,
		ManifestKey: item.ManifestKey, ManifestSHA256: item.Digest, Sequence: m.Chain.Sequence, KeyID: m.Signature.KeyID,
		Verdict: sum.Verdict(), Headline: sum.Headline(), Failed: failed, Checks: item.Results, Findings: []string{},
		Files: files,
	}
	if n := m.NotCollected; n != nil {
		p.Reason, p.Message = string(n.Reason), n.Message
	}
	if o := m.Object; o != nil {
		p.Bucket, p.VersionID, p.Size, p.SHA256, p.CRC32C = o.Bucket, o.VersionID, o.Size, o.SHA256, o.CRC32C
	}
	for _, f := range sum.Findings {
		p.Findings = append(p.Findings, f.Error())
	}
	return p
}

// index completes the index.
func (x *exporter) index(pending []investigation.Record) {
	i, sum := &x.result.Index, x.result.Summary
	i.Version, i.ExportedAt, i.Selected = indexVersion, x.At.UTC(), x.Selected
	i.Verdict, i.Headline = verify.Empty, "nothing of what was selected is stored yet"
	if len(i.Packages) > 0 {
		i.Verdict, i.Headline = sum.Verdict(), sum.Headline()
	}
	if i.Verdict == verify.Pass {
		i.Headline = "each package agrees with its record; the chain is not part of an export"
	}
	i.Incomplete = append([]verify.Gap{}, sum.Gaps...)
	i.Keys, i.Tenants, i.Pending = []Key{}, []string{}, []Pending{}
	i.Packages = append([]Package{}, i.Packages...)
	for id := range x.keys {
		i.Keys = append(i.Keys, Key{ID: id, File: folderKeys + "/" + id + take.EndKey, NotTrusted: sum.KeysCame})
	}
	slices.SortFunc(i.Keys, func(a, b Key) int { return strings.Compare(a.ID, b.ID) })
	for _, p := range i.Packages {
		i.Tenants = append(i.Tenants, p.TenantID)
	}
	for _, rec := range pending {
		i.Pending = append(i.Pending, Pending{rec.ActionID, rec.TenantID, rec.ComputerDNSName, rec.CreatedAt.UTC(), string(rec.State)})
		i.Tenants = append(i.Tenants, rec.TenantID)
	}
	slices.Sort(i.Tenants)
	i.Tenants = slices.Compact(i.Tenants)
	for _, id := range i.Tenants {
		if name := x.Tenants[id]; name != "" {
			if i.TenantNames == nil {
				i.TenantNames = map[string]string{}
			}
			i.TenantNames[id] = name
		}
	}
}

// Several reports whether what was selected is of several tenants, which then have folders of their own.
func (i Index) Several() bool { return len(i.folders) > 0 }

// Folders are the names of those folders.
func (i Index) Folders() []string { return i.folders }

// json encodes the index as one line, with hidden characters escaped.
func (i Index) json() ([]byte, error) {
	var text bytes.Buffer
	err := console.WriteJSON(&text, i)
	return text.Bytes(), err
}

// csv writes the packages as a table for spreadsheets.
func (i Index) csv() ([]byte, error) {
	var text bytes.Buffer
	w := csv.NewWriter(&text)
	rows := [][]string{{
		"created", "host", "case", "requestor", "comment", "outcome", "reason", "verdict", "headline", "size", "sha256",
		"file", "manifest", "signature", "report", "archive key", "version", "action", "machine", "tenant", "sequence",
		"signing key",
	}}
	for _, p := range i.Packages {
		rows = append(rows, []string{
			p.CreatedAt.UTC().Format(time.RFC3339), p.Host, p.Case, p.Requestor, p.Comment, p.Outcome, p.Reason,
			string(p.Verdict), p.Headline, strconv.FormatInt(p.Size, 10), p.SHA256, p.Files.Object, p.Files.Manifest,
			p.Files.Signature, p.Files.Report, p.Key, p.VersionID, p.ActionID, p.MachineID, p.TenantID,
			strconv.FormatInt(p.Sequence, 10), p.KeyID,
		})
	}
	for _, row := range rows {
		for i, cell := range row {
			row[i] = spreadsheet(cell)
		}
	}
	err := w.WriteAll(rows)
	return text.Bytes(), err
}

// spreadsheet makes text from outside safe for a spreadsheet, which would run what begins like a formula.
func spreadsheet(cell string) string {
	cell = console.CleanLine(cell)
	if strings.ContainsAny(cell[:min(1, len(cell))], "=+-@") {
		return "'" + cell
	}
	return cell
}
