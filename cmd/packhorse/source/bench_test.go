package source_test

import (
	"archive/zip"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"testing"

	"packhorse/cmd/packhorse/source"
	"packhorse/internal/verify"
	"packhorse/internal/verify/verifytest"
)

// BenchmarkVerify verifies a copied folder with one large package, and compares it with the
// unavoidable minimum: the standard library's SHA-256 of the package, in the same run.
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
	w := verifytest.New(b)
	w.Archive(b, verifytest.Tenant, 9, file.Bytes())
	dir := b.TempDir()
	w.CopyTo(b, dir)
	trust := w.Trust(b)

	b.Run("verify", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			folder, err := source.OpenFolder(dir)
			if err != nil {
				b.Fatal(err)
			}
			if sum := verifytest.RunOn(b, folder, trust, nil, verify.Scope{}); len(sum.Findings) != 0 {
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
			body, err := os.Open(filepath.Join(dir, filepath.FromSlash(verifytest.Key(verifytest.Prefix, 9, ".zip"))))
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
