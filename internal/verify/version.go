package verify

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
)

// comparable reports whether the archive is the bucket that the manifest names. Only then can versions and
// locks be compared.
func (v *Verifier) comparable(m manifest.Manifest) bool {
	return v.about.Versioned && m.Custody.Bucket == v.about.Bucket
}

// incomparable says why the archive is not comparable.
func (v *Verifier) incomparable(m manifest.Manifest) string {
	switch {
	case v.about.Bucket == "":
		return "this is a copy, without versions or locks"
	case m.Custody.Bucket != v.about.Bucket:
		return fmt.Sprintf("this is a copy of the bucket %q", m.Custody.Bucket)
	case recordsAttributes(m):
		return WhyAttributesLost
	default:
		return whyNoVersions
	}
}

const whyNoVersions = "the bucket keeps no versions"

// incomparable records that a check was not made. In a bucket without versions, whose manifests record
// none, the check is not needed.
func (s *Subject) incomparable(check Check, why string) {
	s.set(Result{Check: check, Verdict: VerdictNotChecked, Why: why, NotNeeded: why == whyNoVersions})
}

// WhyAttributesLost says why versions and locks were not checked although the manifests record them and
// name this very archive. That cannot happen to a bucket, but it can to a folder that was copied.
const WhyAttributesLost = "attributes lost in copying: the manifest records them, but the folder lacks them"

// recordsAttributes reports whether a manifest records versions or locks.
func recordsAttributes(m manifest.Manifest) bool {
	return m.Object != nil && (m.Object.VersionID != "" || m.Object.Retention != nil) ||
		m.Custody.Retention != nil
}

// versions checks that the version named by the manifest is the current one, and that the manifest and its
// signature were written only once.
func (v *Verifier) versions(ctx context.Context, s *Subject, u unit) {
	m := s.Manifest
	if !v.comparable(m) {
		s.incomparable(CheckVersion, v.incomparable(m))
		return
	}
	v.writtenOnce(ctx, s, &u.paper.placed, u.paper.version)
	if u.paper.signature != nil {
		v.writtenOnce(ctx, s, u.paper.signature, u.paper.signatureVersion)
	}
	if m.Object != nil && u.object != nil && u.object.Irregular == "" {
		v.objectVersion(ctx, s, *u.object)
	}
	s.ok(CheckVersion)
}

// writtenOnce checks that the object has only one version.
func (v *Verifier) writtenOnce(ctx context.Context, s *Subject, o *placed, version string) {
	switch {
	case o.gone():
		s.mismatch(Finding{Key: o.Key, Check: CheckVersion, What: "it is deleted: a delete marker lies on top"})
	case len(o.Versions) > 1:
		f := Finding{
			Key: o.Key, Check: CheckVersion, What: "it was written more than once",
			Expected: "one version", Found: fmt.Sprintf("%d", len(o.Versions)),
		}
		if other := other(*o.Object, version); other != "" {
			f.Stranger = v.stranger(ctx, o.Object, other, s)
			f.Found += fmt.Sprintf(", among them %s", f.Stranger)
		}
		s.mismatch(f)
	}
}

// other returns the newest version that is neither a delete marker nor the given one.
func other(o Object, version string) string {
	for _, id := range o.readable() {
		if id != version {
			return id
		}
	}
	return ""
}

// nullVersion is the S3 version id of objects stored before a bucket kept versions.
const nullVersion = "null"

// versionOf returns the version that the manifest names, in the form of a bucket with versions.
func versionOf(m manifest.Manifest) string { return cmp.Or(m.Object.VersionID, nullVersion) }

func (v *Verifier) objectVersion(ctx context.Context, s *Subject, o placed) {
	want := versionOf(s.Manifest)
	at := o.version(want)
	switch {
	case at < 0:
		s.mismatch(Finding{
			Check: CheckVersion, What: "the version is deleted", Expected: want, Found: versionsText(*o.Object),
		})
	case at > 0 && o.Versions[0].Deleted:
		s.mismatch(Finding{
			Check: CheckVersion, What: "the object is deleted: a delete marker lies on top",
			Expected: want, Found: "the delete marker " + o.Versions[0].ID,
		})
	case at > 0:
		stranger := v.stranger(ctx, o.Object, o.Versions[0].ID, s)
		s.mismatch(Finding{
			Check: CheckVersion, What: "the object was replaced: a newer version lies on top",
			Expected: want, Found: stranger.String(), Stranger: stranger,
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
		s.needless(CheckLock, "the manifest does not promise a lock")
		return
	case !v.comparable(m):
		s.incomparable(CheckLock, v.incomparable(m))
		return
	}
	if ofObject && u.object != nil && u.object.version(versionOf(m)) >= 0 {
		v.lock(ctx, s, *m.Object.Retention, u.object.Key, versionOf(m))
	}
	if m.Custody.Retention != nil {
		v.lock(ctx, s, *m.Custody.Retention, u.paper.Key, u.paper.version)
		if u.paper.signature != nil && !u.paper.signature.allDeleted() {
			v.lock(ctx, s, *m.Custody.Retention, u.paper.signature.Key, u.paper.signatureVersion)
		}
	}
	s.ok(CheckLock)
}

// lock compares one object's lock with the promised one. An expired lock may be gone.
func (v *Verifier) lock(ctx context.Context, s *Subject, promised manifest.Retention, key, version string) {
	is, err := v.archive.Retention(ctx, key, version)
	if err != nil {
		s.mismatch(Finding{
			Key: key, Check: CheckLock, What: "the lock cannot be read", Found: err.Error(), Unread: true,
		})
		return
	}
	mismatch := func(what string) {
		s.mismatch(Finding{
			Key: key, Check: CheckLock, What: what,
			Expected: lockText(investigation.Retention(promised)), Found: lockText(is),
		})
	}
	over := promised.Mode != "" && promised.Until.Before(v.now())
	switch {
	case strength(is.Mode) < strength(promised.Mode) && !over:
		mismatch("the lock is weaker than it was")
	case promised.Mode != "" && is.Until.Before(promised.Until) && !over:
		mismatch("the lock ends earlier than it did")
	case promised.LegalHold && !is.LegalHold:
		mismatch("the legal hold is gone")
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
