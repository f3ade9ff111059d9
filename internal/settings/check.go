package settings

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"packhorse/internal/hostlist"
	"packhorse/internal/investigation"
)

// The environment variables, named as in the design and the template.
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
func (c *check) wrong(variable, hint string) {
	known := func(p Problem) bool { return p.Variable == variable }
	if slices.ContainsFunc(c.problems, known) {
		return
	}
	c.problems = append(c.problems, describe(variable, c.environ[variable], hint))
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
		c.wrong(field.Tag.Get("env"), hintOf(bad.Err))
	}
}

// hintOf returns the error's text if it is known not to quote the value.
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

// guidLength distinguishes GUIDs from Defender's other kind of id.
const guidLength = 36

func (c *check) guid(variable string, value *string) {
	canonical, err := investigation.CanonicalID(*value)
	if err != nil || len(canonical) != guidLength {
		hint := ""
		if strings.TrimSpace(*value) != *value {
			hint = "remove the white space around it"
		}
		c.wrong(variable, hint)
	}
	*value = canonical
}

var (
	// A Secrets Manager ARN or name, up to secretIDBytesMax. It excludes most client secrets, because
	// those that Entra ID makes usually contain a "~".
	secretIDForm = regexp.MustCompile(`^[A-Za-z0-9/_+=.@:-]+$`)
	tableForm    = regexp.MustCompile(`^(?:[A-Za-z0-9_.-]{3,255}|arn:[A-Za-z0-9_./:-]{1,1000})$`)
	bucketForm   = regexp.MustCompile(
		`^(?:[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]|arn:[A-Za-z0-9_./:-]{1,1000})$`)
	busForm = regexp.MustCompile(`^(?:[A-Za-z0-9/._-]{1,256}|arn:[A-Za-z0-9_./:-]{1,1000})$`)
)

// secretIDBytesMax is the length limit of Secrets Manager for SecretId. It is not part of
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
		c.wrong(varSecretID, "if this is the secret itself, store it in Secrets Manager")
	}
	secret := s.ClientSecret.Reveal()
	if where == onOneMachine && secret == "" {
		hint := ""
		if s.SecretID != "" {
			hint = varSecretID + " is for AWS only: the command line does not read Secrets Manager"
		}
		c.wrong(varClientSecret, hint)
	}
	_, notID := investigation.CanonicalID(secret)
	switch {
	case secret == "":
	case where == onAWS:
		c.wrong(varClientSecret, "unset it: anyone who can see a function's configuration can read it; use "+
			varSecretID+" instead")
	case s.SecretID != "":
		c.wrong(varClientSecret, "unset "+varSecretID+", which is for AWS only")
	case notID == nil:
		c.wrong(varClientSecret, "this is a GUID, which is the secret's ID; use the value from the column "+
			"Value, which is shown only when the secret is created")
	case strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }):
		c.wrong(varClientSecret, "it contains white space or characters that are not ASCII")
	}
}

// stack checks the names of the stack's resources.
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

// describe returns the Problem with a variable.
func describe(variable, value, hint string) Problem {
	p := Problem{Variable: variable, Given: shape(value), Hint: hint}
	switch variable {
	case varTenantID, varClientID:
		p.Expected, p.Example = "a GUID", "0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9"
	case varCloud:
		p.Expected, p.Example = "commercial, gcc, gcc-high or dod", string(Commercial)
		p.Given = echo(value)
	case varAPIURL:
		p.Expected, p.Example = rootExpected, "https://eu.api.security.microsoft.com"
	case varAuthorityURL:
		p.Expected, p.Example = rootExpected, "https://login.microsoftonline.com"
	case varScope:
		p.Expected = "a resource followed by /.default"
		p.Example = "https://api.securitycenter.microsoft.com/.default"
	case varLinkHosts:
		p.Expected = "a comma list of host, host:port or .suffix"
		p.Example = ".blob.core.windows.net,127.0.0.1:8443"
	case varCAPEM:
		p.Expected = "certificates in PEM"
		p.Example = "the text of a file that begins with -----BEGIN CERTIFICATE-----"
	case varSecretID:
		p.Expected, p.Example = "the ARN or name of a secret in Secrets Manager", "packhorse/defender"
	case varClientSecret:
		p.Expected = "a client secret's value, on the command line only"
		p.Example = "the 40 characters of the column Value"
		p.Given = length(value)
	case varLedgerTable, varBudgetTable:
		p.Expected, p.Example = "the name of a DynamoDB table", "packhorse-ledger"
	case varArchiveBucket:
		p.Expected, p.Example = "the name of an S3 bucket", "contoso-evidence"
	case varArchivePrefix:
		p.Expected, p.Example = "plain segments that each end in a slash", "packages/"
	case varSigningKeyID:
		p.Expected = "the ARN, id or alias of a KMS key"
		p.Example = "alias/packhorse-signing"
	case varCasePattern:
		p.Expected, p.Example = "a regular expression (RE2)", `\bINC-[0-9]+\b`
	case varEventBus:
		p.Expected, p.Example = "the name or ARN of an EventBridge bus", "packhorse"
	default:
		return describePlain(p, value)
	}
	return p
}

