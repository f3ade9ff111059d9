package embedded_test

import (
	"archive/zip"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"packhorse/cmd/packhorse/embedded"
	"packhorse/internal/archive"
	"packhorse/internal/investigation"
)

const bucket = "evidence"

// everySize has packages that are stored in one piece and in parts.
var everySize = map[string]int{"one-put": 100 << 10, "parts": 3*archive.PartSize + 4321}

// The lock of most tests, and the retention of an object that is stored with it at now.
var (
	lock      = investigation.Lock{Mode: "GOVERNANCE", For: 24 * time.Hour}
	lockedAt  = time.Now().UTC()
	retention = investigation.Retention{
		Mode: "GOVERNANCE", Until: lockedAt.Add(24 * time.Hour).Truncate(time.Second),
	}
)

func serve(t *testing.T, config embedded.S3Config) *embedded.S3 {
	t.Helper()
	server, err := embedded.StartS3(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// newDir returns a data folder and the archive's folder in it: the server keeps more beside that.
func newDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "s3")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func openArchive(server *embedded.S3, lock investigation.Lock) *archive.Archive {
	return archive.New(server.Client(), bucket, lock, archive.PartSize, archive.PartsInFlight,
		func() time.Time { return lockedAt }, slog.New(slog.DiscardHandler))
}

// TestArchive stores packages with the real client in the real server. Over TLS the client sends
// the same trailing checksums as to S3.
func TestArchive(t *testing.T) {
	dir := newDir(t)
	server := serve(t, embedded.S3Config{Dir: dir, Bucket: bucket, ObjectLock: true})
	testArchive(t, server, dir)
	checkWrongSum(t, server)
}

// The same without TLS.
func TestArchiveInPlain(t *testing.T) {
	dir := newDir(t)
	testArchive(t, serve(t, embedded.S3Config{Dir: dir, Bucket: bucket, ObjectLock: true, Plain: true}), dir)
}

// The metadata of a locked object can be in files beside it.
func TestArchiveWithoutXattrs(t *testing.T) {
	dir := newDir(t)
	testArchive(t, serve(t, embedded.WithoutXattrs(embedded.S3Config{
		Dir: dir, Bucket: bucket, ObjectLock: true,
	})), dir)
}

func testArchive(t *testing.T, server *embedded.S3, dir string) {
	t.Helper()
	a := openArchive(server, lock)
	if err := a.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, size := range everySize {
		body, key := zipOf(t, size), investigation.Key("packages/"+name+".zip")
		checkRace(t, a, key, body)
		checkFile(t, filepath.Join(dir, bucket, string(key)), body)
		checkConflict(t, a, key, zipOf(t, size))
		checkFile(t, filepath.Join(dir, bucket, string(key)), body)
		if _, err := store(t, a, key+".cut", body[:len(body)-10]); !errors.Is(err,
			investigation.ErrNotAPackage) {
			t.Errorf("%s: a cut package: got %v", name, err)
		}
		checkNotStored(t, a, key+".cut")
		checkQuarantine(t, a, dir, investigation.Key("quarantine/"+name+".bin"), body[:len(body)-10])
		checkLocked(t, server, string(key), body)
	}
	checkModes(t, server)
	checkSmall(t, a, server)
	uploads, err := server.Client().ListMultipartUploads(t.Context(),
		&s3.ListMultipartUploadsInput{Bucket: aws.String(bucket)})
	if err != nil || len(uploads.Uploads) != 0 {
		t.Errorf("%d uploads were left, %v", len(uploads.Uploads), err)
	}
}

// checkRace stores the same package concurrently: every store succeeds and returns the same, which
// the archive repeats later.
func checkRace(t *testing.T, a *archive.Archive, key investigation.Key, body []byte) {
	t.Helper()
	sum := sha256.Sum256(body)
	var all sync.WaitGroup
	told := make([]investigation.Stored, 3)
	for i := range told {
		all.Go(func() {
			err := investigation.ErrStartAgain
			for tries := 0; tries < 10 && errors.Is(err, investigation.ErrStartAgain); tries++ {
				told[i], err = store(t, a, key, body)
			}
			if err != nil {
				t.Errorf("%s: %v", key, err)
			}
		})
	}
	all.Wait()
	for _, got := range told {
		if !reflect.DeepEqual(got, told[0]) || got.Receipt.SHA256 != hex.EncodeToString(sum[:]) ||
			got.Receipt.Size != int64(len(body)) || got.Receipt.Retention != retention ||
			got.Receipt.VersionID == "" || got.Collection != collection || got.Content.Entries != 1 {
			t.Errorf("%s: got %+v", key, got)
		}
	}
	checkStored(t, a, key, told[0])
}

// checkStored fails unless the archive finds the object it stored, and no stranger.
func checkStored(t *testing.T, a *archive.Archive, key investigation.Key, want investigation.Stored) {
	t.Helper()
	got, err := a.Look(t.Context(), recordOf(), key, false)
	if err != nil || got.Stored == nil || !reflect.DeepEqual(*got.Stored, want) || len(got.Strangers) > 0 {
		t.Errorf("%s: stored is %+v, %v, want %+v", key, got, err, want)
	}
}

func checkNotStored(t *testing.T, a *archive.Archive, key investigation.Key) {
	t.Helper()
	got, err := a.Look(t.Context(), recordOf(), key, false)
	if err != nil || !reflect.DeepEqual(got, investigation.Found{Free: key}) {
		t.Errorf("%s: got %+v, %v, want nothing", key, got, err)
	}
}

func checkFile(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s holds other bytes, %v", path, err)
	}
}

