package e2e_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"packhorse/internal/cfn"
	"packhorse/internal/settings"
	"packhorse/internal/tenant"
)

const (
	theIdentity  = "arn:aws:iam::" + cfn.Account + ":role/" + cfn.StackName + "-defender-identity"
	theKeyOfCert = "arn:aws:kms:us-east-1:" + cfn.Account + ":key/CertificateKey"
	theirSecret  = "arn:aws:secretsmanager:us-east-1:" + cfn.Account + ":secret:theirs-a1b2c3"
	aCertificate = "-----BEGIN CERTIFICATE-----\nMIIB+/=\n-----END CERTIFICATE-----\n"
)

// kinds are the ways of deploying a credential, each with what a function may do for it.
var kinds = map[string]struct {
	parameters map[string]string
	kind       tenant.Kind
	may        []string // of the actions in allCredentialActions
}{
	"secret":        {nil, tenant.ClientSecret, []string{"secretsmanager:GetSecretValue", "kms:Decrypt"}},
	"theirs":        {map[string]string{"DefenderSecretArn": theirSecret}, tenant.ClientSecret, []string{"secretsmanager:GetSecretValue", "kms:Decrypt"}},
	"federated":     {map[string]string{"DefenderCredential": "federated"}, tenant.Federated, []string{"sts:AssumeRole"}},
	"on the way":    {map[string]string{"DefenderCredential": "federated", "DefenderSecretArn": theirSecret}, tenant.Federated, []string{"sts:AssumeRole"}},
	"without yet":   {map[string]string{"DefenderCredential": "certificate"}, tenant.Certificate, nil},
	"certificate":   {map[string]string{"DefenderCredential": "certificate", "DefenderCertificatePem": aCertificate}, tenant.Certificate, nil},
	"their key":     {map[string]string{"DefenderCredential": "certificate", "DefenderCertificatePem": aCertificate, "DefenderCertificateKeyArn": theCustomers}, tenant.Certificate, []string{"kms:Sign", "kms:GetPublicKey"}},
	"in a secret":   {map[string]string{"DefenderCredential": "certificate", "DefenderCertificateSecretArn": theirSecret}, tenant.Certificate, []string{"secretsmanager:GetSecretValue", "kms:Decrypt"}},
	"on the way, 2": {map[string]string{"DefenderCredential": "certificate", "DefenderCertificatePem": aCertificate, "DefenderSecretArn": theirSecret}, tenant.Certificate, nil},
}

// allCredentialActions are what one kind of credential or another needs. CertificateKey's own policy grants
// the rest, see TestWhoSignsWithTheCertificate.
var allCredentialActions = []string{
	"secretsmanager:GetSecretValue", "sts:AssumeRole", "sts:GetWebIdentityToken", "kms:Sign", "kms:GetPublicKey", "kms:Decrypt",
}

// Each kind of credential gives both functions exactly what it needs, on the one thing that holds it.
func TestPermissionsOfEachCredential(t *testing.T) {
	for name, test := range kinds {
		stack := deploy(t, test.parameters)
		for _, role := range []string{thePoller, theFunction} {
			var got []string
			for _, s := range identityOf(t, stack, role) {
				// Decrypt and GenerateDataKey through S3 are for evidence.
				if via, _ := s.condition["StringEquals"].(map[string]any); strings.HasPrefix(fmt.Sprint(via["kms:ViaService"]), "s3.") {
					continue
				}
				for _, action := range s.actions {
					if s.effect == "Allow" && slices.Contains(allCredentialActions, action) {
						got = append(got, action)
					}
				}
				if s.effect == "Allow" && slices.ContainsFunc(s.actions, func(a string) bool { return slices.Contains(allCredentialActions, a) }) {
					checkOneThing(t, name, s, test.parameters)
				}
			}
			slices.Sort(got)
			if want := slices.Sorted(slices.Values(test.may)); !slices.Equal(got, want) {
				t.Errorf("%s: %s may %q, want %q", name, role, got, want)
			}
		}
	}
}

