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

// object reads the object's bytes again, or makes sure that there is none where none may be.
func (v *Verifier) object(ctx context.Context, s *Subject, inv inventory, u unit) {
	m := s.Manifest
	if m.Object == nil {
		v.noObject(s, inv, u)
		return
	}
	if u.object == nil {
		s.mismatch(Finding{
			Check: CheckObject, What: "the object is not there",
			Expected: fmt.Sprintf("%d bytes, SHA-256 %s", m.Object.Size, m.Object.SHA256),
		})
		return
	}
	if u.object.Irregular != "" {
		s.mismatch(Finding{Check: CheckObject, What: "it is no file", Found: u.object.Irregular})
		return
	}
	version, ok := u.object.Current()
	if v.comparable(m) && u.object.version(versionOf(m)) >= 0 {
		version, ok = versionOf(m), true // whatever lies over it: this is the one
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

// noObject makes sure that there is no package. What the manifest itself names as strange is none.
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
func (v *Verifier) read(ctx context.Context, o *Object, version string, judge bool) (
	i zipinspect.Inspection, err error,
) {
	body, err := v.archive.Open(ctx, o.Key, version)
	if err != nil {
		return zipinspect.Inspection{}, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	return zipinspect.Inspect(v.reporter.Reading(o.Key, o.Size, obedient{ctx, body}), judge)
}

// obedient is a reader that ends with its context.
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

// compare holds the bytes against the manifest. Of other bytes it says only that they are others:
// everything else follows from that.
func (v *Verifier) compare(ctx context.Context, s *Subject, i zipinspect.Inspection) {
	m := s.Manifest
	mismatch := func(what, expected, found string) {
		s.mismatch(Finding{Check: CheckObject, What: what, Expected: expected, Found: found})
	}
	if i.Size != m.Object.Size {
		mismatch("the object's size is another", fmt.Sprintf("%d bytes", m.Object.Size),
			fmt.Sprintf("%d bytes", i.Size))
	}
	if i.SHA256 != m.Object.SHA256 {
		f := Finding{
			Check: CheckObject, What: "the object's SHA-256 is another", Expected: m.Object.SHA256,
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
		mismatch("the object's CRC-32C is another", m.Object.CRC32C, i.CRC32C)
	}
	if m.Content == nil {
		return
	}
	// Remarks are sentences of the release that wrote them, and another may find other words.
	c := i.Content
	switch {
	case c.Entries != m.Content.Entries:
		mismatch("the package has another number of entries", fmt.Sprint(m.Content.Entries),
			fmt.Sprint(c.Entries))
	case c.UncompressedSize != m.Content.UncompressedSize:
		mismatch("the package's entries have another size", fmt.Sprintf("%d bytes", m.Content.UncompressedSize),
			fmt.Sprintf("%d bytes", c.UncompressedSize))
	case !slices.Equal(c.TopLevel, m.Content.TopLevel):
		mismatch("the package has other folders at the top", strings.Join(m.Content.TopLevel, " "),
			strings.Join(c.TopLevel, " "))
	}
}

// whose says of which host bytes with this SHA-256 are the package, and under which key it belongs:
// by another manifest, or by the ledger.
func (v *Verifier) whose(ctx context.Context, s *Subject, sha256 string) (host, key string) {
	if m, ok := v.bodies[sha256]; ok {
		return cmp.Or(m.Action.ComputerDNSName, m.Action.MachineID), m.Object.Key
	}
	if rec, ok := v.ledger.recordOf(ctx, s.TenantID, sha256); ok {
		return cmp.Or(rec.ComputerDNSName, rec.MachineID), rec.Receipt.Key
	}
	return "", ""
}
