// Package dynamotest gives tests a DynamoDB: the one in DYNAMODB_TEST_ENDPOINT, or a local cloud
// that runs for the tests of one package.
package dynamotest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"packhorse/internal/localcloud"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// endpointVariable names a DynamoDB-compatible server to test against.
const endpointVariable = "DYNAMODB_TEST_ENDPOINT"

// Direct opens a new connection for every request. The stand-in closes reused ones after 1,000
// requests (hypercorn's keep_alive_max_requests), and the SDK would then send a request twice,
// which the tests neither count nor expect.
var Direct = &http.Transport{DisableKeepAlives: true}

// Main is for TestMain: it runs the tests with a server, passes its address in the environment, and
// returns the process's exit code.
func Main(m *testing.M) int {
	code, err := withServer(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func withServer(m *testing.M) (int, error) {
	if os.Getenv(endpointVariable) != "" {
		return m.Run(), nil
	}
	path, err := localcloud.Find(".")
	if err != nil {
		return 0, fmt.Errorf("%w, or set %s to a DynamoDB for tests", err, endpointVariable)
	}
	var log strings.Builder
	cloud, err := localcloud.Start(context.Background(), path, os.Environ(), &log)
	if err != nil {
		return 0, fmt.Errorf("%w\n%s", err, log.String())
	}
	err = os.Setenv(endpointVariable, cloud.Endpoint)
	if err != nil {
		return 0, errors.Join(err, cloud.Close())
	}
	code := m.Run()
	return code, cloud.Close()
}

// Client returns a client of the tests' DynamoDB that sends its requests through transport.
func Client(transport http.RoundTripper) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		Region: localcloud.Region, BaseEndpoint: aws.String(os.Getenv(endpointVariable)),
		HTTPClient: &http.Client{Transport: transport},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{
				AccessKeyID: localcloud.AccessKey, SecretAccessKey: localcloud.SecretKey,
			}, nil
		}),
	})
}

// Table creates an empty table and returns its name once it is usable. The name must be new.
func Table(t *testing.T, table *dynamodb.CreateTableInput) string {
	t.Helper()
	client := Client(Direct)
	_, err := client.CreateTable(t.Context(), table)
	// Nobody else uses this name: an earlier attempt created the table, but its response was lost.
	_, isThere := errors.AsType[*types.ResourceInUseException](err)
	if err != nil && !isThere {
		t.Fatalf("create a table: %v", err)
	}
	err = dynamodb.NewTableExistsWaiter(client).Wait(t.Context(),
		&dynamodb.DescribeTableInput{TableName: table.TableName}, time.Minute)
	if err != nil {
		t.Fatalf("wait for the table: %v", err)
	}
	return *table.TableName
}

// AddIndex makes a change that adds an index to a table, and returns once the table is usable. Nobody else may change it.
func AddIndex(t *testing.T, change *dynamodb.UpdateTableInput) {
	t.Helper()
	client := Client(Direct)
	_, err := client.UpdateTable(t.Context(), change)
	// An earlier attempt added the index, but its response was lost.
	if err != nil && !strings.Contains(err.Error(), "duplicate index") {
		t.Fatalf("change a table: %v", err)
	}
	err = dynamodb.NewTableExistsWaiter(client).Wait(t.Context(),
		&dynamodb.DescribeTableInput{TableName: change.TableName}, time.Minute)
	if err != nil {
		t.Fatalf("wait for the table: %v", err)
	}
}

// dropsMax is how often a request is sent whose answer the stand-in drops, which it does now and then on a busy machine.
const dropsMax = 3

// Wire is a transport that counts requests and can replace their responses. It hides answers that the stand-in drops:
// nobody who counts requests wants to count those.
type Wire struct {
	mu    sync.Mutex // guards calls
	calls map[string]int

	// Play, if set, answers instead of the server; send forwards the request to the server.
	Play func(operation string, nth int, send func() (*http.Response, error)) (*http.Response, error)
}

// RoundTrip implements http.RoundTripper.
func (w *Wire) RoundTrip(req *http.Request) (*http.Response, error) {
	_, operation, _ := strings.Cut(req.Header.Get("X-Amz-Target"), ".")
	w.mu.Lock()
	if w.calls == nil {
		w.calls = map[string]int{}
	}
	w.calls[operation]++
	nth := w.calls[operation]
	w.mu.Unlock()
	text, err := io.ReadAll(req.Body)
	if err == nil {
		err = consistent(operation, string(text))
	}
	if err != nil {
		return nil, err
	}
	send := func() (res *http.Response, err error) {
		for range dropsMax {
			res, err = exchange(req, text)
			if err == nil || req.Context().Err() != nil {
				break
			}
		}
		return res, err
	}
	if w.Play == nil {
		return send()
	}
	return w.Play(operation, nth, send)
}

// consistent refuses reads that may be stale: the stand-in's never are, DynamoDB's can be.
func consistent(operation, text string) error {
	if (operation == "GetItem" || operation == "BatchGetItem") && !strings.Contains(text, `"ConsistentRead":true`) {
		return fmt.Errorf("%s may be stale: %s", operation, text)
	}
	return nil
}

// exchange sends the request once, with this body, and reads the whole answer.
func exchange(req *http.Request, text []byte) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Body = io.NopCloser(bytes.NewReader(text))
	res, err := Direct.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(res.Body)
	err = errors.Join(err, res.Body.Close())
	res.Body = io.NopCloser(bytes.NewReader(answer))
	return res, err
}

// Count returns how often the operation was sent since the last Count of it or the last Reset.
func (w *Wire) Count(operation string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.calls[operation]
	delete(w.calls, operation)
	return n
}

// Reset sets all counts to zero.
func (w *Wire) Reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.calls)
}

// Calls returns the same for every operation, without resetting the counts.
func (w *Wire) Calls() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.calls)
}
