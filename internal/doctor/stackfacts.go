package doctor

import (
	"context"
	"fmt"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/tenant"
)

// Look reads one thing that a check judges. It returns a *[MissingError] if the thing does not exist, and a
// *[DeniedError] if whoever asks may not see it.
type Look[T any] func(ctx context.Context) (T, error)

// MissingError reports that something does not exist.
type MissingError struct{ What string }

func (e *MissingError) Error() string { return e.What + " does not exist" }

// DeniedError reports that whoever asks lacks a permission.
type DeniedError struct{ Action string } // as IAM writes it, such as "kms:DescribeKey"

func (e *DeniedError) Error() string { return "not allowed: " + e.Action }

// StackPorts is how the checks of a deployed stack see it. Each Look makes only the calls for its one check,
// so that a permission that is missing costs that check alone.
type StackPorts struct {
	Now  func() time.Time
	Want StackWanted

	Stack     Look[StackState]
	OwnBucket Look[TenantBucket] // of one tenant of several

	Poll, Fetch                       Look[StackFunction]
	PollConcurrency, FetchConcurrency Look[StackConcurrency]
	PollMay, FetchMay                 Look[StackPermissions]
	Account                           Look[StackAccount]

	Schedule Look[StackSchedule]
	Bus      Look[StackBus]
	Rule     Look[StackRule]
	Queue    Look[StackQueue]

	Ledger, Budget               Look[StackTable]
	LedgerBackups, BudgetBackups Look[bool] // point-in-time recovery
	LedgerTTL, BudgetTTL         Look[bool] // whether items expire

	Bucket       Look[StackBucket]
	Versioning   Look[string] // S3's status: Enabled, Suspended or empty
	Lock         Look[StackLock]
	Encryption   Look[StackEncryption]
	PublicAccess Look[bool]   // whether all four blocks are on
	BucketPolicy Look[string] // JSON

	Key, SigningKey             Look[StackKey]
	KeyPolicy, SigningKeyPolicy Look[string] // JSON
	KeyRotation                 Look[bool]

	PollLogs, FetchLogs Look[StackLogs]
	Alarms              Look[[]StackAlarm]

	// By the kind of the credential.
	Secret                        Look[StackSecret]
	Federation                    Look[StackFederation]
	IdentityTrust, IdentityPolicy Look[string] // JSON
	Certificates                  Look[StackCertificates]
	CertificateKey                Look[StackKey]
	CertificateMatch              Look[[]string] // the names of the certificates that are not of the key
	CertificateKeyPolicy          Look[string]   // JSON

	Sweeps Look[[]StackSweep]
	Work   Look[StackWork]
}

// StackWanted is what the stack was deployed as: its parameters and the names of its resources.
type StackWanted struct {
	Name, Region, Account, Partition string

	Tenant                string // DefenderTenantId
	Tenants               int    // how many are served together; 0 if it is alone
	NoApp                 bool   // the stack has no app: each registered tenant has its own
	PollARN, FetchARN     string
	PollRole, FetchRole   string // ARNs
	Architecture          string // of the functions, as Lambda writes it
	PollName, FetchName   string
	PollRate, FetchRate   int // reserved concurrency; 0 for none
	Schedule, Bus, Rule   string
	QueueURL, QueueARN    string
	Ledger, Budget        string
	Bucket                string
	LockMode              string // GOVERNANCE, COMPLIANCE or NONE
	LockDays              int
	OtherS3               string // an endpoint other than Amazon's; empty on AWS
	KeyARN, SigningKeyARN string
	Writers               []string // ARNs besides the fetch function's role
	BreakGlass            string   // an ARN, or empty
	PollLogs, FetchLogs   string   // log groups
	LogDays               int
	DataKey               string // ARN of the key of the logs; empty for AWS's
	Kind                  tenant.Kind
	Secret                string // ARN or name; of kind ClientSecret
	Identity, Audience    string // the ARN of the role that AWS vouches for; of kind Federated
	CertificateKey        string // ARN of the key in KMS; of kind Certificate, like those that follow
	CertificateSecret     string // ARN of the secret that has certificate and key; excludes CertificateKey
	OwnCertificateKey     bool   // the stack made the key
	Certified             bool   // it was deployed with a certificate
	PollPaused            bool   // PollState is DISABLED
	Topic                 string // or address that alarms are sent to; empty if nobody is told

	// PollVariables and FetchVariables are what the functions' environments must say, by variable.
	PollVariables, FetchVariables map[string]string
}

// StackState is what CloudFormation says about the stack.
type StackState struct {
	Status          string
	Reason          string
	Drifted         bool   // it was asked to compare, and found differences
	TemplateVersion string // the output; empty before there was one
}

