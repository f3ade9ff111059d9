package source_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go"

	"packhorse/cmd/packhorse/source"
	"packhorse/internal/investigation"
	"packhorse/internal/verify"
	"packhorse/internal/verify/verifytest"
)

// stub is an S3 server with fixed answers. Each is chosen by what the request asks for: the name of a
// subresource ("versioning", "versions", "retention", "legal-hold"), "list" or "object".
type stub struct {
	answers map[string][]string // in order; the last one is repeated
	asked   []string            // every request, as "what?query"
}

// refusal is an answer that S3 gives as an error.
func refusal(status int, code, message string) string {
	return fmt.Sprintf("%d<Error><Code>%s</Code><Message>%s</Message></Error>", status, code, message)
}

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what := "object"
	for _, sub := range []string{"versioning", "versions", "retention", "legal-hold"} {
		if r.URL.Query().Has(sub) {
			what = sub
		}
	}
	if r.URL.Query().Get("list-type") != "" {
		what = "list"
	}
	s.asked = append(s.asked, what+"?"+r.URL.RawQuery)
	answers := s.answers[what]
	if len(answers) == 0 {
		http.Error(w, "unexpected", http.StatusTeapot)
		return
	}
	answer := answers[0]
	if len(answers) > 1 {
		s.answers[what] = answers[1:]
	}
	var status int
	if _, err := fmt.Sscanf(answer, "%3d<", &status); err == nil {
		answer = answer[3:]
		w.WriteHeader(status)
	}
	_, _ = io.WriteString(w, answer)
}

func bucketOf(t *testing.T, answers map[string][]string) (*source.Bucket, *stub) {
	t.Helper()
	s := &stub{answers: answers}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return source.NewBucket(client(t, server.URL), verifytest.Bucket, "s3://evidence"), s
}

const (
	versioned   = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
	suspended   = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"
	unversioned = "<VersioningConfiguration></VersioningConfiguration>"
)

// A bucket is versioned if it keeps versions or once did, and S3 servers may not know versions at all.
func TestBucketSaysWhetherItKeepsVersions(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]bool{
		versioned: true, suspended: true, unversioned: false,
		refusal(501, "NotImplemented", "no"): false, refusal(404, "VersioningNotConfigured", "no"): false,
	} {
		b, _ := bucketOf(t, map[string][]string{"versioning": {answer}})
		about, err := b.About(t.Context())
		if err != nil || about.Versioned != want || about.Bucket != verifytest.Bucket || about.Where != "s3://evidence" {
			t.Errorf("%s: got %+v, %v", answer, about, err)
		}
	}
}

func versionLine(kind, key, id string, latest bool, at string, size int) string {
	return fmt.Sprintf("<%s><Key>%s</Key><VersionId>%s</VersionId><IsLatest>%t</IsLatest>"+
		"<LastModified>%s</LastModified><Size>%d</Size></%s>", kind, key, id, latest, at, size, kind)
}

// Pages of versions become objects, each with its newest version first, whatever the order of the pages.
func TestListingIsGroupedByObject(t *testing.T) {
	t.Parallel()
	const first, second, third = "2026-01-01T00:00:01.000Z", "2026-01-01T00:00:02.000Z", "2026-01-01T00:00:03.000Z"
	b, s := bucketOf(t, map[string][]string{
		"versioning": {versioned},
		"versions": {
			"<ListVersionsResult><IsTruncated>true</IsTruncated><NextKeyMarker>b</NextKeyMarker>" +
				"<NextVersionIdMarker>b1</NextVersionIdMarker>" +
				versionLine("Version", "b", "b1", false, first, 10) +
				versionLine("Version", "a", "a1", true, first, 5) +
				versionLine("Version", "folder/", "f1", true, first, 0) + "</ListVersionsResult>",
			"<ListVersionsResult><IsTruncated>false</IsTruncated>" +
				versionLine("Version", "b", "b2", false, second, 20) +
				versionLine("DeleteMarker", "b", "b3", true, third, 0) +
				versionLine("DeleteMarker", "c", "c1", true, first, 0) + "</ListVersionsResult>",
		},
	})
	got, err := b.List(t.Context(), "x/")
	if err != nil {
		t.Fatal(err)
	}
	want := []verify.Object{
		{Key: "a", Size: 5, Versions: []verify.Version{{ID: "a1", Size: 5}}},
		{Key: "b", Size: 20, Versions: []verify.Version{
			{ID: "b3", Deleted: true}, {ID: "b2", Size: 20}, {ID: "b1", Size: 10},
		}},
		{Key: "c", Versions: []verify.Version{{ID: "c1", Deleted: true}}},
	}
	if !slices.EqualFunc(got, want, func(a, b verify.Object) bool {
		return a.Key == b.Key && a.Size == b.Size && slices.Equal(a.Versions, b.Versions)
	}) {
		t.Errorf("got %+v", got)
	}
	if last := s.asked[len(s.asked)-1]; !strings.Contains(last, "key-marker=b") ||
		!strings.Contains(last, "version-id-marker=b1") || !strings.Contains(last, "prefix=x%2F") {
		t.Errorf("the second page was requested with %s", last)
	}
}

