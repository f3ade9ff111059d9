package settings_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"packhorse/internal/settings"
	"packhorse/internal/tenant"
)

const otherGUID = "11111111-1111-4111-8111-111111111111"

// shared returns the variables of a stack without a tenant of its own, whose app serves all.
func shared(pairs ...string) map[string]string {
	environ := with(onAWS(), "DEFENDER_TENANT_ID", "", "TENANTS_TABLE", "tenants", "CASE_PATTERN", "X-[0-9]+")
	for i := 0; i < len(pairs); i += 2 {
		environ[pairs[i]] = pairs[i+1]
	}
	return environ
}

func entry(change func(*tenant.Tenant)) tenant.Tenant {
	e := tenant.New(tenant.Tenant{ID: otherGUID, Name: "Contoso"}, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	if change != nil {
		change(&e)
	}
	return e
}

// TestTenantIsOptional: with a registry, and only then.
func TestTenantIsOptional(t *testing.T) {
	t.Parallel()
	for _, parse := range []func(map[string]string) (settings.Settings, error){settings.ParsePoll, settings.ParseFetch} {
		if s, err := parse(shared()); err != nil || s.TenantID != "" || s.TenantsTable != "tenants" || s.APIURL == nil {
			t.Errorf("got %+v, %v", s, err)
		}
		nothing := shared("DEFENDER_CLIENT_ID", "", "DEFENDER_SECRET_ID", "")
		if _, err := parse(nothing); err != nil {
			t.Errorf("without an app: %v", err)
		}
		_, err := parse(with(nothing, "TENANTS_TABLE", ""))
		if got := variables(problems(t, err)); !slices.Equal(got, []string{"DEFENDER_TENANT_ID", "DEFENDER_CLIENT_ID", "DEFENDER_SECRET_ID"}) {
			t.Errorf("without a registry: %q", got)
		}
		_, err = parse(with(nothing, "DEFENDER_TENANT_ID", otherGUID))
		if got := variables(problems(t, err)); !slices.Equal(got, []string{"DEFENDER_CLIENT_ID", "DEFENDER_SECRET_ID"}) {
			t.Errorf("with a tenant: %q", got)
		}
	}
}

// TestOf: an entry's fields count, then the variables.
func TestOf(t *testing.T) {
	t.Parallel()
	base := settings.FetchBase(shared("DEFENDER_API_URL", "https://api.stack.test", "PACKAGE_URI_PER_HOUR", "100"))
	s, err := base.Of(entry(nil))
	if err != nil || s.TenantID != otherGUID || s.ClientID != onAWS()["DEFENDER_CLIENT_ID"] ||
		s.APIURL.Host != "api.stack.test" || s.PackageURIPerHour != 100 || s.SecretID != onAWS()["DEFENDER_SECRET_ID"] {
		t.Errorf("got %+v, %v", s, err)
	}
	s, err = base.Of(entry(func(e *tenant.Tenant) {
		e.Cloud, e.PerHour, e.Lookback, e.CasePattern = "gcc-high", 30, 100*time.Hour, "Y-[0-9]+"
		e.Bucket, e.Prefix, e.LockMode, e.LockDays, e.LegalHold = "their-bucket", "theirs/", "COMPLIANCE", 30, "true"
		e.ClientID, e.Credential = otherGUID, tenant.Credential{Kind: tenant.Certificate, CertificateSecretID: "cert"}
	}))
	if err != nil || !strings.HasSuffix(s.APIURL.Host, ".us") || !strings.HasSuffix(s.AuthorityURL.Host, ".us") ||
		s.PackageURIPerHour != 30 || s.Lookback != 100*time.Hour || s.ArchiveBucket != "their-bucket" ||
		s.ArchivePrefix != "theirs/" || s.LockMode != settings.LockCompliance || s.LockDays != 30 || !s.LegalHold ||
		s.TenantCredential() != (tenant.Credential{Kind: tenant.Certificate, CertificateSecretID: "cert"}) ||
		s.ClientID != otherGUID || s.LedgerTable == "" {
		t.Errorf("got %+v, %v", s, err)
	}
}

// TestOfProblems: every problem of an entry at once, by its field, without the value.
func TestOfProblems(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		base   settings.Base
		change func(*tenant.Tenant)
		want   []string
	}{
		"all sorts": {settings.PollBase(shared()), func(e *tenant.Tenant) {
			e.Name, e.Cloud, e.APIURL, e.PerMinute, e.Lookback = "", "moon", "http://secret~value", 3, time.Hour
			e.CasePattern, e.CAPEM, e.Prefix, e.LockDays = "(", "x", "/x", 99999
		}, []string{"api-url", "ca-pem", "case-pattern", "cloud", "lock-days", "lookback", "name", "per-minute", "prefix"}},
		"no app": {settings.PollBase(shared("DEFENDER_CLIENT_ID", "", "DEFENDER_SECRET_ID", "")), nil,
			[]string{"client-id", "credential"}},
		"a file on AWS": {settings.PollBase(shared()), func(e *tenant.Tenant) {
			e.Credential = tenant.Credential{Kind: tenant.ClientSecret, SecretFile: "/etc/secret"}
		}, []string{"secret-file"}},
		"two secrets": {settings.PollBase(shared()), func(e *tenant.Tenant) {
			e.Credential = tenant.Credential{Kind: tenant.Certificate, CertificateSecretID: "a", CertificateKeyID: "b", CertificatePEM: "c"}
		}, []string{"certificate-key-id", "certificate-pem"}},
		"one machine without a credential": {settings.CLIBase(map[string]string{"DEFENDER_CLIENT_ID": otherGUID}), nil,
			[]string{"credential"}},
	} {
		_, err := c.base.Of(entry(c.change))
		got := fields(err)
		if !slices.Equal(got, c.want) || strings.Contains(err.Error(), "secret~") || strings.Contains(err.Error(), "DEFENDER_") {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

// fields returns the fields that an error of Of names.
func fields(err error) (names []string) {
	var invalid *tenant.Error
	if errors.As(err, &invalid) {
		for _, p := range invalid.Problems {
			names = append(names, p.Field)
		}
	}
	return names
}

// TestSecretIsNotInherited: a credential of another kind, and the stack's secret, do not reach a tenant that has a
// credential of its own.
func TestSecretIsNotInherited(t *testing.T) {
	t.Parallel()
	environ := map[string]string{"DEFENDER_CLIENT_ID": otherGUID, "DEFENDER_CLIENT_SECRET": "secret~value"}
	before := maps.Clone(environ)
	base := settings.CLIBase(environ)
	s, err := base.Of(entry(func(e *tenant.Tenant) {
		e.Credential = tenant.Credential{Kind: tenant.ClientSecret, SecretFile: "/etc/secret"}
	}))
	if err != nil || !s.ClientSecret.IsZero() || s.TenantCredential().SecretFile != "/etc/secret" {
		t.Errorf("got %+v, %v", s, err)
	}
	if s, err := base.Of(entry(nil)); err != nil || s.ClientSecret.IsZero() {
		t.Errorf("got %+v, %v", s, err)
	}
	if !maps.Equal(before, environ) {
		t.Errorf("the variables became %v", environ)
	}
}

// TestWithFields: advice about variables becomes advice about flags.
func TestWithFields(t *testing.T) {
	t.Parallel()
	got := settings.WithFields("check DEFENDER_TENANT_ID, DEFENDER_CERTIFICATE_SECRET_ID and DEFENDER_SECRET_ID", "--")
	if got != "check --id, --certificate-secret-id and --secret-id" {
		t.Errorf("got %q", got)
	}
}

// TestUntrustedAddresses: whoever writes an entry cannot have secrets and tokens sent to a host of theirs.
func TestUntrustedAddresses(t *testing.T) {
	t.Parallel()
	base := settings.PollBase(shared("DEFENDER_API_URL", "https://api.stack.test", "DEFENDER_AUTHORITY_URL", "https://login.stack.test:8443"))
	for field, c := range map[string]struct {
		set         func(*tenant.Tenant, string)
		good, wrong []string
	}{
		"authority-url": {func(e *tenant.Tenant, text string) {
			e.AuthorityURL, e.Credential = text, tenant.Credential{Kind: tenant.ClientSecret, SecretID: "shared"}
		},
			[]string{"https://login.microsoftonline.com", "https://login.microsoftonline.us/", "https://login.stack.test:8443"},
			[]string{"https://evil.test", "https://login.stack.test", "https://login.microsoftonline.com.evil.test",
				"https://login.microsoftonline.com:444"}},
		"api-url": {func(e *tenant.Tenant, text string) { e.APIURL = text },
			[]string{"https://eu.api.security.microsoft.com", "https://api-gov.securitycenter.microsoft.us", "https://api.stack.test/"},
			[]string{"https://evil.test", "https://evilsecurity.microsoft.com", "https://api.security.microsoft.com.evil.test"}},
	} {
		for _, text := range c.good {
			if _, err := base.Of(entry(func(e *tenant.Tenant) { c.set(e, text) })); err != nil {
				t.Errorf("%s %s: %v", field, text, err)
			}
		}
		for _, text := range c.wrong {
			_, err := base.Of(entry(func(e *tenant.Tenant) { c.set(e, text) }))
			var invalid *tenant.Error
			if !errors.As(err, &invalid) || len(invalid.Problems) != 1 || invalid.Problems[0].Field != field {
				t.Errorf("%s %s: got %v", field, text, err)
			}
		}
	}
}

// In the stack's own bucket an entry cannot ask for a lock that the function may not set. In a bucket of its own it can,
// and so can it for a program that does not know the bucket, such as the poller.
func TestLockInTheStacksBucket(t *testing.T) {
	t.Parallel()
	stack := shared("OBJECT_LOCK_MODE", "COMPLIANCE", "OBJECT_LOCK_DAYS", "30")
	for name, test := range map[string]struct {
		change func(*tenant.Tenant)
		want   []string
	}{
		"as the stack": {func(e *tenant.Tenant) { e.LockMode, e.LockDays = "COMPLIANCE", 30 }, nil},
		"shorter":      {func(e *tenant.Tenant) { e.LockDays = 7 }, nil},
		"otherwise": {
			func(e *tenant.Tenant) { e.LockMode, e.LockDays, e.LegalHold = "GOVERNANCE", 31, "true" },
			[]string{"legal-hold", "lock-days", "lock-mode"},
		},
		"none": {func(e *tenant.Tenant) { e.LockMode, e.LockDays = "NONE", 31 }, []string{"lock-mode"}},
		"a bucket of its own": {func(e *tenant.Tenant) {
			e.Bucket, e.LockMode, e.LockDays, e.LegalHold = "their-bucket", "GOVERNANCE", 31, "true"
		}, nil},
	} {
		_, err := settings.FetchBase(stack).Of(entry(test.change))
		if got := fields(err); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, test.want)
		}
		if _, err := settings.PollBase(with(stack, "ARCHIVE_BUCKET", "")).Of(entry(test.change)); err != nil {
			t.Errorf("%s: the poller: %v", name, err)
		}
	}
}
