// Package localcloud starts MiniStack, a stand-in for AWS, for tests.
//
// Find locates its executable, [Start] runs it on a port of its own, and [Cloud.Close] ends that
// process and everything it started. SDK clients use [Cloud.Endpoint] and the two keys; for
// services without a client here, use [Cloud.Call].
//
// Its S3 does not support full-object checksums, so give the functions another S3 server.
package localcloud

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// Region, AccessKey and SecretKey are used by clients of the local cloud and given to the
	// functions in it. A key id of twelve digits is also the account number.
	Region    = "us-east-1"
	AccessKey = "000000000000"
	SecretKey = "not-a-secret" // the stand-in does not verify it

	// readyTimeout bounds the start, which took 0.4 s on an idle machine.
	readyTimeout = 60 * time.Second

	// readyPause is the pause between checks of the health page.
	readyPause = 20 * time.Millisecond

	// endTimeout is how long the processes may take to exit before they are killed.
	endTimeout = 5 * time.Second

	// startsMax is how often a start is tried: another process may take the free port before it is
	// used.
	startsMax = 3

	// answerBytesMax bounds one response.
	answerBytesMax = 64 << 20
)

// Cloud is a running local cloud. It MUST be closed.
type Cloud struct {
	Endpoint string // http://127.0.0.1:port

	command *exec.Cmd
	ended   chan error
}

// executable is where the Makefile puts MiniStack, below the repository's root.
const executable = ".venv/bin/ministack"

// Find returns the executable that `make .venv/.installed` put into the repository that contains
// dir.
func Find(dir string) (string, error) {
	for at, err := filepath.Abs(dir); err == nil; at = filepath.Dir(at) {
		path := filepath.Join(at, filepath.FromSlash(executable))
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
		if at == filepath.Dir(at) {
			break
		}
	}
	return "", fmt.Errorf("found no %s above %s: run `make .venv/.installed`", executable, dir)
}

// Start runs the executable with the environment, which its functions inherit, and returns once it
// responds. Its output goes to log. It ends with ctx at the latest.
func Start(ctx context.Context, path string, environ []string, log io.Writer) (*Cloud, error) {
	var errs []error
	for range startsMax {
		cloud, err := start(ctx, path, environ, log)
		if err == nil {
			return cloud, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("start the local cloud: %w", errors.Join(errs...))
}

func start(ctx context.Context, path string, environ []string, log io.Writer) (*Cloud, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, path)
	command.Env = append(environ[:len(environ):len(environ)],
		"BIND_HOST=127.0.0.1", // otherwise it listens on every interface
		"IOT_MTLS_ENABLED=0",
		"GATEWAY_PORT="+port,
		"LAMBDA_EXECUTOR=local",
		"AWS_ENDPOINT_URL=http://127.0.0.1:"+port, // the functions inherit it
		"AWS_ACCESS_KEY_ID="+AccessKey,
		"AWS_SECRET_ACCESS_KEY="+SecretKey,
		"AWS_REGION="+Region,
		"AWS_DEFAULT_REGION="+Region,
	)
	command.Stdout, command.Stderr = log, log
	// The process group makes sure that the functions' processes end with it.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = endTimeout
	err = command.Start()
	if err != nil {
		return nil, err
	}
	c := &Cloud{
		Endpoint: "http://127.0.0.1:" + port, command: command, ended: make(chan error, 1),
	}
	go func() { c.ended <- command.Wait() }()
	err = c.awaitReady(ctx)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// awaitReady returns once the health page responds, or with the reason why it never will.
func (c *Cloud) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet,
			c.Endpoint+"/_ministack/health", http.NoBody)
		if err != nil {
			return err
		}
		_, err = c.do(request)
		if err == nil {
			return nil
		}
		select {
		case ended := <-c.ended:
			c.ended <- ended
			return fmt.Errorf("the local cloud exited: %w", ended)
		case <-ctx.Done():
			return fmt.Errorf("wait for the local cloud: %w", errors.Join(err, ctx.Err()))
		case <-time.After(readyPause):
		}
	}
}

// Close ends the local cloud and every function that runs in it. Its state is lost.
func (c *Cloud) Close() error {
	group := -c.command.Process.Pid
	err := syscall.Kill(group, syscall.SIGTERM)
	if err == nil {
		select {
		case ended := <-c.ended:
			c.ended <- ended
		case <-time.After(endTimeout):
		}
	}
	err = syscall.Kill(group, syscall.SIGKILL) // the functions, and processes that ignored the signal
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("end the local cloud: %w", err)
	}
	ended := <-c.ended
	c.ended <- ended
	return nil
}

// Environ returns environ with the variables that point the AWS tools and SDKs to this cloud. It
// removes all their other variables.
func (c *Cloud) Environ(environ []string) []string {
	isAWS := func(variable string) bool { return strings.HasPrefix(variable, "AWS_") }
	return append(slices.DeleteFunc(slices.Clone(environ), isAWS),
		"AWS_ENDPOINT_URL="+c.Endpoint,
		"AWS_ACCESS_KEY_ID="+AccessKey,
		"AWS_SECRET_ACCESS_KEY="+SecretKey,
		"AWS_REGION="+Region,
		"AWS_DEFAULT_REGION="+Region,
		"AWS_CONFIG_FILE="+os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE="+os.DevNull,
		"AWS_EC2_METADATA_DISABLED=true",
	)
}

// Call makes one call of a JSON service; target is for example "DynamoDB_20120810.Scan". output may
// be nil.
func (c *Cloud) Call(ctx context.Context, target string, input, output any) error {
	body, err := json.Marshal(input)
	if err != nil {
		return fmt.Errorf("encode the input of %s: %w", target, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Endpoint+"/",
		bytes.NewReader(body))
	if err != nil {
		return err
	}
	prefix, _, _ := strings.Cut(target, ".")
	service, _, _ := strings.Cut(strings.ToLower(prefix), "_")
	request.Header.Set("Content-Type", "application/x-amz-json-1.1")
	request.Header.Set("X-Amz-Target", target)
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+AccessKey+
		"/20260101/"+Region+"/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
	answer, err := c.do(request)
	if err != nil {
		return fmt.Errorf("call %s: %w", target, err)
	}
	if output == nil {
		return nil
	}
	err = json.Unmarshal(answer, output)
	if err != nil {
		return fmt.Errorf("decode the answer of %s: %w", target, err)
	}
	return nil
}

// do sends the request and returns the response body; a status other than 2xx is an error.
func (c *Cloud) do(request *http.Request) (body []byte, err error) {
	client := http.Client{Timeout: readyTimeout}
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, answer.Body.Close()) }()
	body, err = io.ReadAll(io.LimitReader(answer.Body, answerBytesMax))
	if err == nil && answer.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: %.500s", answer.Status, body)
	}
	return body, err
}

func freePort(ctx context.Context) (string, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, errors.Join(err, listener.Close())
}
