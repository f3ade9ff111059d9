package enroll_test

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	secretstypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"packhorse/cmd/packhorse/enroll"
	"packhorse/internal/investigation"
	"packhorse/internal/ledger"
	"packhorse/internal/ledger/ledgertables"
	"packhorse/internal/localcloud"
	"packhorse/internal/localcloud/dynamotest"
	"packhorse/internal/mde/mdesim"
	"packhorse/internal/settings"
	"packhorse/internal/tenant"
)

func TestMain(m *testing.M) { os.Exit(dynamotest.Main(m)) }

// useAWS makes the user's AWS configuration that of the local cloud.
func useAWS(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": os.Getenv("DYNAMODB_TEST_ENDPOINT"), "AWS_REGION": localcloud.Region,
		"AWS_ACCESS_KEY_ID": localcloud.AccessKey, "AWS_SECRET_ACCESS_KEY": localcloud.SecretKey, "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": filepath.Join(t.TempDir(), "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(t.TempDir(), "none"),
	} {
		t.Setenv(name, value)
	}
}

// world is a registry and a ledger in AWS, and a simulated tenant.
type world struct {
	t       *testing.T
	options enroll.Options
	place   *enroll.Place
	server  *mdesim.Server
}

func newWorld(t *testing.T) world {
	t.Helper()
	useAWS(t)
	server, err := mdesim.Start(t.Context(), mdesim.Defaults(), time.Now, "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	o := enroll.Options{
		Table:  dynamotest.Table(t, ledgertables.Budget("tenants-"+rand.Text())),
		Ledger: dynamotest.Table(t, ledgertables.Ledger("ledger-"+rand.Text())),
	}
	place, err := enroll.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	place.Base = settings.StackBase(map[string]string{ // as if the stack were known, but without an app
		"DEFENDER_API_URL": server.APIURL, "DEFENDER_AUTHORITY_URL": server.APIURL,
	})
	return world{t, o, place, server}
}

// entry returns what a person chooses for the simulated tenant.
func (w world) entry() tenant.Tenant {
	c := mdesim.Defaults()
	return tenant.Tenant{
		ID: c.TenantID, Name: "Contoso", ClientID: c.ClientID, APIURL: w.server.APIURL, AuthorityURL: w.server.APIURL,
		LinkHosts: w.server.DownloadHost, CAPEM: string(w.server.CAPEM),
		Credential: tenant.Credential{Kind: tenant.ClientSecret},
	}
}

func (w world) new() enroll.New {
	return enroll.New{Tenant: w.entry(), Secret: settings.NewSecret(mdesim.Defaults().ClientSecret)}
}

