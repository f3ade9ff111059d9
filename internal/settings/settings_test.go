package settings_test

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"packhorse/internal/settings"
)

const (
	tenantID = "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11"
	clientID = "2b7e1516-28ae-4d2a-abf7-158809cf4f3c"
	secret   = "Zq8~canary.Secret-Value_0123456789abcdef"
	secretID = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:packhorse/defender-AbCdEf"
)

// onAWS is the minimum for the fetch function.
func onAWS() map[string]string {
	return map[string]string{
		"DEFENDER_TENANT_ID": tenantID, "DEFENDER_CLIENT_ID": clientID,
		"DEFENDER_SECRET_ID": secretID, "LEDGER_TABLE": "packhorse-ledger",
		"BUDGET_TABLE": "packhorse-budget", "ARCHIVE_BUCKET": "contoso-evidence",
		"EVENT_BUS": "packhorse", "SIGNING_KEY_ID": "alias/packhorse-signing",
	}
}

// onOneMachine is the minimum for the command line.
func onOneMachine() map[string]string {
	return map[string]string{
		"DEFENDER_TENANT_ID": tenantID, "DEFENDER_CLIENT_ID": clientID,
		"DEFENDER_CLIENT_SECRET": secret,
	}
}

func with(environ map[string]string, pairs ...string) map[string]string {
	environ = maps.Clone(environ)
	for i := 0; i < len(pairs); i += 2 {
		environ[pairs[i]] = pairs[i+1]
	}
	return environ
}

// problems returns the problems in err, and fails the test if err is not a *settings.Error.
func problems(t *testing.T, err error) []settings.Problem {
	t.Helper()
	bad, ok := errors.AsType[*settings.Error](err)
	if !ok {
		t.Fatalf("got %v (%T), want a *settings.Error", err, err)
	}
	if len(bad.Problems) == 0 {
		t.Fatal("the error lists no problems")
	}
	for _, p := range bad.Problems {
		if p.Variable == "" || p.Given == "" || p.Expected == "" || p.Example == "" {
			t.Errorf("the problem %+v is incomplete", p)
		}
		line := p.String()
		for _, part := range []string{p.Variable, p.Given, p.Expected, p.Example, p.Mistake} {
			if !strings.Contains(line, part) {
				t.Errorf("%q does not say %q", line, part)
			}
		}
		if strings.ContainsAny(line, "\r\n\x1b") {
			t.Errorf("%q is not a single line without the value", line)
		}
		if !strings.Contains(err.Error(), line) {
			t.Errorf("the error %q lacks the line %q", err, line)
		}
	}
	return bad.Problems
}

func variables(problems []settings.Problem) []string {
	var names []string
	for _, p := range problems {
		names = append(names, p.Variable)
	}
	return names
}

