package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"packhorse/cmd/packhorse/datafolder"
)

// kept returns a copy of the kept data folder.
func kept(t *testing.T) (data string) {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "tar", "--xattrs", "--xattrs-include=*", "-xzf", filepath.Join(startedIn, keptFolder), "-C", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return filepath.Join(dir, "data")
}

// archivedAndNot returns the newest record with a package, and one without.
func archivedAndNot(t *testing.T, data string) (archived, notCollected record) {
	t.Helper()
	for _, rec := range listed(t, data) {
		switch {
		case rec.SHA256 == "":
			notCollected = rec
		case archived.SHA256 == "":
			archived = rec
		}
	}
	return archived, notCollected
}

// TestGet: get copies the very package that the ledger recorded, from the data folder, a copy and a bucket, and
// says with its exit code what that is worth.
func TestGet(t *testing.T) {
	t.Parallel()
	data := kept(t)
	rec, _ := archivedAndNot(t, data)
	folder := filepath.Join(data, datafolder.S3, datafolder.Bucket)
	objects := http.StripPrefix("/evidence/", http.FileServer(http.Dir(folder)))
	bucket := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".zip") {
			objects.ServeHTTP(w, r) // whole; bucketOf serves packages by ranges only
			return
		}
		(&bucketOf{folder: folder}).ServeHTTP(w, r)
	}))
	t.Cleanup(bucket.Close)
	aws := []string{"AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=x", "AWS_REGION=eu-north-1"}
	pub := filepath.Join(t.TempDir(), "pub.pem")
	if err := os.WriteFile(pub, []byte(inProcess(nil, "public-key", "--data", data).stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, filepath.FromSlash(rec.Key))
	for name, c := range map[string]struct {
		args    []string
		code    int
		verdict string
	}{
		"data":           {[]string{rec.ActionID[:8], "--data", data}, exitDone, "PASS: everything agrees"},
		"host":           {[]string{rec.ComputerDNSName, "--newest", "--data", data}, exitDone, "PASS: everything agrees"},
		"a copy":         {[]string{path, "--from", folder}, exitKeyNotTrusted, "PARTIAL: consistent, key not trusted"},
		"a key of mine":  {[]string{path, "--from", folder, "--pub", pub}, exitPartial, "PARTIAL: what was checked agrees"},
		"a bucket":       {[]string{rec.Key, "--from", "s3://evidence", "--s3-endpoint", bucket.URL, "--pub", pub}, exitPartial, "PARTIAL: "},
		"what is enough": {[]string{path, "--from", folder, "--pub", pub, "--require", "object"}, exitPartial, "PARTIAL: "},
	} {
		dir := filepath.Join(t.TempDir(), "case")
		got := packhorse(t, aws, append([]string{"get", "-o", dir}, c.args...)...)
		if got.code != c.code || !strings.Contains(got.stdout, c.verdict) {
			t.Errorf("%s: exit %d: %s%s", name, got.code, got.stdout, got.stderr)
		}
		zips, _ := filepath.Glob(filepath.Join(dir, "*_"+rec.ActionID[:8]+".zip"))
		if len(zips) != 1 {
			t.Fatalf("%s: got %q", name, zips)
		}
		body, err := os.ReadFile(zips[0])
		sum := sha256.Sum256(body)
		if err != nil || hex.EncodeToString(sum[:]) != rec.SHA256 {
			t.Errorf("%s: other bytes, %v", name, err)
		}
		if all, _ := os.ReadDir(dir); len(all) != 4 {
			t.Errorf("%s: %v", name, all)
		}
	}
	if got := packhorse(t, nil, "verify", "--data", data, "--all"); got.code != exitDone {
		t.Errorf("get changed the archive: %s%s", got.stdout, got.stderr)
	}
}