// checkOneThing checks that the statement names the one thing that holds the credential.
func checkOneThing(t *testing.T, name string, s statement, parameters map[string]string) {
	t.Helper()
	secret := "DefenderSecret"
	if parameters["DefenderSecretArn"]+parameters["DefenderCertificateSecretArn"] != "" {
		secret = theirSecret
	}
	want := map[string]string{
		"secretsmanager:GetSecretValue": secret, "sts:AssumeRole": theIdentity, "kms:Sign": theCustomers,
		"kms:GetPublicKey": theCustomers, "kms:Decrypt": "arn:aws:kms:us-east-1:" + cfn.Account + ":key/Key",
	}[s.actions[0]]
	if len(s.resources) != 1 || s.resources[0] != want {
		t.Errorf("%s: %q on %q, want %q", name, s.actions, s.resources, want)
	}
}

// A stack has nothing for the kinds of credential that it does not use: without a secret there is nothing to
// leak.
func TestResourcesOfEachCredential(t *testing.T) {
	for name, test := range kinds {
		stack := deploy(t, test.parameters)
		for resource, want := range map[string]bool{
			"DefenderSecret":   name == "secret",
			"DefenderIdentity": test.kind == tenant.Federated,
			"CertificateKey": test.kind == tenant.Certificate && test.parameters["DefenderCertificateKeyArn"] == "" &&
				test.parameters["DefenderCertificateSecretArn"] == "",
		} {
			if _, there := stack[resource]; there != want {
				t.Errorf("%s: %s exists: %t", name, resource, there)
			}
		}
		for id, resource := range stack {
			if strings.HasPrefix(resource.Type, "AWS::SecretsManager::") && name != "secret" {
				t.Errorf("%s: %s is a secret", name, id)
			}
		}
	}
}

// environOf returns a function's environment.
func environOf(t *testing.T, stack cfn.Stack, function string) map[string]string {
	t.Helper()
	fields, _ := stack[function].Properties["Environment"].(map[string]any)
	variables, _ := fields["Variables"].(map[string]any)
	environ := map[string]string{}
	for name, value := range variables {
		environ[name] = fmt.Sprint(value)
	}
	return environ
}

