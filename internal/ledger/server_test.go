package ledger_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"packhorse/internal/ledger"
	"packhorse/internal/ledger/ledgertables"
	"packhorse/internal/localcloud"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// endpoint is a DynamoDB for the tests of this package: the one that DYNAMODB_TEST_ENDPOINT names,
// or a local cloud that TestMain starts.
var endpoint string

func TestMain(m *testing.M) {
	code, err := withServer(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withServer(m *testing.M) (int, error) {
	endpoint = os.Getenv("DYNAMODB_TEST_ENDPOINT")
	if endpoint != "" {
		return m.Run(), nil
	}
	path, err := localcloud.Find(".")
	if err != nil {
		return 0, fmt.Errorf("%w, or let DYNAMODB_TEST_ENDPOINT name a DynamoDB for tests", err)
	}
	var log strings.Builder
	cloud, err := localcloud.Start(context.Background(), path, os.Environ(), &log)
	if err != nil {
		return 0, fmt.Errorf("%w\n%s", err, log.String())
	}
	endpoint = cloud.Endpoint
	code := m.Run()
	return code, cloud.Close()
}

// newClient returns a client of the tests' DynamoDB whose requests go through transport.
func newClient(transport http.RoundTripper) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		Region: localcloud.Region, BaseEndpoint: aws.String(endpoint),
		HTTPClient: &http.Client{Transport: transport},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{
				AccessKeyID: localcloud.AccessKey, SecretAccessKey: localcloud.SecretKey,
			}, nil
		}),
	})
}

// newTable makes an empty ledger for one test.
func newTable(t *testing.T) string {
	t.Helper()
	client := newClient(http.DefaultTransport)
	name := "ledger-" + rand.Text()
	_, err := client.CreateTable(t.Context(), ledgertables.Ledger(name))
	if err != nil {
		t.Fatalf("create a table: %v", err)
	}
	err = dynamodb.NewTableExistsWaiter(client).Wait(t.Context(),
		&dynamodb.DescribeTableInput{TableName: aws.String(name)}, time.Minute)
	if err != nil {
		t.Fatalf("wait for the table: %v", err)
	}
	return name
}

// wire is a transport that counts what is sent, and can do something else instead.
type wire struct {
	mu    sync.Mutex // guards calls
	calls map[string]int

	// play answers for the server where it is not nil; send goes on to the server.
	play func(operation string, nth int, send func() (*http.Response, error)) (*http.Response, error)
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	_, operation, _ := strings.Cut(req.Header.Get("X-Amz-Target"), ".")
	w.mu.Lock()
	if w.calls == nil {
		w.calls = map[string]int{}
	}
	w.calls[operation]++
	nth := w.calls[operation]
	w.mu.Unlock()
	if err := consistent(operation, req); err != nil {
		return nil, err
	}
	send := func() (*http.Response, error) { return http.DefaultTransport.RoundTrip(req) }
	if w.play == nil {
		return send()
	}
	return w.play(operation, nth, send)
}

// consistent refuses reads of the table that may be stale: the stand-in has none, DynamoDB has.
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

// count returns how often the operation was sent since it was last asked for.
func (w *wire) count(operation string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.calls[operation]
	delete(w.calls, operation)
	return n
}

func newLedger(table string, w *wire) *ledger.Ledger { return ledger.New(newClient(w), table) }

// reset forgets what was counted.
func (w *wire) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.calls)
}
