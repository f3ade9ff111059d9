// Package settings reads the environment variables that configure Packhorse: one struct, wholly
// validated before the first call.
//
// Use [ParsePoll], [ParseFetch] or [ParseCLI], whichever the program is; they differ in what is
// required. What is wrong comes back as one *[Error] that lists all of it.
//
// The package reads nothing but the map it is given, not even the process's environment.
package settings

import (
	"net/url"
	"time"

	"github.com/caarlos0/env/v11"

	"packhorse/internal/investigation"
)

const (
	// perMinuteMax and perHourMax are what Microsoft grants getPackageUri, in calls. Source:
	// learn.microsoft.com/defender-endpoint/api/get-package-sas-uri.
	perMinuteMax = 2
	perHourMax   = 120

	// lookbackMin is four days: a host that is offline answers days after it was asked.
	lookbackMin = 96 * time.Hour

	// lookbackMax is as long as Defender keeps anything. Source:
	// learn.microsoft.com/defender-endpoint/data-storage-privacy.
	lookbackMax = 180 * 24 * time.Hour

	// sweepIntervalMin is what the list budget allows (25 calls a minute): a sweep takes two calls
	// at least, because only an empty page says that there are no more.
	sweepIntervalMin = 5 * time.Second

	// sweepIntervalMax is the pause between sweeps of a tenant where nothing happens: a busy one is
	// not looked at less often.
	sweepIntervalMax = time.Minute
)

// Settings is everything that can be configured. The names of the variables are those of the
// template and of the command line's help. A variable that is set to nothing counts as not set.
type Settings struct {
	// TenantID and ClientID are the tenant and the app registration: GUIDs in lower case, required.
	TenantID string `env:"DEFENDER_TENANT_ID"`
	ClientID string `env:"DEFENDER_CLIENT_ID"`

	// Cloud sets the four fields below it together, where they are not set themselves.
	Cloud Cloud `env:"DEFENDER_CLOUD" envDefault:"commercial"`
	// APIURL is the root of Defender's API: https, a host, no path. Set it for a region's host.
	APIURL *url.URL `env:"DEFENDER_API_URL"`
	// AuthorityURL is the root of Microsoft Entra ID: https, a host, no path.
	AuthorityURL *url.URL `env:"DEFENDER_AUTHORITY_URL"`
	// Scope is what a token is asked for. It ends in "/.default".
	Scope string `env:"DEFENDER_SCOPE"`
	// LinkHosts are the only hosts a package is downloaded from.
	LinkHosts LinkHosts `env:"DEFENDER_LINK_HOSTS"`

	// CAPEM is extra root certificates, in PEM, for TLS-inspecting proxies and the simulator. It is
	// empty or holds one certificate at least; see [Settings.RootCAs].
	CAPEM string `env:"DEFENDER_CA_PEM"`

	// SecretID names the client secret in Secrets Manager: an ARN or a name. On AWS only.
	SecretID string `env:"DEFENDER_SECRET_ID"`
	// ClientSecret is the client secret itself. Command line only, where it is
	// required.
	ClientSecret Secret `env:"DEFENDER_CLIENT_SECRET"`

	// LedgerTable and BudgetTable are DynamoDB tables.
	LedgerTable string `env:"LEDGER_TABLE"`
	BudgetTable string `env:"BUDGET_TABLE"`
	// ArchiveBucket is the evidence bucket, and ArchivePrefix what stands before every key in it.
	ArchiveBucket string `env:"ARCHIVE_BUCKET"`
	ArchivePrefix string `env:"ARCHIVE_PREFIX" envDefault:"packages/"`

	// LockMode and LockDays are the retention of every object that is stored. LockNone is none; then
	// LockDays means nothing. LegalHold puts a hold on each as well, which only a person takes off.
	LockMode  LockMode `env:"OBJECT_LOCK_MODE" envDefault:"GOVERNANCE"`
	LockDays  int      `env:"OBJECT_LOCK_DAYS" envDefault:"365"`
	LegalHold bool     `env:"OBJECT_LOCK_LEGAL_HOLD" envDefault:"false"`
	// SigningKeyID names the KMS key that signs manifests: an ARN, an id or an alias. The fetch
	// function only; the command line signs with a key of its own.
	SigningKeyID string `env:"SIGNING_KEY_ID"`
	// CasePattern finds the case id in a requestor's comment (RE2): its first group, or all of the
	// match. Where it is not set, it is investigation.DefaultCases.
	CasePattern investigation.CasePattern `env:"CASE_PATTERN"`

	// EventBus is an EventBridge bus: a name or an ARN.
	EventBus string `env:"EVENT_BUS"`

	// PackageURIPerMinute and PackageURIPerHour are the budget of getPackageUri, in calls. Set them
	// lower to leave room for others who use the same app registration.
	PackageURIPerMinute int `env:"PACKAGE_URI_PER_MINUTE" envDefault:"2"`
	PackageURIPerHour   int `env:"PACKAGE_URI_PER_HOUR" envDefault:"120"`

	// Lookback is how far back a sweep lists, with a unit: 168h is a week.
	Lookback time.Duration `env:"LOOKBACK" envDefault:"168h"`
	// SweepInterval is the pause between sweeps while actions are young or ready, with a unit.
	SweepInterval time.Duration `env:"SWEEP_INTERVAL" envDefault:"10s"`
}

// ParsePoll reads the settings of the poll function: it needs the tenant, the secret's id, both
// tables and the bus. The error is an *[Error].
func ParsePoll(environ map[string]string) (Settings, error) {
	return parse(environ, onAWS, varLedgerTable, varBudgetTable, varEventBus)
}

// ParseFetch reads the settings of the fetch-package function: it needs what the poll function
// needs, the bucket, and the key that signs. The error is an *[Error].
func ParseFetch(environ map[string]string) (Settings, error) {
	return parse(environ, onAWS, varLedgerTable, varBudgetTable, varArchiveBucket, varSigningKeyID,
		varEventBus)
}

// ParseCLI reads the settings of the command line: it needs the tenant and the secret itself. The
// error is an *[Error].
func ParseCLI(environ map[string]string) (Settings, error) {
	return parse(environ, onOneMachine)
}

// Map makes a map of "NAME=value" strings, the form in which a process gets its environment.
func Map(environ []string) map[string]string { return env.ToMap(environ) }