func checkConflict(t *testing.T, a *archive.Archive, key investigation.Key, other []byte) {
	t.Helper()
	_, err := store(t, a, key, other)
	if !errors.Is(err, investigation.ErrStartAgain) {
		t.Errorf("%s: other bytes under the key: got %v", key, err)
	}
}

// checkQuarantine stores bytes that are not a package.
func checkQuarantine(t *testing.T, a *archive.Archive, dir string, key investigation.Key, body []byte) {
	t.Helper()
	for range 2 { // the same bytes are accepted again
		got, err := a.Store(t.Context(), placeOf("packages/none.zip", key), packageOf(body))
		if !errors.Is(err, investigation.ErrNotAPackage) || got.Receipt.Key != string(key) ||
			got.Receipt.Retention != retention || got.Collection != collection {
			t.Errorf("%s: got %+v, %v", key, got, err)
		}
		checkStored(t, a, key, got)
	}
	checkFile(t, filepath.Join(dir, bucket, string(key)), body)
	checkNotStored(t, a, "packages/none.zip")
}

// checkLocked tries to delete an object under GOVERNANCE.
func checkLocked(t *testing.T, server *embedded.S3, key string, body []byte) {
	t.Helper()
	client := server.Client()
	head, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	tags, err := client.GetObjectTagging(t.Context(),
		&s3.GetObjectTaggingInput{Bucket: aws.String(bucket), Key: &key})
	if err != nil || len(tags.TagSet) != 1 || *tags.TagSet[0].Key != "packhorse-case" ||
		*tags.TagSet[0].Value != caseID {
		t.Errorf("%s: got the tags %+v, %v", key, tags, err)
	}
	checkKept(t, client, key, head.VersionId)
	_, err = client.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader("other"), IfNoneMatch: aws.String("*"),
	})
	if err == nil {
		t.Errorf("%s: it was overwritten", key)
	}
	gone, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: &key})
	if err != nil || !aws.ToBool(gone.DeleteMarker) {
		t.Errorf("%s: a plain delete: got %+v, %v", key, gone, err)
	}
	checkKept(t, client, key, head.VersionId)
	out, err := client.GetObject(t.Context(), &s3.GetObjectInput{
		Bucket: aws.String(bucket), Key: &key, VersionId: head.VersionId,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Body.Close() }()
	got, err := io.ReadAll(out.Body)
	if err != nil || !bytes.Equal(got, body) {
		t.Errorf("%s: the version has other bytes, %v", key, err)
	}
}

