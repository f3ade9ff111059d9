// Package manifest is what a manifest says: the signed record of what lies in the archive, who asked
// for it, how it was collected, and which manifest comes before it.
//
// A manifest is canonical JSON (RFC 8785), so that it can be hashed; docs/custody has its JSON Schema.
// Each carries a sequence number and the digest of the tenant's previous one; the ledger decides the
// order. Beside it lies its signature: ECDSA on P-256 with SHA-256 over the manifest's bytes, ASN.1
// DER, as `openssl dgst -sha256 -verify` reads it.
//
// [Facts] make the bytes, [Parse] reads them back, and [Key.Verify] checks a signature. All of it is
// pure: package custody signs, and package archive stores.
package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"packhorse/internal/investigation"
)

// manifestVersion is raised when a field changes its meaning. Fields may be added. Version 1, of no
// release, was neither signed nor chained.
const manifestVersion = "2"

// Outcome is what a manifest is about.
type Outcome string

const (
	// OutcomeArchived: a package, which lies beside the manifest.
	OutcomeArchived Outcome = "archived"
	// OutcomeNotCollected: an action that ended without a package.
	OutcomeNotCollected Outcome = "notCollected"
	// OutcomeQuarantined: what came in the place of a package, which lies beside the manifest.
	OutcomeQuarantined Outcome = "quarantined"
)

// Manifest is what a manifest says. Sections that its outcome does not call for are nil.
type Manifest struct {
	Version      string        `json:"version"`
	Outcome      Outcome       `json:"outcome"`
	Simulated    bool          `json:"simulated,omitempty"` // of a simulated tenant: see Provenance
	Action       Action        `json:"action"`
	Collection   *Collection   `json:"collection,omitempty"`
	Object       *Object       `json:"object,omitempty"`
	Content      *Content      `json:"content,omitempty"`
	NotCollected *NotCollected `json:"notCollected,omitempty"`
	// Strangers lay in the places of the object when it was stored, and are not Packhorse's. Of many
	// some are named; StrangersMore counts the others.
	Strangers     []Stranger `json:"strangers,omitempty"`
	StrangersMore int        `json:"strangersMore,omitempty"`
	Software      Software   `json:"software"`
	Custody       Custody    `json:"custody"`
	Signature     Signature  `json:"signature"`
	Chain         Chain      `json:"chain"`
}

// Action is the machine action, in Defender's words.
type Action struct {
	ID               string               `json:"id"`
	Type             string               `json:"type"`
	TenantID         string               `json:"tenantId"`
	MachineID        string               `json:"machineId"`
	ComputerDNSName  string               `json:"computerDnsName"`
	Requestor        string               `json:"requestor"`
	RequestorComment string               `json:"requestorComment"`
	CaseID           string               `json:"caseId"` // found in the comment
	RequestSource    string               `json:"requestSource"`
	Status           investigation.Status `json:"status"`
	CreatedAt        time.Time            `json:"createdAt"`
	CompletedAt      time.Time            `json:"completedAt"`
}

// Collection is how it was come by, or tried to.
type Collection struct {
	Attempts int              `json:"attempts"` // the one that brought it, or the number of all
	Earlier  []EarlierAttempt `json:"earlier"`  // why earlier ones failed
	Link     *Exchange        `json:"link,omitempty"`
	Download *Exchange        `json:"download,omitempty"`
}

// EarlierAttempt is an attempt that brought nothing.
type EarlierAttempt struct {
	EndedAt time.Time `json:"endedAt"`
	Message string    `json:"message"`
}

// Exchange is one request and its answer. The host is there; path, query and token are not.
type Exchange struct {
	AskedAt           time.Time `json:"askedAt"`
	AnsweredAt        time.Time `json:"answeredAt"`
	Host              string    `json:"host"`
	TLSVersion        string    `json:"tlsVersion"`
	CertificateSHA256 string    `json:"certificateSha256"` // of the certificate (DER), hexadecimal
	RequestID         string    `json:"requestId"`         // as the host names it; empty where it does not
	CorrelationID     string    `json:"correlationId"`
}

// Object is what the archive has.
type Object struct {
	Bucket    string     `json:"bucket"`
	Key       string     `json:"key"`
	VersionID string     `json:"versionId"` // empty in a bucket without versions
	Size      int64      `json:"size"`      // bytes
	SHA256    string     `json:"sha256"`    // hexadecimal
	CRC32C    string     `json:"crc32c"`    // base64 of the big-endian sum, as S3 has it
	PartSize  int64      `json:"partSize"`  // bytes; 0: it came in one piece
	Retention *Retention `json:"retention,omitempty"`
}

// Retention is what keeps the object from being deleted.
type Retention struct {
	Mode      string    `json:"mode"` // GOVERNANCE, COMPLIANCE, or empty for a legal hold alone
	Until     time.Time `json:"until,omitzero"`
	LegalHold bool      `json:"legalHold"`
}

// Content is what the package's directory lists. Nothing was unpacked.
type Content struct {
	Entries          int64    `json:"entries"`
	UncompressedSize int64    `json:"uncompressedSize"` // bytes
	TopLevel         []string `json:"topLevel"`
	Remarks          []string `json:"remarks"`
}

// NotCollected is why there is no package.
type NotCollected struct {
	Reason     investigation.Reason `json:"reason"`
	Message    string               `json:"message"`
	Quarantine *Quarantine          `json:"quarantine,omitempty"`
}

// Quarantine names what came in the package's place.
type Quarantine struct {
	Key            string `json:"key"`
	SHA256         string `json:"sha256"`
	ManifestKey    string `json:"manifestKey"`
	ManifestSHA256 string `json:"manifestSha256"`
}

