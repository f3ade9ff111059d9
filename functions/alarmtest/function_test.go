package alarmtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	// tickTime is the time limit of a tick. The function reserves ten seconds of it for work in
	// progress, so it sweeps once or twice.
	tickTime = 11 * time.Second

	// fetchTime is the time limit of a fetch; no test case takes that long.
	fetchTime = time.Minute
)

// build builds a function as the Makefile does, for this machine.
func build(t *testing.T, folder string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bootstrap")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-tags", "lambda.norpc", "-o", path,
		"packhorse/functions/"+folder)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v: %s", folder, err, out)
	}
	return path
}

// function is one of the two functions, as Lambda sees it.
type function struct {
	name      string
	bootstrap string
	given     time.Duration
}

// answer is the result of an invocation.
type answer struct {
	failed  bool
	payload string // the function's response or error
	log     string
}

// invoke runs one environment of the function for one event, with Lambda's runtime API:
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
func (f function) invoke(t *testing.T, environ map[string]string, event string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), f.given+10*time.Second)
	defer cancel()
	ended := make(chan answer, 1)
	asked := false // the requests arrive one at a time
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case strings.HasSuffix(r.URL.Path, "/error"):
			ended <- answer{failed: true, payload: string(body)}
			w.WriteHeader(http.StatusAccepted)
		case strings.HasSuffix(r.URL.Path, "/response"):
			ended <- answer{payload: string(body)}
			w.WriteHeader(http.StatusAccepted)
		case asked:
			<-r.Context().Done() // no second event ever comes
		default:
			asked = true
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", "1")
			w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(time.Now().Add(f.given).UnixMilli()))
			w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:1:function:"+f.name)
			_, _ = io.WriteString(w, event)
		}
	}))
	defer api.Close()
	cmd := exec.CommandContext(ctx, f.bootstrap)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = []string{
		"AWS_LAMBDA_RUNTIME_API=" + strings.TrimPrefix(api.URL, "http://"),
		"AWS_LAMBDA_FUNCTION_NAME=" + f.name, "AWS_LAMBDA_FUNCTION_VERSION=1",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256", "AWS_LAMBDA_LOG_FORMAT=JSON",
	}
	for name, value := range environ {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var got answer
	select {
	case got = <-ended:
	case <-ctx.Done():
	}
	cancel() // kills the function, which would wait for the next event
	_ = cmd.Wait()
	got.log = out.String()
	if got.payload == "" {
		t.Fatalf("%s did not answer: %s", f.name, got.log)
	}
	return got
}

// numbers returns what CloudWatch receives for an invocation: Lambda's own metrics and the
// function's.
func (f function) numbers(t *testing.T, a answer) []datum {
	t.Helper()
	all := embedded(t, a.log)
	count := map[string]float64{"Invocations": 1, "Errors": 0}
	if a.failed {
		count["Errors"] = 1
	}
	for metric, n := range count {
		all = append(all, datum{"AWS/Lambda", metric, "FunctionName", f.name, n})
	}
	return all
}
