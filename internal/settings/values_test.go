package settings_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"packhorse/internal/settings"
)

// certificate makes a root certificate in PEM.
func certificate(t testing.TB, name string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(4e9, 0),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// TestValues sets each variable alone, on top of the fetch function's minimum.
func TestValues(t *testing.T) {
	t.Parallel()
	ca := certificate(t, "root")
	long := strings.Repeat("a", 2000)
	for variable, values := range map[string]struct{ good, bad []string }{
		"DEFENDER_TENANT_ID": {
			good: []string{tenantID, strings.ToUpper(tenantID)},
			bad: []string{"contoso.onmicrosoft.com", " " + tenantID, tenantID + "\n",
				"{" + tenantID + "}", strings.ReplaceAll(tenantID, "-", ""),
				strings.Repeat("a", 40), tenantID + "#", secret},
		},
		"DEFENDER_CLIENT_ID": {
			good: []string{clientID},
			bad:  []string{"packhorse", strings.Repeat("a", 40), secret},
		},
		"DEFENDER_CLOUD": {
			good: []string{"commercial", "gcc", "gcc-high", "dod"},
			bad:  []string{"Commercial", "gcchigh", "gov", "commercial ", secret},
		},
		"DEFENDER_API_URL": {
			good: []string{"https://eu.api.security.microsoft.com", "https://127.0.0.1:8443/",
				"https://[::1]:8443", "https://API.example.com"},
			bad: []string{"http://api.example.com", "api.example.com", "https://", "https:///x",
				"https://api.example.com/api", "https://api.example.com?x=1", "https://a.example?",
				"https://api.example.com#", "https://user@api.example.com", "https://:443",
				"https://.example.com", "https://a b.example.com", "https:api.example.com",
				"https://api.example.com:0", "https://api.example.com:99999", "://",
				"https://user:" + secret + "@api.example.com", "https://x/?sig=" + secret},
		},
		"DEFENDER_AUTHORITY_URL": {
			good: []string{"https://login.microsoftonline.us"},
			bad:  []string{"https://login.microsoftonline.com/" + tenantID, "ftp://login.example"},
		},
		"DEFENDER_SCOPE": {
			good: []string{"https://api.securitycenter.microsoft.com/.default", "api://x/.default"},
			bad: []string{"https://api.securitycenter.microsoft.com", ".default", "/.default",
				"https://a.example/.default https://b.example/.default", "https:///.default",
				"https://user:" + secret + "@a.example/.default", "http://a.example/.default"},
		},
		"DEFENDER_LINK_HOSTS": {
			good: []string{"example.com", ".example.com , 127.0.0.1:8443", "[::1]:443", "A.Example"},
			bad: []string{",", "example.com,", ".com", ".", "*.example.com", "https://example.com",
				"example.com/x", "example.com:0", "example.com:443:443", "a..b", "-a.example",
				"1.2.3", "https://x.example/?sig=" + secret, strings.Repeat("a.example,", 64) + "b"},
		},
		"DEFENDER_CA_PEM": {
			good: []string{ca, ca + ca, "\n" + ca + "\n\n"},
			bad: []string{"ca.pem", strings.ReplaceAll(ca, "\n", `\n`), ca + "more", secret,
				strings.ReplaceAll(ca, "CERTIFICATE", "PRIVATE KEY"), "\n",
				"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
		},
		"DEFENDER_SECRET_ID": {
			good: []string{secretID, "packhorse/defender", strings.Repeat("a", 2048)},
			bad:  []string{secret, "a b", "a\n", strings.Repeat("a", 2049), "ä"},
		},
		"DEFENDER_CLIENT_SECRET": { // the functions refuse it
			bad: []string{secret},
		},
		"LEDGER_TABLE": {
			good: []string{"packhorse", "a.b-c_d", strings.Repeat("a", 255),
				"arn:aws:dynamodb:eu-west-1:123456789012:table/packhorse"},
			bad: []string{"ab", strings.Repeat("a", 256), "a/b", "packhorse ", "arn:" + long, secret},
		},
		"BUDGET_TABLE": {
			good: []string{"packhorse"}, bad: []string{"ab", "packhorse\n", secret},
		},
		"ARCHIVE_BUCKET": {
			good: []string{"abc", "contoso.evidence-1",
				"arn:aws:s3:eu-west-1:123456789012:accesspoint/evidence"},
			bad: []string{"ab", "Contoso", "a_b", "s3://contoso", "-abc", strings.Repeat("a", 64),
				"arn:" + long, secret},
		},
		"ARCHIVE_PREFIX": {
			good: []string{"packages/", "a/b/", "defender(1)/"},
			bad:  []string{"packages", "/", "/packages/", "a//", "../", "a b/", secret},
		},
		"EVENT_BUS": {
			good: []string{"default", "aws.partner/x/y",
				"arn:aws:events:eu-west-1:123456789012:event-bus/packhorse"},
			bad: []string{"a b", strings.Repeat("a", 257), "arn:" + long, secret},
		},
		"PACKAGE_URI_PER_MINUTE": {
			good: []string{"1", "2"},
			bad:  []string{"0", "3", "-1", "1.5", "two", "2 ", "99999999999999999999", secret},
		},
		"PACKAGE_URI_PER_HOUR": {
			good: []string{"1", "120"}, bad: []string{"0", "121", "1e2", "120/h", secret},
		},
		"OBJECT_LOCK_MODE": {
			good: []string{"GOVERNANCE", "compliance", "None"},
			bad:  []string{"GOVERNANCE ", "ON", "legal hold", "\"\"", secret},
		},
		"OBJECT_LOCK_DAYS": {
			good: []string{"1", "365", "36500"},
			bad:  []string{"0", "36501", "-1", "1.5", "365d", "1y", "99999999999999999999", secret},
		},
		"OBJECT_LOCK_LEGAL_HOLD": {
			good: []string{"true", "false", "TRUE", "1"}, bad: []string{"yes", "on", "true ", secret},
		},
		"SIGNING_KEY_ID": {
			good: []string{"1234abcd-12ab-34cd-56ef-1234567890ab", "mrk-" + strings.Repeat("a", 32),
				"alias/packhorse-signing", "alias/a/b_c",
				"arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
				"arn:aws-us-gov:kms:us-gov-west-1:123456789012:alias/packhorse"},
			bad: []string{"packhorse-signing", "alias/", "alias/a b", "key.pem", secretID,
				"1234abcd-12ab-34cd-56ef-1234567890ab\n", "alias/" + long, secret},
		},
		"CASE_PATTERN": {
			good: []string{`\bINC-[0-9]+\b`, "(?i)case (\\d+)", ".", strings.Repeat("a", 1000)},
			bad: []string{"(", "(?<!x)a", "a{2000}", "*", strings.Repeat("a", 1001), "INC-[0-9]+\n",
				"(" + secret},
		},
		"LOOKBACK": {
			good: []string{"96h", "168h", "4320h", "10000m"},
			bad:  []string{"95h59m59s", "4320h1ns", "7d", "168", "-168h", "1 week", "9999999h", secret},
		},
		"SWEEP_INTERVAL": {
			good: []string{"5s", "10s", "60s", "1m"},
			bad:  []string{"4999ms", "1s", "61s", "10", "0", "-10s", secret},
		},
	} {
		t.Run(variable, func(t *testing.T) {
			t.Parallel()
			for _, value := range values.good {
				_, err := settings.ParseFetch(with(onAWS(), variable, value))
				if err != nil {
					t.Errorf("%.60q was refused: %v", value, err)
				}
			}
			for _, value := range values.bad {
				_, err := settings.ParseFetch(with(onAWS(), variable, value))
				if err == nil {
					t.Errorf("%.60q was accepted", value)
					continue
				}
				found := problems(t, err)
				if len(found) != 1 || found[0].Variable != variable {
					t.Errorf("%.60q: got %+v, want one problem with %s", value, found, variable)
				}
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%.60q: the error shows the secret: %v", value, err)
				}
			}
		})
	}
}

// TestSecretInEveryPlace puts the secret into every wrong variable, as people do.
func TestSecretInEveryPlace(t *testing.T) {
	t.Parallel()
	environ := map[string]string{}
	for variable := range with(onAWS(), "DEFENDER_CLOUD", "", "DEFENDER_API_URL", "",
		"DEFENDER_AUTHORITY_URL", "", "DEFENDER_SCOPE", "", "DEFENDER_LINK_HOSTS", "",
		"DEFENDER_CA_PEM", "", "ARCHIVE_PREFIX", "", "PACKAGE_URI_PER_MINUTE", "",
		"PACKAGE_URI_PER_HOUR", "", "LOOKBACK", "", "SWEEP_INTERVAL", "", "OBJECT_LOCK_MODE", "",
		"OBJECT_LOCK_DAYS", "", "OBJECT_LOCK_LEGAL_HOLD", "",
		"DEFENDER_CLIENT_SECRET", "") {
		environ[variable] = secret
	}
	_, err := settings.ParseFetch(environ)
	if got := len(problems(t, err)); got != len(environ) {
		t.Errorf("got %d problems, want %d: %v", got, len(environ), err)
	}
	for _, part := range []string{secret, secret[:12], secret[len(secret)-12:]} {
		if strings.Contains(err.Error(), part) {
			t.Errorf("the error shows %q: %v", part, err)
		}
	}
}

// TestEvidence: the evidence settings mean what S3, KMS and the comments expect.
func TestEvidence(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]settings.LockMode{
		"governance": settings.LockGovernance, "Compliance": settings.LockCompliance,
		"NONE": settings.LockNone, "none": "", "": "GOVERNANCE",
	} {
		s, err := settings.ParseFetch(with(onAWS(), "OBJECT_LOCK_MODE", value,
			"OBJECT_LOCK_DAYS", "2555", "OBJECT_LOCK_LEGAL_HOLD", "true"))
		if err != nil || s.LockMode != want || s.LockDays != 2555 || !s.LegalHold ||
			s.SigningKeyID != "alias/packhorse-signing" {
			t.Errorf("%q: got %q, %d days, hold %t, key %q, %v", value, s.LockMode, s.LockDays,
				s.LegalHold, s.SigningKeyID, err)
		}
	}
	s, err := settings.ParsePoll(with(onAWS(), "CASE_PATTERN", `#(\d+)`))
	if err != nil || s.CasePattern.Find("ticket #4711, urgent") != "4711" ||
		s.CasePattern.Find("INC-4711") != "" {
		t.Errorf("the case pattern is not the configured one: %v", err)
	}
	for value, mistake := range map[string]string{
		"(INC": "missing closing )", `(?<!A)INC`: "invalid named capture",
		strings.Repeat("a", 1001): "1001 bytes, at most 1000 are allowed",
		"INC-\n":                  "it contains control characters, such as a line break",
	} {
		_, err := settings.ParsePoll(with(onAWS(), "CASE_PATTERN", value))
		if found := problems(t, err); !strings.Contains(found[0].Mistake, mistake) {
			t.Errorf("%.20q: the mistake is %q, want %q", value, found[0].Mistake, mistake)
		}
	}
	// Programs other than the fetch function do not require it, but still reject an invalid one.
	for name, program := range map[string]struct {
		parse   func(map[string]string) (settings.Settings, error)
		environ map[string]string
	}{
		"poll":         {settings.ParsePoll, onAWS()},
		"command line": {settings.ParseCLI, onOneMachine()},
	} {
		if _, err := program.parse(with(program.environ, "SIGNING_KEY_ID", "")); err != nil {
			t.Errorf("%s without a signing key: %v", name, err)
		}
		_, err := program.parse(with(program.environ, "SIGNING_KEY_ID", "my key"))
		if got := variables(problems(t, err)); !slices.Equal(got, []string{"SIGNING_KEY_ID"}) {
			t.Errorf("%s with an invalid signing key: got %q", name, got)
		}
	}
}

