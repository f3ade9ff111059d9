package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"packhorse/cmd/packhorse/datafolder"
)

// autoruns is a file of the simulated packages.
const autoruns = "Autoruns/AutoRuns.csv"

// member returns a file of a ZIP, as Go's own reader has it.
func member(t *testing.T, path, name string) string {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = z.Close() }()
	f, err := z.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestShow: show describes a package, lists its files and writes one, from the data folder, a copy and a bucket.
func TestShow(t *testing.T) {
	t.Parallel()
	data := simulated(t)
	rec := listed(t, data)[0]
	folder := filepath.Join(data, datafolder.S3, datafolder.Bucket)
	path := filepath.Join(folder, filepath.FromSlash(rec.Key))
	want := member(t, path, autoruns)
	bucket := httptest.NewServer(&bucketOf{folder: folder})
	t.Cleanup(bucket.Close)
	aws := []string{"AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=x", "AWS_REGION=eu-north-1"}
	for name, args := range map[string][]string{
		"data": {rec.ActionID[:8], "--data", data}, "host": {rec.ComputerDNSName, "--newest", "--data", data},
		"copy": {path, "--from", folder}, "copy and ledger": {rec.ActionID, "--from", folder, "--data", data},
		"bucket":            {rec.Key, "--from", "s3://evidence", "--s3-endpoint", bucket.URL},
		"bucket and ledger": {rec.ActionID[:8], "--from", "s3://evidence", "--s3-endpoint", bucket.URL, "--data", data},
	} {
		got := packhorse(t, aws, append([]string{"show"}, args...)...)
		for _, part := range []string{
			rec.ActionID, rec.ComputerDNSName, rec.SHA256, rec.Key, rec.ManifestKey, "(307200 bytes)",
			"not checked: packhorse verify " + rec.ActionID, "19 files, ", "  1   4.0 KiB    " + autoruns,
		} {
			if !strings.Contains(got.stdout, part) {
				t.Errorf("%s: %q is missing in %s", name, part, got.stdout)
			}
		}
		if got.code != exitDone || got.stderr != "" {
			t.Errorf("%s: exit %d: %s", name, got.code, got.stderr)
		}
		got = packhorse(t, aws, append([]string{"show", "--member", "autoruns.csv"}, args...)...)
		if got.code != exitDone || got.stdout != want || got.stderr != "" {
			t.Errorf("%s: exit %d, %d bytes: %s", name, got.code, len(got.stdout), got.stderr)
		}
	}
	got := packhorse(t, nil, "show", rec.ActionID, "--json", "--data", data)
	var object struct {
		Event, Key, Outcome string
		Contents            struct{ Files []struct{ Name string } }
	}
	if err := json.Unmarshal([]byte(got.stdout), &object); err != nil || object.Event != "package" ||
		object.Key != rec.Key || len(object.Contents.Files) != 19 || object.Contents.Files[0].Name != autoruns {
		t.Errorf("%v: %+v", err, got)
	}
	// Nothing was unpacked.
	err := filepath.Walk(data, func(path string, _ os.FileInfo, err error) error {
		if strings.EqualFold(filepath.Base(path), "autoruns.csv") {
			t.Errorf("%s was written", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestShowFails: what cannot be shown is said, with exit code 1; what is known is shown anyway.
func TestShowFails(t *testing.T) {
	t.Parallel()
	data := simulated(t)
	all := listed(t, data)
	rec := all[0]
	folder := filepath.Join(data, datafolder.S3, datafolder.Bucket)
	path := filepath.Join(folder, filepath.FromSlash(rec.Key))
	for _, c := range []struct {
		args []string
		says string
		code int
	}{
		{[]string{rec.ActionID, "nope", "--data", data}, `none of the 19 files`, exitFailed},
		{[]string{rec.ActionID, "*.txt", "--data", data}, `"*.txt" names 10 files of the package:`, exitFailed},
		{[]string{"nobody", "--data", data}, `no package found for "nobody" in `, exitFailed},
		{[]string{"nobody", "--from", folder}, "is not an archive key, and without a ledger", exitUsage},
		{[]string{rec.ActionID, "a", "--member", "b", "--data", data}, "mutually exclusive", exitUsage},
		{[]string{rec.ActionID, "a", "--json", "--data", data}, "leave out FILE", exitUsage},
		{[]string{rec.ActionID, "--limit", "-1", "--data", data}, "--limit", exitUsage},
		{[]string{rec.ActionID, "--stack", "s", "--data", data}, "--stack excludes", exitUsage},
		{[]string{}, "accepts between 1 and 2 arg", exitUsage},
	} {
		got := packhorse(t, nil, append([]string{"show"}, c.args...)...)
		if got.code != c.code || got.stdout != "" || !strings.Contains(got.stderr, c.says) {
			t.Errorf("%q: %+v", c.args, got)
		}
	}

	// One byte of the file differs: stored, so the first byte after the local header is the file's.
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(text)
	damaged[30+len(autoruns)+100] ^= 1
	if err := os.WriteFile(path, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	got := packhorse(t, nil, "show", rec.ActionID, autoruns, "--data", data)
	if got.code != exitFailed || !strings.Contains(got.stderr, "its CRC-32 is") {
		t.Errorf("a changed byte: exit %d: %s", got.code, got.stderr)
	}
	got = packhorse(t, nil, "show", rec.ActionID, "arp.txt", "--data", data)
	if got.code != exitDone {
		t.Errorf("another file: exit %d: %s", got.code, got.stderr)
	}
	if err := os.WriteFile(path, append(damaged, 0), 0o600); err != nil {
		t.Fatal(err)
	}
	got = packhorse(t, nil, "show", rec.ActionID, "--data", data)
	if got.code != exitFailed || !strings.Contains(got.stdout, rec.SHA256) ||
		!strings.Contains(got.stderr, "has 307201 bytes, and was recorded with 307200") {
		t.Errorf("another size: exit %d: %s", got.code, got.stderr)
	}
	if err := os.WriteFile(path, []byte("not a ZIP"), 0o600); err != nil {
		t.Fatal(err)
	}
	got = packhorse(t, nil, "show", rec.ActionID, "--data", data)
	if got.code != exitFailed || !strings.Contains(got.stdout, rec.SHA256) || !strings.Contains(got.stderr, "not a package") {
		t.Errorf("not a ZIP: exit %d: %s", got.code, got.stderr)
	}
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	got = packhorse(t, nil, "show", rec.ActionID, "--data", data)
	if got.code != exitFailed || !strings.Contains(got.stdout, rec.SHA256) || !strings.Contains(got.stderr, "no archive found") {
		t.Errorf("no archive: exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
}

// bucketOf serves a folder as an S3 bucket without versions: what show asks for, and no more.
type bucketOf struct{ folder string }

func (b *bucketOf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/evidence"), "/")
	switch {
	case r.Method != http.MethodGet:
		http.Error(w, "read only", http.StatusMethodNotAllowed)
	case r.URL.Query().Has("versioning"):
		_, _ = io.WriteString(w, "<VersioningConfiguration/>")
	case r.URL.Query().Get("list-type") == "2":
		var list struct {
			XMLName  xml.Name `xml:"ListBucketResult"`
			Contents []struct {
				Key  string
				Size int64
			}
		}
		_ = filepath.Walk(b.folder, func(path string, info os.FileInfo, err error) error {
			key, _ := filepath.Rel(b.folder, path)
			if err == nil && !info.IsDir() && strings.HasPrefix(filepath.ToSlash(key), r.URL.Query().Get("prefix")) {
				list.Contents = append(list.Contents, struct {
					Key  string
					Size int64
				}{filepath.ToSlash(key), info.Size()})
			}
			return nil
		})
		_ = xml.NewEncoder(w).Encode(list)
	case strings.HasSuffix(key, ".zip") && r.Header.Get("Range") == "":
		http.Error(w, "the whole package", http.StatusTeapot)
	default:
		http.ServeFile(w, r, filepath.Join(b.folder, filepath.FromSlash(key)))
	}
}
