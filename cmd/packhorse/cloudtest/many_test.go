//go:build cloud

package cloudtest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"packhorse/internal/event"
	"packhorse/internal/fetch"
	"packhorse/internal/mde/mdesim"
)

const (
	manyName = "many"

	// agencyBucket is the bucket that one of the tenants brings along.
	agencyBucket = "agency-evidence"
)

// customer is a registered tenant, with a directory and an app of its own.
type customer struct {
	*tenant

	name           string
	bucket, prefix string // where its packages belong
}

// manyStack is a stack with a registry, and no tenant in its parameters. Three are registered: one trusts what AWS
// vouches for, one a certificate in KMS, and one a client secret. The third is suspended until its customer asks for it.
type manyStack struct {
	a       *account
	b       bucketServer
	outputs map[string]string
	facts   *facts
	began   time.Time // the first tick

	federated, certified, secret *customer
}

func (m *manyStack) customers() []*customer { return []*customer{m.federated, m.certified, m.secret} }

// openMany deploys the stack and registers the tenants. No tick has run yet.
func (a *account) openMany(b bucketServer, v *vouching) *manyStack {
	a.t.Helper()
	m := &manyStack{a: a, b: b}
	a.variables = append(a.variables, "AWS_ENDPOINT_URL_S3="+b.Endpoint)
	m.openDirectories(v)
	var key string
	a.ask(&key, "kms", "create-key", "--key-spec", "RSA_2048", "--key-usage", "SIGN_VERIFY", "--query", "KeyMetadata.Arn")
	m.outputs = a.deploy(manyName, slices.Concat(m.federated.hosts(), lockParameters(), []string{
		"ManyTenants=true", "DefenderCredential=federated", "PollState=DISABLED", "S3EndpointUrl=" + b.Endpoint,
		"TenantBucketArns=arn:aws:s3:::" + agencyBucket, "TenantKeyArns=" + key,
	})...)
	if m.outputs["TenantsTableName"] == "" {
		a.t.Fatalf("the outputs lack the registry: %q", m.outputs)
	}
	a.checkSecretless(manyName)
	m.federated.bucket, m.secret.bucket = m.outputs["EvidenceBucketName"], m.outputs["EvidenceBucketName"]
	b.makeBuckets(a.t, []map[string]string{m.outputs, {"EvidenceBucketName": agencyBucket}})
	m.facts = a.listen("many-facts", []map[string]string{m.outputs})
	m.register(key)
	return m
}

// openDirectories starts the three simulated tenants. Microsoft serves them all on the same hosts.
func (m *manyStack) openDirectories(v *vouching) {
	t := m.a.t
	t.Helper()
	configs := make([]mdesim.Config, 3)
	for i := range configs {
		configs[i] = mdesim.Defaults()
		configs[i].TenantID, configs[i].ClientID = mdesim.IDOf("customer", i), mdesim.IDOf("app of customer", i)
		configs[i].ClientSecret = fmt.Sprintf("customer%d~Secret.Value-5555", i)
	}
	configs[0].Keys = v.Issuer.Keys
	first := startTenant(t, configs[0])
	join := func(i int) *tenant {
		return &tenant{Simulator: first.server.JoinWith(configs[i]), t: t, server: first.server, config: configs[i],
			secret: configs[i].ClientSecret, number: i}
	}
	first.number = 0
	m.federated = &customer{tenant: first, name: "Contoso", prefix: "packages/"}
	m.certified = &customer{tenant: join(1), name: "Agency of the North", prefix: "packages/", bucket: agencyBucket}
	m.secret = &customer{tenant: join(2), name: "Fabrikam", prefix: "customers/fabrikam/"}
	for _, c := range m.customers()[:2] { // each accepts one kind of proof
		if err := c.SetRegistration(mdesim.Registration{}); err != nil {
			t.Fatal(err)
		}
	}
	err := m.federated.SetRegistration(mdesim.Registration{Federations: []mdesim.Federation{{
		Issuer: v.Issuer.URL, Subject: "arn:aws:iam::000000000000:role/" + manyName + "-defender-identity",
		Audience: "api://AzureADTokenExchange",
	}}})
	if err != nil {
		t.Fatal(err)
	}
}

