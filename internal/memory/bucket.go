package memory

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// The operations that a test can make fail.
const (
	OpPut      = "PutObject"
	OpCreate   = "CreateMultipartUpload"
	OpPart     = "UploadPart"
	OpComplete = "CompleteMultipartUpload"
	OpAbort    = "AbortMultipartUpload"
	OpHead     = "HeadObject"
	OpGet      = "GetObject"
	OpBucket   = "HeadBucket"
	OpLock     = "GetObjectLockConfiguration"
	OpVersions = "ListObjectVersions"
	OpList     = "ListObjectsV2"
)

// Object is one version of an object.
type Object struct {
	Body        []byte
	CRC32C      string
	ContentType string
	Metadata    map[string]string
	Tagging     string
	Mode        types.ObjectLockMode
	Until       *time.Time
	Hold        types.ObjectLockLegalHoldStatus
	VersionID   string // assigned by the bucket
	Deleted     bool   // a delete marker
	Unreadable  bool   // encrypted with a key that only the writer has (SSE-C)
}

// begun is a multipart upload in progress.
type begun struct {
	Object
	key   string
	parts map[int32][]byte
}

// Bucket is an evidence bucket in memory. It is safe for concurrent use. Set its fields before use.
type Bucket struct {
	Locks bool // the bucket has Object Lock
	// Fault can fail the nth call (from 1) of an operation before it takes effect, After once it has.
	Fault func(op string, n int) error
	After func(op string, n int) error

	mu      sync.Mutex // guards what follows
	objects map[string][]Object
	uploads map[string]begun
	begun   int
	calls   []string
}

// NewBucket returns an empty bucket with Object Lock.
func NewBucket() *Bucket {
	return &Bucket{Locks: true, objects: map[string][]Object{}, uploads: map[string]begun{}}
}

// Get returns the newest version of an object, and false if the object is deleted or does not exist.
func (b *Bucket) Get(key string) (Object, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.current(key)
}

// Version returns one version of an object.
func (b *Bucket) Version(key, id string) (Object, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.version(key, &id)
}

// Versions returns how many versions a key has, including delete markers.
func (b *Bucket) Versions(key string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.objects[key])
}

// Keys returns the keys of all objects that are not deleted, in order.
func (b *Bucket) Keys() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.keys()
}

// Uploads returns how many uploads are neither completed nor aborted.
func (b *Bucket) Uploads() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.uploads)
}

// Plant adds a version without a condition, like somebody else with write access to the bucket. It returns
// the version's id.
func (b *Bucket) Plant(key string, o Object) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.add(key, o)
}

// Damage changes the newest version in place. S3 cannot do that; it takes access to the disk.
func (b *Bucket) Damage(key string, change func(*Object)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	versions := b.objects[key]
	change(&versions[len(versions)-1])
}

// Remove deletes the newest version without a trace.
func (b *Bucket) Remove(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	versions := b.objects[key]
	b.objects[key] = versions[:len(versions)-1]
}

// Count returns how often an operation was called.
func (b *Bucket) Count(op string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count(op)
}

// String returns the calls in order, as operation names.
func (b *Bucket) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.calls, " ")
}

// Forget clears the list of calls.
func (b *Bucket) Forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = nil
}

// CRC32C returns the CRC32C of p in the encoding of the S3 API.
func CRC32C(p []byte) string {
	sum := crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli))
	return base64.StdEncoding.EncodeToString([]byte{
		byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum),
	})
}

// Refusal returns an S3 error answer.
func Refusal(status int, code string) error { return RefusalThat(status, code, code) }

// RefusalThat returns an S3 error answer with a message.
func RefusalThat(status int, code, message string) error {
	return &awshttp.ResponseError{
		ResponseError: &smithyhttp.ResponseError{
			Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}},
			Err:      &smithy.GenericAPIError{Code: code, Message: message},
		},
	}
}

func (b *Bucket) count(op string) int {
	n := 0
	for _, call := range b.calls {
		if call == op {
			n++
		}
	}
	return n
}

func (b *Bucket) keys() []string {
	var keys []string
	for key := range b.objects {
		if _, ok := b.current(key); ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func (b *Bucket) current(key string) (Object, bool) {
	versions := b.objects[key]
	if len(versions) == 0 || versions[len(versions)-1].Deleted {
		return Object{}, false
	}
	return versions[len(versions)-1], true
}

// version returns the version with the given id. A nil or empty id means the newest.
func (b *Bucket) version(key string, id *string) (Object, bool) {
	if id == nil || *id == "" {
		return b.current(key)
	}
	for _, o := range b.objects[key] {
		if o.VersionID == *id && !o.Deleted {
			return o, true
		}
	}
	return Object{}, false
}

func (b *Bucket) add(key string, o Object) string {
	o.VersionID = fmt.Sprintf("v%d", len(b.objects[key])+1)
	if o.CRC32C == "" {
		o.CRC32C = CRC32C(o.Body)
	}
	b.objects[key] = append(b.objects[key], o)
	return o.VersionID
}

// commit is the conditional write.
func (b *Bucket) commit(key string, condition *string, o Object) (version string, err error) {
	if condition == nil || *condition != "*" {
		return "", errors.New("the write is not conditional")
	}
	if o.CRC32C != CRC32C(o.Body) {
		return "", Refusal(http.StatusBadRequest, "BadDigest")
	}
	if _, ok := b.current(key); ok {
		return "", Refusal(http.StatusPreconditionFailed, "PreconditionFailed")
	}
	return b.add(key, o), nil
}

// permits returns an error if S3 would refuse the object's metadata or lock.
func (b *Bucket) permits(o Object) error {
	total := 0
	for name, value := range o.Metadata {
		total += len(name) + len(value)
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
			return fmt.Errorf("metadata %s is not plain ASCII: %q", name, value)
		}
	}
	if total > 2<<10 {
		return Refusal(http.StatusBadRequest, "MetadataTooLarge")
	}
	if (o.Mode == "") != (o.Until == nil) {
		return Refusal(http.StatusBadRequest, "InvalidArgument")
	}
	if o.Until != nil && (o.Until.Nanosecond() != 0 || o.Until.Location() != time.UTC) {
		return fmt.Errorf("retention end %s is not in whole seconds UTC", o.Until)
	}
	if !b.Locks && (o.Mode != "" || o.Hold != "") {
		return RefusalThat(http.StatusBadRequest, "InvalidRequest",
			"Bucket is missing Object Lock Configuration")
	}
	return nil
}

// do records one call, applies the faults and runs the effect.
func (b *Bucket) do(ctx context.Context, op string, effect func() error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, op)
	n := b.count(op)
	if err := ctx.Err(); err != nil {
		return err
	}
	if b.Fault != nil {
		if err := b.Fault(op, n); err != nil {
			return err
		}
	}
	if err := effect(); err != nil {
		return err
	}
	if b.After != nil {
		return b.After(op, n)
	}
	return nil
}
