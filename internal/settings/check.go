package settings

import (
	"errors"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"

	"packhorse/internal/investigation"
)

// The environment variables, named as in the template.
const (
	varTenantID      = "DEFENDER_TENANT_ID"
	varClientID      = "DEFENDER_CLIENT_ID"
	varCloud         = "DEFENDER_CLOUD"
	varAPIURL        = "DEFENDER_API_URL"
	varAuthorityURL  = "DEFENDER_AUTHORITY_URL"
	varScope         = "DEFENDER_SCOPE"
	varLinkHosts     = "DEFENDER_LINK_HOSTS"
	varCAPEM         = "DEFENDER_CA_PEM"
	varCredential    = VarCredential
	varIdentityRole  = "DEFENDER_IDENTITY_ROLE"
	varCertFile      = "DEFENDER_CERTIFICATE_FILE"
	varCertSecretID  = "DEFENDER_CERTIFICATE_SECRET_ID"
	varCertKeyID     = "DEFENDER_CERTIFICATE_KEY_ID"
	varCertPEM       = "DEFENDER_CERTIFICATE_PEM"
	varSecretID      = "DEFENDER_SECRET_ID"
	varSecretFile    = "DEFENDER_SECRET_FILE"
	varClientSecret  = "DEFENDER_CLIENT_SECRET"
	varLedgerTable   = "LEDGER_TABLE"
	varBudgetTable   = "BUDGET_TABLE"
	varTenantsTable  = "TENANTS_TABLE"
	varArchiveBucket = VarArchiveBucket
	varArchivePrefix = "ARCHIVE_PREFIX"
	varLockMode      = "OBJECT_LOCK_MODE"
	varLockDays      = "OBJECT_LOCK_DAYS"
	varLegalHold     = "OBJECT_LOCK_LEGAL_HOLD"
	varSigningKeyID  = "SIGNING_KEY_ID"
	varCasePattern   = "CASE_PATTERN"
	varEventBus      = "EVENT_BUS"
	varPerMinute     = "PACKAGE_URI_PER_MINUTE"
	varPerHour       = "PACKAGE_URI_PER_HOUR"
	varLookback      = "LOOKBACK"
	varSweepInterval = "SWEEP_INTERVAL"
)

// place is where the program runs, which decides where the credential comes from.
type place int

const (
	onAWS place = iota
	onOneMachine
)

// parse reads and validates the settings. required lists the stack's variables that the program
// needs.
func parse(environ map[string]string, where place, required ...string) (Settings, error) {
	if environ == nil {
		environ = map[string]string{} // with nil, env would read the process's environment
	}
	var s Settings
	c := check{environ: environ, required: required}
	err := env.ParseWithOptions(&s, env.Options{
		Environment: environ,
		FuncMap: map[reflect.Type]env.ParserFunc{
			reflect.TypeFor[url.URL](): func(text string) (any, error) { return parseRoot(text) },
			reflect.TypeFor[investigation.CasePattern](): func(text string) (any, error) {
				return investigation.ParseCasePattern(text)
			},
		},
	})
	c.unreadable(err)
	c.tenant(&s)
	c.credential(&s, where)
	c.stack(&s)
	c.evidence(&s)
	c.pace(&s)
	if len(c.problems) > 0 {
		return Settings{}, &Error{Problems: inOrder(c.problems)}
	}
	return s, nil
}

// check collects the problems.
type check struct {
	environ  map[string]string
	required []string
	problems []Problem
}

// wrong records a problem with a variable, but only the first one.
func (c *check) wrong(variable, mistake string) {
	known := func(p Problem) bool { return p.Variable == variable }
	if slices.ContainsFunc(c.problems, known) {
		return
	}
	c.problems = append(c.problems, describe(variable, c.environ[variable], mistake))
}

// needs reports whether the program requires a variable.
func (c *check) needs(variable string) bool { return slices.Contains(c.required, variable) }

// unreadable records the values that could not be parsed into their fields.
func (c *check) unreadable(err error) {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return
	}
	for _, one := range all.Errors {
		var bad env.ParseError
		if !errors.As(one, &bad) {
			panic("settings: a field has an unsupported type: " + one.Error())
		}
		field, _ := reflect.TypeFor[Settings]().FieldByName(bad.Name)
		c.wrong(field.Tag.Get("env"), mistakeOf(bad.Err))
	}
}

// mistakeOf returns the error's text if it is known not to quote the value.
func mistakeOf(err error) string {
	if errors.Is(err, ErrBadLinkHost) || errors.Is(err, errBadRoot) {
		return err.Error()
	}
	if errors.Is(err, investigation.ErrBadCasePattern) {
		return casePatternMistake(err)
	}
	return ""
}

func (c *check) tenant(s *Settings) {
	if s.TenantID != "" || s.TenantsTable == "" {
		c.guid(varTenantID, &s.TenantID)
	}
	if s.ClientID != "" || s.TenantID != "" || s.TenantsTable == "" {
		c.guid(varClientID, &s.ClientID)
	}
	if !s.fill() {
		c.wrong(varCloud, "")
	}
	if s.Scope != "" && !validScope(s.Scope) {
		c.wrong(varScope, "")
	}
	if s.CAPEM != "" {
		if err := checkPEM(s.CAPEM); err != nil {
			c.wrong(varCAPEM, err.Error())
		}
	}
}

// guidLength distinguishes GUIDs from Defender's other kind of id.
const guidLength = 36

func (c *check) guid(variable string, value *string) {
	canonical, err := investigation.CanonicalID(*value)
	if err != nil || len(canonical) != guidLength {
		mistake := ""
		if strings.TrimSpace(*value) != *value {
			mistake = "remove the white space around it"
		}
		c.wrong(variable, mistake)
	}
	*value = canonical
}

// stack checks the names of the stack's resources.
func (c *check) stack(s *Settings) {
	for _, name := range []struct {
		variable, value string
		form            form
	}{
		{varLedgerTable, s.LedgerTable, tableForm},
		{varBudgetTable, s.BudgetTable, tableForm},
		{varTenantsTable, s.TenantsTable, tableForm},
		{varArchiveBucket, s.ArchiveBucket, bucketForm},
		{varEventBus, s.EventBus, busForm},
	} {
		missing := name.value == "" && c.needs(name.variable)
		if missing || (name.value != "" && !name.form.matches(name.value) && !arnForm.matches(name.value)) {
			c.wrong(name.variable, "")
		}
	}
	if investigation.ValidatePrefix(s.ArchivePrefix) != nil {
		c.wrong(varArchivePrefix, "")
	}
}

// pace checks the budgets and intervals.
func (c *check) pace(s *Settings) {
	if s.PackageURIPerMinute < 1 || s.PackageURIPerMinute > perMinuteMax {
		c.wrong(varPerMinute, "")
	}
	if s.PackageURIPerHour < 1 || s.PackageURIPerHour > perHourMax {
		c.wrong(varPerHour, "")
	}
	if s.Lookback < lookbackMin || s.Lookback > lookbackMax {
		c.wrong(varLookback, "")
	}
	if s.SweepInterval < sweepIntervalMin || s.SweepInterval > sweepIntervalMax {
		c.wrong(varSweepInterval, "")
	}
}

// inOrder sorts problems in the order of the fields of Settings.
func inOrder(problems []Problem) []Problem {
	place := map[string]int{}
	for i, field := range reflect.VisibleFields(reflect.TypeFor[Settings]()) {
		place[field.Tag.Get("env")] = i
	}
	slices.SortFunc(problems, func(a, b Problem) int { return place[a.Variable] - place[b.Variable] })
	return problems
}
