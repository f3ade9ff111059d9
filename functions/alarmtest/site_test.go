package alarmtest

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
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

	"packhorse/internal/entra"
	"packhorse/internal/investigation"
	"packhorse/internal/ledger"
	"packhorse/internal/ledger/ledgertables"
	"packhorse/internal/localcloud"
	"packhorse/internal/localcloud/dynamotest"
	"packhorse/internal/mde/mdesim"
)

// The tests use a local cloud instead of AWS.
func TestMain(m *testing.M) {
	_ = os.Unsetenv("DYNAMODB_TEST_ENDPOINT")
	os.Exit(dynamotest.Main(m))
}

// site is a healthy account and tenant with the two functions.
type site struct {
	t           *testing.T
	poll, fetch function
	tenant      *mdesim.Server
	joined      *mdesim.Simulator // the registered tenant; see register
	aws         aws.Config
	environ     map[string]string
	name        string
	actions     int
	refuses     func(*http.Request) bool // requests that AWS answers with 403
}

func openSite(t *testing.T, poll, fetch function) *site {
	t.Helper()
	simulated := mdesim.Defaults()
	simulated.PackageURILimits = mdesim.Limits{PerMinute: 100, PerHour: 100} // so that no case waits for the budget
	tenant, err := mdesim.Start(t.Context(), simulated, time.Now, "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tenant.Close() })
	s := &site{t: t, poll: poll, fetch: fetch, tenant: tenant, name: strings.ToLower(rand.Text())}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.environ = map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_REGION": localcloud.Region,
		"AWS_ACCESS_KEY_ID": localcloud.AccessKey, "AWS_SECRET_ACCESS_KEY": localcloud.SecretKey,
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_MAX_ATTEMPTS": "1",
	}
	for name, value := range s.environ {
		t.Setenv(name, value)
	}
	s.aws, err = config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(s.environ, map[string]string{
		"DEFENDER_TENANT_ID": simulated.TenantID, "DEFENDER_CLIENT_ID": simulated.ClientID,
		"DEFENDER_SECRET_ID": s.name, "DEFENDER_API_URL": tenant.APIURL,
		"DEFENDER_AUTHORITY_URL": tenant.APIURL, "DEFENDER_LINK_HOSTS": tenant.DownloadHost,
		"DEFENDER_CA_PEM": string(tenant.CAPEM), "LEDGER_TABLE": s.name + "-ledger",
		"ARCHIVE_BUCKET": s.name, "EVENT_BUS": "default",
	})
	s.furnish(simulated.ClientSecret)
	return s
}