func TestCredentialOfTheCommandLine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		environ map[string]string
		mistake string
	}{
		"none": {map[string]string{}, "packhorse help credentials"},
		"both": {map[string]string{"DEFENDER_SECRET_ID": secretID, "DEFENDER_CLIENT_SECRET": secret},
			"DEFENDER_SECRET_ID is set, too: unset one of them"},
		"its ID": {map[string]string{"DEFENDER_CLIENT_SECRET": clientID}, "the secret's ID"},
		"blank":  {map[string]string{"DEFENDER_CLIENT_SECRET": secret + " "}, "white space"},
		"broken": {map[string]string{"DEFENDER_CLIENT_SECRET": "Zq8~\nrest"}, "white space"},
		"foreign": {map[string]string{"DEFENDER_CLIENT_SECRET": "Zq8~ä"},
			"characters that are not ASCII"},
	} {
		environ := with(c.environ, "DEFENDER_TENANT_ID", tenantID, "DEFENDER_CLIENT_ID", clientID)
		_, err := settings.ParseCLI(environ)
		found := problems(t, err)
		if len(found) != 1 || found[0].Variable != "DEFENDER_CLIENT_SECRET" ||
			!strings.Contains(found[0].Mistake, c.mistake) {
			t.Errorf("%s: got %+v, want a mistake like %q", name, found, c.mistake)
		}
		if text := environ["DEFENDER_CLIENT_SECRET"]; text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%s: the error shows the secret: %v", name, err)
		}
	}
	// Copying adds line breaks.
	s, err := settings.ParseCLI(with(onOneMachine(), "DEFENDER_CLIENT_SECRET", secret+"\r\n"))
	if err != nil || s.ClientSecret.Reveal() != secret {
		t.Errorf("a secret with a line break after it: %v", err)
	}
}

func TestRootCAs(t *testing.T) {
	t.Parallel()
	s, err := settings.ParseCLI(onOneMachine())
	if err != nil {
		t.Fatal(err)
	}
	if pool, err := s.RootCAs(); pool != nil || err != nil {
		t.Errorf("without certificates: got %v, %v, want nil, the system's", pool, err)
	}
	mine := certificate(t, "mine")
	s, err = settings.ParseCLI(with(onOneMachine(), "DEFENDER_CA_PEM", certificate(t, "other")+mine))
	if err != nil {
		t.Fatal(err)
	}
	pool, err := s.RootCAs()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(mine))
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := root.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: time.Unix(1e9, 0)}); err != nil {
		t.Errorf("the second certificate is not trusted: %v", err)
	}
}

func TestMap(t *testing.T) {
	t.Parallel()
	got := settings.Map([]string{"A=1", "B=x=y", "C="})
	if got["A"] != "1" || got["B"] != "x=y" || got["C"] != "" || len(got) != 3 {
		t.Errorf("got %q", got)
	}
}
