package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"packhorse/internal/event"
	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
	"packhorse/internal/ledger"
	"packhorse/internal/ledger/ledgertables"
	"packhorse/internal/localcloud"
	"packhorse/internal/localcloud/dynamotest"
	"packhorse/internal/manifest"
	"packhorse/internal/mde/mdesim"
)

// DynamoDB may be any server; the other services run in the local cloud.
func TestMain(m *testing.M) {
	_ = os.Unsetenv("DYNAMODB_TEST_ENDPOINT")
	os.Exit(dynamotest.Main(m))
}

// site is a healthy account, with a proxy in front of AWS that can break it.
type site struct {
	t       *testing.T
	tenant  *mdesim.Server
	config  aws.Config
	environ map[string]string
	action  investigation.Action
	meddle  func(w http.ResponseWriter, r *http.Request) bool // may answer instead of AWS
	shift   time.Duration                                     // of DynamoDB's clock
}

func openSite(t *testing.T) *site {
	t.Helper()
	return openTenantSite(t, mdesim.Defaults())
}

func openTenantSite(t *testing.T, simulated mdesim.Config) *site {
	t.Helper()
	server, err := mdesim.Start(t.Context(), simulated, time.Now, "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	s := &site{t: t, tenant: server}
	aws := httptest.NewServer(s)
	t.Cleanup(aws.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": aws.URL, "AWS_REGION": localcloud.Region,
		"AWS_ACCESS_KEY_ID": localcloud.AccessKey, "AWS_SECRET_ACCESS_KEY": localcloud.SecretKey,
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_MAX_ATTEMPTS": "1",
	} {
		t.Setenv(name, value)
	}
	s.config, err = config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	name := strings.ToLower(rand.Text())
	s.environ = map[string]string{
		"DEFENDER_TENANT_ID": simulated.TenantID, "DEFENDER_CLIENT_ID": simulated.ClientID,
		"DEFENDER_SECRET_ID": name, "DEFENDER_API_URL": server.APIURL,
		"DEFENDER_AUTHORITY_URL": server.APIURL, "DEFENDER_LINK_HOSTS": server.DownloadHost,
		"DEFENDER_CA_PEM": string(server.CAPEM), "LEDGER_TABLE": name + "-ledger",
		"BUDGET_TABLE": name + "-budget", "ARCHIVE_BUCKET": name, "EVENT_BUS": "default",
		"SIGNING_KEY_ID": signingKey(t, s.config, kmstypes.KeySpecEccNistP256, kmstypes.KeyUsageTypeSignVerify),
	}
	dynamotest.Table(t, ledgertables.Ledger(name+"-ledger"))
	dynamotest.Table(t, ledgertables.Budget(name+"-budget"))
	for bucket, locks := range map[string]bool{name: true, name + "-unlocked": false} {
		_, err = s3.NewFromConfig(s.config).CreateBucket(t.Context(), &s3.CreateBucketInput{
			Bucket: &bucket, ObjectLockEnabledForBucket: &locks,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	secret := `{"client_secret":"` + simulated.ClientSecret + `"}`
	_, err = secretsmanager.NewFromConfig(s.config).CreateSecret(t.Context(),
		&secretsmanager.CreateSecretInput{Name: &name, SecretString: &secret})
	if err != nil {
		t.Fatal(err)
	}
	s.addAction(1)
	return s
}

// signingKey creates a key and returns its id.
func signingKey(t *testing.T, cfg aws.Config, spec kmstypes.KeySpec, usage kmstypes.KeyUsageType) string {
	t.Helper()
	made, err := kms.NewFromConfig(cfg).CreateKey(t.Context(), &kms.CreateKeyInput{
		KeySpec: spec, KeyUsage: usage,
	})
	if err != nil {
		t.Fatal(err)
	}
	return *made.KeyMetadata.KeyId
}

// addAction adds an action whose package can be fetched.
func (s *site) addAction(n int) {
	s.t.Helper()
	createdAt := time.Now().Add(-time.Hour).Truncate(time.Second)
	simulated := mdesim.Action{
		ID: mdesim.IDOf("action", n), MachineID: mdesim.MachineOf("machine", n), Requestor: "a@contoso.com",
		CreatedAt: createdAt, Steps: mdesim.Succeeding(time.Minute), PackageSize: 20_000, PackageSeed: 1,
	}
	s.tenant.Add(simulated)
	s.action = investigation.Action{
		ID: investigation.ID{
			TenantID: s.environ["DEFENDER_TENANT_ID"], ActionID: simulated.ID,
		},
		MachineID: simulated.MachineID, Status: investigation.StatusSucceeded,
		CreatedAt: createdAt, LastUpdatedAt: createdAt.Add(time.Minute),
	}
	_, err := s.ledger().Change(s.t.Context(), s.action.ID, investigation.Observe(s.action, time.Now()))
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) ledger() *ledger.Ledger {
	return ledger.New(dynamodb.NewFromConfig(s.config), s.environ["LEDGER_TABLE"])
}

// ServeHTTP is AWS as the functions see it.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.meddle != nil && s.meddle(w, r) {
		return
	}
	target, err := url.Parse(os.Getenv("DYNAMODB_TEST_ENDPOINT"))
	if err != nil {
		panic(err)
	}
	proxy := httputil.ReverseProxy{
		Transport: dynamotest.Direct,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
		ModifyResponse: func(r *http.Response) error {
			r.Header.Set("Date", time.Now().Add(s.shift).UTC().Format(http.TimeFormat))
			return nil
		},
	}
	proxy.ServeHTTP(w, r)
}

// invoke builds the function with a changed environment and has it handle a Ready event.
func (s *site) invoke(change map[string]string) (answer fetch.Answer, trouble string) {
	s.t.Helper()
	return s.handle("Investigation Package Ready", change)
}

// handle does the same with an event of any type.
func (s *site) handle(detailType string, change map[string]string) (answer fetch.Answer, trouble string) {
	s.t.Helper()
	var environ []string
	changed := maps.Clone(s.environ)
	maps.Copy(changed, change)
	for name, value := range changed {
		environ = append(environ, name+"="+value)
	}
	var log bytes.Buffer
	invocation, err := build(environ, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		return fetch.Answer{}, err.Error()
	}
	answer, err = invocation(s.t.Context(), event.Envelope{
		Source: "packhorse", DetailType: detailType,
		Detail: json.RawMessage(fmt.Sprintf(`{"version":"1","tenantId":%q,"actionId":%q}`,
			s.action.TenantID, s.action.ActionID)),
	})
	if err != nil {
		return answer, err.Error()
	}
	return answer, answer.Reason
}

// refuse responds to calls of one operation, or of one HTTP method of S3, with AWS's refusal.
func refuse(operation, code string, status int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.Header.Get("X-Amz-Target"), "."+operation) && r.Method != operation {
			return false
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"__type":%q,"message":"no"}`, code)
		return true
	}
}

// noLockConfiguration refuses to return the bucket's lock configuration.
func noLockConfiguration(w http.ResponseWriter, r *http.Request) bool {
	if !r.URL.Query().Has("object-lock") {
		return false
	}
	w.WriteHeader(http.StatusForbidden)
	_, _ = fmt.Fprint(w, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
	return true
}

// noPuts refuses every put of an object, like a key policy that forbids writing evidence.
func noPuts(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodPut {
		return false
	}
	w.WriteHeader(http.StatusForbidden)
	_, _ = fmt.Fprint(w, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
	return true
}

// secret replaces the stored secret's value.
func secret(value string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetSecretValue") {
			return false
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_ = json.NewEncoder(w).Encode(map[string]string{"Name": "n", "SecretString": value})
		return true
	}
}

// unlocked uses the site's bucket without Object Lock.
var unlocked = map[string]string{"ARCHIVE_BUCKET": "unlocked"}

// symmetric responds as KMS does for a key that cannot sign.
func symmetric(w http.ResponseWriter, r *http.Request) bool {
	if !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetPublicKey") {
		return false
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_, _ = fmt.Fprint(w, `{"KeyId":"k","KeySpec":"RSA_2048","KeyUsage":"ENCRYPT_DECRYPT","PublicKey":"AAAA"}`)
	return true
}

// A failing signing key only costs the link of one package: the package is stored, its manifest has
// its place in the chain, and the signature follows once the key is fixed.
func TestSigningDenied(t *testing.T) {
	s := openSite(t)
	s.meddle = refuse("Sign", "AccessDeniedException", 400)
	answer, trouble := s.invoke(nil)
	if answer.Outcome != fetch.OutcomeArchived {
		t.Errorf("got %+v, %q", answer, trouble)
	}
	answer, trouble = s.handle("Investigation Package Settled", nil)
	if answer.Outcome != "" || !strings.Contains(trouble, "kms:Sign") {
		t.Errorf("concluded without a signature: %+v, %q", answer, trouble)
	}
	s.meddle = nil
	answer, trouble = s.handle("Investigation Package Settled", nil)
	if answer.Outcome != fetch.OutcomeConcluded {
		t.Errorf("after the key was fixed: %+v, %q", answer, trouble)
	}
	records, err := s.ledger().Load(t.Context(), []investigation.ID{s.action.ID})
	if err != nil || len(records) != 1 || records[0].State != investigation.StateDone ||
		records[0].Seal.Sequence != 1 {
		t.Errorf("the ledger has %+v, %v", records, err)
	}
	if n := s.tenant.Judge().Verdict().Calls[mdesim.KindPackageURI]; n != 1 {
		t.Errorf("%d link calls were spent", n)
	}
	s.checkEvidence(records[0])
	for _, key := range []string{
		records[0].Receipt.Key, records[0].ManifestKey, investigation.SignatureKey(records[0].ManifestKey),
	} {
		s.checkLocked(key)
	}
}

// checkLocked tries to delete an object and to overwrite it.
func (s *site) checkLocked(key string) {
	s.t.Helper()
	client, bucket := s3.NewFromConfig(s.config), s.environ["ARCHIVE_BUCKET"]
	before := s.object(key)
	head, err := client.HeadObject(s.t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil || head.VersionId == nil {
		s.t.Fatalf("%s: %v, version %v", key, err, head)
	}
	_, deleted := client.DeleteObject(s.t.Context(), &s3.DeleteObjectInput{
		Bucket: &bucket, Key: &key, VersionId: head.VersionId,
	})
	_, replaced := client.PutObject(s.t.Context(), &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: strings.NewReader("another"), IfNoneMatch: aws.String("*"),
	})
	for want, err := range map[string]error{"AccessDenied": deleted, "PreconditionFailed": replaced} {
		if api, ok := errors.AsType[smithy.APIError](err); !ok || api.ErrorCode() != want {
			s.t.Errorf("%s: got %v, want %s", key, err, want)
		}
	}
	if after := s.object(key); !bytes.Equal(after, before) {
		s.t.Errorf("%s: the object changed", key)
	}
}

// checkEvidence compares the evidence in the bucket with the public key.
func (s *site) checkEvidence(rec investigation.Record) {
	s.t.Helper()
	text, signature := s.object(rec.ManifestKey), s.object(investigation.SignatureKey(rec.ManifestKey))
	m, err := manifest.Parse(text)
	if err != nil {
		s.t.Fatal(err)
	}
	keys, err := manifest.ParseKeys(s.object(investigation.SigningKeyKey(m.Signature.KeyID)))
	if err == nil {
		err = keys[0].Verify(text, signature)
	}
	if err != nil || !strings.HasPrefix(m.Signature.Key, "arn:") {
		s.t.Errorf("the manifest %s: %v", text, err)
	}
	if m.Object.Retention == nil || m.Object.Retention.Mode != "GOVERNANCE" ||
		m.Custody.Principal == "" || m.Custody.Region != localcloud.Region {
		s.t.Errorf("the manifest says %+v and %+v", m.Object, m.Custody)
	}
}

func (s *site) object(key string) []byte {
	s.t.Helper()
	bucket := s.environ["ARCHIVE_BUCKET"]
	out, err := s3.NewFromConfig(s.config).GetObject(s.t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = out.Body.Close() }()
	text, err := io.ReadAll(out.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

// A fault in the account is reported with the name of the faulty resource, costs no link and loses
// nothing; once it is fixed, the next package is stored.
func TestWrongAccount(t *testing.T) {
	denied := "AccessDeniedException"
	for name, test := range map[string]struct {
		change map[string]string
		meddle func(http.ResponseWriter, *http.Request) bool
		shift  time.Duration
		want   []string
	}{
		"no ledger":        {change: map[string]string{"LEDGER_TABLE": "absent"}, want: []string{"LEDGER_TABLE", "absent"}},
		"no budget":        {change: map[string]string{"BUDGET_TABLE": "absent"}, want: []string{"BUDGET_TABLE", "absent"}},
		"no bucket":        {change: map[string]string{"ARCHIVE_BUCKET": "absent-bucket"}, want: []string{"absent-bucket"}},
		"no secret":        {change: map[string]string{"DEFENDER_SECRET_ID": "absent"}, want: []string{"absent"}},
		"not a setting":    {change: map[string]string{"LEDGER_TABLE": ""}, want: []string{"LEDGER_TABLE"}},
		"ledger denied":    {meddle: refuse("UpdateItem", denied, 400), want: []string{"the role needs", "UpdateItem"}},
		"secret denied":    {meddle: refuse("GetSecretValue", denied, 400), want: []string{"secret"}},
		"its key denied":   {meddle: refuse("GetSecretValue", "DecryptionFailure", 400), want: []string{"secret"}},
		"an empty secret":  {meddle: secret(""), want: []string{"secret", "empty"}},
		"the placeholder":  {meddle: secret(`{"client_secret":"replace-me"}`), want: []string{"AADSTS7000215"}},
		"another secret":   {meddle: secret(`{"password":"p"}`), want: []string{"client_secret"}},
		"another region":   {meddle: refuse("HEAD", "", 301), want: []string{"another region"}},
		"bucket denied":    {meddle: refuse("HEAD", "", 403), want: []string{"bucket"}},
		"clock behind":     {shift: 10 * time.Second, want: []string{"behind", "NTP"}},
		"clock ahead":      {shift: -10 * time.Second, want: []string{"ahead", "NTP"}},
		"no signing key":   {change: map[string]string{"SIGNING_KEY_ID": "alias/absent"}, want: []string{"alias/absent", "signing key"}},
		"it is none":       {meddle: symmetric, want: []string{"ECC_NIST_P256"}},
		"its use denied":   {meddle: refuse("GetPublicKey", denied, 400), want: []string{"kms:GetPublicKey"}},
		"evidence denied":  {meddle: noPuts, want: []string{"signing-keys/", "bucket"}},
		"no Object Lock":   {change: unlocked, want: []string{"has no Object Lock", "OBJECT_LOCK_MODE=NONE"}},
		"locks unseen":     {meddle: noLockConfiguration, want: []string{"s3:GetBucketObjectLockConfiguration"}},
		"services failing": {meddle: refuse("GetItem", "InternalServerError", 500), want: []string{"table"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := openSite(t)
			s.meddle, s.shift = test.meddle, test.shift
			if bucket, ok := test.change["ARCHIVE_BUCKET"]; ok && bucket == unlocked["ARCHIVE_BUCKET"] {
				test.change = map[string]string{"ARCHIVE_BUCKET": s.environ["ARCHIVE_BUCKET"] + "-unlocked"}
			}
			answer, trouble := s.invoke(test.change)
			if answer.Outcome == fetch.OutcomeArchived ||
				slices.ContainsFunc(test.want, func(w string) bool { return !strings.Contains(trouble, w) }) {
				t.Errorf("got %+v, %q; want an error with %q", answer, trouble, test.want)
			}
			verdict := s.tenant.Judge().Verdict()
			if n := verdict.Calls[mdesim.KindPackageURI]; n != 0 {
				t.Errorf("%d link calls were spent", n)
			}
			s.meddle, s.shift = nil, 0
			s.checkNotLost()
			s.addAction(2) // the first may only be due later
			if answer, trouble = s.invoke(nil); answer.Outcome != fetch.OutcomeArchived {
				t.Errorf("after the fault was fixed: %+v, %q", answer, trouble)
			}
		})
	}
}

// checkNotLost checks that the action will be fetched again within the hour.
func (s *site) checkNotLost() {
	s.t.Helper()
	records, err := s.ledger().Load(s.t.Context(), []investigation.ID{s.action.ID})
	if err != nil || len(records) != 1 {
		s.t.Fatalf("got %d records, %v", len(records), err)
	}
	if rec := records[0]; rec.State != investigation.StateReady || time.Until(rec.DueAt) > time.Hour {
		s.t.Errorf("the action is %s and due at %v", rec.State, rec.DueAt)
	}
}
