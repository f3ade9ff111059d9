// Package settings reads Packhorse's configuration from environment variables into one struct, and
// validates all of it before the first call.
//
// Use [ParsePoll], [ParseFetch] or [ParseCLI], depending on the program; they differ in the
// variables they require. One *[Error] lists every problem.
//
// The package reads only the map it is given, never the process's environment.
package settings

import (
	"net/url"
	"time"

	"github.com/caarlos0/env/v11"

	"packhorse/internal/investigation"
	"packhorse/internal/tenant"
)

const (
	// perMinuteMax and perHourMax are what Microsoft grants getPackageUri, in calls. Source:
	// learn.microsoft.com/defender-endpoint/api/get-package-sas-uri.
	perMinuteMax = 2
	perHourMax   = 120

	// lookbackMin is four days: an offline host may answer days after the request.
	lookbackMin = 96 * time.Hour

	// lookbackMax is Defender's longest retention. Source:
	// learn.microsoft.com/defender-endpoint/data-storage-privacy.
	lookbackMax = 180 * 24 * time.Hour

	// sweepIntervalMin fits the list budget (25 calls a minute): a sweep takes at least two calls,
	// because only an empty page marks the end.
	sweepIntervalMin = 5 * time.Second

	// sweepIntervalMax is the pause between sweeps of an idle tenant; a busy one is not swept less
	// often.
	sweepIntervalMax = time.Minute
)

// Settings holds the whole configuration. The variables are named as in the template and in the
// command line's help. An empty variable counts as unset.
type Settings struct {
	// TenantID and ClientID are the tenant and the app registration: GUIDs in lower case, required.
	TenantID string `env:"DEFENDER_TENANT_ID"`
	ClientID string `env:"DEFENDER_CLIENT_ID"`

	// Cloud provides the defaults of the four fields below.
	Cloud Cloud `env:"DEFENDER_CLOUD" envDefault:"commercial"`
	// APIURL is the root of Defender's API: https, a host, no path. Set it to use a regional host.
	APIURL *url.URL `env:"DEFENDER_API_URL"`
	// AuthorityURL is the root of Microsoft Entra ID: https, a host, no path.
	AuthorityURL *url.URL `env:"DEFENDER_AUTHORITY_URL"`
	// Scope is the scope of the requested token. It ends in "/.default".
	Scope string `env:"DEFENDER_SCOPE"`
	// LinkHosts are the only hosts that packages may be downloaded from.
	LinkHosts LinkHosts `env:"DEFENDER_LINK_HOSTS"`

	// CAPEM holds extra root certificates in PEM, for TLS-inspecting proxies and the simulator. It is
	// empty or holds at least one certificate; see [Settings.RootCAs].
	CAPEM string `env:"DEFENDER_CA_PEM"`

	// Credential is how the app proves who it is. Unset, the variables below decide; see
	// [Settings.TenantCredential].
	Credential tenant.Kind `env:"DEFENDER_CREDENTIAL"`
	// IdentityRole is the ARN of the IAM role that AWS vouches for. Without it, a federated credential is
	// the caller's own identity.
	IdentityRole string `env:"DEFENDER_IDENTITY_ROLE"`
	// CertificateFile is a PEM file with a certificate and its private key. Command line only.
	CertificateFile string `env:"DEFENDER_CERTIFICATE_FILE"`
	// CertificateSecretID is the ARN or name of the same in Secrets Manager.
	CertificateSecretID string `env:"DEFENDER_CERTIFICATE_SECRET_ID"`
	// CertificateKeyID is a KMS key, and CertificatePEM its certificate.
	CertificateKeyID string `env:"DEFENDER_CERTIFICATE_KEY_ID"`
	CertificatePEM   string `env:"DEFENDER_CERTIFICATE_PEM"`
	// SecretID is the ARN or name of the client secret in Secrets Manager.
	SecretID string `env:"DEFENDER_SECRET_ID"`
	// ClientSecret is the client secret itself. Command line only.
	ClientSecret Secret `env:"DEFENDER_CLIENT_SECRET"`

	// LedgerTable and BudgetTable are DynamoDB tables.
	LedgerTable string `env:"LEDGER_TABLE"`
	BudgetTable string `env:"BUDGET_TABLE"`
	// ArchiveBucket is the evidence bucket, and ArchivePrefix the prefix of every key in it.
	ArchiveBucket string `env:"ARCHIVE_BUCKET"`
	ArchivePrefix string `env:"ARCHIVE_PREFIX" envDefault:"packages/"`

	// LockMode and LockDays set the retention of every stored object. With LockNone, LockDays is
	// ignored. LegalHold also places a hold on each object, which only a person removes.
	LockMode  LockMode `env:"OBJECT_LOCK_MODE" envDefault:"GOVERNANCE"`
	LockDays  int      `env:"OBJECT_LOCK_DAYS" envDefault:"365"`
	LegalHold bool     `env:"OBJECT_LOCK_LEGAL_HOLD" envDefault:"false"`
	// SigningKeyID is the ARN, id or alias of the KMS key that signs manifests. Fetch function only;
	// the command line has its own signing key.
	SigningKeyID string `env:"SIGNING_KEY_ID"`
	// CasePattern finds the case id in a requestor's comment (RE2): the first group or, without
	// groups, the whole match. The default is investigation.DefaultCases.
	CasePattern investigation.CasePattern `env:"CASE_PATTERN"`

	// EventBus is an EventBridge bus: a name or an ARN.
	EventBus string `env:"EVENT_BUS"`

	// PackageURIPerMinute and PackageURIPerHour are the call budget of getPackageUri. Lower them to
	// leave room for other users of the same app registration.
	PackageURIPerMinute int `env:"PACKAGE_URI_PER_MINUTE" envDefault:"2"`
	PackageURIPerHour   int `env:"PACKAGE_URI_PER_HOUR" envDefault:"120"`

	// Lookback is how far back a sweep lists, with a unit: 168h is a week.
	Lookback time.Duration `env:"LOOKBACK" envDefault:"168h"`
	// SweepInterval is the pause between sweeps while actions are young or ready, with a unit.
	SweepInterval time.Duration `env:"SWEEP_INTERVAL" envDefault:"10s"`
}

// ParsePoll reads the settings of the poll function, which requires the tenant, a credential, both tables
// and the bus. The error is an *[Error].
func ParsePoll(environ map[string]string) (Settings, error) {
	return parse(environ, onAWS, varLedgerTable, varBudgetTable, varEventBus)
}

// ParseFetch reads the settings of the fetch-package function, which requires everything the poll
// function does, plus the bucket and the signing key. The error is an *[Error].
func ParseFetch(environ map[string]string) (Settings, error) {
	return parse(environ, onAWS, varLedgerTable, varBudgetTable, varArchiveBucket, varSigningKeyID,
		varEventBus)
}

// ParseCLI reads the settings of the command line, which requires the tenant and a credential. The error is an *[Error].
func ParseCLI(environ map[string]string) (Settings, error) {
	return parse(environ, onOneMachine)
}

// Map converts "NAME=value" strings, as in a process's environment, to a map.
func Map(environ []string) map[string]string { return env.ToMap(environ) }