// furnish creates the stack's resources.
func (s *site) furnish(clientSecret string) {
	s.t.Helper()
	dynamotest.Table(s.t, ledgertables.Ledger(s.name+"-ledger"))
	s.later()
	_, err := s3.NewFromConfig(s.aws).CreateBucket(s.t.Context(), &s3.CreateBucketInput{
		Bucket: &s.name, ObjectLockEnabledForBucket: aws.Bool(true),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = secretsmanager.NewFromConfig(s.aws).CreateSecret(s.t.Context(),
		&secretsmanager.CreateSecretInput{
			Name: &s.name, SecretString: aws.String(`{"client_secret":"` + clientSecret + `"}`),
		})
	if err != nil {
		s.t.Fatal(err)
	}
	key, err := kms.NewFromConfig(s.aws).CreateKey(s.t.Context(), &kms.CreateKeyInput{
		KeySpec: kmstypes.KeySpecEccNistP256, KeyUsage: kmstypes.KeyUsageTypeSignVerify,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.environ["SIGNING_KEY_ID"] = *key.KeyMetadata.KeyId
}

// storeSecret replaces the text of the stack's secret.
func (s *site) storeSecret(text string) {
	s.t.Helper()
	_, err := secretsmanager.NewFromConfig(s.aws).PutSecretValue(s.t.Context(),
		&secretsmanager.PutSecretValueInput{SecretId: &s.name, SecretString: &text})
	if err != nil {
		s.t.Fatal(err)
	}
}

// certify makes a key in KMS and its certificate, and lets the app use it instead of the secret.
func (s *site) certify(expires time.Time) {
	s.t.Helper()
	client := kms.NewFromConfig(s.aws)
	key, err := client.CreateKey(s.t.Context(), &kms.CreateKeyInput{
		KeySpec: kmstypes.KeySpecRsa2048, KeyUsage: kmstypes.KeyUsageTypeSignVerify,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	made, err := entra.NewKMSKey(client, *key.KeyMetadata.KeyId).SelfSigned(s.t.Context(), "packhorse", time.Now(), expires)
	if err != nil {
		s.t.Fatal(err)
	}
	block, _ := pem.Decode(made.PEM)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		s.t.Fatal(err)
	}
	err = s.tenant.SetRegistration(mdesim.Registration{Certificates: []*x509.Certificate{certificate}})
	if err != nil {
		s.t.Fatal(err)
	}
	delete(s.environ, "DEFENDER_SECRET_ID")
	maps.Copy(s.environ, map[string]string{
		"DEFENDER_CREDENTIAL": "certificate", "DEFENDER_CERTIFICATE_KEY_ID": *key.KeyMetadata.KeyId,
		"DEFENDER_CERTIFICATE_PEM": string(made.PEM),
	})
}

// ServeHTTP is AWS as the functions see it.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.refuses != nil && s.refuses(r) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = fmt.Fprint(w, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
		return
	}
	target, err := url.Parse(os.Getenv("DYNAMODB_TEST_ENDPOINT"))
	if err != nil {
		panic(err)
	}
	proxy := httputil.ReverseProxy{
		Transport: dynamotest.Direct,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
		// The stand-in may omit the date, which the budget uses to check the clock.
		ModifyResponse: func(r *http.Response) error {
			r.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
			return nil
		},
	}
	proxy.ServeHTTP(w, r)
}

// later moves the clock five minutes ahead, after which the budget is available again.
func (s *site) later() {
	s.t.Helper()
	s.environ["BUDGET_TABLE"] = dynamotest.Table(s.t, ledgertables.Budget(strings.ToLower(rand.Text())))
}

// addAction adds an action with a package that has been ready for a while.
func (s *site) addAction(age time.Duration) investigation.Action {
	s.actions++
	created := time.Now().Add(-age).Truncate(time.Second)
	simulated := mdesim.Action{
		ID: mdesim.IDOf("action", s.actions), MachineID: mdesim.MachineOf("machine", s.actions),
		Requestor: "a@contoso.com", CreatedAt: created, Steps: mdesim.Succeeding(time.Minute),
		PackageSize: 20_000, PackageSeed: 1,
	}
	s.tenant.Add(simulated)
	return investigation.Action{
		ID:        investigation.ID{TenantID: s.environ["DEFENDER_TENANT_ID"], ActionID: simulated.ID},
		MachineID: simulated.MachineID, Status: investigation.StatusSucceeded,
		CreatedAt: created, LastUpdatedAt: created.Add(time.Minute),
	}
}

// tick invokes the poll function once.
func (s *site) tick() []datum {
	s.t.Helper()
	return s.poll.numbers(s.t, s.poll.invoke(s.t, s.environ, "{}"))
}

// carry has the fetch function fetch a new package, and returns its numbers and its answer. The
// test writes the action to the ledger itself, so a case may break the function's own access to the
// ledger.
func (s *site) carry(prepare ...func(investigation.Action)) ([]datum, answer) {
	s.t.Helper()
	action := s.addAction(time.Hour)
	_, err := ledger.New(dynamodb.NewFromConfig(s.aws), s.name+"-ledger").
		Change(s.t.Context(), action.ID, investigation.Observe(action, time.Now()))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, p := range prepare {
		p(action)
	}
	got := s.fetch.invoke(s.t, s.environ, fmt.Sprintf(`{"source":"packhorse","detail-type":`+
		`"Investigation Package Ready","detail":{"version":"1","tenantId":%q,"actionId":%q}}`,
		action.TenantID, action.ActionID))
	return s.fetch.numbers(s.t, got), got
}
