package checkup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/embedded"
	"packhorse/cmd/packhorse/evidence"
	"packhorse/cmd/packhorse/source"
	"packhorse/internal/archive"
	"packhorse/internal/doctor"
	"packhorse/internal/investigation"
	"packhorse/internal/verify"
)

// archived is an open archive.
type archived struct {
	client *s3.Client
	bucket string
	close  func() error
}

// open opens the archive once. It serves an embedded one as it is, and creates none.
func (m *Machine) open(ctx context.Context) (*archived, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.archive != nil {
		return m.archive, nil
	}
	if m.Want.Bucket != "" {
		client, err := evidence.S3(ctx, m.Want.Endpoint)
		if err != nil {
			return nil, &doctor.RefusedError{Text: err.Error(), Advice: "sign in (aws sso login), or set AWS_PROFILE and AWS_REGION"}
		}
		m.archive = &archived{client, m.Want.Bucket, func() error { return nil }}
		return m.archive, nil
	}
	dir := m.path(datafolder.S3)
	_, err := os.Stat(m.path(datafolder.S3 + "/" + datafolder.Bucket))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &doctor.UnmadeError{What: "the archive"}
	}
	if err != nil {
		return nil, err
	}
	server, err := embedded.StartS3(context.WithoutCancel(ctx), embedded.S3Config{Dir: dir})
	if err != nil {
		return nil, err
	}
	m.archive = &archived{server.Client(), datafolder.Bucket, server.Close}
	return m.archive, nil
}

// as returns the archive as packhorse run opens it, with a lock.
func (a archived) as(m *Machine, lock investigation.Lock) *archive.Archive {
	return archive.New(a.client, a.bucket, lock, archive.PartSize, 1, m.Now, slog.New(slog.DiscardHandler))
}

func (m *Machine) ready(ctx context.Context) (struct{}, error) {
	a, err := m.open(ctx)
	if err != nil {
		return struct{}{}, err
	}
	err = a.as(m, investigation.Lock{}).Ready(ctx)
	switch codeOf(err) {
	case "NotFound", "NoSuchBucket":
		create := "aws s3api create-bucket --object-lock-enabled-for-bucket --bucket " + m.Want.Bucket
		if m.Want.Endpoint != "" {
			create += " --endpoint-url " + console.ShellQuote(m.Want.Endpoint)
		}
		return struct{}{}, &doctor.RefusedError{
			Text:   "the bucket " + m.Want.Bucket + " does not exist",
			Advice: "check --bucket, --s3-endpoint and AWS_PROFILE, or create it: " + create,
		}
	case "Forbidden", "AccessDenied":
		return struct{}{}, &doctor.RefusedError{
			Text:   "these AWS credentials may not look at the bucket " + m.Want.Bucket,
			Advice: "use others (AWS_PROFILE), or have them allowed s3:ListBucket",
		}
	}
	if err != nil {
		return struct{}{}, &doctor.RefusedError{
			Text: investigation.Redact(err.Error()), Advice: "check --bucket, --s3-endpoint, AWS_REGION and AWS_PROFILE",
		}
	}
	return struct{}{}, nil
}

func (m *Machine) lock(lock investigation.Lock) doctor.Look[doctor.ArchiveLock] {
	return func(ctx context.Context) (doctor.ArchiveLock, error) {
		found := doctor.ArchiveLock{Mode: lock.Mode}
		a, err := m.open(ctx)
		if err != nil {
			return found, err
		}
		err = a.as(m, lock).Ready(ctx)
		found.Takes = err == nil
		if errors.Is(err, archive.ErrUnlockable) {
			return found, nil
		}
		return found, err
	}
}

func (m *Machine) published(ctx context.Context) ([]string, error) {
	a, err := m.open(ctx)
	if err != nil {
		return nil, err
	}
	keys, _, err := verify.TrustArchive(ctx, source.NewBucket(a.client, a.bucket, "the archive"))
	return keys.IDs(), err
}

// conditions asks the service to write an object that exists, on the condition that it does not, and with the
// digest of other bytes. A service refuses it for either reason, and writes nothing: the condition because the
// object is there, the digest because it is wrong. The bytes are those that are there, in case that a service
// ignores both.
func (m *Machine) conditions(ctx context.Context) (doctor.Conditions, error) {
	key, err := m.key(ctx)
	if err != nil {
		return doctor.ConditionsUnknown, err
	}
	a, err := m.open(ctx)
	if err != nil {
		return doctor.ConditionsUnknown, err
	}
	existing := investigation.SigningKeyKey(key.ID)
	text, err := a.read(ctx, existing)
	if err != nil {
		return doctor.ConditionsUnknown, fmt.Errorf("read the published key: %w", err)
	}
	condition, wrong := "*", "AAAAAAAAAAAAAAAAAAAAAA=="
	_, err = a.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &a.bucket, Key: &existing, Body: bytes.NewReader(text),
		IfNoneMatch: &condition, ContentMD5: &wrong,
	})
	refusal, ok := errors.AsType[smithy.APIError](err)
	switch {
	case err == nil:
		return doctor.ConditionsIgnored, nil
	case ok && refusal.ErrorCode() == "PreconditionFailed":
		return doctor.ConditionsHonored, nil
	case ok && (refusal.ErrorCode() == "BadDigest" || refusal.ErrorCode() == "InvalidDigest"):
		return doctor.ConditionsUnknown, nil
	default:
		return doctor.ConditionsUnknown, err
	}
}

// keyBytesMax is many times the size of a published key.
const keyBytesMax = 64 << 10

func (a archived) read(ctx context.Context, key string) (_ []byte, err error) {
	out, err := a.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &a.bucket, Key: &key},
		func(o *s3.Options) { o.DisableLogOutputChecksumValidationSkipped = true }) // it would log to the terminal
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, out.Body.Close()) }()
	return io.ReadAll(io.LimitReader(out.Body, keyBytesMax))
}