// describePlain describes a problem with a number or an enumeration, whose value is safe to show.
func describePlain(p Problem, value string) Problem {
	p.Given = echo(value)
	switch p.Variable {
	case varLockMode:
		p.Expected, p.Example = "GOVERNANCE, COMPLIANCE or NONE", string(LockGovernance)
	case varLockDays:
		p.Expected, p.Example = fmt.Sprintf("a whole number of days from 1 to %d", lockDaysMax), "365"
	case varLegalHold:
		p.Expected, p.Example = "true or false", "false"
	case varPerMinute:
		p.Expected, p.Example = fmt.Sprintf("a whole number from 1 to %d", perMinuteMax), "2"
	case varPerHour:
		p.Expected, p.Example = fmt.Sprintf("a whole number from 1 to %d", perHourMax), "120"
	case varLookback:
		p.Expected, p.Example = between(lookbackMin, lookbackMax), "168h"
	case varSweepInterval:
		p.Expected, p.Example = between(sweepIntervalMin, sweepIntervalMax), "10s"
	default:
		panic("settings: unknown variable " + p.Variable)
	}
	return p
}

func between(shortest, longest time.Duration) string {
	return fmt.Sprintf("a duration with its unit, from %s to %s", short(shortest), short(longest))
}

// short formats a duration without zero parts: 96h, not 96h0m0s.
func short(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = strings.TrimSuffix(text, zero[1:])
		}
	}
	return text
}

func length(secret string) string {
	if secret == "" {
		return "is missing"
	}
	return fmt.Sprintf("has %d characters", len(secret))
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

const rootExpected = "an https URL of a host and nothing after it"

// errBadRoot is wrapped by the errors of parseRoot, which never quote the URL.
var errBadRoot = errors.New("invalid root URL")

// parseRoot reads a URL to which paths are appended. It removes a trailing slash.
func parseRoot(text string) (url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return url.URL{}, errBadRoot // err quotes the URL
	}
	switch {
	case u.Scheme != "https":
		return url.URL{}, fmt.Errorf("%w: it does not begin with https://", errBadRoot)
	case u.User != nil:
		return url.URL{}, fmt.Errorf("%w: it has a user name", errBadRoot)
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.ForceQuery, u.Fragment != "",
		strings.HasSuffix(text, "#"), u.Opaque != "":
		return url.URL{}, fmt.Errorf("%w: something follows the host", errBadRoot)
	}
	hosts, err := hostlist.Parse([]string{u.Host})
	if err != nil || strings.HasPrefix(u.Host, ".") {
		return url.URL{}, fmt.Errorf("%w: the host is invalid", errBadRoot)
	}
	return url.URL{Scheme: "https", Host: hosts.Strings()[0]}, nil
}

// validScope reports whether scope is valid for a client-credentials token.
func validScope(scope string) bool {
	resource, ok := strings.CutSuffix(scope, "/.default")
	if !ok || strings.ContainsAny(scope, " \t\r\n,") {
		return false
	}
	u, err := url.Parse(resource)
	return err == nil && (u.Scheme == "https" || u.Scheme == "api") && u.Host != "" && u.User == nil
}

// checkPEM checks PEM certificates; its errors never quote them.
func checkPEM(text string) error {
	if strings.Contains(text, `\n`) {
		return errors.New(`it contains the two characters \n instead of line breaks`)
	}
	rest := []byte(text)
	if len(strings.TrimSpace(text)) == 0 {
		return errors.New("it contains only white space")
	}
	for i := 1; len(strings.TrimSpace(string(rest))) > 0; i++ {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			return fmt.Errorf("block %d is not PEM", i)
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("block %d is not a certificate", i)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Errorf("block %d is not a readable certificate", i)
		}
	}
	return nil
}

// RootCAs returns the system's root certificates plus those in CAPEM. If CAPEM is empty it returns
// nil, which makes crypto/tls use the system's.
func (s Settings) RootCAs() (*x509.CertPool, error) {
	if s.CAPEM == "" {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read the system's root certificates: %w", err)
	}
	if !pool.AppendCertsFromPEM([]byte(s.CAPEM)) {
		return nil, errors.New("read the certificates in " + varCAPEM + ": not one is valid PEM")
	}
	return pool, nil
}
