package evidence_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/embedded"
	"packhorse/cmd/packhorse/evidence"
	"packhorse/cmd/packhorse/find"
)

const key = "packages/7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11/" +
	"00000000000000000000000000000000000003e9/20261124T090000Z_0000000000000000000000000000000000000001.zip"

func TestBucket(t *testing.T) {
	t.Parallel()
	for from, want := range map[string][2]string{
		"s3://evidence":          {"evidence", ""},
		"s3://evidence/":         {"evidence", ""},
		"s3://evidence/a/b":      {"evidence", "a/b/"},
		"s3://evidence/a/b/":     {"evidence", "a/b/"},
		"s3://":                  {"", ""},
		"s3:///prefix-no-bucket": {"", "prefix-no-bucket/"},
	} {
		o := evidence.Options{From: from}
		bucket, prefix := o.Bucket()
		if got := [2]string{bucket, prefix}; got != want || !o.InS3() {
			t.Errorf("%s: got %q, in S3 %t; want %q", from, got, o.InS3(), want)
		}
	}
	if (evidence.Options{From: "/mnt/s3://"}).InS3() {
		t.Error("a folder was accepted as a bucket")
	}
}

// TestKey: a package can be named by its key, its URL or the path of its file, relative paths included.
func TestKey(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, filepath.FromSlash(key))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Dir(root))
	e, err := evidence.Open(t.Context(), evidence.Options{From: root})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Chdir(t.TempDir()) // as the embedded server would
	for _, argument := range []string{key, "s3://bucket/" + key, file, filepath.Join(filepath.Base(root), key)} {
		if got, err := e.Key(t.Context(), find.Query{Text: argument}); err != nil || got != key {
			t.Errorf("%s: got %q, %v", argument, got, err)
		}
	}
	for _, bad := range []string{"", "x", "s3://bucket", root, filepath.Join(root, "x.zip")} {
		if got, err := e.Key(t.Context(), find.Query{Text: bad}); err == nil {
			t.Errorf("%q was accepted as the key %s", bad, got)
		}
	}
	if e.LedgerName() != "" {
		t.Errorf("unexpected ledger %s", e.LedgerName())
	}
}

// TestNothingThere: opening missing evidence creates nothing, and the error says which flags to use.
func TestNothingThere(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	_, err := evidence.Open(t.Context(), evidence.Options{Data: data})
	if missing, ok := errors.AsType[*evidence.NoArchiveError](err); !ok || missing.Advice() == "" {
		t.Errorf("an archive: got %v", err)
	}
	_, err = evidence.OpenLedger(t.Context(), "", data)
	if missing, ok := errors.AsType[*evidence.NoLedgerError](err); !ok || missing.Advice() == "" {
		t.Errorf("a ledger: got %v", err)
	}
	for _, o := range []evidence.Options{{Data: data}, {Data: data, From: t.TempDir()}} {
		_, _, err = evidence.PublicKeys(t.Context(), o)
		if missing, ok := errors.AsType[*evidence.NoKeyError](err); !ok || missing.Advice() == "" {
			t.Errorf("keys: got %v", err)
		}
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("the data folder was created")
	}
}

// TestLedgerBesideAnotherArchive: with --from, the data folder's ledger is used only if --data is given.
func TestLedgerBesideAnotherArchive(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	path := filepath.Join(data, datafolder.Database)
	db, err := embedded.OpenDB(t.Context(), path)
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	for given, want := range map[bool]string{false: "", true: path} {
		e, err := evidence.Open(t.Context(), evidence.Options{From: t.TempDir(), Data: data, DataGiven: given})
		if err != nil {
			t.Fatal(err)
		}
		if got := e.LedgerName(); got != want {
			t.Errorf("--data given %t: got the ledger %q, want %q", given, got, want)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}
