//go:build cloud

package cloudtest

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"packhorse/internal/mde/mdesim"
)

// makeCertificate runs the command that the output CertificateCommand has, lets the app registration accept the
// certificate, and returns the parameter for the next deployment.
func (a *account) makeCertificate(commandLine string, s *tenant) string {
	a.t.Helper()
	path := filepath.Join(a.t.TempDir(), "cert.pem")
	words := strings.Fields(strings.Replace(commandLine, " cert.pem", " "+path, 1))
	if len(words) < 2 || words[0] != "packhorse" {
		a.t.Fatalf("the output CertificateCommand is %q", commandLine)
	}
	command := exec.CommandContext(a.t.Context(), filepath.Join(a.root, "bin", words[0]), words[1:]...)
	command.Env = a.cloud.Environ(os.Environ())
	if out, err := command.CombinedOutput(); err != nil {
		a.t.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, out)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		a.t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		a.t.Fatal(err)
	}
	registration := s.Registration()
	registration.Certificates = append(registration.Certificates, certificate)
	if err := s.SetRegistration(registration); err != nil {
		a.t.Fatal(err)
	}
	return `DefenderCertificatePem="` + string(text) + `"`
}

// checkCertificateKey checks that only the functions of a stack, and those exempt, can sign with the
// certificate's key.
func (a *account) checkCertificateKey(outputs map[string]string, glass string) {
	a.t.Helper()
	var policy string
	a.ask(&policy, "kms", "get-key-policy", "--key-id", outputs["CertificateKeyArn"], "--policy-name", "default",
		"--query", "Policy")
	want := append(a.roles(outputs), glass)
	if got := a.denials(policy)["OnlyTheFunctionsSign"]; !slices.Equal(got, want) {
		a.t.Errorf("OnlyTheFunctionsSign exempts %q, want %q: %s", got, want, policy)
	}
}

// roles returns the roles of the two functions.
func (a *account) roles(outputs map[string]string) []string {
	a.t.Helper()
	var roles []string
	for _, name := range []string{"PollFunctionName", "FetchPackageFunctionName"} {
		var role string
		a.ask(&role, "lambda", "get-function-configuration", "--function-name", outputs[name], "--query", "Role")
		roles = append(roles, role)
	}
	return roles
}

// checkSecretless checks that a stack has no secret. The tests of internal/e2e evaluate what its roles may read.
func (a *account) checkSecretless(stack string) {
	a.t.Helper()
	var types []string
	a.ask(&types, "cloudformation", "describe-stack-resources", "--stack-name", stack, "--query",
		"StackResources[?ResourceStatus!='DELETE_COMPLETE'].ResourceType")
	if len(types) < 10 || slices.ContainsFunc(types, func(t string) bool { return strings.HasPrefix(t, "AWS::SecretsManager::") }) {
		a.t.Errorf("stack %s has the resources %q", stack, types)
	}
}

// movingStack is a stack with a tenant of its own, that moves from a client secret to a certificate in KMS, and on to
// a federated credential. One package is ready for each.
type movingStack struct {
	a          *account
	s          *tenant
	v          *vouching
	parameters []string
	outputs    map[string]string
}

const movingName = "moving"

// move deploys a stack that moves, and lets it archive a package with each kind of credential. It does not wait for
// the last one, because the budget has two a minute.
func (a *account) move(b bucketServer, v *vouching) *movingStack {
	a.t.Helper()
	m := &movingStack{a: a, s: openMovingTenant(a.t, v), v: v}
	m.parameters = append(m.s.parameters(), "S3EndpointUrl="+b.Endpoint, "SweepInterval=5s")
	m.outputs = a.deploy(movingName, m.parameters...)
	b.makeBuckets(a.t, []map[string]string{m.outputs})
	a.setSecrets([]map[string]string{m.outputs}, m.s.secret)
	m.carryOne()
	m.awaitAll()
	m.toCertificate()
	m.carryOne()
	m.awaitAll()
	m.toFederated()
	m.carryOne()
	return m
}

// carryOne makes a package ready and starts a tick, rather than waiting for the schedule.
func (m *movingStack) carryOne() {
	m.a.t.Helper()
	m.s.addReady(20 << 10)
	m.a.run("aws", "lambda", "invoke", "--function-name", m.outputs["PollFunctionName"], "--invocation-type", "Event",
		filepath.Join(m.a.t.TempDir(), "answer.json"))
}

func (m *movingStack) awaitAll() {
	m.a.t.Helper()
	m.a.await("the packages of the moving stack", func() bool {
		return strings.Count(m.a.logs(m.outputs["FetchPackageLogGroupName"]), `the package is archived`) >= len(m.s.ready)
	})
}

