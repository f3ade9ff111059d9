package settings

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// expectation says what a variable should hold, and how to show an invalid value.
type expectation struct {
	text    string
	example string
	given   func(value string) string // describes the value; nil for its shape, which reveals nothing
}

const rootExpected = "an https URL of a host and nothing after it"

// expectations has an entry for every variable.
var expectations = map[string]expectation{
	varTenantID:     {text: "a GUID", example: guidExample},
	varClientID:     {text: "a GUID", example: guidExample},
	varCloud:        {"commercial, gcc, gcc-high or dod", string(Commercial), echo},
	varAPIURL:       {text: rootExpected, example: "https://eu.api.security.microsoft.com"},
	varAuthorityURL: {text: rootExpected, example: "https://login.microsoftonline.com"},
	varScope: {
		text:    "a resource followed by /.default",
		example: "https://api.securitycenter.microsoft.com/.default",
	},
	varLinkHosts: {
		text:    "a comma list of host, host:port or .suffix",
		example: ".blob.core.windows.net,127.0.0.1:8443",
	},
	varCAPEM: {
		text:    "certificates in PEM",
		example: "the text of a file that begins with -----BEGIN CERTIFICATE-----",
	},
	varCredential: {"federated, certificate or secret", "federated", echo},
	varIdentityRole: {
		text: "the ARN of an IAM role", example: "arn:aws:iam::123456789012:role/packhorse-defender-identity",
	},
	varCertFile:     {text: "the path of a PEM file with a certificate and its key", example: "/etc/packhorse/defender.pem"},
	varCertSecretID: {text: "the ARN or name of a secret in Secrets Manager", example: "packhorse/defender-certificate"},
	varCertKeyID:    {text: "the ARN, id or alias of a KMS key", example: "alias/packhorse-defender"},
	varCertPEM: {
		text:    "certificates in PEM",
		example: "the text of a file that begins with -----BEGIN CERTIFICATE-----",
	},
	varSecretID:   {text: "the ARN or name of a secret in Secrets Manager", example: "packhorse/defender"},
	varSecretFile: {text: "the path of a file with the client secret", example: "/etc/packhorse/secret.txt"},
	varClientSecret: {
		"a client secret's value, on the command line only", "the 40 characters of the column Value", length,
	},
	varLedgerTable:   {text: "the name of a DynamoDB table", example: "packhorse-ledger"},
	varBudgetTable:   {text: "the name of a DynamoDB table", example: "packhorse-ledger"},
	varTenantsTable:  {text: "the name of a DynamoDB table", example: "packhorse-tenants"},
	varArchiveBucket: {text: "the name of an S3 bucket", example: "contoso-evidence"},
	varArchivePrefix: {text: "plain segments that each end in a slash", example: "packages/"},
	varSigningKeyID:  {text: "the ARN, id or alias of a KMS key", example: "alias/packhorse-signing"},
	varCasePattern:   {text: "a regular expression (RE2)", example: `\bINC-[0-9]+\b`},
	varEventBus:      {text: "the name or ARN of an EventBridge bus", example: "packhorse"},

	// Numbers, and words from a short list.
	varLockMode:      {"GOVERNANCE, COMPLIANCE or NONE", string(LockGovernance), echo},
	varLockDays:      {fmt.Sprintf("a whole number of days from 1 to %d", lockDaysMax), "365", echo},
	varLegalHold:     {"true or false", "false", echo},
	varPerMinute:     {fmt.Sprintf("a whole number from 1 to %d", perMinuteMax), "2", echo},
	varPerHour:       {fmt.Sprintf("a whole number from 1 to %d", perHourMax), "120", echo},
	varLookback:      {between(lookbackMin, lookbackMax), "168h", echo},
	varSweepInterval: {between(sweepIntervalMin, sweepIntervalMax), "10s", echo},
}

const guidExample = "0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9"

// describe returns the problem with a variable's value.
func describe(variable, value, mistake string) Problem {
	expected, ok := expectations[variable]
	if !ok {
		panic("settings: unknown variable " + variable)
	}
	given := expected.given
	if given == nil {
		given = shape
	}
	return Problem{
		Variable: variable, Expected: expected.text, Example: expected.example, Given: given(value), Mistake: mistake,
	}
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

// Variable describes an environment variable, for people.
type Variable struct {
	Name     string
	Expected string // a noun phrase
	Example  string
	Default  string // empty if there is none, or if it depends on DEFENDER_CLOUD
	OnAWS    bool   // only the functions use it
}

// functionsOnly are the variables that mean nothing on the command line.
var functionsOnly = []string{
	varLedgerTable, varBudgetTable, varArchiveBucket, varSigningKeyID, varEventBus,
}

// Variables describes every variable, in the order of the fields of Settings.
func Variables() []Variable {
	var all []Variable
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Settings]()) {
		name := field.Tag.Get("env")
		expected := expectations[name]
		all = append(all, Variable{
			Name: name, Expected: expected.text, Example: expected.example, Default: field.Tag.Get("envDefault"),
			OnAWS: slices.Contains(functionsOnly, name),
		})
	}
	return all
}