// TestGetNothing: what must not be copied is not, and the error says why.
func TestGetNothing(t *testing.T) {
	t.Parallel()
	data := kept(t)
	rec, none := archivedAndNot(t, data)
	path := filepath.Join(data, datafolder.S3, datafolder.Bucket, filepath.FromSlash(rec.Key))

	dir := filepath.Join(t.TempDir(), "case")
	got := packhorse(t, nil, "get", none.ActionID, "-o", dir, "--data", data)
	if got.code != exitDone || !strings.Contains(got.stdout, "Package  none: ") || strings.Contains(got.stdout, ".zip") {
		t.Errorf("not collected: exit %d: %s%s", got.code, got.stdout, got.stderr)
	}

	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"standard output": {[]string{rec.ActionID, "-o", "-", "--data", data}, exitUsage, "-o - is not possible: a package must be verified"},
		"no folder":       {[]string{rec.ActionID, "--data", data}, exitUsage, "-o DIR"},
		"no package":      {[]string{"-o", dir, "--data", data}, exitUsage, "accepts 1 arg"},
		"unknown":         {[]string{"nowhere", "-o", dir, "--data", data}, exitFailed, "no package found"},
		"required": {[]string{path, "-o", dir + "2", "--from", filepath.Join(data, datafolder.S3, datafolder.Bucket),
			"--require", "ledger"}, exitFailed, "the required check ledger could not be made"},
	} {
		got := packhorse(t, nil, append([]string{"get"}, c.args...)...)
		if got.code != c.code || !strings.Contains(got.stderr, c.want) {
			t.Errorf("%s: exit %d: %s%s", name, got.code, got.stdout, got.stderr)
		}
	}

	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	body[len(body)/2] ^= 1
	file, err := os.OpenFile(path, os.O_WRONLY, 0) // in place, to keep the extended attributes
	if err == nil {
		_, err = file.WriteAt(body, 0)
	}
	if err != nil || file.Close() != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(t.TempDir(), "changed")
	for _, args := range [][]string{nil, {"--json"}} {
		got = packhorse(t, nil, append([]string{"get", rec.ActionID, "-o", dir, "--data", data}, args...)...)
		if all, _ := os.ReadDir(dir); got.code != exitFailed || len(all) > 0 ||
			!strings.Contains(got.stderr, "FAIL: the object's SHA-256 differs") ||
			!strings.Contains(got.stderr, "nothing was copied") || !strings.Contains(got.stderr, "advice: ") {
			t.Errorf("a changed package: exit %d, files %v: %s%s", got.code, all, got.stdout, got.stderr)
		}
	}
}

// TestGetJSON: the last line names every file, and says what was checked.
func TestGetJSON(t *testing.T) {
	t.Parallel()
	data := kept(t)
	rec, _ := archivedAndNot(t, data)
	dir := t.TempDir()
	for _, already := range []bool{false, true} {
		got := packhorse(t, nil, "get", rec.ActionID, "-o", dir, "--data", data, "--json")
		all := lines(got.stdout)
		var last struct {
			Version, Event, TenantID, ActionID, ComputerDNSName, Outcome, Folder, KeyID, Verdict string
			KeyNotTrusted                                                                        bool
			Files                                                                                []struct {
				What, Name, SHA256 string
				Size               int64
				Already            bool
			}
		}
		err := json.Unmarshal([]byte(all[len(all)-1]), &last)
		if err != nil || got.code != exitDone || last.Version != "1" || last.Event != "got" || last.TenantID != rec.TenantID ||
			last.ActionID != rec.ActionID || last.ComputerDNSName != rec.ComputerDNSName || last.Folder != dir ||
			last.Verdict != "PASS" || last.KeyNotTrusted || len(last.Files) != 4 {
			t.Fatalf("exit %d, %v: %s%s", got.code, err, got.stdout, got.stderr)
		}
		for _, f := range last.Files {
			body, err := os.ReadFile(filepath.Join(dir, f.Name))
			sum := sha256.Sum256(body)
			if err != nil || hex.EncodeToString(sum[:]) != f.SHA256 || int64(len(body)) != f.Size || f.Already != already {
				t.Errorf("%+v: %v", f, err)
			}
			if f.What == "package" && !bytes.Equal([]byte(f.SHA256), []byte(rec.SHA256)) {
				t.Errorf("%+v, want %s", f, rec.SHA256)
			}
		}
	}
}
