//go:build cloud

package cloudtest

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"testing"

	"packhorse/cmd/packhorse/embedded"
	"packhorse/internal/event"
	"packhorse/internal/localcloud"
)

// bucketServer is the S3 server for the functions: the local cloud's own refuses correct checksums
// of multipart uploads.
type bucketServer struct {
	*embedded.S3

	dir string
}

func openBucketServer(t *testing.T) bucketServer {
	t.Helper()
	dir := t.TempDir()
	server, err := embedded.StartS3(t.Context(), embedded.S3Config{
		Dir: dir, Bucket: "unused", ObjectLock: true, Plain: true,
		Keys: embedded.Keys{AccessKey: localcloud.AccessKey, SecretKey: localcloud.SecretKey},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return bucketServer{server, dir}
}

// makeBuckets creates buckets with the same names and lock settings as the stacks'.
func (b bucketServer) makeBuckets(t *testing.T, stacks []map[string]string) {
	t.Helper()
	for _, outputs := range stacks {
		_, err := b.Client().CreateBucket(t.Context(), newBucket(outputs["EvidenceBucketName"]))
		if err != nil {
			t.Fatal(err)
		}
	}
}

// checkPackages hashes the files that the events name, and compares them with the served packages.
func (b bucketServer) checkPackages(t *testing.T, archived map[string]event.Archived, s *tenant) {
	t.Helper()
	served := s.served()
	for id, detail := range archived {
		file, err := os.Open(filepath.Join(b.dir, detail.Bucket, filepath.FromSlash(detail.Key)))
		if err != nil {
			t.Error(err)
			continue
		}
		digest := sha256.New()
		size, err := io.Copy(digest, file)
		sum := hex.EncodeToString(digest.Sum(nil))
		if err != nil || sum != served[id].SHA256 || sum != detail.SHA256 || size != detail.Size {
			t.Errorf("%s: stored %d bytes %s, %v; announced %d, %s; served %+v", detail.Key, size, sum, err,
				detail.Size, detail.SHA256, served[id])
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
		manifest := filepath.Join(b.dir, detail.Bucket, filepath.FromSlash(detail.ManifestKey))
		if _, err := os.Stat(manifest); err != nil {
			t.Error(err)
		}
	}
}
