package evidence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
	"packhorse/internal/verify"
)

// ranger reads parts of objects.
type ranger interface {
	Range(ctx context.Context, key, version string, offset, length int64) (io.ReadCloser, error)
}

// Archive is an open archive, without ledger and keys. It MUST be closed.
type Archive struct {
	open    openArchive
	started string // the working directory from before it was opened
}

// OpenArchive opens the archive that the options describe. For one of a data folder it starts the embedded S3
// server, which changes the working directory while it runs.
func OpenArchive(ctx context.Context, o Options) (*Archive, error) {
	started, err := os.Getwd()
	if err != nil {
		started = "" // Key then cannot resolve relative paths
	}
	open, err := o.openArchive(ctx)
	if err != nil {
		return nil, err
	}
	return &Archive{open, started}, nil
}

// Key returns the key that a key, an s3:// URL or the path of a file in the archive's folder names. It returns
// false for any other text, and does not look whether there is such an object.
func (a *Archive) Key(text string) (string, bool) { return a.open.file(text, a.started) }

// Where names the archive for people.
func (a *Archive) Where(ctx context.Context) string {
	about, err := a.open.About(ctx)
	if err != nil {
		return "the archive"
	}
	return about.Where
}

// Close closes the archive.
func (a *Archive) Close() error { return a.open.shut() }

// Object is one version of an object, to be read by ranges.
type Object struct {
	Key     string
	Version string // empty in an archive without versions
	Size    int64  // bytes

	archive *Archive
}

// NoObjectInArchiveError reports a key without an object.
type NoObjectInArchiveError struct{ Where, Key, Why string }

func (e *NoObjectInArchiveError) Error() string {
	return fmt.Sprintf("%s does not have a readable object %s%s", e.Where, e.Key, e.Why)
}

// Advice says how to find out more.
func (e *NoObjectInArchiveError) Advice() string {
	return "packhorse verify checks whether it should, and what became of it"
}

// SizeError reports an object that has another size than was recorded.
type SizeError struct {
	Key       string
	Size, Was int64 // bytes
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("%s has %d bytes, and was recorded with %d: it is not what was stored", e.Key, e.Size, e.Was)
}

// Advice says how to find out more.
func (e *SizeError) Advice() string { return "packhorse verify " + e.Key }

// Object finds the version of an object that the receipt names or, in a copy, the object under its key. It
// reads nothing of it.
func (a *Archive) Object(ctx context.Context, receipt investigation.Receipt) (Object, error) {
	about, err := a.open.About(ctx)
	if err != nil {
		return Object{}, fmt.Errorf("describe the archive: %w", err)
	}
	listed, err := a.open.List(ctx, receipt.Key)
	if err != nil {
		return Object{}, fmt.Errorf("find the package: %w", err)
	}
	at := slices.IndexFunc(listed, func(o verify.Object) bool { return o.Key == receipt.Key })
	if at < 0 {
		return Object{}, &NoObjectInArchiveError{about.Where, receipt.Key, ""}
	}
	found := listed[at]
	for _, version := range found.Versions {
		if version.ID == receipt.VersionID && !version.Deleted {
			return Object{found.Key, version.ID, version.Size, a}, nil
		}
	}
	id, ok := found.Current()
	switch {
	case !ok:
		why := ": it is deleted"
		if found.Irregular != "" {
			why = ": it is " + found.Irregular
		}
		return Object{}, &NoObjectInArchiveError{about.Where, receipt.Key, why}
	case found.Versions != nil && receipt.VersionID != "" && about.Bucket == receipt.Bucket:
		return Object{}, &NoObjectInArchiveError{about.Where, receipt.Key, " with the version " + receipt.VersionID}
	}
	return Object{found.Key, id, found.Size, a}, nil
}

// Check returns a [SizeError] if the object does not have the recorded size. It reads nothing of it.
func (o Object) Check(receipt investigation.Receipt) error {
	if o.Size == receipt.Size {
		return nil
	}
	return &SizeError{Key: o.Key, Size: o.Size, Was: receipt.Size}
}

// Range opens a part of the object; it is a zipinspect.Range.
func (o Object) Range(ctx context.Context) func(offset, length int64) (io.ReadCloser, error) {
	return func(offset, length int64) (io.ReadCloser, error) {
		if offset < 0 || length < 0 || length > o.Size-offset {
			return nil, fmt.Errorf("read %s: %w", o.Key, errOutside)
		}
		return o.archive.open.ranges.Range(ctx, o.archive.open.root+o.Key, o.Version, offset, length)
	}
}

var errOutside = errors.New("the package's directory points outside the package")

// manifestMax is the size of the largest manifest that is read, in bytes.
const manifestMax = 4 << 20

// Record returns what the manifest beside a key says, without checking its signature. The key may be that of
// a package, a manifest or a signature.
func (a *Archive) Record(ctx context.Context, key string) (rec investigation.Record, err error) {
	manifestKey := investigation.Key(strings.TrimSuffix(key, ".sig")).Manifest()
	body, err := a.open.Open(ctx, manifestKey, "")
	if err != nil {
		return investigation.Record{}, fmt.Errorf("read the manifest %s: %w", manifestKey, err)
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	text, err := io.ReadAll(io.LimitReader(body, manifestMax))
	if err != nil {
		return investigation.Record{}, fmt.Errorf("read the manifest %s: %w", manifestKey, err)
	}
	m, err := manifest.Parse(text)
	if err != nil {
		return investigation.Record{}, fmt.Errorf("read the manifest %s: %w", manifestKey, err)
	}
	return recordOf(m, manifestKey, text), nil
}

// recordOf returns what the ledger would have of a manifest's action.
func recordOf(m manifest.Manifest, key string, text []byte) investigation.Record {
	rec := investigation.Record{
		Action: investigation.Action{
			ID:        investigation.ID{TenantID: m.Action.TenantID, ActionID: m.Action.ID},
			MachineID: m.Action.MachineID, ComputerDNSName: m.Action.ComputerDNSName, Requestor: m.Action.Requestor,
			RequestorComment: m.Action.RequestorComment, CaseID: m.Action.CaseID, RequestSource: m.Action.RequestSource,
			Status: m.Action.Status, CreatedAt: m.Action.CreatedAt,
		},
		State: investigation.StateDone, ManifestKey: key,
		Seal: investigation.Seal{Sequence: m.Chain.Sequence, Digest: m.Head(text).Digest},
	}
	if m.Collection != nil {
		rec.Attempts = m.Collection.Attempts
	}
	if m.NotCollected != nil {
		rec.Reason, rec.Message = m.NotCollected.Reason, m.NotCollected.Message
	}
	if o := m.Object; o != nil {
		receipt := investigation.Receipt{Bucket: o.Bucket, Key: o.Key, VersionID: o.VersionID, Size: o.Size, SHA256: o.SHA256}
		if o.Retention != nil {
			receipt.Retention = investigation.Retention{
				Mode: o.Retention.Mode, Until: o.Retention.Until, LegalHold: o.Retention.LegalHold,
			}
		}
		if m.Outcome == manifest.OutcomeQuarantined {
			rec.Quarantine = receipt
		} else {
			rec.Receipt = receipt
		}
	}
	for _, s := range m.Strangers {
		rec.Strangers = rec.Strangers.Add(investigation.Stranger(s))
	}
	return rec
}
