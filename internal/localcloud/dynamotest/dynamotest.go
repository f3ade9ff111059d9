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

// Wire is a transport that counts calls and can replace their responses.
//
// Without Play, a call that the SDK sends again counts once: on a busy machine the stand-in drops a request now and
// then.
type Wire struct {
	mu    sync.Mutex // guards calls and sent
	calls map[string]int
	sent  map[string]int // also those that the SDK sent again

	// Play, if set, answers instead of the server; send forwards the request to the server. nth counts what was sent.
	Play func(operation string, nth int, send func() (*http.Response, error)) (*http.Response, error)
}

// RoundTrip implements http.RoundTripper.
func (w *Wire) RoundTrip(req *http.Request) (*http.Response, error) {
	_, operation, _ := strings.Cut(req.Header.Get("X-Amz-Target"), ".")
	w.mu.Lock()
	if w.calls == nil {
		w.calls, w.sent = map[string]int{}, map[string]int{}
	}
	w.sent[operation]++
	nth := w.sent[operation]
	if w.Play != nil || strings.HasPrefix(req.Header.Get("Amz-Sdk-Request"), "attempt=1;") {
		w.calls[operation]++
	}
	w.mu.Unlock()
	if err := consistent(operation, req); err != nil {
		return nil, err
	}
	send := func() (*http.Response, error) { return Direct.RoundTrip(req) }
	if w.Play == nil {
		return send()
	}
	return w.Play(operation, nth, send)
}

// consistent refuses reads that may be stale: the stand-in's never are, DynamoDB's can be.
func consistent(operation string, req *http.Request) error {
	if operation != "GetItem" && operation != "BatchGetItem" {
		return nil
	}
	text, err := io.ReadAll(req.Body)
	req.Body = io.NopCloser(bytes.NewReader(text))
	if err == nil && !strings.Contains(string(text), `"ConsistentRead":true`) {
		err = fmt.Errorf("%s may be stale: %s", operation, text)
	}
	return err
}

// Count returns how often the operation was called since the last Count of it or the last Reset.
func (w *Wire) Count(operation string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.calls[operation]
	delete(w.calls, operation)
	delete(w.sent, operation)
	return n
}

// Reset sets all counts to zero.
func (w *Wire) Reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.calls)
	clear(w.sent)
}

// Calls returns the same for every operation, without resetting the counts.
func (w *Wire) Calls() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.calls)
}
