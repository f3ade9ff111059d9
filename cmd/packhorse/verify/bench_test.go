package verify_test

import (
	"archive/zip"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"testing"

	"packhorse/cmd/packhorse/verify"
)

// BenchmarkVerify verifies a copied folder with one large package, next to what nobody can save: the
// package's SHA-256, by the standard library, in the same run.
func BenchmarkVerify(b *testing.B) {
	const size = 256 << 20
	var file bytes.Buffer
	z := zip.NewWriter(&file)
	entry, err := z.CreateHeader(&zip.FileHeader{Name: "Security event log/Security.evtx", Method: zip.Store})
	if err == nil {
		_, err = io.CopyN(entry, rand.Reader, size)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		b.Fatal(err)
	}
	w := newWorld(b)
	w.archive(b, tenant, 9, file.Bytes())
	dir := b.TempDir()
	w.copyTo(b, dir)
	trust := w.trust(b)

	b.Run("verify", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			folder, err := verify.OpenFolder(dir)
			if err != nil {
				b.Fatal(err)
			}
			if sum := runOn(b, folder, trust, nil, verify.Scope{}); len(sum.Findings) != 0 {
				b.Fatal(sum.Findings)
			}
			if err := folder.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("SHA-256 alone", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			body, err := os.Open(filepath.Join(dir, filepath.FromSlash(key(prefix, 9, ".zip"))))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(sha256.New(), body); err != nil {
				b.Fatal(err)
			}
			_ = body.Close()
		}
	})
}
