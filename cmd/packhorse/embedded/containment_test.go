package embedded_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"testing"

	"github.com/versity/versitygw/debuglogger"

	"packhorse/cmd/packhorse/embedded"
)

// TestServerPrintsNothing: output of the server library must not mix with the lines of --json or
// the log. After Close, others can print again.
func TestServerPrintsNothing(t *testing.T) {
	stdout, stderr := os.Stdout, os.Stderr
	t.Cleanup(func() {
		os.Stdout, os.Stderr = stdout, stderr
		log.SetOutput(stderr)
	})
	out, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	os.Stdout, os.Stderr = out, out
	log.SetOutput(out)
	server, err := embedded.StartS3(t.Context(), embedded.S3Config{Dir: newDir(t), Bucket: bucket})
	if err != nil {
		t.Fatal(err)
	}
	debuglogger.InternalError(errors.New("write object data: no space left on device"))
	fmt.Println("served folder: /data")
	log.Print("max-requests exceeds max-connections")
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(out.Name()); err != nil || len(text) != 0 {
		t.Errorf("others printed %q, %v", text, err)
	}
	if os.Stdout != out || os.Stderr != out || log.Writer() != out {
		t.Error("the outputs are others")
	}
}

// TestServerLeavesNoTrace: a relative folder is found, and after any outcome of a server the
// working directory is the one from before.
func TestServerLeavesNoTrace(t *testing.T) {
	home := t.TempDir()
	t.Chdir(home)
	check := func(when string) {
		t.Helper()
		if dir, err := os.Getwd(); err != nil || dir != home {
			t.Errorf("%s: the working directory is %s, %v", when, dir, err)
		}
	}
	config := embedded.S3Config{Dir: filepath.Join("data", "s3"), Bucket: bucket, Keys: someKeys}
	server, err := embedded.StartS3(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if err := put(t, server.Client()); err != nil {
		t.Error(err)
	}
	if second, err := embedded.StartS3(t.Context(), config); !errors.Is(err, embedded.ErrOneServer) {
		t.Errorf("a second server: %v, %v", second, err)
	}
	if err := put(t, server.Client()); err != nil {
		t.Errorf("after a second server was refused: %v", err)
	}
	for range 2 {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		check("closed")
	}
	if _, err := os.Stat(filepath.Join(home, "data", "s3", bucket, "k")); err != nil {
		t.Error(err)
	}

	th := steal(t, "127.0.0.1:0")
	defer th.heard()
	if _, err := embedded.StartS3(t.Context(), embedded.At(config, th.listener.Addr().String())); err == nil {
		t.Error("it was started on a port in use")
	}
	check("not started")
	config.Bucket = "no/bucket"
	if _, err := embedded.StartS3(t.Context(), config); err == nil {
		t.Error("it was started for a bucket that cannot be")
	}
	check("not prepared")
}
