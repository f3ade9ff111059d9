package export

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"

	"packhorse/cmd/packhorse/report"
	"packhorse/cmd/packhorse/take"
	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
	"packhorse/internal/verify"
)

// The folders and files of an export.
const (
	folderPackages     = "packages"
	folderNotCollected = "not-collected"
	folderQuarantine   = "quarantine"
	folderMismatch     = "mismatch" // of what does not verify
	folderKeys         = "signing-keys"
	fileSums           = "SHA256SUMS"
	fileCheck          = "CHECK.txt"
)

// folderOf returns the folder of what a manifest describes. If there are several tenants, each has its own: a part of
// such an export can be handed on without a look into every file.
func (x *exporter) folderOf(rec investigation.Record, m manifest.Manifest, failed bool) string {
	folder := folderNotCollected
	switch {
	case failed:
		folder = folderMismatch
	case m.Outcome == manifest.OutcomeArchived:
		folder = folderPackages
	case m.Outcome == manifest.OutcomeQuarantined:
		folder = folderQuarantine
	}
	if !x.result.Index.Several() {
		return folder
	}
	return folder + "/" + folderName(rec.TenantID)
}

// foldersOf returns the names of the folders that several tenants have; one tenant does not have any.
func foldersOf(records []investigation.Record) []string {
	var names []string
	for _, rec := range records {
		names = append(names, folderName(rec.TenantID))
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) == 1 {
		return nil
	}
	return names
}

// folderName returns the name of a tenant's own folder.
func folderName(tenantID string) string {
	id, err := investigation.CanonicalID(tenantID)
	if err != nil { // of a manifest that nobody signed
		return "unknown"
	}
	return id
}

// object is the file of a package while it is written.
type object struct {
	entry

	sum  hash.Hash // nil if its SHA-256 will be the one that the manifest names, or it will not be kept
	done bool      // closed or dropped
}

// Write implements io.Writer.
func (o *object) Write(p []byte) (int, error) {
	n, err := o.entry.Write(p)
	if o.sum != nil {
		_, _ = o.sum.Write(p[:n]) // a hash does not fail
	}
	return n, err
}

// drop takes the file back unless it is done. A nil object is.
func (o *object) drop() error {
	if o == nil || o.done {
		return nil
	}
	o.done = true
	return o.Drop()
}

// begin begins the file of the object that a manifest describes.
func (x *exporter) begin(rec investigation.Record, m manifest.Manifest, text []byte) (*object, error) {
	digest := sha256.Sum256(text)
	dir := x.folderOf(rec, m, false)
	begun, err := x.tree.create(dir + "/" + x.names.Of(dir, m, hex.EncodeToString(digest[:])) + take.ObjectEnding(m))
	if err != nil {
		return nil, err
	}
	o := &object{entry: begun}
	if x.IncludeFailed {
		o.sum = sha256.New()
	}
	return o, nil
}

// add adds the result of verifying one action's evidence to the whole.
func (x *exporter) add(one verify.Summary) {
	all := &x.result.Summary
	all.Where, all.Keys, all.KeysCame, all.Ledger = one.Where, one.Keys, one.KeysCame, one.Ledger
	all.StartedAt, all.EndedAt, all.Scope = x.At, x.At, verify.Scope{Key: x.Path}
	all.Subjects = append(all.Subjects, one.Subjects...)
	all.Findings = append(all.Findings, one.Findings...)
	all.Problems = append(all.Problems, one.Problems...)
	all.Strangers = append(all.Strangers, one.Strangers...)
	all.Bytes += one.Bytes
	for _, gap := range one.Gaps {
		at := slices.IndexFunc(all.Gaps, func(g verify.Gap) bool { return g.Check == gap.Check && g.Why == gap.Why })
		if at < 0 {
			all.Gaps = append(all.Gaps, gap)
			continue
		}
		all.Gaps[at].Manifests += gap.Manifests
	}
}