// Stranger is an object that Packhorse did not store, and found where it stores something.
type Stranger struct {
	Key       string    `json:"key"`
	VersionID string    `json:"versionId"` // empty in a bucket without versions
	Size      int64     `json:"size"`      // bytes
	SHA256    string    `json:"sha256"`    // hexadecimal; empty where Note says why
	FoundAt   time.Time `json:"foundAt"`
	Note      string    `json:"note"`
}

// Software is what made the manifest.
type Software struct {
	Name            string `json:"name"`
	Version         string `json:"version"`
	Commit          string `json:"commit"`
	FunctionARN     string `json:"functionArn"` // empty outside of AWS Lambda
	FunctionVersion string `json:"functionVersion"`
}

// Custody is who wrote it, where and when.
type Custody struct {
	Bucket    string    `json:"bucket"`    // where the manifest lies
	Principal string    `json:"principal"` // an IAM principal, or user@host on one machine
	Account   string    `json:"account"`   // of AWS; empty on one machine
	Region    string    `json:"region"`
	SealedAt  time.Time `json:"sealedAt"`
	// Retention is what keeps the manifest and its signature from being deleted, at the least.
	Retention *Retention `json:"retention,omitempty"`
}

// Signature names the key of the signature that lies beside the manifest.
type Signature struct {
	Algorithm string `json:"algorithm"`
	KeyID     string `json:"keyId"` // SHA-256 of the public key (DER SubjectPublicKeyInfo), hexadecimal
	Key       string `json:"key"`   // where the key is kept, such as a KMS ARN
}

// Chain is the manifest's place in the tenant's row.
type Chain struct {
	Sequence int64  `json:"sequence"` // from 1
	Previous string `json:"previous"` // SHA-256 of the previous manifest's bytes; empty in the first
}

// ErrBadManifest is wrapped by the errors of [Parse].
var ErrBadManifest = errors.New("it is no manifest")

// Parse reads a manifest, strictly: what is not in canonical form is none. Fields that this program
// does not know are let be: a later release may have added them, and the signature covers them all
// the same. Errors wrap [ErrBadManifest].
func Parse(text []byte) (Manifest, error) {
	err := checkCanonical(text)
	if err != nil {
		return Manifest{}, fmt.Errorf("%w: %w", ErrBadManifest, err)
	}
	var m Manifest
	err = json.Unmarshal(text, &m)
	if err != nil {
		return Manifest{}, fmt.Errorf("%w: %w", ErrBadManifest, err)
	}
	err = m.check()
	if err != nil {
		return Manifest{}, fmt.Errorf("%w: %w", ErrBadManifest, err)
	}
	return m, nil
}

// check finds what [Facts] cannot have made.
func (m Manifest) check() error {
	hasObject := m.Outcome == OutcomeArchived || m.Outcome == OutcomeQuarantined
	switch {
	case m.Version != manifestVersion:
		return fmt.Errorf("its version is %.16q, and this program knows %q", m.Version, manifestVersion)
	case m.Outcome != OutcomeArchived && m.Outcome != OutcomeNotCollected &&
		m.Outcome != OutcomeQuarantined:
		return fmt.Errorf("its outcome is %.40q", m.Outcome)
	case hasObject != (m.Object != nil), (m.Outcome == OutcomeArchived) != (m.Content != nil),
		(m.Outcome == OutcomeNotCollected) != (m.NotCollected != nil):
		return fmt.Errorf("its outcome is %q, and its sections are not those of it", m.Outcome)
	case !isDigest(m.Signature.KeyID):
		return fmt.Errorf("its signing key's id is %.80q, not 64 lower-case hexadecimal digits", m.Signature.KeyID)
	case hasObject && !isDigest(m.Object.SHA256):
		return fmt.Errorf("its object's SHA-256 is %.80q, not 64 lower-case hexadecimal digits", m.Object.SHA256)
	case m.Chain.Previous != "" && !isDigest(m.Chain.Previous):
		return fmt.Errorf("its predecessor is %.80q, not 64 lower-case hexadecimal digits", m.Chain.Previous)
	case hasObject && m.Object.Bucket != m.Custody.Bucket:
		return fmt.Errorf("it lies in the bucket %.80q, and its object in %.80q", m.Custody.Bucket,
			m.Object.Bucket)
	case m.Chain.Sequence < 1 || (m.Chain.Sequence == 1) != (m.Chain.Previous == ""):
		return fmt.Errorf("its sequence number is %d, and its predecessor %.80q", m.Chain.Sequence,
			m.Chain.Previous)
	}
	return nil
}

var digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// isDigest reports whether text has the form of a SHA-256. Such texts are shown as names of files and
// in commands, so nothing else may stand there.
func isDigest(text string) bool { return digestForm.MatchString(text) }

// Head returns the end of a chain that ends with this manifest, whose bytes are text.
func (m Manifest) Head(text []byte) investigation.Head {
	_, head := investigation.Head{Sequence: m.Chain.Sequence - 1}.Follow(text, m.Custody.Bucket)
	return head
}

// Key returns the key under which the manifest belongs, by what it says itself. It fails where the
// action makes no sense.
func (m Manifest) Key() (string, error) {
	if m.Object != nil {
		return investigation.Key(m.Object.Key).Manifest(), nil
	}
	return investigation.NotCollectedKeyOf(m.Action.noun())
}

func (a Action) noun() investigation.Action {
	return investigation.Action{
		ID:        investigation.ID{TenantID: a.TenantID, ActionID: a.ID},
		MachineID: a.MachineID, CreatedAt: a.CreatedAt,
	}
}