// register registers the tenants as an operator does. Each time, the program gets a token and lists the actions.
func (m *manyStack) register(key string) {
	t := m.a.t
	t.Helper()
	dir := t.TempDir()
	secretFile, certificate := filepath.Join(dir, "secret.txt"), filepath.Join(dir, "cert.pem")
	if err := os.WriteFile(secretFile, []byte(m.secret.secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := m.a.makeCertificate("packhorse credential certificate --kms-key "+key+" --out cert.pem", m.certified.tenant)
	text = strings.TrimSuffix(strings.TrimPrefix(text, `DefenderCertificatePem="`), `"`)
	if err := os.WriteFile(certificate, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for c, args := range map[*customer][]string{
		m.federated: nil, // it uses the stack's app
		m.certified: {"--client-id", m.certified.config.ClientID, "--credential", "certificate", "--certificate-key-id", key,
			"--certificate-pem-file", certificate, "--bucket", agencyBucket},
		m.secret: {"--client-id", m.secret.config.ClientID, "--secret-file", secretFile, "--prefix", m.secret.prefix},
	} {
		said := m.tenant("add", append([]string{c.config.TenantID, "--name", c.name}, args...)...)
		if !strings.Contains(said, "is registered") || !strings.Contains(said, "Machine.CollectForensics") {
			t.Errorf("packhorse tenant add %s says %s", c.name, said)
		}
	}
	m.tenant("suspend", m.secret.name)
	for _, c := range m.customers() {
		want := "active"
		if c == m.secret {
			want = "suspended"
		}
		if said := m.tenant("list"); !hasLine(said, c.name, c.config.TenantID, want) {
			t.Errorf("%s is not %s in\n%s", c.name, want, said)
		}
	}
}

// tenant runs packhorse tenant and returns what it says.
func (m *manyStack) tenant(verb string, args ...string) string {
	m.a.t.Helper()
	return m.run(append(append([]string{"tenant", verb}, args...), "--stack", manyName)...)
}

// run runs the command line that `make cloud-test` has built, and returns all that it shows. It must succeed, and show
// no secret.
func (m *manyStack) run(args ...string) string {
	t := m.a.t
	t.Helper()
	out, err := m.a.packhorse(args...)
	if err != nil {
		t.Fatalf("packhorse %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	if found := looksSecret.FindString(out); found != "" || strings.Contains(out, m.secret.secret) {
		t.Errorf("packhorse %s shows a secret", strings.Join(args, " "))
	}
	return out
}

// hasLine reports whether a line of the text has all parts.
func hasLine(text string, parts ...string) bool {
	for line := range strings.Lines(text) {
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
			return true
		}
	}
	return false
}

// tick starts a tick, rather than waiting for the schedule. It lasts a minute at most.
func (m *manyStack) tick() {
	m.a.t.Helper()
	m.a.run("aws", "lambda", "invoke", "--function-name", m.outputs["PollFunctionName"], "--invocation-type", "Event",
		filepath.Join(m.a.t.TempDir(), "answer.json"))
}

// done returns how many actions of a tenant the ledger says are done.
func (m *manyStack) done(c *customer) int {
	m.a.t.Helper()
	n := 0
	for _, text := range m.a.items(m.outputs["LedgerTableName"]) {
		item := decode[struct {
			PK    struct{ S string } `json:"pk"`
			State struct{ S string }
		}](m.a.t, text)
		if strings.HasPrefix(item.PK.S, c.config.TenantID+"#") && item.State.S == "done" {
			n++
		}
	}
	return n
}

func (m *manyStack) awaitDone(customers ...*customer) {
	m.a.t.Helper()
	m.a.await("the packages of registered tenants", func() bool {
		return !slices.ContainsFunc(customers, func(c *customer) bool { return m.done(c) < len(c.ready) })
	})
}

// begin makes packages ready while a tick runs. The suspended tenant has one that has been ready for long.
func (m *manyStack) begin() {
	m.a.t.Helper()
	m.began = time.Now()
	m.ask(2*time.Second, 14*time.Second)
	m.secret.addReady(300 << 10)
	m.tick()
}

// ask asks for packages in the calm tenants: each collects them for some time after now.
func (m *manyStack) ask(collects ...time.Duration) {
	now := time.Now().UTC()
	for i, c := range []*customer{m.federated, m.certified} {
		for _, d := range collects {
			c.addAction(300<<10, now, d+time.Duration(i)*3*time.Second)
		}
	}
}

// resume checks that nothing was done for the suspended tenant, and resumes it.
func (m *manyStack) resume() {
	t := m.a.t
	t.Helper()
	m.awaitDone(m.federated, m.certified)
	event := decode[map[string]any](t, []byte(m.eventOf(m.secret)))
	answer := m.fetch(event)
	if answer.Outcome != fetch.OutcomeRefused || !strings.Contains(answer.Reason, "suspended") {
		t.Errorf("the fetch function answers for the suspended tenant: %+v", answer)
	}
	if got := m.diagnosis()["tenants"]; got.Text != "2 registered and active, 1 suspended" {
		t.Errorf("doctor says of the tenants: %+v", got)
	}
	if said := m.run("status", "--stack", manyName); !hasLine(said, m.secret.name, "suspended") {
		t.Errorf("status says\n%s", said)
	}
	calls := m.secret.Judge().Verdict().Calls
	if calls[mdesim.KindToken] != 1 || calls[mdesim.KindList] != 1 || calls[mdesim.KindPackageURI] != 0 {
		t.Errorf("calls for the suspended tenant, of which packhorse tenant add made a token and a list: %v", calls)
	}
	if said := m.tenant("resume", m.secret.name); !strings.Contains(said, "is active now") {
		t.Errorf("packhorse tenant resume says %s", said)
	}
	m.ask(50 * time.Second) // when slots are free again
	m.secret.addAction(300<<10, time.Now().UTC(), 7*time.Second)
	m.tick()
}

// eventOf returns the event that hands over the tenant's first package.
func (m *manyStack) eventOf(c *customer) string {
	m.a.t.Helper()
	text, err := json.Marshal(map[string]any{
		"version": "0", "id": "1", "detail-type": event.TypeReady, "source": event.Source, "account": "000000000000",
		"time": time.Now().UTC().Format(time.RFC3339), "region": "us-east-1", "resources": []string{},
		"detail": map[string]string{"version": "1", "tenantId": c.config.TenantID, "actionId": c.ready[0].ID},
	})
	if err != nil {
		m.a.t.Fatal(err)
	}
	return string(text)
}

// fetch invokes the fetch function by hand.
func (m *manyStack) fetch(event map[string]any) fetch.Answer {
	t := m.a.t
	t.Helper()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "event.json"), filepath.Join(dir, "answer.json")
	text, err := json.Marshal(event)
	if err == nil {
		err = os.WriteFile(in, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	m.a.run("aws", "lambda", "invoke", "--function-name", m.outputs["FetchPackageFunctionName"], "--payload", "file://"+in, out)
	text, err = os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return decode[fetch.Answer](t, text)
}
