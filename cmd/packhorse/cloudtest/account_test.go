//go:build cloud

package cloudtest

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"packhorse/internal/localcloud"
)

// account is a local cloud with the tools to use it.
type account struct {
	t     *testing.T
	cloud *localcloud.Cloud
	log   *strings.Builder // of the local cloud; read it after the cloud is closed
	root  string           // of the repository
	tools string           // folder

	variables []string // that packhorse gets besides those of the local cloud
}

// built is the folder of what sam build makes, once for all tests. `make cloud-test` has built it already.
var (
	built string
	build sync.Once
)

func TestMain(m *testing.M) {
	if built = os.Getenv("PACKHORSE_BUILT"); built != "" {
		build.Do(func() {})
		os.Exit(m.Run())
	}
	var err error
	built, err = os.MkdirTemp("", "packhorse-cloudtest-")
	if err != nil {
		panic(err)
	}
	code := m.Run()
	if err := os.RemoveAll(built); err != nil {
		panic(err)
	}
	os.Exit(code)
}

// openAccount starts the local cloud. Its functions inherit the variables.
func openAccount(t *testing.T, variables ...string) *account {
	t.Helper()
	path, err := localcloud.Find(".")
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	cloud, err := localcloud.Start(context.Background(), path, append(os.Environ(), variables...), &log)
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	t.Cleanup(func() {
		if err := cloud.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(log.String())
		}
	})
	tools := filepath.Dir(path)
	a := &account{
		t: t, cloud: cloud, log: &log, root: filepath.Dir(filepath.Dir(tools)), tools: tools,
		variables: variables,
	}
	build.Do(func() { a.run("sam", "build", "--build-dir", built, "--parameter-overrides", architecture()) })
	return a
}

func architecture() string {
	if runtime.GOARCH == "arm64" {
		return "Architecture=arm64"
	}
	return "Architecture=x86_64"
}

// run runs one of the tools in the repository's root and returns its output.
func (a *account) run(tool string, args ...string) []byte {
	a.t.Helper()
	out, err := a.try(tool, args...)
	if err != nil {
		a.t.Fatalf("%s %s: %v\n%s", tool, strings.Join(args, " "), err, out)
	}
	return out
}

func (a *account) try(tool string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(a.t.Context(), 5*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, filepath.Join(a.tools, tool), args...)
	command.Dir = a.root
	command.Env = append(a.cloud.Environ(os.Environ()), "SAM_CLI_TELEMETRY=0")
	if tool != "aws" {
		return command.CombinedOutput()
	}
	out, err := command.Output() // stderr may have warnings, and stdout is parsed
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		out = append(out, failed.Stderr...)
	}
	return out, err
}

// call makes one call to a service that speaks JSON.
func (a *account) call(target string, input map[string]any, output any) {
	a.t.Helper()
	if err := a.cloud.Call(a.t.Context(), target, input, output); err != nil {
		a.t.Fatal(err)
	}
}

// ask runs a query with the AWS command line.
func (a *account) ask(answer any, args ...string) {
	a.t.Helper()
	out := a.run("aws", append(args, "--output", "json")...)
	if err := json.Unmarshal(out, answer); err != nil {
		a.t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// deploy deploys a stack and returns its outputs.
func (a *account) deploy(stack string, parameters ...string) map[string]string {
	a.t.Helper()
	a.run("sam", append([]string{"deploy", "--template-file", filepath.Join(built, "template.yaml"),
		"--stack-name", stack, "--resolve-s3", "--capabilities", "CAPABILITY_NAMED_IAM",
		"--no-confirm-changeset", "--parameter-overrides", architecture(),
	}, parameters...)...)
	var pairs [][2]string
	a.ask(&pairs, "cloudformation", "describe-stacks", "--stack-name", stack,
		"--query", "Stacks[0].Outputs[].[OutputKey,OutputValue]")
	outputs := map[string]string{}
	for _, pair := range pairs {
		outputs[pair[0]] = pair[1]
	}
	return outputs
}