// checkKept fails if a version can be deleted or its retention shortened.
func checkKept(t *testing.T, client *s3.Client, key string, version *string) {
	t.Helper()
	_, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{
		Bucket: aws.String(bucket), Key: &key, VersionId: version,
	})
	if err == nil {
		t.Errorf("%s: the version was deleted", key)
	}
	_, err = client.PutObjectRetention(t.Context(), &s3.PutObjectRetentionInput{
		Bucket: aws.String(bucket), Key: &key, VersionId: version,
		Retention: &types.ObjectLockRetention{
			Mode: types.ObjectLockRetentionModeGovernance, RetainUntilDate: aws.Time(time.Now().Add(time.Hour)),
		},
	})
	if err == nil {
		t.Errorf("%s: the retention was made shorter", key)
	}
}

// checkModes stores under the other locks, and tries what they forbid even to privileged users.
func checkModes(t *testing.T, server *embedded.S3) {
	t.Helper()
	client := server.Client()
	for name, lock := range map[string]investigation.Lock{
		"compliance": {Mode: "COMPLIANCE", For: 24 * time.Hour}, "hold": {LegalHold: true},
		"both": {Mode: "GOVERNANCE", For: 24 * time.Hour, LegalHold: true},
	} {
		for piece, size := range everySize {
			a, key := openArchive(server, lock), investigation.Key("packages/"+name+"-"+piece+".zip")
			stored, err := store(t, a, key, zipOf(t, size))
			want := investigation.Retention{Mode: lock.Mode, LegalHold: lock.LegalHold}
			if lock.Mode != "" {
				want.Until = retention.Until
			}
			if err != nil || stored.Receipt.Retention != want {
				t.Errorf("%s: got %+v, %v", key, stored.Receipt.Retention, err)
			}
			checkStored(t, a, key, stored)
			_, err = client.DeleteObject(t.Context(), &s3.DeleteObjectInput{
				Bucket: aws.String(bucket), Key: aws.String(string(key)), VersionId: &stored.Receipt.VersionID,
				BypassGovernanceRetention: aws.Bool(true),
			})
			if err == nil {
				t.Errorf("%s: the version was deleted", key)
			}
			if lock.Mode != "COMPLIANCE" {
				continue
			}
			_, err = client.PutObjectRetention(t.Context(), &s3.PutObjectRetentionInput{
				Bucket: aws.String(bucket), Key: aws.String(string(key)), VersionId: &stored.Receipt.VersionID,
				BypassGovernanceRetention: aws.Bool(true),
				Retention: &types.ObjectLockRetention{
					Mode:            types.ObjectLockRetentionModeCompliance,
					RetainUntilDate: aws.Time(time.Now().Add(time.Hour)),
				},
			})
			if err == nil {
				t.Errorf("%s: the retention was made shorter", key)
			}
		}
	}
}

// checkSmall stores manifests and signatures, both identical and different ones.
func checkSmall(t *testing.T, a *archive.Archive, server *embedded.S3) {
	t.Helper()
	ctx := t.Context()
	for _, test := range [][2]string{{"{}", "packages/m.json"}, {"{ }", "packages/m~1.json"}} {
		for range 2 {
			placed, err := a.StoreManifest(ctx, "packages/m.json", []byte(test[0]))
			if err != nil || placed.Key != test[1] {
				t.Errorf("the manifest %s: got %+v, %v", test[0], placed, err)
			}
		}
	}
	for range 2 {
		placed, err := a.StoreSignature(ctx, "packages/m.json.sig", []byte("one"),
			func([]byte) error { return nil })
		if err != nil || placed.Key != "packages/m.json.sig" {
			t.Errorf("a signature: got %+v, %v", placed, err)
		}
	}
	placed, err := a.StoreSignature(ctx, "packages/m.json.sig", []byte("two"),
		func([]byte) error { return errors.New("not by this key") })
	if err != nil || placed.Key != "packages/m.json~1.sig" || len(placed.Strangers) != 1 {
		t.Errorf("a signature beside a stranger: got %+v, %v", placed, err)
	}
	for key, contentType := range map[string]string{
		"packages/m.json": "application/json", "packages/m.json.sig": "application/octet-stream",
	} {
		head, err := server.Client().HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: &key})
		if err != nil || aws.ToString(head.ContentType) != contentType ||
			head.ObjectLockMode != types.ObjectLockModeGovernance ||
			!aws.ToTime(head.ObjectLockRetainUntilDate).Equal(retention.Until) {
			t.Errorf("%s: got %+v, %v", key, head, err)
		}
		checkKept(t, server.Client(), key, head.VersionId)
	}
}

