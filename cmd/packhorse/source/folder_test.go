package source_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"packhorse/cmd/packhorse/source"
	"packhorse/internal/verify"
	"packhorse/internal/verify/verifytest"
)

// TestFolder verifies a copy on disk, without ledger, versions and locks.
func TestFolder(t *testing.T) {
	t.Parallel()
	w := verifytest.New(t)
	dir := t.TempDir()
	w.CopyTo(t, filepath.Join(dir, "x", "y"))
	folder, err := source.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = folder.Close() }()
	root, err := verify.Root(t.Context(), folder, "")
	if err != nil || root != "x/y/" {
		t.Fatalf("the root is %q, %v", root, err)
	}
	a := verify.Under(folder, root)
	trust, findings, err := verify.TrustArchive(t.Context(), a)
	if err != nil || len(findings) > 0 || len(trust.IDs()) != 1 {
		t.Fatalf("the archive's keys: %v, %v, %v", trust.IDs(), findings, err)
	}
	sum := verifytest.RunOn(t, a, trust, nil, verify.Scope{})
	if len(sum.Findings) != 0 || len(sum.Subjects) != 8 || !sum.KeysCame || len(sum.Remarks) != 3 {
		t.Errorf("found %q, %d subjects, remarks %q", sum.Findings, len(sum.Subjects), sum.Remarks)
	}
	if s := sum.Subjects[0].Result(verify.CheckVersion); s.Verdict != verify.VerdictNotChecked || s.Why == "" {
		t.Errorf("version: %+v", s)
	}

	_, err = verify.Root(t.Context(), open(t, filepath.Join(dir, "x", "y", "packages")), "")
	if err == nil || !strings.Contains(err.Error(), "inside an archive (its packages/)") {
		t.Errorf("the inside: %v", err)
	}
	w.CopyTo(t, filepath.Join(dir, "z"))
	_, err = verify.Root(t.Context(), folder, "")
	if err == nil || !strings.Contains(err.Error(), "./x/y/, ./z/") {
		t.Errorf("two archives: %v", err)
	}
}

func open(t *testing.T, dir string) *source.Folder {
	t.Helper()
	folder, err := source.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = folder.Close() })
	return folder
}

// TestHostileFolder: irregular entries in a file system are named but not opened.
func TestHostileFolder(t *testing.T) {
	t.Parallel()
	w := verifytest.New(t)
	trust := w.Trust(t)
	for _, tt := range []struct {
		name string
		do   func(dir string) error
		key  string
		says string
	}{
		{"a link that leads out", func(dir string) error {
			secret := filepath.Join(dir, "..", "secret")
			if err := os.WriteFile(secret, w.Store.Body(verifytest.Key(verifytest.Prefix, 2, ".zip")), 0o600); err != nil {
				return err
			}
			return replace(dir, verifytest.Key(verifytest.Prefix, 2, ".zip"), func(p string) error { return os.Symlink(secret, p) })
		}, verifytest.Key(verifytest.Prefix, 2, ".zip"), "symbolic link"},
		{"a manifest that is a link", func(dir string) error {
			return replace(dir, verifytest.Key(verifytest.Prefix, 2, ".json"), func(p string) error {
				return os.Symlink(filepath.Base(verifytest.Key(verifytest.Prefix, 3, ".json")), p)
			})
		}, verifytest.Key(verifytest.Prefix, 2, ".json"), "symbolic link"},
		{"a manifest that is a folder", func(dir string) error {
			return replace(dir, verifytest.Key(verifytest.Prefix, 2, ".json"), func(p string) error { return os.Mkdir(p, 0o700) })
		}, verifytest.Key(verifytest.Prefix, 2, ".json"), "a folder"},
		{"a stray link", func(dir string) error {
			return os.Symlink("/etc", filepath.Join(dir, "packages", "etc"))
		}, "packages/etc", "symbolic link"},
		{"a name that is no text", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "packages", "a\xff\x1b[2J"), nil, 0o600)
		}, "packages/a\xff\x1b[2J", "nothing under such a key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "copy")
			w.CopyTo(t, dir)
			if err := tt.do(dir); err != nil {
				t.Fatal(err)
			}
			sum := verifytest.RunOn(t, open(t, dir), trust, nil, verify.Scope{})
			for _, f := range sum.Findings {
				if f.Key == tt.key && strings.Contains(f.Error(), tt.says) {
					return
				}
			}
			t.Errorf("only found %q", sum.Findings)
		})
	}
}

func replace(dir, key string, by func(path string) error) error {
	path := filepath.Join(dir, filepath.FromSlash(key))
	if err := os.Remove(path); err != nil {
		return err
	}
	return by(path)
}

// TestCopy: a copy can pass every check that is possible on a copy; the verdict names the other
// checks, and they can be required.
func TestCopy(t *testing.T) {
	t.Parallel()
	w := verifytest.New(t)
	dir := filepath.Join(t.TempDir(), "copy")
	w.CopyTo(t, dir)
	sum := verifytest.RunOn(t, open(t, dir), w.Trust(t), nil, verify.Scope{})
	if sum.Verdict() != verify.Partial || sum.AttributesLost() {
		t.Errorf("%s: %s", sum.Verdict(), sum.Headline())
	}
	var checks []verify.Check
	for _, g := range sum.Gaps {
		checks = append(checks, g.Check)
	}
	want := []verify.Check{verify.CheckVersion, verify.CheckLock, verify.CheckLedger, verify.CheckChain}
	if !slices.Equal(checks, want) {
		t.Errorf("not checked: %v, want %v", checks, want)
	}
	if n := len(sum.Unmade([]verify.Check{verify.CheckObject, verify.CheckSignature})); n > 0 {
		t.Errorf("%d of the checks were not made", n)
	}
	if n := len(sum.Unmade(verify.Checks())); n != 4 {
		t.Errorf("%d of all checks were not made, want 4", n)
	}
}