// certificatePEM returns a real certificate. Nothing checks its signature.
func certificatePEM(t *testing.T) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// outputsOf returns the stack's outputs with these parameters and the required ones.
func outputsOf(t *testing.T, parameters map[string]string) map[string]string {
	t.Helper()
	template, err := cfn.Load(root + "/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	outputs, err := template.Outputs(withRequired(parameters))
	if err != nil {
		t.Fatal(err)
	}
	return outputs
}

// The functions read from their environment what the parameters say, and nothing of another kind.
func TestEnvironmentOfEachCredential(t *testing.T) {
	for name, test := range kinds {
		if test.parameters["DefenderCertificatePem"] != "" {
			test.parameters = maps.Clone(test.parameters)
			test.parameters["DefenderCertificatePem"] = certificatePEM(t)
		}
		environ := environOf(t, deploy(t, test.parameters), "PollFunction")
		s, err := settings.ParsePoll(environ)
		if name == "without yet" { // each tick says what to do
			if err == nil || !strings.Contains(err.Error(), "DEFENDER_CERTIFICATE_PEM") ||
				!strings.Contains(err.Error(), "packhorse credential certificate") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		want := tenant.Credential{Kind: test.kind}
		switch name {
		case "secret":
			want.SecretID = "DefenderSecret"
		case "theirs":
			want.SecretID = theirSecret
		case "federated", "on the way":
			want.IdentityRole = theIdentity
		case "in a secret":
			want.CertificateSecretID = theirSecret
		case "their key":
			want.CertificateKeyID, want.CertificatePEM = theCustomers, test.parameters["DefenderCertificatePem"]
		default:
			want.CertificateKeyID, want.CertificatePEM = theKeyOfCert, test.parameters["DefenderCertificatePem"]
		}
		if got := s.TenantCredential(); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
		}
		if test.kind != tenant.ClientSecret && environ["DEFENDER_SECRET_ID"] != "" {
			t.Errorf("%s: the secret %s is still named", name, environ["DEFENDER_SECRET_ID"])
		}
	}
}

// Only the two functions become the identity, and it can do one thing: ask for a short token for Entra ID.
func TestWhoIsTheIdentity(t *testing.T) {
	for cloud, audience := range map[string]string{
		"commercial": "api://AzureADTokenExchange", "gcc": "api://AzureADTokenExchange",
		"gcc-high": "api://AzureADTokenExchangeUSGov", "dod": "api://AzureADTokenExchangeUSGov",
	} {
		parameters := map[string]string{"DefenderCredential": "federated", "DefenderCloud": cloud}
		stack := deploy(t, parameters)
		role := stack["DefenderIdentity"].Properties
		if role["RoleName"] != cfn.StackName+"-defender-identity" {
			t.Errorf("the role's name is %v: the app registration trusts a fixed one", role["RoleName"])
		}
		trust := statementsOf(t, role["AssumeRolePolicyDocument"])
		principals, _ := trust[0].principal.(map[string]any)
		if len(trust) != 1 || len(principals) != 1 || !slices.Equal(list(principals["AWS"]), []string{thePoller, theFunction}) ||
			!slices.Equal(trust[0].actions, []string{"sts:AssumeRole"}) {
			t.Errorf("the role trusts %+v", trust)
		}
		own := statementsOf(t, role["Policies"].([]any)[0].(map[string]any)["PolicyDocument"])
		facts := map[string]string{
			"sts:IdentityTokenAudience": audience, "sts:DurationSeconds": "300", "sts:SigningAlgorithm": "RS256",
		}
		if len(own) != 1 || !slices.Equal(own[0].actions, []string{"sts:GetWebIdentityToken"}) {
			t.Errorf("the role may %+v", own)
		}
		for name, change := range map[string][2]string{
			"as asked": {}, "shorter": {"sts:DurationSeconds", "60"}, "longer": {"sts:DurationSeconds", "301"},
			"for others": {"sts:IdentityTokenAudience", "https://example.com"}, "for nobody": {"sts:IdentityTokenAudience", ""},
			"another algorithm": {"sts:SigningAlgorithm", "ES384"}, "no duration": {"sts:DurationSeconds", ""},
		} {
			asked := maps.Clone(facts)
			asked[change[0]] = change[1]
			maps.DeleteFunc(asked, func(_, value string) bool { return value == "" })
			got := own[0].matches(t, request{action: "sts:GetWebIdentityToken", resource: "*", facts: asked})
			if want := name == "as asked" || name == "shorter"; got != want {
				t.Errorf("%s, a token %s: %t", cloud, name, got)
			}
		}
		outputs := outputsOf(t, parameters)
		if outputs["FederatedSubject"] != theIdentity || outputs["FederatedAudience"] != audience ||
			outputs["FederatedIssuerCommand"] == "" {
			t.Errorf("the outputs are %q", outputs)
		}
		s, err := settings.ParsePoll(environOf(t, stack, "PollFunction"))
		if err != nil || s.TokenExchangeAudience() != audience {
			t.Errorf("the functions ask for the audience %q, %v, want %q", s.TokenExchangeAudience(), err, audience)
		}
	}
}

// Only the functions sign with the certificate's key once there is a certificate; until then somebody has to
// make it, and later the break-glass principal makes the next.
func TestWhoSignsWithTheCertificate(t *testing.T) {
	with := map[string]string{"DefenderCredential": "certificate", "DefenderCertificatePem": aCertificate}
	glass := maps.Clone(with)
	glass["BreakGlassPrincipalArn"] = inEmergency
	first := deploy(t, map[string]string{"DefenderCredential": "certificate"})
	sealed, open := deploy(t, with), deploy(t, glass)
	for _, stack := range []cfn.Stack{first, sealed, open} {
		check(t, stack, []permission{
			{"the poller's signature", thePoller, "kms:Sign", theKeyOfCert, nil, true},
			{"the fetcher's signature", theFunction, "kms:Sign", theKeyOfCert, nil, true},
			{"the public half", thePoller, "kms:GetPublicKey", theKeyOfCert, nil, true},
			{"the deletion", thePoller, "kms:ScheduleKeyDeletion", theKeyOfCert, nil, false},
			{"the deletion", anAdmin, "kms:ScheduleKeyDeletion", theKeyOfCert, nil, false},
			{"doctor's look", anAdmin, "kms:DescribeKey", theKeyOfCert, nil, true},
		})
	}
	check(t, first, []permission{{"the first certificate", anAdmin, "kms:Sign", theKeyOfCert, nil, true}})
	for _, who := range []string{anAdmin, theRoot, aWriter, inEmergency} {
		check(t, sealed, []permission{{"another's signature", who, "kms:Sign", theKeyOfCert, nil, false}})
		check(t, open, []permission{{"in break glass", who, "kms:Sign", theKeyOfCert, nil, who == inEmergency}})
	}
	key := sealed["CertificateKey"].Properties
	if key["KeySpec"] != "RSA_2048" || key["KeyUsage"] != "SIGN_VERIFY" { // Entra ID accepts RSA only
		t.Errorf("the key is %v", key)
	}
}

// A combination that would ignore something in silence is refused before anything is deployed.
func TestCredentialsThatContradict(t *testing.T) {
	for name, test := range kinds {
		if _, err := tryDeploy(t, test.parameters); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, parameters := range map[string]map[string]string{
		"a certificate by a secret":     {"DefenderCertificatePem": aCertificate},
		"a key by a secret":             {"DefenderCertificateKeyArn": theCustomers, "DefenderCertificatePem": aCertificate},
		"a stored certificate":          {"DefenderCertificateSecretArn": theirSecret},
		"two certificates":              {"DefenderCredential": "certificate", "DefenderCertificateSecretArn": theirSecret, "DefenderCertificatePem": aCertificate},
		"a key beside a secret":         {"DefenderCredential": "certificate", "DefenderCertificateSecretArn": theirSecret, "DefenderCertificateKeyArn": theCustomers, "DefenderCertificatePem": aCertificate},
		"a key without its certificate": {"DefenderCredential": "certificate", "DefenderCertificateKeyArn": theCustomers},
		"another kind":                  {"DefenderCredential": "password"},
		"a private key":                 {"DefenderCredential": "certificate", "DefenderCertificatePem": aCertificate + "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"},
		"a hidden private key":          {"DefenderCredential": "certificate", "DefenderCertificatePem": "-----BEGIN CERTIFICATE-----\nMIIB\n-----BEGIN PRIVATE KEY-----\nMIIB\n-----END CERTIFICATE-----\n"},
	} {
		if _, err := tryDeploy(t, parameters); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	two := map[string]string{"DefenderCredential": "certificate", "DefenderCertificatePem": aCertificate + aCertificate}
	if _, err := tryDeploy(t, two); err != nil {
		t.Errorf("a certificate and its successor: %v", err)
	}
}

// Each kind's outputs say what to do next, and no other kind's do.
func TestOutputsOfEachCredential(t *testing.T) {
	for name, test := range kinds {
		outputs := outputsOf(t, test.parameters)
		inKMS := test.kind == tenant.Certificate && test.parameters["DefenderCertificateSecretArn"] == ""
		for output, want := range map[string]bool{
			"FederatedSubject": test.kind == tenant.Federated, "FederatedAudience": test.kind == tenant.Federated,
			"FederatedIssuerCommand": test.kind == tenant.Federated, "SetSecretCommand": name == "secret",
			"CertificateKeyArn": inKMS, "CertificateCommand": inKMS,
		} {
			if _, there := outputs[output]; there != want {
				t.Errorf("%s: the output %s exists: %t", name, output, there)
			}
		}
		if inKMS && !strings.Contains(outputs["CertificateCommand"], "--kms-key "+outputs["CertificateKeyArn"]+" ") {
			t.Errorf("%s: %s makes a certificate for another key than %s", name, outputs["CertificateCommand"], outputs["CertificateKeyArn"])
		}
	}
}