// write ends the file of the object, and writes its papers.
func (x *exporter) write(rec investigation.Record, sum verify.Summary, item take.Item, o *object, failed bool) error {
	m := item.Manifest
	if m.Version == "" {
		m = unreadable(rec)
	}
	dir := x.folderOf(rec, m, failed)
	base := dir + "/" + x.names.Of(dir, m, cmp.Or(item.Digest, item.ManifestKey))
	files := Files{}
	if item.Object != nil && o != nil && !o.done {
		files.Object = base + take.ObjectEnding(m)
		err := x.finish(o, files.Object, item)
		if err != nil {
			return err
		}
	}
	page := func() ([]byte, error) { return reportOf(sum, item, files) }
	for _, paper := range []struct {
		to     *string
		ending string
		text   func() ([]byte, error)
	}{
		{&files.Manifest, take.EndManifest, func() ([]byte, error) { return item.Text, nil }},
		{&files.Signature, take.EndSignature, func() ([]byte, error) { return item.Signature, nil }},
		{&files.Report, take.EndReport, page},
	} {
		text, err := paper.text()
		if err != nil {
			return err
		}
		if text == nil {
			continue
		}
		*paper.to = base + paper.ending
		err = x.file(*paper.to, text)
		if err != nil {
			return err
		}
	}
	x.result.Index.Packages = append(x.result.Index.Packages, packageOf(rec, m, sum, item, files, failed))
	if failed {
		return nil
	}
	return x.key(m.Signature.KeyID)
}

// unreadable stands for a manifest that could not be read.
func unreadable(rec investigation.Record) manifest.Manifest {
	return manifest.Manifest{Action: manifest.Action{
		ID: rec.ActionID, TenantID: rec.TenantID, MachineID: rec.MachineID, ComputerDNSName: rec.ComputerDNSName,
		Requestor: rec.Requestor, RequestorComment: rec.RequestorComment, CaseID: rec.CaseID, CreatedAt: rec.CreatedAt,
	}}
}

// finish gives the object's file its name in the export.
func (x *exporter) finish(o *object, name string, item take.Item) error {
	o.done = true
	err := o.rename(name)
	if err != nil {
		return errors.Join(err, o.Drop())
	}
	err = o.Close()
	if err != nil {
		return err
	}
	digest := item.Manifest.Object.SHA256
	if o.sum != nil {
		digest = hex.EncodeToString(o.sum.Sum(nil))
	}
	x.took(digest, name, item.Object.Size)
	return nil
}

// key writes a public key, once.
func (x *exporter) key(id string) error {
	if x.keys[id] {
		return nil
	}
	text, err := x.from.PEM(id)
	if err != nil {
		return &sourceError{err}
	}
	x.keys[id] = true
	return x.file(folderKeys+"/"+id+take.EndKey, text)
}

// reportOf returns the custody report as a page, or nil if nothing is known that a report could be about.
func reportOf(sum verify.Summary, item take.Item, files Files) ([]byte, error) {
	r, err := report.NewOfCopy(sum, cmp.Or(item.Key, sum.Scope.Key), report.Files{
		Object: files.Object, Manifest: files.Manifest, Signature: files.Signature,
		Key: folderKeys + "/" + item.Manifest.Signature.KeyID + take.EndKey,
	})
	if errors.Is(err, report.ErrNoManifest) {
		return nil, nil
	}
	if err != nil {
		return nil, &sourceError{err}
	}
	var page bytes.Buffer
	err = r.HTML(&page)
	return page.Bytes(), err
}

// file writes a file and adds its line to SHA256SUMS.
func (x *exporter) file(name string, text []byte) error {
	e, err := x.tree.create(name)
	if err != nil {
		return err
	}
	_, err = e.Write(text)
	if err != nil {
		return errors.Join(err, e.Drop())
	}
	err = e.Close()
	if err != nil {
		return err
	}
	digest := sha256.Sum256(text)
	x.took(hex.EncodeToString(digest[:]), name, int64(len(text)))
	return nil
}

func (x *exporter) took(digest, name string, size int64) {
	x.sums = append(x.sums, line{digest, name})
	x.result.Files++
	x.result.Bytes += size
}

// rest writes what is about the export as a whole. SHA256SUMS comes last: it lists all other files.
func (x *exporter) rest() error {
	for _, f := range []struct {
		name string
		text func() ([]byte, error)
	}{
		{fileCheck, x.result.Index.check}, {"index.csv", x.result.Index.csv}, {"index.html", x.result.Index.html},
		{"index.json", x.result.Index.json},
	} {
		text, err := f.text()
		if err != nil {
			return err
		}
		err = x.file(f.name, text)
		if err != nil {
			return err
		}
	}
	slices.SortFunc(x.sums, func(a, b line) int { return strings.Compare(a.name, b.name) })
	var sums bytes.Buffer
	for _, s := range x.sums {
		fmt.Fprintf(&sums, "%s  %s\n", s.digest, s.name)
	}
	digest := sha256.Sum256(sums.Bytes())
	x.result.SumsSHA256 = hex.EncodeToString(digest[:])
	return x.file(fileSums, sums.Bytes())
}