// update deploys the stack with another credential, and takes all other proofs from the app registration.
func (m *movingStack) update(trusts mdesim.Registration, parameters ...string) {
	t := m.a.t
	t.Helper()
	before := m.outputs
	m.outputs = m.a.deploy(movingName, append(slices.Clone(m.parameters), parameters...)...)
	for _, name := range []string{"EvidenceBucketName", "LedgerTableName", "BudgetTableName", "SigningKeyArn"} {
		if m.outputs[name] != before[name] {
			t.Errorf("the move replaced %s", name)
		}
	}
	if err := m.s.SetRegistration(trusts); err != nil {
		t.Fatal(err)
	}
	m.a.checkSecretless(movingName)
}

// toCertificate follows docs/credentials.md: with a key of one's own, one deployment is enough.
func (m *movingStack) toCertificate() {
	m.a.t.Helper()
	var key string
	m.a.ask(&key, "kms", "create-key", "--key-spec", "RSA_2048", "--key-usage", "SIGN_VERIFY", "--query", "KeyMetadata.Arn")
	certificate := m.a.makeCertificate("packhorse credential certificate --kms-key "+key+" --out cert.pem", m.s)
	m.update(mdesim.Registration{Certificates: m.s.Registration().Certificates},
		"DefenderCredential=certificate", "DefenderCertificateKeyArn="+key, certificate)
	if m.outputs["CertificateKeyArn"] != key {
		m.a.t.Errorf("the output CertificateKeyArn is %q, want %q", m.outputs["CertificateKeyArn"], key)
	}
}

// toFederated does, too: the app registration trusts the identity before it exists.
func (m *movingStack) toFederated() {
	t := m.a.t
	t.Helper()
	want := mdesim.Federation{
		Issuer: m.v.Issuer.URL, Subject: "arn:aws:iam::000000000000:role/" + movingName + "-defender-identity",
		Audience: "api://AzureADTokenExchange",
	}
	m.update(mdesim.Registration{Federations: []mdesim.Federation{want}}, "DefenderCredential=federated")
	if m.outputs["FederatedSubject"] != want.Subject || m.outputs["FederatedAudience"] != want.Audience ||
		!strings.HasPrefix(m.outputs["FederatedIssuerCommand"], "aws iam ") || m.outputs["SetSecretCommand"] != "" {
		t.Errorf("the outputs are %q", m.outputs)
	}
	var principals []string
	m.a.ask(&principals, "iam", "get-role", "--role-name", movingName+"-defender-identity", "--query",
		"Role.AssumeRolePolicyDocument.Statement[].Principal.AWS[]")
	if roles := m.a.roles(m.outputs); !slices.Equal(principals, roles) {
		t.Errorf("the identity trusts %q, want %q", principals, roles)
	}
}

// check waits for the last package, and checks that each kind of credential proved both functions.
func (m *movingStack) check() {
	t := m.a.t
	t.Helper()
	m.awaitAll()
	m.s.checkBudget()
	by := map[string]int{}
	for _, assertion := range m.s.Assertions() {
		by[issuerOf(t, assertion)]++
	}
	if by[m.s.config.ClientID] < 2 || by[m.v.Issuer.URL] < 2 || len(by) != 2 ||
		m.v.Calls("AssumeRole") < 2 || m.v.Calls("GetWebIdentityToken") < 2 {
		t.Errorf("assertions by issuer: %v; %d roles assumed, %d tokens", by, m.v.Calls("AssumeRole"),
			m.v.Calls("GetWebIdentityToken"))
	}
	ticks := m.a.logs(m.outputs["PollLogGroupName"])
	if failed := strings.Count(ticks, "ERROR"); failed > 2 { // one for each move at most
		t.Errorf("%d ticks failed:\n%s", failed, ticks)
	}
}

// issuerOf returns who made an assertion.
func issuerOf(t *testing.T, assertion string) string {
	t.Helper()
	parts := strings.Split(assertion, ".")
	text, err := base64.RawURLEncoding.DecodeString(parts[min(1, len(parts)-1)])
	if err != nil {
		t.Fatal(err)
	}
	return decode[struct {
		Issuer string `json:"iss"`
	}](t, text).Issuer
}

// looksSecret matches what must not be anywhere: tokens, assertions and private keys.
var looksSecret = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}|PRIVATE KEY`)

// environments returns what every function of the stacks has in its environment.
func (a *account) environments(stacks []map[string]string) map[string]string {
	a.t.Helper()
	places := map[string]string{}
	for _, outputs := range stacks {
		for _, name := range []string{"PollFunctionName", "FetchPackageFunctionName"} {
			var variables map[string]string
			a.ask(&variables, "lambda", "get-function-configuration", "--function-name", outputs[name],
				"--query", "Environment.Variables")
			text, _ := json.Marshal(slices.Sorted(maps.Values(variables)))
			places["the environment of "+outputs[name]] = string(text)
		}
	}
	return places
}
