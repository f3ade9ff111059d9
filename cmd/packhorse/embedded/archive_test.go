package embedded_test

import (
	"archive/zip"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"packhorse/cmd/packhorse/embedded"
	"packhorse/internal/archive"
	"packhorse/internal/investigation"
)

const bucket = "evidence"

// TestArchiveOverTLS stores packages through the real client in the real server. It goes over TLS,
// because only there does the client send the trailing checksums it sends to S3. (It is one test:
// a process can have one server.)
func TestArchiveOverTLS(t *testing.T) {
	files, client := certificate(t)
	dir := t.TempDir()
	t.Chdir(dir) // the server changes the working directory; this changes it back
	server, err := embedded.StartS3(t.Context(), embedded.S3Config{
		Dir: dir, Bucket: bucket, TLS: files, HTTPClient: client,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	}()
	a := archive.New(server.Client(), bucket, archive.PartSize, archive.PartsInFlight,
		slog.New(slog.DiscardHandler))
	for name, size := range map[string]int{"one put": 100 << 10, "parts": 3*archive.PartSize + 4321} {
		body, key := zipOf(t, size), investigation.Key("packages/"+strings.ReplaceAll(name, " ", "-")+".zip")
		checkRace(t, a, key, body)
		checkFile(t, filepath.Join(dir, bucket, string(key)), body)
		checkConflict(t, a, key, zipOf(t, size))
		checkFile(t, filepath.Join(dir, bucket, string(key)), body)
		if _, err := store(t, a, key+".cut", body[:len(body)-10]); !errors.Is(err,
			investigation.ErrNotAPackage) {
			t.Errorf("%s: a cut package: got %v", name, err)
		}
		if _, err := a.Stored(t.Context(), key+".cut"); !errors.Is(err, investigation.ErrNotStored) {
			t.Errorf("%s: a cut package left something: %v", name, err)
		}
	}
	checkWrongSum(t, server)
	uploads, err := server.Client().ListMultipartUploads(t.Context(),
		&s3.ListMultipartUploadsInput{Bucket: aws.String(bucket)})
	if err != nil || len(uploads.Uploads) != 0 {
		t.Errorf("%d uploads were left, %v", len(uploads.Uploads), err)
	}
}

// checkRace lets several store the same package at once: all of them succeed, with one receipt.
func checkRace(t *testing.T, a *archive.Archive, key investigation.Key, body []byte) {
	t.Helper()
	sum := sha256.Sum256(body)
	var all sync.WaitGroup
	receipts := make([]investigation.Receipt, 3)
	for i := range receipts {
		all.Go(func() {
			var err error
			receipts[i], err = store(t, a, key, body)
			if errors.Is(err, investigation.ErrStartAgain) {
				receipts[i], err = store(t, a, key, body)
			}
			if err != nil {
				t.Errorf("%s: %v", key, err)
			}
		})
	}
	all.Wait()
	for _, got := range receipts {
		if got != receipts[0] || got.SHA256 != hex.EncodeToString(sum[:]) ||
			got.Size != int64(len(body)) {
			t.Errorf("%s: got %+v", key, got)
		}
	}
	got, err := a.Stored(t.Context(), key)
	if err != nil || got != receipts[0] {
		t.Errorf("%s: stored is %+v, %v, want %+v", key, got, err, receipts[0])
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
	if _, ok := errors.AsType[*archive.ConflictError](err); !ok {
		t.Errorf("%s: other bytes under the key: got %v", key, err)
	}
}

// checkWrongSum makes sure that the server verifies what the client claims: else the tests above
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

func store(t *testing.T, a *archive.Archive, key investigation.Key, body []byte) (
	investigation.Receipt, error,
) {
	t.Helper()
	return a.Store(t.Context(), key, someAction("a", now), investigation.Package{
		Size: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
	})
}

// zipOf is a ZIP with size random bytes.
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

// certificate borrows one for 127.0.0.1, and a client that trusts it.
func certificate(t *testing.T) (embedded.TLSFiles, *http.Client) {
	t.Helper()
	lender := httptest.NewTLSServer(nil)
	defer lender.Close()
	pair := lender.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := embedded.TLSFiles{
		Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"),
	}
	for path, block := range map[string]*pem.Block{
		files.Cert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]},
		files.Key:  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	transport, ok := lender.Client().Transport.(*http.Transport)
	if !ok {
		t.Fatal("the client has another transport")
	}
	return files, &http.Client{Transport: transport.Clone()}
}
