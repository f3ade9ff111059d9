// Package coldstart measures a cold start of the functions, compared with a function that does
// nothing: the size of the deployed ZIP, the time from exec until the runtime requests its first
// event, and the memory at that moment.
package coldstart

import (
	"archive/zip"
	"compress/flate"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// functions maps each measured function to its main package.
var functions = []struct{ name, folder string }{
	{"hello", "packhorse/internal/coldstart/hello"},
	{"poll", "packhorse/functions/poll"},
	{"fetch-package", "packhorse/functions/fetch-package"},
}

// environ is a deployed function's environment, with well-formed values.
var environ = []string{
	"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY=x",
	"AWS_LAMBDA_FUNCTION_NAME=measured", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256",
	"AWS_LAMBDA_LOG_FORMAT=JSON", "AWS_LAMBDA_FUNCTION_VERSION=1",
	"DEFENDER_TENANT_ID=7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11",
	"DEFENDER_CLIENT_ID=2b7e1516-28ae-4d2a-abf7-158809cf4f3c",
	"DEFENDER_SECRET_ID=packhorse/defender", "LEDGER_TABLE=ledger", "BUDGET_TABLE=budget",
	"ARCHIVE_BUCKET=evidence", "EVENT_BUS=packhorse",
}

// BenchmarkColdStart reports zip-KiB, init-ms (median) and rss-MiB for each function. Use it to
// compare the three on one machine: the figures on Lambda differ.
func BenchmarkColdStart(b *testing.B) {
	for _, f := range functions {
		b.Run(f.name, func(b *testing.B) {
			bootstrap := build(b, f.folder)
			var inits []time.Duration
			var rss float64
			for b.Loop() {
				init, memory := start(b, bootstrap)
				inits = append(inits, init)
				rss = max(rss, memory)
			}
			slices.Sort(inits)
			b.ReportMetric(zipped(b, bootstrap)/(1<<10), "zip-KiB")
			b.ReportMetric(float64(inits[len(inits)/2].Microseconds())/1e3, "init-ms")
			b.ReportMetric(rss, "rss-MiB")
		})
	}
}

// build builds the function as the Makefile does for the stack, but for this machine.
func build(b *testing.B, folder string) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "bootstrap")
	cmd := exec.CommandContext(b.Context(), "go", "build", "-tags", "lambda.norpc", "-trimpath",
		"-ldflags", "-s -w -buildid=", "-o", path, folder)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("build %s: %v: %s", folder, err, out)
	}
	return path
}

// zipped returns the size of the deployed ZIP, in bytes.
func zipped(b *testing.B, path string) float64 {
	b.Helper()
	file, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var size counter
	archive := zip.NewWriter(&size)
	archive.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.BestCompression)
	})
	entry, err := archive.Create("bootstrap")
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.Copy(entry, file); err != nil {
		b.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		b.Fatal(err)
	}
	return float64(size)
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// start runs the function until it requests its first event from the runtime API.
func start(b *testing.B, path string) (init time.Duration, rssMiB float64) {
	b.Helper()
	asked := make(chan struct{}, 1)
	api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/invocation/next") {
			asked <- struct{}{}
		}
		<-r.Context().Done() // never sends an event
	}))
	defer api.Close()
	cmd := exec.CommandContext(b.Context(), path)
	cmd.Env = append(slices.Clone(environ),
		"AWS_LAMBDA_RUNTIME_API="+strings.TrimPrefix(api.URL, "http://"))
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-asked:
		init = time.Since(began)
	case err := <-ended:
		b.Fatalf("%s ended before it asked for an event: %v", path, err)
	}
	rssMiB = statusMiB(b, cmd.Process.Pid, "VmRSS")
	if err := cmd.Process.Kill(); err != nil {
		b.Fatal(err)
	}
	if err := <-ended; err == nil {
		b.Fatalf("%s exited", path)
	}
	return init, rssMiB
}

// statusMiB returns a value from Linux's status of a process: VmRSS is the resident memory, VmHWM
// its peak.
func statusMiB(b *testing.B, pid int, name string) float64 {
	b.Helper()
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		b.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + name + `:\s+(\d+) kB$`).FindSubmatch(status)
	if found == nil {
		b.Fatalf("the kernel does not report %s", name)
	}
	kib, err := strconv.Atoi(string(found[1]))
	if err != nil {
		b.Fatal(err)
	}
	return float64(kib) / (1 << 10)
}