func TestMinimumSettings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		parse   func(map[string]string) (settings.Settings, error)
		environ map[string]string
		needs   []string
	}{
		"poll": {settings.ParsePoll, onAWS(), []string{"DEFENDER_TENANT_ID", "DEFENDER_CLIENT_ID",
			"DEFENDER_SECRET_ID", "LEDGER_TABLE", "BUDGET_TABLE", "EVENT_BUS"}},
		"fetch": {settings.ParseFetch, onAWS(), []string{"DEFENDER_TENANT_ID", "DEFENDER_CLIENT_ID",
			"DEFENDER_SECRET_ID", "LEDGER_TABLE", "BUDGET_TABLE", "ARCHIVE_BUCKET", "SIGNING_KEY_ID",
			"EVENT_BUS"}},
		"command line": {settings.ParseCLI, onOneMachine(), []string{"DEFENDER_TENANT_ID",
			"DEFENDER_CLIENT_ID", "DEFENDER_CLIENT_SECRET"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := c.parse(c.environ); err != nil {
				t.Fatalf("the minimum was refused: %v", err)
			}
			_, err := c.parse(nil)
			if got := variables(problems(t, err)); !slices.Equal(got, c.needs) {
				t.Errorf("without any settings: got %q, want %q, in this order", got, c.needs)
			}
			for _, variable := range c.needs {
				for state, environ := range map[string]map[string]string{
					"unset": c.environ, "empty": with(c.environ, variable, ""),
				} {
					if state == "unset" {
						environ = maps.Clone(environ)
						delete(environ, variable)
					}
					_, err := c.parse(environ)
					found := problems(t, err)
					if got := variables(found); !slices.Equal(got, []string{variable}) {
						t.Errorf("%s %s: got %q", variable, state, got)
					}
					if found[0].Given != "is missing" {
						t.Errorf("%s %s: given %q", variable, state, found[0].Given)
					}
				}
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	bare, err := settings.ParseCLI(onOneMachine())
	if err != nil {
		t.Fatal(err)
	}
	// For every variable, an empty value counts as unset.
	environ := map[string]string{}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[settings.Settings]()) {
		environ[field.Tag.Get("env")] = ""
	}
	maps.Copy(environ, onOneMachine())
	empty, err := settings.ParseCLI(environ)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]settings.Settings{"unset": bare, "empty": empty} {
		if s.APIURL.String() != "https://api.security.microsoft.com" ||
			s.AuthorityURL.String() != "https://login.microsoftonline.com" ||
			s.Scope != "https://api.securitycenter.microsoft.com/.default" ||
			!slices.Contains(s.LinkHosts, ".blob.core.windows.net") {
			t.Errorf("%s: got %+v, want the commercial cloud", name, s)
		}
		if s.PackageURIPerMinute != 2 || s.PackageURIPerHour != 120 ||
			s.Lookback != 168*time.Hour || s.SweepInterval != 10*time.Second ||
			s.ArchivePrefix != "packages/" || s.LockMode != settings.LockGovernance ||
			s.LockDays != 365 || s.LegalHold || s.SigningKeyID != "" ||
			s.CasePattern.Find("see INC-4711") != "INC-4711" {
			t.Errorf("%s: got %+v, want the documented defaults", name, s)
		}
		if s.ClientSecret.Reveal() != secret {
			t.Errorf("%s: the secret was lost", name)
		}
	}
}

// TestEnvironmentIsNotRead: a function that reads more than its arguments cannot be tested.
func TestEnvironmentIsNotRead(t *testing.T) {
	for name, value := range onOneMachine() {
		t.Setenv(name, value)
	}
	for _, environ := range []map[string]string{nil, {}} {
		if _, err := settings.ParseCLI(environ); err == nil {
			t.Error("the process's environment was read")
		}
	}
}

func TestClouds(t *testing.T) {
	t.Parallel()
	for cloud, want := range map[string]struct{ api, authority, scope, host string }{
		"commercial": {"https://api.security.microsoft.com", "https://login.microsoftonline.com",
			"https://api.securitycenter.microsoft.com/.default", ".blob.core.windows.net"},
		"gcc": {"https://api-gcc.securitycenter.microsoft.us", "https://login.microsoftonline.com",
			"https://api-gcc.securitycenter.microsoft.us/.default", ".blob.core.usgovcloudapi.net"},
		"gcc-high": {"https://api-gov.securitycenter.microsoft.us",
			"https://login.microsoftonline.us",
			"https://api-gov.securitycenter.microsoft.us/.default", ".blob.core.usgovcloudapi.net"},
		"dod": {"https://api-gov.securitycenter.microsoft.us", "https://login.microsoftonline.us",
			"https://api-gov.securitycenter.microsoft.us/.default", ".blob.core.usgovcloudapi.net"},
	} {
		s, err := settings.ParseCLI(with(onOneMachine(), "DEFENDER_CLOUD", cloud))
		if err != nil {
			t.Fatal(err)
		}
		if s.APIURL.String() != want.api || s.AuthorityURL.String() != want.authority ||
			s.Scope != want.scope || !slices.Contains(s.LinkHosts, want.host) {
			t.Errorf("%s: got %s %s %s %s", cloud, s.APIURL, s.AuthorityURL, s.Scope, s.LinkHosts)
		}
		if _, err := settings.ParseLinkHosts(strings.Join(s.LinkHosts, ",")); err != nil {
			t.Errorf("%s: the cloud's own hosts are refused: %v", cloud, err)
		}
		// Explicit values win over the cloud's.
		s, err = settings.ParseCLI(with(onOneMachine(), "DEFENDER_CLOUD", cloud,
			"DEFENDER_API_URL", "https://eu.example.com/"))
		if err != nil {
			t.Fatal(err)
		}
		if s.APIURL.String() != "https://eu.example.com" || s.Scope != want.scope {
			t.Errorf("%s, overridden: got %s %s", cloud, s.APIURL, s.Scope)
		}
	}
}

// TestAllProblemsAtOnce: fixing settings one at a time would take a deployment for each.
func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	environ := map[string]string{
		"DEFENDER_TENANT_ID": "contoso", "DEFENDER_CLIENT_ID": "packhorse",
		"DEFENDER_CLOUD": "moon", "DEFENDER_API_URL": "http://api.example.com",
		"DEFENDER_AUTHORITY_URL": "login.example.com", "DEFENDER_SCOPE": "everything",
		"DEFENDER_LINK_HOSTS": "https://example.com/x", "DEFENDER_CA_PEM": "ca.pem",
		"DEFENDER_CREDENTIAL": "password", "DEFENDER_IDENTITY_ROLE": "my role",
		"DEFENDER_CERTIFICATE_FILE": "-----BEGIN CERTIFICATE-----\n", "DEFENDER_CERTIFICATE_SECRET_ID": "a b",
		"DEFENDER_CERTIFICATE_KEY_ID": "a b", "DEFENDER_CERTIFICATE_PEM": "cert.pem",
		"DEFENDER_SECRET_ID": "a b", "DEFENDER_CLIENT_SECRET": "a b", "LEDGER_TABLE": "x",
		"BUDGET_TABLE": "a/b", "ARCHIVE_BUCKET": "Contoso", "ARCHIVE_PREFIX": "/packages",
		"EVENT_BUS": "a bus", "PACKAGE_URI_PER_MINUTE": "two", "PACKAGE_URI_PER_HOUR": "0",
		"LOOKBACK": "7d", "SWEEP_INTERVAL": "10", "OBJECT_LOCK_MODE": "for ever",
		"OBJECT_LOCK_DAYS": "0", "OBJECT_LOCK_LEGAL_HOLD": "perhaps", "SIGNING_KEY_ID": "my key",
		"CASE_PATTERN": "(",
	}
	var want []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[settings.Settings]()) {
		want = append(want, field.Tag.Get("env"))
	}
	for _, parse := range []func(map[string]string) (settings.Settings, error){
		settings.ParsePoll, settings.ParseFetch, settings.ParseCLI,
	} {
		s, err := parse(environ)
		if got := variables(problems(t, err)); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if !reflect.DeepEqual(s, settings.Settings{}) {
			t.Error("got settings along with the error")
		}
		if first, _, _ := strings.Cut(err.Error(), "\n"); first != "30 settings are wrong:" {
			t.Errorf("it begins %q", first)
		}
	}
}

// TestExamplesWouldDo: an example that is itself refused helps nobody.
func TestExamplesWouldDo(t *testing.T) {
	t.Parallel()
	// Some examples are descriptions. Others need company: see TestCredential.
	prose := []string{"DEFENDER_CA_PEM", "DEFENDER_CLIENT_SECRET", "DEFENDER_CERTIFICATE_PEM",
		"DEFENDER_CERTIFICATE_FILE", "DEFENDER_CERTIFICATE_KEY_ID"}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[settings.Settings]()) {
		variable := field.Tag.Get("env")
		if slices.Contains(prose, variable) {
			continue
		}
		_, err := settings.ParseFetch(with(onAWS(), variable, "\x00"))
		found := problems(t, err)
		environ := with(onAWS(), variable, found[0].Example)
		if variable == "DEFENDER_IDENTITY_ROLE" || variable == "DEFENDER_CERTIFICATE_SECRET_ID" {
			environ["DEFENDER_SECRET_ID"] = ""
		}
		_, err = settings.ParseFetch(environ)
		if err != nil {
			t.Errorf("the example for %s is refused: %v", variable, err)
		}
	}
}
