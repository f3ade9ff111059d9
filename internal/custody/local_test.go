package custody_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"packhorse/internal/custody"
	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
)

// TestOpenSSL verifies a signature without any of this code.
func TestOpenSSL(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key, err := custody.OpenLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	w := custody.NewWriter(key, "contoso-evidence", investigation.Lock{}, provenance, nil)
	var published []byte
	err = w.Publish(t.Context(), func(_ context.Context, name string, pem []byte) (investigation.Placed, error) {
		current, err := key.Current(t.Context())
		if name != investigation.SigningKeyKey(current.ID) {
			t.Errorf("the key was published as %s", name)
		}
		published = pem
		return investigation.Placed{Key: name}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile(filepath.Join(dir, "signing-key.pub.pem"))
	if err != nil || !bytes.Equal(public, published) {
		t.Fatalf("published %q, in the file %q, %v", published, public, err)
	}
	current, err := key.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text := []byte(strings.ReplaceAll(string(testManifest(t)), testKeyID(t), current.ID))
	signature, err := w.Sign(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"m.json": text, "m.json.sig": signature} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "openssl", "dgst", "-sha256", "-verify", "signing-key.pub.pem",
		"-signature", "m.json.sig", "m.json")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Verified OK") {
		t.Errorf("openssl says %s, %v", out, err)
	}
}

func testKeyID(t *testing.T) string {
	t.Helper()
	key, err := testKey(t).Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return key.ID
}

// TestAnyBit flips each bit of manifest and signature: neither verifies any more.
func TestAnyBit(t *testing.T) {
	t.Parallel()
	w, text := writer(t), testManifest(t)
	signature, err := w.Sign(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	key, err := testKey(t).Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Verify(t.Context(), text, signature); err != nil {
		t.Fatal(err)
	}
	for i := range len(text) * 8 {
		changed := bytes.Clone(text)
		changed[i/8] ^= 1 << (i % 8)
		if err := key.Verify(changed, signature); !errors.Is(err, manifest.ErrBadSignature) {
			t.Fatalf("bit %d of the manifest: %v", i, err)
		}
	}
	for i := range len(signature) * 8 {
		changed := bytes.Clone(signature)
		changed[i/8] ^= 1 << (i % 8)
		if err := key.Verify(text, changed); !errors.Is(err, manifest.ErrBadSignature) {
			t.Fatalf("bit %d of the signature: %v", i, err)
		}
	}
	for _, other := range [][]byte{nil, signature[:len(signature)-1], append(bytes.Clone(signature), 0)} {
		if err := key.Verify(text, other); !errors.Is(err, manifest.ErrBadSignature) {
			t.Errorf("%d bytes of signature: %v", len(other), err)
		}
	}
}

// TestRotation: a renamed key still signs the manifests that name it, and a new key is made.
func TestRotation(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := func() *custody.Local {
		t.Helper()
		key, err := custody.OpenLocal(dir)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	old, err := open().Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = os.Rename(filepath.Join(dir, "signing-key.pem"), filepath.Join(dir, "signing-key-2026.pem"))
	if err != nil {
		t.Fatal(err)
	}
	after := open()
	current, err := after.Current(t.Context())
	if err != nil || current.ID == old.ID {
		t.Fatalf("the key is still %s, %v", current.ID, err)
	}
	sum := sha256.Sum256([]byte("x"))
	signature, err := after.Sign(t.Context(), old.KeyRef, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Verify([]byte("x"), signature); err != nil {
		t.Error(err)
	}
	if err := current.Verify([]byte("x"), signature); !errors.Is(err, manifest.ErrBadSignature) {
		t.Errorf("the new key verifies the old one's signature: %v", err)
	}
	_, err = after.Sign(t.Context(), manifest.KeyRef{ID: strings.Repeat("0", 64)}, sum[:])
	if err == nil || !strings.Contains(err.Error(), "put its file back") {
		t.Errorf("an unknown key: %v", err)
	}
}

// TestOneKey starts many processes at once, which end up with one key.
func TestOneKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var mu sync.Mutex
	ids := map[string]bool{}
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			local, err := custody.OpenLocal(dir)
			if err != nil {
				t.Error(err)
				return
			}
			key, err := local.Current(t.Context())
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			ids[key.ID] = true
		})
	}
	all.Wait()
	if len(ids) != 1 {
		t.Errorf("got %d keys, want 1", len(ids))
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 2 {
		t.Errorf("the folder has %v, %v", left, err)
	}
	info, err := os.Stat(filepath.Join(dir, "signing-key.pem"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode: %v, %v", info.Mode(), err)
	}
}

// TestOpenKeys: a private key that others can read is refused, whether present or earlier, with the
// command that fixes it. Public keys may be readable by all.
func TestOpenKeys(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]os.FileMode{
		"signing-key.pem": 0o644, "signing-key-2026.pem": 0o640, "signing-key-2025.pem": 0o602,
	} {
		dir := t.TempDir()
		if _, err := custody.OpenLocal(dir); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if name != "signing-key.pem" {
			if err := os.Rename(filepath.Join(dir, "signing-key.pem"), path); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := custody.OpenLocal(dir)
		for _, err := range []error{err, custody.CheckLocal(dir)} {
			if err == nil || !strings.Contains(err.Error(), "chmod 600") || !strings.Contains(err.Error(), path) {
				t.Errorf("%s with mode %o: got %v", name, mode, err)
			}
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := custody.OpenLocal(dir); err != nil {
			t.Errorf("%s, mended: %v", name, err)
		}
	}
	if err := custody.CheckLocal(t.TempDir()); err != nil {
		t.Errorf("no keys: %v", err)
	}
}

// TestBadKeys: an error names the file that is not a key of the right kind, and the file is not
// replaced.
func TestBadKeys(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty": "", "no PEM": "hello", "a certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"broken": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "signing-key.pem")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := custody.OpenLocal(dir)
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("%s: the file is %q now, %v", name, got, err)
		}
	}
}

// TestFolderOfAnyName: characters that mean something in a pattern are plain characters in a
// folder's name, and the keys in it are found.
func TestFolderOfAnyName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"[", "case [4711]", "*", "what?", `back\slash`, "[a-"} {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		first, err := custody.OpenLocal(dir)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		old := filepath.Join(dir, "signing-key-2025.pem")
		if err := os.Rename(filepath.Join(dir, "signing-key.pem"), old); err != nil {
			t.Fatal(err)
		}
		second, err := custody.OpenLocal(dir)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		key, err := first.Current(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if found, err := second.Find(t.Context(), key.KeyRef); err != nil || found.ID != key.ID {
			t.Errorf("%s: the earlier key: %+v, %v", name, found, err)
		}
		files, err := custody.LocalKeyFiles(dir)
		if err != nil || len(files) != 3 {
			t.Errorf("%s: found %q, %v", name, files, err)
		}
	}
}
