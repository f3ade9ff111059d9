package tenant

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// The names of fields, as they are stored. Flags of the command line are named alike.
const (
	FieldName          = "name"
	FieldState         = "state"
	FieldClientID      = "client-id"
	FieldCloud         = "cloud"
	FieldAPIURL        = "api-url"
	FieldAuthorityURL  = "authority-url"
	FieldScope         = "scope"
	FieldLinkHosts     = "link-hosts"
	FieldCAPEM         = "ca-pem"
	FieldCredential    = "credential"
	FieldIdentityRole  = "identity-role"
	FieldCertFile      = "certificate-file"
	FieldCertSecretID  = "certificate-secret-id"
	FieldCertKeyID     = "certificate-key-id"
	FieldCertPEM       = "certificate-pem"
	FieldSecretID      = "secret-id"
	FieldSecretFile    = "secret-file"
	FieldPerMinute     = "per-minute"
	FieldPerHour       = "per-hour"
	FieldLookback      = "lookback"
	FieldCasePattern   = "case-pattern"
	FieldBucket        = "bucket"
	FieldPrefix        = "prefix"
	FieldLockMode      = "lock-mode"
	FieldLockDays      = "lock-days"
	FieldLegalHold     = "legal-hold"
	FieldCreatedAt     = "created-at"
	FieldChangedAt     = "changed-at"
	FieldID            = "id" // not among Fields: it is the key
	fieldTextBytesMax  = 8 << 10
	fieldCAPEMBytesMax = 32 << 10
)

// texts returns the fields that are text.
func (t *Tenant) texts() map[string]*string {
	c := &t.Credential
	return map[string]*string{
		FieldName: &t.Name, FieldState: (*string)(&t.State), FieldClientID: &t.ClientID,
		FieldCloud: &t.Cloud, FieldAPIURL: &t.APIURL, FieldAuthorityURL: &t.AuthorityURL, FieldScope: &t.Scope,
		FieldLinkHosts: &t.LinkHosts, FieldCAPEM: &t.CAPEM,
		FieldCredential: (*string)(&c.Kind), FieldIdentityRole: &c.IdentityRole,
		FieldCertFile: &c.CertificateFile, FieldCertSecretID: &c.CertificateSecretID,
		FieldCertKeyID: &c.CertificateKeyID, FieldCertPEM: &c.CertificatePEM,
		FieldSecretID: &c.SecretID, FieldSecretFile: &c.SecretFile,
		FieldCasePattern: &t.CasePattern, FieldBucket: &t.Bucket, FieldPrefix: &t.Prefix,
		FieldLockMode: &t.LockMode, FieldLegalHold: &t.LegalHold,
	}
}

func (t *Tenant) numbers() map[string]*int {
	return map[string]*int{FieldPerMinute: &t.PerMinute, FieldPerHour: &t.PerHour, FieldLockDays: &t.LockDays}
}

func (t *Tenant) times() map[string]*time.Time {
	return map[string]*time.Time{FieldCreatedAt: &t.CreatedAt, FieldChangedAt: &t.ChangedAt}
}

// FieldNames returns the names of all fields, in order. A store keeps every other field it finds: a newer release
// wrote it.
func FieldNames() []string {
	var t Tenant
	names := []string{FieldLookback}
	for name := range t.texts() {
		names = append(names, name)
	}
	for name := range t.numbers() {
		names = append(names, name)
	}
	for name := range t.times() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Fields returns the fields that have a value, as text: the form in which every store keeps an entry, beside its id
// and version.
func (t Tenant) Fields() map[string]string {
	fields := map[string]string{}
	for name, value := range t.texts() {
		if *value != "" {
			fields[name] = *value
		}
	}
	for name, value := range t.numbers() {
		if *value != 0 {
			fields[name] = strconv.Itoa(*value)
		}
	}
	for name, value := range t.times() {
		if !value.IsZero() {
			fields[name] = value.UTC().Format(time.RFC3339Nano)
		}
	}
	if t.Lookback != 0 {
		fields[FieldLookback] = t.Lookback.String()
	}
	return fields
}

// Stored returns the entry that a store keeps under an id. It ignores fields that it does not know. Errors wrap
// [ErrInvalid] and name the tenant.
func Stored(id, version string, fields map[string]string) (Tenant, error) {
	t := Tenant{ID: id, Version: version}
	var problems []Problem
	for name, value := range t.texts() {
		*value = fields[name]
	}
	parse := func(name, want string, into func(string) error) {
		if text := fields[name]; text != "" && into(text) != nil {
			problems = append(problems, Problem{name, "want " + want})
		}
	}
	for name, value := range t.numbers() {
		parse(name, "a whole number", func(text string) (err error) { *value, err = strconv.Atoi(text); return err })
	}
	for name, value := range t.times() {
		parse(name, "a time in RFC 3339", func(text string) (err error) {
			*value, err = time.Parse(time.RFC3339Nano, text)
			*value = value.UTC()
			return err
		})
	}
	parse(FieldLookback, "a duration such as 168h", func(text string) (err error) {
		t.Lookback, err = time.ParseDuration(text)
		return err
	})
	if version == "" {
		problems = append(problems, Problem{"version", "want the name of a write: without it the entry cannot change"})
	}
	err := invalid(id, append(problems, t.problems()...))
	if err != nil {
		return Tenant{}, fmt.Errorf("the registry's entry of %w", err)
	}
	return t, nil
}
