package localcloud_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"packhorse/internal/localcloud"
)

func TestFindLooksUpwards(t *testing.T) {
	root := t.TempDir()
	below := filepath.Join(root, "a", "b")
	bin := filepath.Join(root, ".venv", "bin")
	for _, dir := range []string{below, bin} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	_, err := localcloud.Find(below)
	if err == nil || !strings.Contains(err.Error(), "make ") {
		t.Errorf("with nothing installed: got error %v, want one that says what to run", err)
	}
	want := filepath.Join(bin, "ministack")
	if err := os.WriteFile(want, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := localcloud.Find(below)
	if err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

// Start must not wait for the deadline if the program exits immediately.
func TestStartSaysWhyItFailed(t *testing.T) {
	var log bytes.Buffer
	_, err := localcloud.Start(t.Context(), "/bin/false", nil, &log)
	if err == nil || !strings.Contains(err.Error(), "exit status 1") {
		t.Errorf("got error %v, want the exit status", err)
	}
	_, err = localcloud.Start(t.Context(), "/does/not/exist", nil, &log)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got error %v, want %v", err, os.ErrNotExist)
	}
}

// fakeCloud answers like the health page and echoes targets, so this test needs nothing installed.
// It is written in Python, which every machine with a .venv has.
const fakeCloud = `#!/usr/bin/env python3
import os, http.server
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(200); self.end_headers()
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        target = self.headers["X-Amz-Target"]
        self.send_response(400 if target.endswith("Bad") else 200)
        self.end_headers()
        self.wfile.write(('{"Target": "%s"}' % target).encode())
    def log_message(self, *a): pass
http.server.HTTPServer((os.environ["BIND_HOST"], int(os.environ["GATEWAY_PORT"])), H).serve_forever()
`

func TestStartCallClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cloud")
	if err := os.WriteFile(path, []byte(fakeCloud), 0o700); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cloud, err := localcloud.Start(t.Context(), path, os.Environ(), &log)
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	var answer struct{ Target string }
	err = cloud.Call(t.Context(), "Some_1.Good", map[string]string{"a": "b"}, &answer)
	if err != nil || answer.Target != "Some_1.Good" {
		t.Errorf("got %q, %v", answer.Target, err)
	}
	err = cloud.Call(t.Context(), "Some_1.Bad", nil, nil)
	if err == nil || !strings.Contains(err.Error(), "Some_1.Bad") {
		t.Errorf("got error %v, want one that names the call", err)
	}
	environ := cloud.Environ([]string{"HOME=/h", "AWS_PROFILE=mine", "AWS_ENDPOINT_URL_S3=there"})
	text := strings.Join(environ, " ")
	if !strings.Contains(text, "HOME=/h") || !strings.Contains(text, "AWS_ENDPOINT_URL="+cloud.Endpoint) ||
		strings.Contains(text, "mine") || strings.Contains(text, "there") {
		t.Errorf("the environment is %q", environ)
	}
	if err := cloud.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := http.Get(cloud.Endpoint + "/_ministack/health"); err == nil {
		t.Error("it still responds after Close")
	}
}
