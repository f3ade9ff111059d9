package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"packhorse/internal/investigation"
)

const (
	packageType    = "application/zip"
	quarantineType = "application/octet-stream"
)

// object is one that is to be stored: under which key, and what is written on it.
type object struct {
	key         string
	contentType string
	metadata    map[string]string
	tagging     *string
	retention   investigation.Retention

	collection investigation.Collection // as the metadata has it
	partSize   int64
}

// objects returns the package that comes in parts of partSize bytes (0: in one piece), and what is
// stored if it turns out to be none; that has no key if it shall not be.
func (a *Archive) objects(place investigation.Placement, pkg investigation.Package,
	partSize int64,
) (whole, quarantined object, err error) {
	collection := place.Collection
	collection.Download = pkg.Source
	written, err := writeCollection(collection, partSize)
	if err != nil {
		return object{}, object{}, err
	}
	// Read again, because what is returned now has to be what the metadata says later.
	collection, _, err = readCollection(written)
	if err != nil {
		return object{}, object{}, err
	}
	whole = object{
		key:         string(place.Key),
		contentType: packageType,
		metadata: map[string]string{
			metaAction:     place.Action.ActionID,
			metaMachine:    place.Action.MachineID,
			metaTenant:     place.Action.TenantID,
			metaCollection: written,
		},
		tagging:    tagging(place.Action),
		retention:  a.lock.From(a.now()),
		collection: collection,
		partSize:   partSize,
	}
	quarantined = whole
	quarantined.key, quarantined.contentType = string(place.Quarantine), quarantineType
	return whole, quarantined, nil
}

// putInput returns the conditional request that stores o in one piece.
func (a *Archive) putInput(o object, c *content) *s3.PutObjectInput {
	mode, until, hold := o.lock()
	in := &s3.PutObjectInput{
		Bucket:         &a.bucket,
		Key:            &o.key,
		ContentLength:  aws.Int64(c.size),
		ContentType:    &o.contentType,
		Metadata:       o.metadata,
		Tagging:        o.tagging,
		ChecksumCRC32C: aws.String(c.crc32c()),
		IfNoneMatch:    aws.String("*"),

		ObjectLockMode:            mode,
		ObjectLockRetainUntilDate: until,
		ObjectLockLegalHoldStatus: hold,
	}
	if o.metadata != nil {
		in.Metadata = maps.Clone(o.metadata)
		in.Metadata[metaSHA256] = c.sha256()
	}
	return in
}

// createInput returns the request that begins to store o in parts.
func (a *Archive) createInput(o object) *s3.CreateMultipartUploadInput {
	mode, until, hold := o.lock()
	return &s3.CreateMultipartUploadInput{
		Bucket:            &a.bucket,
		Key:               &o.key,
		ContentType:       &o.contentType,
		Metadata:          o.metadata,
		Tagging:           o.tagging,
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c,
		ChecksumType:      types.ChecksumTypeFullObject,

		ObjectLockMode:            mode,
		ObjectLockRetainUntilDate: until,
		ObjectLockLegalHoldStatus: hold,
	}
}

// lock returns o's retention as both requests that begin to store it say it; what is empty is not sent.
func (o object) lock() (mode types.ObjectLockMode, until *time.Time, hold types.ObjectLockLegalHoldStatus) {
	if o.retention.Mode != "" {
		mode, until = types.ObjectLockMode(o.retention.Mode), &o.retention.Until
	}
	if o.retention.LegalHold {
		hold = types.ObjectLockLegalHoldStatusOn
	}
	return mode, until, hold
}

// stored returns what is known of o after its commit.
func (a *Archive) stored(o object, c *content, version *string) investigation.Stored {
	return investigation.Stored{
		Receipt: investigation.Receipt{
			Bucket: a.bucket, Key: o.key, VersionID: versionOf(version),
			Size: c.size, SHA256: c.sha256(), CRC32C: c.crc32c(),
			PartSize: o.partSize, Retention: o.retention,
		},
		Collection: o.collection,
	}
}

// found is what S3 says of an object without giving its bytes.
type found struct {
	investigation.Stored // with the SHA-256 that its metadata names, which may be none
	ours                 bool
	contentType          string
}

