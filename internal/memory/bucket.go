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

// The operations that Fault and After can make fail.
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
	VersionID   string // set by the bucket
	Deleted     bool   // a delete marker
	Unreadable  bool   // encrypted with a key that only the writer has (SSE-C)
}

// begun is an unfinished upload.
type begun struct {
	Object
	key   string
	parts map[int32][]byte
}

// Bucket is an S3 bucket in memory. It is safe for concurrent use; set its fields before the first call.
type Bucket struct {
	Locks bool // created with Object Lock
	// Fault can fail the nth call (from 1) of an operation. After is like Fault, but runs once the call has
	// had its effect.
	Fault func(op string, n int) error
	After func(op string, n int) error

	mu      sync.Mutex // guards the fields below
	objects map[string][]Object
	uploads map[string]begun
	begun   int
	calls   []string
}

// NewBucket returns an empty bucket with Object Lock.
func NewBucket() *Bucket {
	return &Bucket{Locks: true, objects: map[string][]Object{}, uploads: map[string]begun{}}
}

// Get returns the newest version of an object, unless it is deleted.
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

// Keys returns the keys of all objects that are not deleted, sorted.
func (b *Bucket) Keys() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.keys()
}

// Uploads returns how many uploads were begun but neither completed nor aborted.
func (b *Bucket) Uploads() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.uploads)
}

// Plant puts a version on top and returns its id, as an unconditional write by somebody else would.
func (b *Bucket) Plant(key string, o Object) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.add(key, o)
}

// Damage changes the newest version in place, which only somebody with access to the disk can do.
func (b *Bucket) Damage(key string, change func(*Object)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	versions := b.objects[key]
	change(&versions[len(versions)-1])
}

// Remove removes the newest version.
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

// String returns the called operations in order.
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

// CRC32C returns the CRC32C checksum in the form the S3 API uses.
func CRC32C(p []byte) string {
	sum := crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli))
	return base64.StdEncoding.EncodeToString([]byte{
		byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum),
	})
}

// Refusal returns an S3 error response.
func Refusal(status int, code string) error { return RefusalThat(status, code, code) }

// RefusalThat returns an S3 error response with a message.
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

// version returns the version with that id; nil or "" means the newest.
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

// commit writes o if its checksum is right and the key is free. It rejects unconditional writes.
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

// permits rejects objects that S3 would reject, and some that Packhorse must not write.
func (b *Bucket) permits(o Object) error {
	total := 0
	for name, value := range o.Metadata {
		total += len(name) + len(value)
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
			return fmt.Errorf("the metadata %s is not plain ASCII: %q", name, value)
		}
	}
	if total > 2<<10 {
		return Refusal(http.StatusBadRequest, "MetadataTooLarge")
	}
	if (o.Mode == "") != (o.Until == nil) {
		return Refusal(http.StatusBadRequest, "InvalidArgument")
	}
	if o.Until != nil && (o.Until.Nanosecond() != 0 || o.Until.Location() != time.UTC) {
		return fmt.Errorf("the retention ends at %s, not at a whole second in UTC", o.Until)
	}
	if !b.Locks && (o.Mode != "" || o.Hold != "") {
		return RefusalThat(http.StatusBadRequest, "InvalidRequest",
			"Bucket is missing Object Lock Configuration")
	}
	return nil
}

// do makes one call: it records the call, and fails it if Fault or After says so.
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