// StackFunction is a Lambda function.
type StackFunction struct {
	ARN, Role, Architecture string
	State, StateReason      string // Active is the good one
	Update, UpdateReason    string // Successful is the good one
	Modified                string // when it was last changed
	Environment             map[string]string
	Settings                string // what is wrong with the environment; empty if the function can read it
}

// StackConcurrency is a function's reserved concurrency.
type StackConcurrency struct {
	Reserved bool
	Limit    int
}

// StackPermissions are what a function's role lacks of what the function needs, such as "dynamodb:Query on ARN", of
// how many in all.
type StackPermissions struct {
	Lacks []string
	Of    int
}

// StackAccount is how many invocations the account may have at a time.
type StackAccount struct{ Limit, Unreserved int }

// StackSchedule is the schedule of the ticks.
type StackSchedule struct {
	Name, Group, Expression string
	Enabled                 bool
	Target, Role            string // ARNs
}

// StackBus is an event bus.
type StackBus struct{ Name string }

// StackRule is the rule that hands events over to the fetch function.
type StackRule struct {
	Name, Pattern string
	Enabled       bool
	Targets       []StackTarget
}

// StackTarget is where a rule delivers.
type StackTarget struct{ ID, ARN, DeadLetters string }

// StackQueue is the queue of undelivered events.
type StackQueue struct{ Messages int }

// StackTable is a DynamoDB table. Key and Indexes are written "pk" and "due(lane,dueAt)".
type StackTable struct {
	Status    string
	Key       string
	Indexes   []StackIndex
	Protected bool // from deletion
}

// StackIndex is a table's secondary index.
type StackIndex struct{ Name, Key, Status string }

// StackBucket is the evidence bucket.
type StackBucket struct{ Region string }

// StackLock is a bucket's Object Lock, and what it does to objects that ask for nothing.
type StackLock struct {
	Enabled bool
	Mode    string // empty if there is no default
	Days    int
}

// StackEncryption is how a bucket encrypts.
type StackEncryption struct{ Algorithm, Key string }

// StackKey is a KMS key.
type StackKey struct {
	State, Spec, Usage string
	DeletedAt          time.Time // zero unless its deletion is scheduled
}

// StackLogs is a log group. Days is 0 if its logs are kept forever.
type StackLogs struct{ Days int }

// StackAlarm is a CloudWatch alarm.
type StackAlarm struct {
	Name, State, Reason, Description string
	Notifies                         bool // it has an action, and its actions are on
}

// StackSecret says whether a client secret can be used, without the secret.
type StackSecret struct {
	Placeholder bool
	Deleted     bool   // it is, but can still be restored
	Problem     string // why the functions cannot read it; empty if they can
}

// StackFederation is the account's switch for tokens that vouch for a role.
type StackFederation struct {
	Enabled bool
	Issuer  string // of the account
}

// StackCertificates are the certificates that the functions prove the app with.
type StackCertificates struct {
	Certificates []StackCertificate // the one that lasts longest first
	Deleted      bool               // the secret that has them is, but can still be restored
	Problem      string             // why the functions cannot use them; empty if they can
}

// StackCertificate is a certificate, with the name under which Entra ID shows it.
type StackCertificate struct {
	Name          string
	From, Expires time.Time
}

// StackSweep is how well the sweeps of one tenant work.
type StackSweep struct {
	Tenant string
	tenant.Health
}

// StackWork is what the ledger says that a person should look at.
type StackWork struct {
	Records   int
	Strangers []string // keys
	Stuck     []StackStuck
}

// StackStuck is a package that has waited too long.
type StackStuck struct {
	Action, Message string
	Since           time.Time
}

// unseen is the finding of a check whose Look failed. A thing that is missing is a failure with the advice.
func unseen(err error, missing string) Finding {
	switch e := err.(type) { //nolint:errorlint // a Look returns these as they are
	case *MissingError:
		return Fail(missing, "%s", e.Error())
	case *DeniedError:
		return Skip(`have somebody allow you `+e.Action+`: docs/operations.md, "What doctor may read"`,
			"you may not look: %s is denied", e.Action)
	case *ForeignError:
		return Skip("", "only the stack's functions may use its credential (%s): the check sweeps says whether they can", e.Text)
	case *UnmadeError:
		return Skip("", "%s", e.Error())
	}
	return Skip("", "cannot look: %s", investigation.Redact(err.Error()))
}

// seeing makes the Run of a check that judges one thing. missing is the advice if it does not exist.
func seeing[T any](look Look[T], missing string, judge func(T) Finding) func(context.Context) Finding {
	return func(ctx context.Context) Finding {
		seen, err := look(ctx)
		if err != nil {
			return unseen(err, missing)
		}
		return judge(seen)
	}
}

// paste is advice that ends in a command.
func paste(why, format string, args ...any) string { return why + ": " + fmt.Sprintf(format, args...) }