func (a *Archive) head(ctx context.Context, key string) (found, error) {
	head, err := a.s3.HeadObject(ctx, &s3.HeadObjectInput{
		Bucket: &a.bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled,
	})
	if statusOf(err) == statusNotFound {
		return found{}, fmt.Errorf("s3://%s/%s: %w", a.bucket, key, investigation.ErrNotStored)
	}
	if err != nil {
		return found{}, a.explain("look at the object", key, err)
	}
	collection, partSize, err := readCollection(head.Metadata[metaCollection])
	if err != nil {
		return found{}, fmt.Errorf("s3://%s/%s: %w: %w", a.bucket, key, errForeign, err)
	}
	return found{
		Stored: investigation.Stored{
			Receipt: investigation.Receipt{
				Bucket:    a.bucket,
				Key:       key,
				VersionID: versionOf(head.VersionId),
				Size:      aws.ToInt64(head.ContentLength),
				SHA256:    head.Metadata[metaSHA256],
				CRC32C:    aws.ToString(head.ChecksumCRC32C),
				PartSize:  partSize,
				Retention: retentionOf(head),
			},
			Collection: collection,
		},
		ours:        head.Metadata[metaAction] != "",
		contentType: aws.ToString(head.ContentType),
	}, nil
}

// already returns what is known of an object that is under the key after a commit failed: somebody
// else's, or our own whose answer was lost. Where there is none, it returns the failure; where it
// has other bytes, a *ConflictError. If S3 said that there is one, and then that there is none, a
// writer or a deleter is just at it: then the failure says to start again.
func (a *Archive) already(ctx context.Context, key string, c *content, failure error) (
	investigation.Stored, error,
) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	there, err := a.head(ctx, key)
	if errors.Is(err, investigation.ErrNotStored) && statusOf(failure) == statusPreconditionFailed {
		return investigation.Stored{}, fmt.Errorf("%w: %w", investigation.ErrStartAgain, failure)
	}
	if errors.Is(err, investigation.ErrNotStored) {
		return investigation.Stored{}, failure
	}
	if err != nil {
		return investigation.Stored{}, errors.Join(failure, err)
	}
	if err := there.holds(c); err != nil {
		return investigation.Stored{}, err
	}
	a.logger.InfoContext(ctx, "the object is there already, with the same bytes",
		slog.String("key", key), slog.String("answer", failure.Error()))
	there.Receipt.SHA256 = c.sha256()
	return there.Stored, nil
}

// holds returns a *ConflictError unless what passed through c is what S3 says of the object.
func (f found) holds(c *content) error {
	r := f.Receipt
	sha := c.sha256()
	if r.Size == c.size && r.CRC32C == c.crc32c() && (r.SHA256 == "" || r.SHA256 == sha) {
		return nil
	}
	return &ConflictError{Key: r.Key, Stored: r, Size: c.size, CRC32C: c.crc32c(), SHA256: sha}
}

// readBack reads the object's bytes and returns all that is known of it, provided that they are
// what S3 and the metadata say.
func (a *Archive) readBack(ctx context.Context, f found) (s investigation.Stored, err error) {
	in := &s3.GetObjectInput{Bucket: &a.bucket, Key: &f.Receipt.Key}
	if f.Receipt.VersionID != "" {
		in.VersionId = &f.Receipt.VersionID
	}
	out, err := a.s3.GetObject(ctx, in)
	if err != nil {
		return investigation.Stored{}, a.explain("read back", f.Receipt.Key, err)
	}
	defer func() { err = errors.Join(err, out.Body.Close()) }()
	c := newContent(investigation.SizeUnknown, f.contentType != quarantineType)
	_, err = io.Copy(c, out.Body)
	if err != nil {
		return investigation.Stored{}, a.explain("read back", f.Receipt.Key, err)
	}
	if err := f.holds(c); err != nil {
		return investigation.Stored{}, err
	}
	s = f.Stored
	s.Receipt.SHA256 = c.sha256()
	s.Content, err = c.whole()
	if err != nil { // judged more mildly once; it is there, and stays
		remark := fmt.Sprintf("It would not be stored now: %v.", err)
		s.Content = investigation.Content{Remarks: []string{remark}}
	}
	return s, nil
}

// versionOf maps "no version" and S3's "null" version to the empty string.
func versionOf(id *string) string {
	if v := aws.ToString(id); v != "null" {
		return v
	}
	return ""
}
