package doctor

import (
	"io/fs"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/tenant"
)

// TenantPorts is how the checks of one tenant see its settings, its network, and Defender.
type TenantPorts struct {
	Now func() time.Time

	// Settings returns what is wrong with the settings; it is the only port that needs none.
	Settings func() SettingsState
	// Set returns the command that gives a setting a value, or an empty string if there is none.
	Set func(variable, value string) string

	Authority, API Look[Answer]
	Links          Look[[]Answer] // of the link hosts that are whole names; suffixes cannot be looked up

	Token      Look[struct{}]
	Credential Look[Credential] // after a token
	Roles      Look[[]string]
	List       Look[int]       // how many actions the first page has
	Archived   Look[time.Time] // when a package was last archived with the present app; zero if that is not known

	Refused   Look[RefusedLinks]
	Forbidden Look[Forbidden]
}

// SettingsState is what is wrong with the settings.
type SettingsState struct {
	Unset    bool     // nothing about a tenant is set at all
	Problems []string // one for each wrong setting
	Tenant   string   // its id
	Cloud    string
}

// Answer is the answer of a host to a request that carries nothing secret.
type Answer struct {
	Host     string // with the port, unless that is 443
	Variable string // the setting that names the host
	Proxy    string // the host of the proxy; empty without one
	Err      error  // why there was no answer

	ServerAt time.Time     // by the host's clock, in whole seconds; zero if it does not say
	At       time.Time     // by ours, in the middle of the request
	Took     time.Duration // the request
}

// RefusedLinks are hosts that Defender's links lead to and that are not allowed.
type RefusedLinks struct {
	Hosts   []string
	Allowed []string // the setting as it is
}

// Forbidden is the last package whose link Defender refused for want of a permission. The zero Forbidden says that
// none waits for that.
type Forbidden struct {
	Action  string
	Message string
	Until   time.Time // when it is tried again
}

// RefusedError reports that a service refused what was asked. It needs a person.
type RefusedError struct{ Text, Advice string }

func (e *RefusedError) Error() string { return e.Text }

// ForeignError reports that only the functions of the stack may use its credential, as it should be.
type ForeignError struct{ Text string } // what was denied

func (e *ForeignError) Error() string { return e.Text }

// Credential is how the app proved to Entra ID who it is.
type Credential struct {
	Kind     tenant.Kind
	Accepted string  // the name of the proof that Entra ID accepted
	Proofs   []Proof // all that could be tried, the preferred one first
}

// Proof is a certificate, a version of a client secret, or an identity that another service vouches for.
type Proof struct {
	Name    string    // shows no secret
	Expires time.Time // zero if unknown, or if it never does
}

// UnmadeError reports that something does not exist yet, and that packhorse run makes it.
type UnmadeError struct{ What string }

func (e *UnmadeError) Error() string { return e.What + " does not exist yet: packhorse run makes it" }

// MachinePorts is how the checks of one machine see its disk, its archive and its ledger.
type MachinePorts struct {
	Now  func() time.Time
	Want MachineWanted

	Folder     Look[Folder]
	Files      Look[[]OpenFile] // of the data folder, those that others can read; public keys do not count
	Origin     Look[Origin]
	Attributes Look[error] // what is wrong with them; nil if nothing is
	Database   Look[Database]
	Disk       Look[Disk]

	Key       Look[Key]
	Published Look[[]string] // the ids of the keys published in the archive

	Archive    Look[struct{}]
	Lock       Look[ArchiveLock]
	Conditions Look[Conditions]

	// What only a bucket of S3 has.
	Versioning   Look[string] // S3's status: Enabled, Suspended or empty
	Encryption   Look[string] // the algorithm; empty if it does not encrypt
	PublicAccess Look[bool]   // whether all four blocks are on

	Process Look[Process]
	Health  Look[tenant.Health]
	Work    Look[MachineWork]
}

// MachineWanted is how the machine is used.
type MachineWanted struct {
	Data     string // the data folder, absolute
	Bucket   string // the user's own bucket; empty if the archive is in the data folder
	Endpoint string // of the bucket's service; empty on AWS
	Tenants  int    // how many are served together; 0 if it is alone
}

// Folder is a data folder.
type Folder struct {
	IsFile bool
	Mode   fs.FileMode
	Owner  string // its name or number
	Mine   bool
}

// OpenFile is a file that others can read or write.
type OpenFile struct {
	Path string
	Mode fs.FileMode
}

// Origin says whose packages a data folder has.
type Origin struct{ Simulated, Wanted bool }

// Database is the version of the ledger's file. Foreign says why it cannot be used at all, and Lost that it is not
// there, although the folder was used.
type Database struct {
	Version, Known int
	Foreign        string
	Lost           bool
}

// Process is another process that has the ledger open; its ID is 0 if there is none.
type Process struct{ ID int }

// Disk is the space on the disk of the archive, in bytes.
type Disk struct {
	Free    int64
	Largest int64 // of the packages lately; 0 if there were none
	Needed  int64 // to store one more as large
}

// Key is the signing key of a data folder.
type Key struct {
	File    string
	ID      string
	Others  []string // ids of earlier keys
	Problem string   // why it cannot sign
	Mode    fs.FileMode
}

// ArchiveLock is how evidence is locked: the settings' mode, which is empty if they want no lock, and whether the
// archive takes such objects.
type ArchiveLock struct {
	Mode  string
	Takes bool
}

// Conditions says whether a service honors conditional writes.
type Conditions int

// The answers to a write that must not replace an object, with a wrong digest: honored, the condition is
// refused first; unknown, the digest is.
const (
	ConditionsUnknown Conditions = iota
	ConditionsHonored
	ConditionsIgnored
)

// MachineWork is what the ledger says that a person should look at.
type MachineWork struct {
	Records   int
	Strangers []investigation.Stranger
	Stuck     []StackStuck
}
