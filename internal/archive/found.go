package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"packhorse/internal/investigation"
)

// found is what S3 reports about one version of an object, without its bytes.
type found struct {
	investigation.Stored        // with the SHA-256 from its metadata, which may be empty
	claim                string // from its metadata
	action               investigation.Action
	contentType          string
	collectionErr        error // why the metadata lacks a collection
}

// belongsTo reports whether the object's metadata has the ids of the action. That alone proves
// nothing: anybody can write them.
func (f found) belongsTo(a investigation.Action) bool {
	return f.action.ID == a.ID && f.action.MachineID == a.MachineID && f.collectionErr == nil
}

// errUnreadable means that S3 does not return even an object's metadata.
var errUnreadable = errors.New("the object cannot be read")

// head asks for one version of an object; an empty version means the newest. It does not ask for
// the checksum, because that requires permission to decrypt, which identifying the object does not.
func (a *Archive) head(ctx context.Context, key, version string) (found, error) {
	head, err := a.s3.HeadObject(ctx, &s3.HeadObjectInput{
		Bucket: &a.bucket, Key: &key, VersionId: versionParameter(version),
	})
	switch statusOf(err) {
	case statusNotFound, statusNotAllowed: // 405: it has become a delete marker
		return found{}, fmt.Errorf("s3://%s/%s: %w", a.bucket, key, investigation.ErrNotStored)
	case statusBadRequest:
		return found{}, fmt.Errorf("s3://%s/%s: %w: %w", a.bucket, key, errUnreadable, err)
	}
	if err != nil {
		return found{}, a.explain("look at the object", key, err)
	}
	collection, partSize, err := readCollection(head.Metadata[metaCollection])
	return found{
		Stored: investigation.Stored{
			Receipt: investigation.Receipt{
				Bucket:    a.bucket,
				Key:       key,
				VersionID: versionOf(head.VersionId),
				Size:      aws.ToInt64(head.ContentLength),
				SHA256:    head.Metadata[metaSHA256],
				PartSize:  partSize,
				Retention: retentionOf(head),
			},
			Collection: collection,
		},
		claim: head.Metadata[metaClaim],
		action: investigation.Action{
			ID: investigation.ID{
				TenantID: head.Metadata[metaTenant], ActionID: head.Metadata[metaAction],
			},
			MachineID: head.Metadata[metaMachine],
		},
		contentType:   aws.ToString(head.ContentType),
		collectionErr: err,
	}, nil
}

// withChecksum adds S3's checksum of the object.
func (a *Archive) withChecksum(ctx context.Context, f found) (found, error) {
	head, err := a.s3.HeadObject(ctx, &s3.HeadObjectInput{
		Bucket: &a.bucket, Key: &f.Receipt.Key, VersionId: versionParameter(f.Receipt.VersionID),
		ChecksumMode: types.ChecksumModeEnabled,
	})
	if err != nil {
		return found{}, a.explain("see the checksum of", f.Receipt.Key, err)
	}
	f.Receipt.CRC32C = aws.ToString(head.ChecksumCRC32C)
	return f, nil
}

// already looks up the object after its commit failed: it may exist, because only the answer may
// have been lost. If something else has the key, the error wraps investigation.ErrStartAgain, and
// the package needs another place. If nothing has the key, it returns the failure. But if S3 first
// reported an object and then none, another process is writing or deleting right now, and the same
// place will do.
func (a *Archive) already(ctx context.Context, o object, c *content, failure error) (
	investigation.Stored, error,
) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	listed, err := a.list(ctx, o.key)
	if err != nil {
		return investigation.Stored{}, errors.Join(failure, err)
	}
	for _, v := range at(listed, o.key) {
		there, err := a.head(ctx, v.key, v.id)
		if errors.Is(err, errUnreadable) || errors.Is(err, investigation.ErrNotStored) {
			continue
		}
		if err != nil {
			return investigation.Stored{}, errors.Join(failure, err)
		}
		stored, ok, err := a.isStored(ctx, o, c, there)
		if err != nil {
			return investigation.Stored{}, errors.Join(failure, err)
		}
		if ok {
			a.logger.InfoContext(ctx, "the object is there already, with the same bytes",
				slog.String("key", o.key), slog.String("answer", failure.Error()))
			return stored, nil
		}
	}
	if statusOf(failure) == statusPreconditionFailed {
		return investigation.Stored{}, fmt.Errorf("%w: %w", investigation.ErrStartAgain, failure)
	}
	return investigation.Stored{}, failure
}

