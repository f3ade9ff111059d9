package source_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"packhorse/cmd/packhorse/source"
	"packhorse/internal/verify/verifytest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// client returns a client of an S3 server that answers every request with one error.
func client(t *testing.T, endpoint string) *s3.Client {
	t.Helper()
	return s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: &endpoint, UsePathStyle: true, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
	})
}

// TestAWSErrors: an error names the operation, the object and the remedy in plain words, and keeps
// the code and the request id for AWS support.
func TestAWSErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status        int
		code, message string
		says          string
	}{
		{403, "AccessDenied", "Access Denied", "your AWS identity is not allowed to do this (AWS says AccessDenied, request R1)"},
		{403, "AccessDenied", "User: x is not authorized to perform: kms:Decrypt", "allow kms:Decrypt on that key"},
		{404, "NoSuchBucket", "The specified bucket does not exist", "the bucket does not exist: check its name"},
		{400, "ExpiredToken", "The provided token has expired.", "your AWS session has expired"},
		{403, "SignatureDoesNotMatch", "The request signature we calculated", "your secret access key is wrong"},
		{301, "PermanentRedirect", "must be addressed", "in another region: set AWS_REGION"},
		{503, "SlowDown", "Reduce your request rate", "try again in a minute"},
		{400, "SomethingNew", "a sentence of AWS", "AWS refused: a sentence of AWS (AWS says SomethingNew"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amz-Request-Id", "R1")
			w.WriteHeader(tt.status)
			_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", tt.code, tt.message)
		}))
		_, err := source.NewBucket(client(t, server.URL), verifytest.Bucket, "s3://evidence").About(t.Context())
		server.Close()
		if err == nil || !strings.HasPrefix(err.Error(), "s3://evidence: check whether it keeps versions: ") ||
			!strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "operation error") {
			t.Errorf("%s: %v", tt.code, err)
		}
		if api, ok := errors.AsType[smithy.APIError](err); !ok || api.ErrorCode() != tt.code {
			t.Errorf("%s: the original is lost: %v", tt.code, err)
		}
	}
}

// TestAWSUnreachable: connection errors are explained too; others keep their own text.
func TestAWSUnreachable(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	_, err := source.NewBucket(client(t, server.URL), verifytest.Bucket, "s3://evidence").About(t.Context())
	if err == nil || !strings.Contains(err.Error(), "S3 cannot be reached") ||
		strings.Contains(err.Error(), "operation error") {
		t.Errorf("got %v", err)
	}
	if got := source.Explain(io.ErrUnexpectedEOF); !errors.Is(got, io.ErrUnexpectedEOF) ||
		got.Error() != io.ErrUnexpectedEOF.Error() {
		t.Errorf("got %v", got)
	}
}