// A bucket without versions lists its objects, sorted, without folder placeholders.
func TestListingWithoutVersions(t *testing.T) {
	t.Parallel()
	b, s := bucketOf(t, map[string][]string{
		"versioning": {unversioned},
		"list": {
			"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>more</NextContinuationToken>" +
				"<Contents><Key>b</Key><Size>2</Size></Contents></ListBucketResult>",
			"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key><Size>1</Size></Contents>" +
				"<Contents><Key>folder/</Key><Size>0</Size></Contents></ListBucketResult>",
		},
	})
	got, err := b.List(t.Context(), "")
	if err != nil || len(got) != 2 || got[0].Key != "a" || got[0].Size != 1 || got[1].Key != "b" ||
		got[0].Versions != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	if last := s.asked[len(s.asked)-1]; !strings.Contains(last, "continuation-token=more") {
		t.Errorf("the second page was requested with %s", last)
	}
}

// A listing that breaks off in the middle is an error, never a short list.
func TestListingThatBreaksOffIsAnError(t *testing.T) {
	t.Parallel()
	denied := refusal(403, "AccessDenied", "Access Denied")
	for name, answers := range map[string]map[string][]string{
		"versions, first page": {"versioning": {versioned}, "versions": {denied}},
		"versions, second page": {"versioning": {versioned}, "versions": {
			"<ListVersionsResult><IsTruncated>true</IsTruncated><NextKeyMarker>a</NextKeyMarker>" +
				"<NextVersionIdMarker>1</NextVersionIdMarker>" +
				versionLine("Version", "a", "1", true, "2026-01-01T00:00:00.000Z", 1) + "</ListVersionsResult>", denied,
		}},
		"objects, second page": {"versioning": {unversioned}, "list": {
			"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>" +
				"<Contents><Key>a</Key><Size>1</Size></Contents></ListBucketResult>", denied,
		}},
		"versioning": {"versioning": {denied}},
	} {
		b, _ := bucketOf(t, answers)
		got, err := b.List(t.Context(), "")
		if err == nil || len(got) > 0 || !strings.Contains(err.Error(), "s3:ListBucketVersions") {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
		if api, ok := errors.AsType[smithy.APIError](err); !ok || api.ErrorCode() != "AccessDenied" {
			t.Errorf("%s: the original is lost: %v", name, err)
		}
	}
}

// Open reads the version it is asked for, and explains a refusal with the key.
func TestOpenReadsTheVersion(t *testing.T) {
	t.Parallel()
	b, s := bucketOf(t, map[string][]string{"object": {"bytes"}})
	for version, query := range map[string]string{"v7": "versionId=v7", "": ""} {
		body, err := b.Open(t.Context(), "packages/x.zip", version)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(body)
		if closeErr := body.Close(); err != nil || closeErr != nil || string(text) != "bytes" {
			t.Errorf("got %q, %v, %v", text, err, closeErr)
		}
		last := s.asked[len(s.asked)-1]
		if query != "" && !strings.Contains(last, query) || query == "" && strings.Contains(last, "versionId") {
			t.Errorf("version %q was requested with %s", version, last)
		}
	}
	b, _ = bucketOf(t, map[string][]string{"object": {refusal(403, "InvalidObjectState", "in Glacier")}})
	if _, err := b.Open(t.Context(), "packages/x.zip", "v7"); err == nil ||
		!strings.Contains(err.Error(), "read packages/x.zip") || !strings.Contains(err.Error(), "restore it first") {
		t.Errorf("got %v", err)
	}
}

// A lock is what S3 says it is; only a clear "there is no lock" counts as none.
func TestRetentionDistinguishesNoLockFromNotKnown(t *testing.T) {
	t.Parallel()
	const locked = "<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>2027-01-01T00:00:00.000Z</RetainUntilDate></Retention>"
	const on, off = "<LegalHold><Status>ON</Status></LegalHold>", "<LegalHold><Status>OFF</Status></LegalHold>"
	until := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	none := refusal(404, "NoSuchObjectLockConfiguration", "none")
	for _, tt := range []struct {
		name            string
		retention, hold string
		want            investigation.Retention
		fails           string // part of the error
	}{
		{"both", locked, on, investigation.Retention{Mode: "COMPLIANCE", Until: until, LegalHold: true}, ""},
		{"retention only", locked, off, investigation.Retention{Mode: "COMPLIANCE", Until: until}, ""},
		{"hold only", none, on, investigation.Retention{LegalHold: true}, ""},
		{"neither", none, none, investigation.Retention{}, ""},
		{"no Object Lock on the bucket", refusal(400, "InvalidRequest", "Bucket is missing Object Lock Configuration"),
			refusal(400, "InvalidRequest", "Bucket is missing Object Lock Configuration"), investigation.Retention{}, ""},
		{"an older S3 server", refusal(404, "ObjectLockConfigurationNotFoundError", "none"), off,
			investigation.Retention{}, ""},
		{"another invalid request", refusal(400, "InvalidRequest", "the version id is malformed"), off,
			investigation.Retention{}, "retention of k"},
		{"retention refused", refusal(403, "AccessDenied", "no"), on, investigation.Retention{}, "retention of k"},
		{"hold refused", none, refusal(403, "AccessDenied", "no"), investigation.Retention{}, "legal hold of k"},
	} {
		b, s := bucketOf(t, map[string][]string{"retention": {tt.retention}, "legal-hold": {tt.hold}})
		got, err := b.Retention(t.Context(), "k", "v1")
		switch {
		case tt.fails == "" && (err != nil || got != tt.want):
			t.Errorf("%s: got %+v, %v", tt.name, got, err)
		case tt.fails != "" && (err == nil || !strings.Contains(err.Error(), tt.fails)):
			t.Errorf("%s: got the error %v", tt.name, err)
		}
		for _, asked := range s.asked {
			if !strings.Contains(asked, "versionId=v1") {
				t.Errorf("%s: %s names no version", tt.name, asked)
			}
		}
	}
}

// refusing is a ledger whose every answer is an error.
type refusing struct{ err error }

func (r refusing) Head(context.Context, string) (investigation.Head, error) {
	return investigation.Head{}, r.err
}

func (r refusing) Records(context.Context, string) ([]investigation.Record, error) { return nil, r.err }
func (r refusing) Tenants(context.Context) ([]string, error)                       { return nil, r.err }

// A ledger's AWS errors are explained and wrapped; errors of other kinds stay as they are.
func TestLedgerExplainsErrors(t *testing.T) {
	t.Parallel()
	missing := &smithy.GenericAPIError{Code: "ResourceNotFoundException", Message: "Requested resource not found"}
	for _, tt := range []struct {
		err  error
		says string
	}{
		{missing, "the table does not exist"},
		{&smithy.GenericAPIError{Code: "ThrottlingException", Message: "Rate exceeded"}, "again in a minute"},
		{investigation.ErrBadRecord, investigation.ErrBadRecord.Error()},
	} {
		l := source.Ledger{TenantsLedger: refusing{tt.err}}
		_, headErr := l.Head(t.Context(), "t")
		_, recordsErr := l.Records(t.Context(), "t")
		_, tenantsErr := l.Tenants(t.Context())
		for _, err := range []error{headErr, recordsErr, tenantsErr} {
			if err == nil || !strings.Contains(err.Error(), tt.says) || !errors.Is(err, tt.err) {
				t.Errorf("%v: got %v", tt.err, err)
			}
		}
	}
	w := verifytest.New(t)
	sum := verifytest.RunOn(t, w.Store, w.Trust(t), source.Ledger{TenantsLedger: w.Book}, verify.Scope{})
	if sum.Verdict() != verify.Pass {
		t.Errorf("a ledger that answers: %s, %v", sum.Verdict(), sum.Findings)
	}
}

// A folder has nothing to lock with, and a listing of a context that ended is an error.
func TestFolderHasNoLocks(t *testing.T) {
	t.Parallel()
	w := verifytest.New(t)
	dir := t.TempDir()
	w.CopyTo(t, dir)
	folder := open(t, dir)
	if r, err := folder.Retention(t.Context(), "packages", ""); err != nil || r != (investigation.Retention{}) {
		t.Errorf("got %+v, %v", r, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if objects, err := folder.List(ctx, ""); !errors.Is(err, context.Canceled) || len(objects) > 0 {
		t.Errorf("got %d objects, %v", len(objects), err)
	}
	if _, err := folder.Open(t.Context(), "packages/none.zip", ""); err == nil || strings.Contains(err.Error(), dir) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := source.OpenFolder(dir + "/none"); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("a missing folder: %v", err)
	}
}
