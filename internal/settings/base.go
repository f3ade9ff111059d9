package settings

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"

	"packhorse/internal/tenant"
)

// Base is what the tenants of one program share: its variables. An entry of the registry overrides some of them.
type Base struct {
	environ  map[string]string
	where    place
	required []string
}

// PollBase returns the base of the poll function. [ParsePoll] checks it.
func PollBase(environ map[string]string) Base { return Base{environ, onAWS, pollNeeds()} }

// FetchBase returns the base of the fetch-package function. [ParseFetch] checks it.
func FetchBase(environ map[string]string) Base { return Base{environ, onAWS, fetchNeeds()} }

// CLIBase returns the base of the command line on one machine.
func CLIBase(environ map[string]string) Base { return Base{environ, onOneMachine, nil} }

// StackBase returns the base of a command line that looks at the entries of a stack with these variables.
func StackBase(environ map[string]string) Base { return Base{environ, onAWS, nil} }

// OwnID returns the tenant of the variables, or an empty id without one. It needs no entry in the registry.
func (b Base) OwnID() string { return strings.ToLower(b.environ[varTenantID]) }

// Own returns the settings of the tenant of the variables, which MUST have one. The error is an *[Error].
func (b Base) Own() (Settings, error) { return parse(b.environ, b.where, b.required...) }

// Of returns the settings of a registered tenant: the entry's fields and, where they are empty, the variables. The
// error is a *[tenant.Error] that lists every problem, by the name of the field.
func (b Base) Of(t tenant.Tenant) (Settings, error) {
	environ := b.with(t)
	s, err := parse(environ, b.where, b.required...)
	var found []tenant.Problem
	if wrong, ok := errors.AsType[*Error](err); ok {
		found = inFields(wrong.Problems, environ)
	}
	found = append(found, b.untrusted(t)...)
	if err == nil {
		found = append(found, b.lockedOtherwise(s)...)
	}
	if err := t.Join(found); err != nil {
		return Settings{}, err
	}
	return s, nil
}

// with returns the variables as the entry overrides them.
func (b Base) with(t tenant.Tenant) map[string]string {
	environ := maps.Clone(b.environ)
	if environ == nil {
		environ = map[string]string{}
	}
	if t.Cloud != "" { // the stack's hosts are those of another cloud
		for _, variable := range []string{varAPIURL, varAuthorityURL, varScope, varLinkHosts} {
			delete(environ, variable)
		}
	}
	if t.Credential.Kind != "" { // nothing of one credential is good for another
		delete(environ, varClientSecret)
		for field, variable := range variables() {
			if isCredential(field) {
				delete(environ, variable)
			}
		}
	}
	environ[varTenantID] = t.ID
	fields := t.Fields()
	for field, variable := range variables() {
		if value := fields[field]; value != "" {
			environ[variable] = value
		}
	}
	return environ
}

// variables maps the fields of an entry to the variables that they override.
func variables() map[string]string {
	return map[string]string{
		tenant.FieldClientID: varClientID, tenant.FieldCloud: varCloud, tenant.FieldAPIURL: varAPIURL,
		tenant.FieldAuthorityURL: varAuthorityURL, tenant.FieldScope: varScope, tenant.FieldLinkHosts: varLinkHosts,
		tenant.FieldCAPEM: varCAPEM, tenant.FieldCredential: varCredential, tenant.FieldIdentityRole: varIdentityRole,
		tenant.FieldCertFile: varCertFile, tenant.FieldCertSecretID: varCertSecretID,
		tenant.FieldCertKeyID: varCertKeyID, tenant.FieldCertPEM: varCertPEM,
		tenant.FieldSecretID: varSecretID, tenant.FieldSecretFile: varSecretFile,
		tenant.FieldPerMinute: varPerMinute, tenant.FieldPerHour: varPerHour, tenant.FieldLookback: varLookback,
		tenant.FieldCasePattern: varCasePattern, tenant.FieldBucket: varArchiveBucket,
		tenant.FieldPrefix: varArchivePrefix, tenant.FieldLockMode: varLockMode,
		tenant.FieldLockDays: varLockDays, tenant.FieldLegalHold: varLegalHold,
	}
}

func isCredential(field string) bool {
	switch field {
	case tenant.FieldCredential, tenant.FieldIdentityRole, tenant.FieldCertFile, tenant.FieldCertSecretID,
		tenant.FieldCertKeyID, tenant.FieldCertPEM, tenant.FieldSecretID, tenant.FieldSecretFile:
		return true
	default:
		return false
	}
}

// inFields turns problems with variables into problems with the fields that set them.
func inFields(problems []Problem, environ map[string]string) []tenant.Problem {
	names := byVariable()
	var found []tenant.Problem
	for _, p := range problems {
		missing := environ[p.Variable] == "" && environ[varCredential] == ""
		if missing && (p.Variable == varSecretID || p.Variable == varClientSecret) {
			found = append(found, tenant.Problem{
				Field: tenant.FieldCredential, Text: "is missing: want federated, certificate or secret, and where it is",
			})
			continue
		}
		field := cmp.Or(names[p.Variable], p.Variable)
		text := strings.TrimPrefix(p.String(), p.Variable+" ")
		found = append(found, tenant.Problem{Field: field, Text: WithFields(text, "")})
	}
	return found
}

func byVariable() map[string]string {
	names := map[string]string{varTenantID: tenant.FieldID, varClientSecret: tenant.FieldSecretFile}
	for field, variable := range variables() {
		names[variable] = field
	}
	return names
}

// WithFields replaces the names of variables in a text, such as advice, by those of the fields of an entry, each with
// a prefix such as "--".
func WithFields(text, prefix string) string {
	names := byVariable()
	sorted := slices.SortedFunc(maps.Keys(names), func(a, b string) int { // no variable before one that it begins
		return cmp.Or(len(b)-len(a), cmp.Compare(a, b))
	})
	var pairs []string
	for _, variable := range sorted {
		pairs = append(pairs, variable, prefix+names[variable])
	}
	return strings.NewReplacer(pairs...).Replace(text)
}