func (w world) secrets() *secretsmanager.Client {
	w.t.Helper()
	cfg, err := config.LoadDefaultConfig(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return secretsmanager.NewFromConfig(cfg)
}

// stored returns the names of the secrets that belong to the registry.
func (w world) stored() (names []string) {
	w.t.Helper()
	out, err := w.secrets().ListSecrets(w.t.Context(), &secretsmanager.ListSecretsInput{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, one := range out.SecretList {
		if strings.HasPrefix(aws.ToString(one.Name), w.options.Table+"/") && one.DeletedDate == nil {
			names = append(names, *one.Name)
		}
	}
	return names
}

// shared stores a secret and returns its ARN.
func (w world) shared(secret string) string {
	w.t.Helper()
	name := aws.String("shared-" + rand.Text())
	_, err := w.secrets().CreateSecret(w.t.Context(), &secretsmanager.CreateSecretInput{Name: name, SecretString: &secret})
	// The stand-in does not know an attempt again whose answer was lost.
	if _, isThere := errors.AsType[*secretstypes.ResourceExistsException](err); err != nil && !isThere {
		w.t.Fatal(err)
	}
	out, err := w.secrets().DescribeSecret(w.t.Context(), &secretsmanager.DescribeSecretInput{SecretId: name})
	if err != nil {
		w.t.Fatal(err)
	}
	return *out.ARN
}

// TestAddOnAWS: the secret is stored where the functions may read it, and they can sign in with it.
func TestAddOnAWS(t *testing.T) {
	w := newWorld(t)
	entry, answer, err := w.place.Add(t.Context(), w.new(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	id := entry.Credential.SecretID
	if !answer.Asked || !strings.HasPrefix(id, w.options.Table+"/"+entry.ID) || len(w.stored()) != 1 {
		t.Errorf("got %+v, %+v, secrets %q", entry, answer, w.stored())
	}
	out, err := w.secrets().GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &id})
	if err != nil || aws.ToString(out.SecretString) != mdesim.Defaults().ClientSecret {
		t.Errorf("the secret is another one: %v", err)
	}
	for field, value := range entry.Fields() {
		if strings.Contains(value, mdesim.Defaults().ClientSecret) {
			t.Errorf("the secret is in %s", field)
		}
	}
	if got, err := w.place.Find(t.Context(), "contoso"); err != nil || got != entry {
		t.Errorf("got %+v, %v", got, err)
	}
	if answer, err := w.place.Ask(t.Context(), entry, time.Now()); err != nil || !answer.Asked {
		t.Errorf("with the stored secret: %+v, %v", answer, err)
	}
}

// TestNothingIsStoredInVain: neither after a refusal, nor if somebody else is faster.
func TestNothingIsStoredInVain(t *testing.T) {
	w := newWorld(t)
	n := w.new()
	n.Secret = settings.NewSecret("wrong~value")
	var missing *enroll.MissingError
	_, _, err := w.place.Add(t.Context(), n, time.Now())
	if !errors.As(err, &missing) || strings.Contains(err.Error(), "wrong~value") || len(w.stored()) != 0 {
		t.Errorf("got %v, secrets %q", err, w.stored())
	}
	w.place.Registry = faster{w.place.Registry}
	_, _, err = w.place.Add(t.Context(), w.new(), time.Now())
	if !errors.Is(err, tenant.ErrConflict) || len(w.stored()) != 0 {
		t.Errorf("got %v, secrets %q", err, w.stored())
	}
	if all, err := w.place.Registry.List(t.Context()); err != nil || len(all) != 1 || all[0].Name != "faster" {
		t.Errorf("got %+v, %v", all, err)
	}
}

// faster is a registry in which somebody else is always a moment faster.
type faster struct{ enroll.Registry }

func (f faster) Put(ctx context.Context, t tenant.Tenant) (tenant.Tenant, error) {
	other := t
	other.Name = "faster"
	if _, err := f.Registry.Put(ctx, other); err != nil {
		return tenant.Tenant{}, err
	}
	return f.Registry.Put(ctx, t)
}

// TestRemoveOnAWS: not while something is not concluded, and not without knowing.
func TestRemoveOnAWS(t *testing.T) {
	w := newWorld(t)
	n := w.new()
	n.Unasked = true
	entry, _, err := w.place.Add(t.Context(), n, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	a := investigation.Action{
		ID:        investigation.ID{TenantID: entry.ID, ActionID: mdesim.IDOf("enroll", 1)},
		MachineID: mdesim.MachineOf("enroll", 1), Status: investigation.StatusPending, CreatedAt: now, LastUpdatedAt: now,
	}
	records := ledger.New(dynamotest.Client(dynamotest.Direct), w.options.Ledger)
	if _, err := records.Change(t.Context(), a.ID, investigation.Observe(a, now)); err != nil {
		t.Fatal(err)
	}
	refused := func(p *enroll.Place, words string) {
		t.Helper()
		var open *enroll.OpenWorkError
		err := p.Remove(t.Context(), entry, false)
		if !errors.As(err, &open) || !strings.Contains(err.Error(), words) {
			t.Errorf("got %v, want %q", err, words)
		}
	}
	refused(w.place, "1 of its actions are not concluded")
	w.options.Ledger = ""
	blind, err := enroll.Open(t.Context(), w.options)
	if err != nil {
		t.Fatal(err)
	}
	refused(blind, "without its ledger")
	if err := w.place.Remove(t.Context(), entry, true); err != nil {
		t.Error(err)
	}
	if orphan, err := w.place.Orphan(t.Context(), entry, tenant.Tenant{}); err != nil || orphan != entry.Credential.SecretID {
		t.Errorf("got %q, %v", orphan, err)
	}
	if _, err := w.place.Find(t.Context(), entry.ID); err == nil {
		t.Error("it is still registered")
	}
}

// TestRowsOnAWS: those that need a person come first, and a tenant's health is its own.
func TestRowsOnAWS(t *testing.T) {
	w := newWorld(t)
	records := ledger.New(dynamotest.Client(dynamotest.Direct), w.options.Ledger)
	now := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	well := tenant.Health{}.Succeeded(now)
	for i, c := range []struct {
		name   string
		health tenant.Health
		state  tenant.State
	}{
		{"a well one", well, tenant.Active},
		{"b resting", well.Failed(now, "x"), tenant.Suspended},
		{"c new", tenant.Health{}, tenant.Active},
		{"d failing", well.Failed(now, "no consent"), tenant.Active},
		{"e failing longer", well.Failed(now.Add(-time.Hour), "no roles"), tenant.Active},
	} {
		e := w.entry()
		e.ID, e.Name = strings.Repeat("0", 7)+string(rune('1'+i))+e.ID[8:], c.name
		e = tenant.New(e, now)
		e.State = c.state
		_, err := w.place.Registry.Put(t.Context(), e)
		if err == nil && c.health != (tenant.Health{}) {
			err = records.SetHealth(t.Context(), e.ID, c.health)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	rows, err := w.place.Rows(t.Context())
	var order []string
	for _, row := range rows {
		order = append(order, row.Tenant.Name)
	}
	if got := strings.Join(order, ", "); err != nil || got != "e failing longer, d failing, c new, a well one, b resting" {
		t.Errorf("got %s, %v", got, err)
	}
	if len(rows) == 5 && (rows[0].Health.Message != "no roles" || rows[3].Health != well) {
		t.Errorf("got %+v", rows)
	}
}

// TestTableNeedsAnApp: without a stack nothing can be inherited.
func TestTableNeedsAnApp(t *testing.T) {
	w := newWorld(t)
	_, _, err := w.place.Add(t.Context(), enroll.New{Tenant: tenant.Tenant{ID: mdesim.Defaults().TenantID, Name: "x"}}, time.Now())
	var invalid *tenant.Error
	if !errors.As(err, &invalid) || !strings.Contains(err.Error(), "client-id: is missing") {
		t.Errorf("got %v", err)
	}
}

// stackTemplate has the outputs and parameters of template.yaml that the registry is found by.
const stackTemplate = `{
"Parameters": {
	"DefenderTenantId": {"Type": "String"}, "DefenderClientId": {"Type": "String"}, "DefenderCloud": {"Type": "String"},
	"DefenderApiUrl": {"Type": "String"}, "DefenderAuthorityUrl": {"Type": "String"}, "DefenderLinkHosts": {"Type": "String"},
	"DefenderCredential": {"Type": "String"}, "DefenderSecretArn": {"Type": "String"},
	"PackageUriPerHour": {"Type": "String"}, "TenantsTable": {"Type": "String"}, "LedgerTable": {"Type": "String"}},
"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
"Outputs": {
	"EvidenceBucketName": {"Value": "evidence"}, "BudgetTableName": {"Value": "budget"},
	"LedgerTableName": {"Value": {"Ref": "LedgerTable"}}, "TenantsTableName": {"Value": {"Ref": "TenantsTable"}}}}`

// deployed makes a stack of these parameters, and returns its name.
func (w world) deployed(parameters map[string]string) string {
	w.t.Helper()
	cfg, err := config.LoadDefaultConfig(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	client := cloudformation.NewFromConfig(cfg)
	in := &cloudformation.CreateStackInput{
		StackName: aws.String("packhorse-" + rand.Text()), TemplateBody: aws.String(stackTemplate),
	}
	for name, value := range parameters {
		in.Parameters = append(in.Parameters, types.Parameter{ParameterKey: aws.String(name), ParameterValue: aws.String(value)})
	}
	_, err = client.CreateStack(w.t.Context(), in)
	// Nobody else uses this name: an earlier attempt created the stack, but its response was lost.
	if _, isThere := errors.AsType[*types.AlreadyExistsException](err); err != nil && !isThere {
		w.t.Fatal(err)
	}
	err = cloudformation.NewStackCreateCompleteWaiter(client, func(o *cloudformation.StackCreateCompleteWaiterOptions) {
		o.MinDelay, o.MaxDelay = 100*time.Millisecond, time.Second
	}).Wait(w.t.Context(), &cloudformation.DescribeStacksInput{StackName: in.StackName}, time.Minute)
	if err != nil {
		w.t.Fatal(err)
	}
	return *in.StackName
}

// TestStackWithOneApp: with one app for all tenants, an id and a name suffice, and the stack's own tenant needs no
// entry.
func TestStackWithOneApp(t *testing.T) {
	w := newWorld(t)
	c := mdesim.Defaults()
	const own = "11111111-1111-4111-8111-111111111111"
	name := w.deployed(map[string]string{
		"DefenderTenantId": own, "DefenderClientId": c.ClientID, "DefenderCloud": "commercial",
		"DefenderApiUrl": w.server.APIURL, "DefenderAuthorityUrl": w.server.APIURL, "DefenderLinkHosts": w.server.DownloadHost,
		"DefenderCredential": "secret", "DefenderSecretArn": w.shared(c.ClientSecret), "PackageUriPerHour": "100",
		"TenantsTable": w.options.Table, "LedgerTable": w.options.Ledger,
	})
	place, err := enroll.Open(t.Context(), enroll.Options{Stack: name})
	if err != nil {
		t.Fatal(err)
	}
	n := enroll.New{Tenant: tenant.Tenant{ID: c.TenantID, Name: "Contoso", CAPEM: string(w.server.CAPEM)}}
	entry, answer, err := place.Add(t.Context(), n, time.Now())
	if err != nil || !answer.Asked || entry.ClientID != "" || entry.Credential != (tenant.Credential{}) {
		t.Errorf("got %+v, %+v, %v", entry, answer, err)
	}
	var exists *enroll.ExistsError
	n.Tenant.ID, n.Tenant.Name = own, "own"
	if _, _, err := place.Add(t.Context(), n, time.Now()); !errors.As(err, &exists) {
		t.Errorf("got %v", err)
	}
	rows, err := place.Rows(t.Context())
	if err != nil || len(rows) != 2 || !rows[0].Own || rows[0].Tenant.ID != own || rows[1].Tenant != entry {
		t.Errorf("got %+v, %v", rows, err)
	}
}

// TestStackWithoutRegistry: the error says how to get one.
func TestStackWithoutRegistry(t *testing.T) {
	w := newWorld(t)
	parameters := map[string]string{"TenantsTable": "", "LedgerTable": w.options.Ledger}
	for _, name := range []string{
		"DefenderTenantId", "DefenderClientId", "DefenderCloud", "DefenderApiUrl", "DefenderAuthorityUrl",
		"DefenderLinkHosts", "DefenderCredential", "DefenderSecretArn", "PackageUriPerHour",
	} {
		parameters[name] = ""
	}
	var none *enroll.NoRegistryError
	_, err := enroll.Open(t.Context(), enroll.Options{Stack: w.deployed(parameters)})
	if !errors.As(err, &none) || !strings.Contains(none.Advice(), "ManyTenants=true") {
		t.Errorf("got %v", err)
	}
}
