package verify

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"packhorse/internal/custody"
	"packhorse/internal/investigation"
)

// comparable reports whether the archive is the bucket that the manifest speaks of, so that its
// versions and locks can be compared.
func (v *Verifier) comparable(m custody.Manifest) bool {
	return v.about.Versioned && m.Custody.Bucket == v.about.Bucket
}

// incomparable says why not.
func (v *Verifier) incomparable(m custody.Manifest) string {
	if v.about.Bucket != "" && m.Custody.Bucket != v.about.Bucket {
		return fmt.Sprintf("this is a copy of what lies in the bucket %q", m.Custody.Bucket)
	}
	return v.unversioned()
}

// versions checks that the version the manifest names is the present one, and that manifest and
// signature have only ever been written once.
func (v *Verifier) versions(s *Subject, u unit) {
	m := s.Manifest
	if !v.comparable(m) {
		s.skip(CheckVersion, v.incomparable(m))
		return
	}
	for _, o := range []*Object{u.manifest, u.signature} {
		if o == nil {
			continue
		}
		switch {
		case o.gone():
			s.lie(Finding{Key: o.Key, Check: CheckVersion, What: "it is deleted: a delete marker lies on top"})
		case len(o.Versions) > 1:
			s.lie(Finding{
				Key: o.Key, Check: CheckVersion, What: "it was written more than once",
				Expected: "one version", Found: fmt.Sprintf("%d", len(o.Versions)),
			})
		}
	}
	if m.Object != nil && u.object != nil && u.object.Irregular == "" {
		objectVersion(s, *u.object)
	}
	s.ok(CheckVersion)
}

// nullVersion is what S3 calls the version of what was stored before a bucket kept any.
const nullVersion = "null"

// versionOf returns the version that the manifest names, as a bucket with versions calls it.
func versionOf(m custody.Manifest) string { return cmp.Or(m.Object.VersionID, nullVersion) }

func objectVersion(s *Subject, o Object) {
	want := versionOf(s.Manifest)
	at := o.version(want)
	switch {
	case at < 0:
		s.lie(Finding{
			Check: CheckVersion, What: "the version is deleted", Expected: want, Found: versionsText(o),
		})
	case at > 0 && o.Versions[0].Deleted:
		s.lie(Finding{
			Check: CheckVersion, What: "the object is deleted: a delete marker lies on top",
			Expected: want, Found: "the delete marker " + o.Versions[0].ID,
		})
	case at > 0:
		s.lie(Finding{
			Check: CheckVersion, What: "the object was replaced: a newer version lies on top",
			Expected: want, Found: o.Versions[0].ID,
		})
	}
}

func versionsText(o Object) string {
	if len(o.Versions) == 0 {
		return "none"
	}
	return fmt.Sprintf("%d others, the newest %s", len(o.Versions), o.Versions[0].ID)
}

// locks checks that object, manifest and signature are locked at least as the manifest says.
func (v *Verifier) locks(ctx context.Context, s *Subject, u unit) {
	m := s.Manifest
	ofObject := m.Object != nil && m.Object.Retention != nil
	switch {
	case !ofObject && m.Custody.Retention == nil:
		s.skip(CheckLock, "the manifest promises none")
		return
	case !v.comparable(m):
		s.skip(CheckLock, v.incomparable(m))
		return
	}
	if ofObject && u.object != nil && u.object.version(versionOf(m)) >= 0 {
		v.lock(ctx, s, *m.Object.Retention, u.object.Key, versionOf(m))
	}
	for _, o := range []*Object{u.manifest, u.signature} {
		if o == nil || m.Custody.Retention == nil {
			continue
		}
		if version, ok := o.current(); ok {
			v.lock(ctx, s, *m.Custody.Retention, o.Key, version)
		}
	}
	s.ok(CheckLock)
}

// lock compares one object's lock. One that has run out may be gone.
func (v *Verifier) lock(ctx context.Context, s *Subject, promised custody.Retention, key, version string) {
	is, err := v.archive.Retention(ctx, key, version)
	if err != nil {
		s.lie(Finding{
			Key: key, Check: CheckLock, What: "the lock cannot be seen", Found: err.Error(), Unread: true,
		})
		return
	}
	lie := func(what string) {
		s.lie(Finding{
			Key: key, Check: CheckLock, What: what,
			Expected: lockText(investigation.Retention(promised)), Found: lockText(is),
		})
	}
	over := promised.Mode != "" && promised.Until.Before(v.now())
	switch {
	case strength(is.Mode) < strength(promised.Mode) && !over:
		lie("the lock is weaker than it was")
	case promised.Mode != "" && is.Until.Before(promised.Until) && !over:
		lie("the lock ends earlier than it did")
	case promised.LegalHold && !is.LegalHold:
		lie("the legal hold is gone")
	}
}

func strength(mode string) int {
	switch mode {
	case "COMPLIANCE":
		return 2
	case "GOVERNANCE":
		return 1
	default:
		return 0
	}
}

func lockText(r investigation.Retention) string {
	text := "no lock"
	if r.Mode != "" {
		text = r.Mode + " until " + r.Until.UTC().Format(time.RFC3339)
	}
	if r.LegalHold {
		text += ", legal hold"
	}
	return text
}