// unnamedAge is how much earlier than the present attempt an earlier release may have stored the
// object. Its retention may end that much earlier.
const unnamedAge = 7 * 24 * time.Hour

// isStored reports whether the object found is the one that was to be stored, with the right lock.
// If an object without a claim's name is admitted, its bytes identify it, because Defender just
// sent the same ones; its metadata is not trusted.
func (a *Archive) isStored(ctx context.Context, o object, c *content, there found) (
	investigation.Stored, bool, error,
) {
	isOurs := there.claim != "" && there.claim == o.metadata[metaClaim]
	locked := o.retention
	if locked.Mode != "" {
		locked.Until = locked.Until.Add(-unnamedAge)
	}
	isUnnamed := o.unnamed && there.claim == ""
	if !isOurs && !isUnnamed || !there.belongsTo(o.action()) || !there.Receipt.Retention.Covers(locked) {
		return investigation.Stored{}, false, nil
	}
	there, err := a.withChecksum(ctx, there)
	if err != nil || there.holds(c) != nil {
		return investigation.Stored{}, false, err
	}
	stored := there.Stored
	stored.Receipt.SHA256 = c.SHA256()
	stored.Collection = o.collection
	return stored, true, nil
}

// holds returns a *conflictError unless the bytes that passed through c match S3's report of the
// object.
func (f found) holds(c *content) error {
	r := f.Receipt
	sha := c.SHA256()
	if r.Size == c.Size() && r.CRC32C == c.CRC32C() && (r.SHA256 == "" || r.SHA256 == sha) {
		return nil
	}
	return &conflictError{stored: r, size: c.Size(), crc32c: c.CRC32C(), sha256: sha}
}

// readBack reads the object's bytes and returns all that is known of it, if the bytes match S3's
// checksum and the metadata.
func (a *Archive) readBack(ctx context.Context, f found) (s investigation.Stored, err error) {
	f, err = a.withChecksum(ctx, f)
	if err != nil {
		return investigation.Stored{}, err
	}
	body, err := a.open(ctx, f.Receipt.Key, f.Receipt.VersionID)
	if err != nil {
		return investigation.Stored{}, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	c := newContent(investigation.SizeUnknown, f.contentType != quarantineType)
	_, err = io.Copy(c, body)
	if err != nil {
		return investigation.Stored{}, a.explain("read back", f.Receipt.Key, err)
	}
	if err := f.holds(c); err != nil {
		return investigation.Stored{}, err
	}
	s = f.Stored
	s.Receipt.SHA256 = c.SHA256()
	s.Content, err = c.whole()
	if err != nil { // an earlier version accepted it; it is stored, and stays
		remark := fmt.Sprintf("It would not be stored now: %v.", err)
		s.Content = investigation.Content{Remarks: []string{remark}}
	}
	return s, nil
}

// open returns the bytes of one version, which the caller closes.
func (a *Archive) open(ctx context.Context, key, version string) (io.ReadCloser, error) {
	out, err := a.s3.GetObject(ctx, &s3.GetObjectInput{
		Bucket: &a.bucket, Key: &key, VersionId: versionParameter(version),
	})
	if err != nil {
		return nil, a.explain("read", key, err)
	}
	return out.Body, nil
}

// versionParameter returns a version's id for a request: nil for the newest.
func versionParameter(id string) *string {
	if id == "" {
		return nil
	}
	return &id
}

// versionOf maps a missing version and S3's "null" version to the empty string.
func versionOf(id *string) string {
	if v := aws.ToString(id); v != "null" {
		return v
	}
	return ""
}
