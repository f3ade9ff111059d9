package checkup_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"packhorse/cmd/packhorse/checkup"
	"packhorse/internal/custody"
	"packhorse/internal/doctor"
	"packhorse/internal/investigation"
)

// service is a bucket named evidence in an S3 service that answers as told.
type service struct {
	key string // of the published key, after a slash
	pem []byte

	mu      sync.Mutex
	answers map[string]answer // by method and what is asked, such as "GET versioning"
	wrote   []string          // the bodies of writes
}

type answer struct {
	status int
	body   string
}

func refusal(status int, code string) answer {
	return answer{status, "<Error><Code>" + code + "</Code><Message>no</Message></Error>"}
}

// ServeHTTP implements http.Handler.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/evidence")
	for _, word := range []string{"versioning", "encryption", "publicAccessBlock", "object-lock"} {
		if r.URL.Query().Has(word) {
			asked = r.Method + " " + word
		}
	}
	if r.Method == http.MethodPut {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("If-None-Match") != "*" || r.Header.Get("Content-Md5") == "" {
			asked = "an unconditional write"
		}
		s.wrote = append(s.wrote, string(body))
	}
	a, ok := s.answers[asked]
	if !ok {
		a = refusal(http.StatusNotImplemented, "NotImplemented "+asked)
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
}

const lockOn = `<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>`

// serveBucket serves a bucket with which all is well, and returns the checks of a machine whose archive it is.
func serveBucket(t *testing.T) (*service, func() map[string]doctor.Result) {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	signer, err := custody.OpenLocal(data)
	if err != nil {
		t.Fatal(err)
	}
	current, err := signer.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pem, err := current.PEM()
	if err != nil {
		t.Fatal(err)
	}
	s := &service{key: "/" + investigation.SigningKeyKey(current.ID), pem: pem}
	list := "<ListBucketResult><Contents><Key>" + s.key[1:] + "</Key><Size>178</Size></Contents></ListBucketResult>"
	s.answers = map[string]answer{
		"HEAD ": {200, ""}, "HEAD /": {200, ""}, "GET ": {200, list}, "GET /": {200, list},
		"GET " + s.key: {200, string(pem)}, "HEAD " + s.key: {200, ""},
		"PUT " + s.key:   refusal(412, "PreconditionFailed"),
		"GET versioning": {200, "<VersioningConfiguration/>"}, "GET object-lock": {200, lockOn},
		"GET encryption": {200, "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>" +
			"<SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"},
		"GET publicAccessBlock": {200, "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls>" +
			"<IgnorePublicAcls>true</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy>" +
			"<RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>"},
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, func() map[string]doctor.Result {
		m := &checkup.Machine{
			Now: time.Now, Free: func(string) (int64, error) { return 1 << 40, nil },
			Want: doctor.MachineWanted{Data: data, Bucket: "evidence", Endpoint: server.URL},
		}
		defer func() { _ = m.Close() }()
		results := map[string]doctor.Result{}
		for _, r := range doctor.Run(t.Context(), doctor.Machine(m.Ports()), func(doctor.Result) {}) {
			results[r.Name] = r
		}
		return results
	}
}

// TestBucket: what a service answers about a bucket decides the checks. The one write that is tried has the bytes
// that are there, a condition and a wrong digest.
func TestBucket(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
	s, look := serveBucket(t)
	put := "PUT " + s.key
	for _, c := range []struct {
		asked  string
		answer answer
		check  string
		state  doctor.State
		says   string
	}{
		{"GET versioning", answer{200, "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"}, "archive.versioning", doctor.OK, "enabled"},
		{"GET versioning", answer{200, "<VersioningConfiguration/>"}, "archive.versioning", doctor.Failed, "off"},
		{"GET versioning", refusal(403, "AccessDenied"), "archive.versioning", doctor.Skipped, "s3:GetBucketVersioning is denied"},
		{"GET encryption", s.answers["GET encryption"], "archive.encryption", doctor.OK, "AES256"},
		{"GET encryption", refusal(404, "ServerSideEncryptionConfigurationNotFoundError"), "archive.encryption", doctor.Warning, "does not encrypt"},
		{"GET encryption", refusal(403, "AccessDenied"), "archive.encryption", doctor.Skipped, "s3:GetEncryptionConfiguration"},
		{"GET publicAccessBlock", s.answers["GET publicAccessBlock"], "archive.public", doctor.Skipped, "only Amazon S3"},
		{put, refusal(412, "PreconditionFailed"), "archive.conditions", doctor.OK, "was refused"},
		{put, refusal(400, "BadDigest"), "archive.conditions", doctor.Skipped, "digest first"},
		{put, answer{200, ""}, "archive.conditions", doctor.Failed, "accepted"},
		{"HEAD ", refusal(404, "NoSuchBucket"), "archive", doctor.Failed, "the bucket evidence does not exist"},
		{"HEAD ", refusal(403, "Forbidden"), "archive", doctor.Failed, "may not look at the bucket evidence"},
	} {
		before := s.answers[c.asked]
		s.answers[c.asked] = c.answer
		if c.asked == "HEAD " {
			s.answers["HEAD /"] = c.answer
		}
		r := look()[c.check]
		if r.State != c.state || !strings.Contains(r.Text, c.says) {
			t.Errorf("%s answered %d: %s is %s: %s, want %s", c.asked, c.answer.status, r.Name, r.State, r.Text, c.state)
		}
		s.answers[c.asked] = before
	}
	if len(s.wrote) == 0 {
		t.Error("no write was tried")
	}
	for _, body := range s.wrote {
		if body != string(s.pem) {
			t.Errorf("it tried to write %q", body)
		}
	}
}
