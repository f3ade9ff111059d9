package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"packhorse/internal/manifest"
	"packhorse/internal/zipinspect"
)

// object reads the object's bytes again, or checks that no object exists if none was collected.
func (v *Verifier) object(ctx context.Context, s *Subject, inv inventory, u unit) {
	m := s.Manifest
	if m.Object == nil {
		v.noObject(s, inv, u)
		return
	}
	if u.object == nil {
		s.mismatch(Finding{
			Check: CheckObject, What: "the object is missing",
			Expected: fmt.Sprintf("%d bytes, SHA-256 %s", m.Object.Size, m.Object.SHA256),
		})
		return
	}
	if u.object.Irregular != "" {
		s.mismatch(Finding{Check: CheckObject, What: "not a regular file", Found: u.object.Irregular})
		return
	}
	version, ok := u.object.Current()
	if v.comparable(m) && u.object.version(versionOf(m)) >= 0 {
		version, ok = versionOf(m), true // the recorded version, even if newer ones are on top
	}
	if !ok {
		s.mismatch(Finding{Check: CheckObject, What: "every version of the object is deleted"})
		return
	}
	i, err := v.read(ctx, u.object.Object, version, m.Outcome == manifest.OutcomeArchived)
	s.Bytes = i.Size
	if err != nil {
		s.mismatch(Finding{
			Check: CheckObject, What: "the object cannot be read", Found: err.Error(), Unread: true,
		})
		return
	}
	s.objectSHA256 = i.SHA256
	v.compare(ctx, s, i)
	s.ok(CheckObject)
}

// noObject checks that no package exists. Strangers that the manifest itself names do not count.
func (v *Verifier) noObject(s *Subject, inv inventory, u unit) {
	var others []string
	for _, o := range inv.packages[u.parts.Tail] {
		version, _ := o.Current()
		if !names(s.Manifest, o.Key, version) {
			others = append(others, o.Key)
		}
	}
	if len(others) > 0 {
		s.mismatch(Finding{
			Check: CheckObject, What: "the manifest says that no package was collected",
			Expected: "no object", Found: strings.Join(others, ", "),
		})
		return
	}
	s.ok(CheckObject)
}

// read streams an object through the inspection.
func (v *Verifier) read(ctx context.Context, o *Object, version string, check bool) (
	i zipinspect.Inspection, err error,
) {
	body, err := v.archive.Open(ctx, o.Key, version)
	if err != nil {
		return zipinspect.Inspection{}, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	return zipinspect.Inspect(v.reporter.Reading(o.Key, o.Size, obedient{ctx, body}), check)
}

// obedient is a reader that fails once its context ends.
type obedient struct {
	ctx    context.Context
	source io.Reader
}

func (o obedient) Read(p []byte) (int, error) {
	if o.ctx.Err() != nil {
		return 0, context.Cause(o.ctx)
	}
	return o.source.Read(p)
}

// compare compares the bytes with the manifest. If the SHA-256 differs it stops there, because all other
// differences follow from that.
func (v *Verifier) compare(ctx context.Context, s *Subject, i zipinspect.Inspection) {
	m := s.Manifest
	mismatch := func(what, expected, found string) {
		s.mismatch(Finding{Check: CheckObject, What: what, Expected: expected, Found: found})
	}
	if i.Size != m.Object.Size {
		mismatch("the object's size differs", fmt.Sprintf("%d bytes", m.Object.Size),
			fmt.Sprintf("%d bytes", i.Size))
	}
	if i.SHA256 != m.Object.SHA256 {
		f := Finding{
			Check: CheckObject, What: "the object's SHA-256 differs", Expected: m.Object.SHA256,
			Found: i.SHA256,
		}
		if host, key := v.whose(ctx, s, i.SHA256); host != "" {
			f.Headline = "these bytes are the package of " + host
			f.What += ": " + f.Headline + ", " + key
		}
		s.mismatch(f)
		return
	}
	if i.CRC32C != m.Object.CRC32C {
		mismatch("the object's CRC-32C differs", m.Object.CRC32C, i.CRC32C)
	}
	if m.Content == nil {
		return
	}
	// Remarks are not compared: another release may word them differently.
	c := i.Content
	switch {
	case c.Entries != m.Content.Entries:
		mismatch("the package's number of entries differs", fmt.Sprint(m.Content.Entries),
			fmt.Sprint(c.Entries))
	case c.UncompressedSize != m.Content.UncompressedSize:
		mismatch("the package's uncompressed size differs", fmt.Sprintf("%d bytes", m.Content.UncompressedSize),
			fmt.Sprintf("%d bytes", c.UncompressedSize))
	case !slices.Equal(c.TopLevel, m.Content.TopLevel):
		mismatch("the package's top-level folders differ", strings.Join(m.Content.TopLevel, " "),
			strings.Join(c.TopLevel, " "))
	}
}

// whose finds the host whose package has this SHA-256, and the key where it belongs. It looks in the other
// manifests first, then in the ledger.
func (v *Verifier) whose(ctx context.Context, s *Subject, sha256 string) (host, key string) {
	if m, ok := v.bodies[sha256]; ok {
		return cmp.Or(m.Action.ComputerDNSName, m.Action.MachineID), m.Object.Key
	}
	if rec, ok := v.ledger.recordOf(ctx, s.TenantID, sha256); ok {
		return cmp.Or(rec.ComputerDNSName, rec.MachineID), rec.Receipt.Key
	}
	return "", ""
}