// A folder of an earlier version has a bucket without Object Lock: the bucket gets it, and its
// objects stay unchanged.
func TestArchiveOfAnEarlierVersion(t *testing.T) {
	dir := newDir(t)
	config := embedded.S3Config{
		Dir: dir, Bucket: bucket,
	}
	old, body := investigation.Key("packages/old.zip"), zipOf(t, 1000)
	before := serve(t, config)
	if err := openArchive(before, lock).Ready(t.Context()); err == nil ||
		!strings.Contains(err.Error(), "OBJECT_LOCK_MODE=NONE") {
		t.Errorf("a bucket without Object Lock: got %v", err)
	}
	stored, err := store(t, openArchive(before, investigation.Lock{}), old, body)
	if err != nil {
		t.Fatal(err)
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	config.ObjectLock = true
	server := serve(t, config)
	a := openArchive(server, lock)
	if err := a.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkStored(t, a, old, stored)
	checkConflict(t, a, old, zipOf(t, 1000))
	checkFile(t, filepath.Join(dir, bucket, string(old)), body)
	if _, err := store(t, a, "packages/new.zip", body); err != nil {
		t.Error(err)
	}
	checkLocked(t, server, "packages/new.zip", body)
}

// checkWrongSum proves that the server verifies the client's checksums: otherwise the tests above
// would prove little.
func checkWrongSum(t *testing.T, server *embedded.S3) {
	t.Helper()
	_, err := server.Client().PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String(bucket), Key: aws.String("wrong"), Body: strings.NewReader("bytes"),
		ChecksumCRC32C: aws.String("AAAAAA=="),
	})
	if err == nil {
		t.Error("a wrong checksum was accepted")
	}
}

const caseID = "INC 4711/a"

var collection = investigation.Collection{
	Attempt: 2,
	Link:    investigation.Exchange{AskedAt: lockedAt, AnsweredAt: lockedAt.Add(time.Second), Host: "api.test", RequestID: "é\"<>"},
	Download: investigation.Exchange{
		AskedAt: lockedAt.Add(time.Second), Host: "x.blob.test:443", TLSVersion: "TLS 1.3", CorrelationID: "a  b",
	},
}

func placeOf(key, quarantine investigation.Key) investigation.Placement {
	action := someAction("a", now)
	action.CaseID = caseID
	return investigation.Placement{
		Key: key, Quarantine: quarantine, Action: action, Claim: claim,
		Collection: collection,
	}
}

const claim = "ada"

// recordOf returns the action of placeOf, claimed.
func recordOf() investigation.Record {
	return investigation.Record{Action: placeOf("", "").Action, Claims: claim}
}

func packageOf(body []byte) investigation.Package {
	return investigation.Package{
		Size: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)), Source: collection.Download,
	}
}

func store(t *testing.T, a *archive.Archive, key investigation.Key, body []byte) (
	investigation.Stored, error,
) {
	t.Helper()
	return a.Store(t.Context(), placeOf(key, ""), packageOf(body))
}

// zipOf returns a ZIP with size random bytes.
func zipOf(t *testing.T, size int) []byte {
	t.Helper()
	var file bytes.Buffer
	w := zip.NewWriter(&file)
	entry, err := w.CreateHeader(&zip.FileHeader{Name: "Autoruns/autoruns.csv", Method: zip.Store})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(entry, rand.Reader, int64(size)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}
