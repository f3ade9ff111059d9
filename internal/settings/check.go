package settings

import (
	"errors"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"

	"packhorse/internal/investigation"
)

// The variables, as the template names them.
const (
	varTenantID      = "DEFENDER_TENANT_ID"
	varClientID      = "DEFENDER_CLIENT_ID"
	varCloud         = "DEFENDER_CLOUD"
	varAPIURL        = "DEFENDER_API_URL"
	varAuthorityURL  = "DEFENDER_AUTHORITY_URL"
	varScope         = "DEFENDER_SCOPE"
	varLinkHosts     = "DEFENDER_LINK_HOSTS"
	varCAPEM         = "DEFENDER_CA_PEM"
	varSecretID      = "DEFENDER_SECRET_ID"
	varClientSecret  = "DEFENDER_CLIENT_SECRET"
	varLedgerTable   = "LEDGER_TABLE"
	varBudgetTable   = "BUDGET_TABLE"
	varArchiveBucket = "ARCHIVE_BUCKET"
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

// place is where the program runs. It decides where the credential comes from.
type place int

const (
	onAWS place = iota
	onOneMachine
)

// parse reads and validates the settings. required are the variables of the stack that the program
// cannot do without.
func parse(environ map[string]string, where place, required ...string) (Settings, error) {
	if environ == nil {
		environ = map[string]string{} // nil would make env read the process's environment
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

// check collects what is wrong.
type check struct {
	environ  map[string]string
	required []string
	problems []Problem
}

// wrong notes a problem with a variable, once.
func (c *check) wrong(variable, hint string) {
	known := func(p Problem) bool { return p.Variable == variable }
	if slices.ContainsFunc(c.problems, known) {
		return
	}
	c.problems = append(c.problems, describe(variable, c.environ[variable], hint))
}

// needs reports whether the program cannot do without a variable.
func (c *check) needs(variable string) bool { return slices.Contains(c.required, variable) }

// unreadable notes what could not even be read into its field.
func (c *check) unreadable(err error) {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return
	}
	for _, one := range all.Errors {
		var bad env.ParseError
		if !errors.As(one, &bad) {
			panic("settings: a field cannot be read at all: " + one.Error())
		}
		field, _ := reflect.TypeFor[Settings]().FieldByName(bad.Name)
		c.wrong(field.Tag.Get("env"), hintOf(bad.Err))
	}
}

// hintOf returns the words of an error that are known not to quote the value.
func hintOf(err error) string {
	if errors.Is(err, ErrBadLinkHost) || errors.Is(err, errBadRoot) {
		return err.Error()
	}
	if errors.Is(err, investigation.ErrBadCasePattern) {
		return casePatternHint(err)
	}
	return ""
}

func (c *check) tenant(s *Settings) {
	c.guid(varTenantID, &s.TenantID)
	c.guid(varClientID, &s.ClientID)
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

// guidLength tells GUIDs from the other kind of id that Defender has.
const guidLength = 36

func (c *check) guid(variable string, value *string) {
	canonical, err := investigation.CanonicalID(*value)
	if err != nil || len(canonical) != guidLength {
		hint := ""
		if strings.TrimSpace(*value) != *value {
			hint = "there is white space around it"
		}
		c.wrong(variable, hint)
	}
	*value = canonical
}

var (
	// A Secrets Manager ARN or name, up to secretIDBytesMax. A client secret as Entra ID makes them
	// has a "~", mostly.
	secretIDForm = regexp.MustCompile(`^[A-Za-z0-9/_+=.@:-]+$`)
	tableForm    = regexp.MustCompile(`^(?:[A-Za-z0-9_.-]{3,255}|arn:[A-Za-z0-9_./:-]{1,1000})$`)
	bucketForm   = regexp.MustCompile(
		`^(?:[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]|arn:[A-Za-z0-9_./:-]{1,1000})$`)
	busForm = regexp.MustCompile(`^(?:[A-Za-z0-9/._-]{1,256}|arn:[A-Za-z0-9_./:-]{1,1000})$`)
)

// secretIDBytesMax is the length limit of Secrets Manager for SecretId. It is no part of
// secretIDForm because a regular expression repeats at most 1000 times.
const secretIDBytesMax = 2048

func validSecretID(id string) bool {
	return len(id) <= secretIDBytesMax && secretIDForm.MatchString(id)
}

func (c *check) credential(s *Settings, where place) {
	if where == onAWS && s.SecretID == "" {
		c.wrong(varSecretID, "")
	}
	if s.SecretID != "" && !validSecretID(s.SecretID) {
		c.wrong(varSecretID, "is it the secret itself? Then store it in Secrets Manager")
	}
	secret := s.ClientSecret.Reveal()
	if where == onOneMachine && secret == "" {
		hint := ""
		if s.SecretID != "" {
			hint = varSecretID + " is for AWS: the command line does not read Secrets Manager"
		}
		c.wrong(varClientSecret, hint)
	}
	_, notID := investigation.CanonicalID(secret)
	switch {
	case secret == "":
	case where == onAWS:
		c.wrong(varClientSecret, "unset it: whoever may see a function's configuration could read it; "+
			varSecretID+" is the way")
	case s.SecretID != "":
		c.wrong(varClientSecret, varSecretID+" is set too, which is for AWS only; unset it")
	case notID == nil:
		c.wrong(varClientSecret, "this is a GUID, so it is the secret's ID; the value is in the column "+
			"Value, and shown only when the secret is made")
	case strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }):
		c.wrong(varClientSecret, "it has white space or characters that are not ASCII")
	}
}

// stack checks the names of what the stack made.
func (c *check) stack(s *Settings) {
	for _, name := range []struct {
		variable, value string
		form            *regexp.Regexp
	}{
		{varLedgerTable, s.LedgerTable, tableForm},
		{varBudgetTable, s.BudgetTable, tableForm},
		{varArchiveBucket, s.ArchiveBucket, bucketForm},
		{varEventBus, s.EventBus, busForm},
	} {
		missing := name.value == "" && c.needs(name.variable)
		if missing || (name.value != "" && !name.form.MatchString(name.value)) {
			c.wrong(name.variable, "")
		}
	}
	if investigation.ValidatePrefix(s.ArchivePrefix) != nil {
		c.wrong(varArchivePrefix, "")
	}
}

// pace checks how much and how often.
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

// inOrder sorts problems as the fields of Settings are.
func inOrder(problems []Problem) []Problem {
	place := map[string]int{}
	for i, field := range reflect.VisibleFields(reflect.TypeFor[Settings]()) {
		place[field.Tag.Get("env")] = i
	}
	slices.SortFunc(problems, func(a, b Problem) int { return place[a.Variable] - place[b.Variable] })
	return problems
}
