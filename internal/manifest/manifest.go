// Package manifest defines the manifest: the signed record of what is in the archive, who requested it, how
// it was collected, and which manifest comes before it.
//
// A manifest is canonical JSON (RFC 8785), which makes it hashable; docs/custody has its JSON Schema. Each
// contains a sequence number and the digest of the tenant's previous one; the ledger decides the order.
// Its signature is stored beside it: ECDSA on P-256 with SHA-256 over the manifest's bytes, in ASN.1 DER,
// as `openssl dgst -sha256 -verify` reads it.
//
// [Facts] make the bytes, [Parse] reads them back, and [Key.Verify] checks a signature. The package does
// no I/O: package custody signs, and package archive stores.
package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"packhorse/internal/investigation"
)

// manifestVersion is raised when a field changes its meaning. Fields may be added without raising it.
// Version 1, which was never released, was neither signed nor chained.
const manifestVersion = "2"

// Outcome says what a manifest records.
type Outcome string

const (
	// OutcomeArchived: a package, stored beside the manifest.
	OutcomeArchived Outcome = "archived"
	// OutcomeNotCollected: an action that ended without a package.
	OutcomeNotCollected Outcome = "notCollected"
	// OutcomeQuarantined: something that came instead of a package, stored beside the manifest.
	OutcomeQuarantined Outcome = "quarantined"
)

// Manifest is the content of a manifest. Sections that do not apply to its outcome are nil.
type Manifest struct {
	Version      string        `json:"version"`
	Outcome      Outcome       `json:"outcome"`
	Simulated    bool          `json:"simulated,omitempty"` // of a simulated tenant: see Provenance
	Action       Action        `json:"action"`
	Collection   *Collection   `json:"collection,omitempty"`
	Object       *Object       `json:"object,omitempty"`
	Content      *Content      `json:"content,omitempty"`
	NotCollected *NotCollected `json:"notCollected,omitempty"`
	// Strangers occupied the places of the object when it was stored, and are not Packhorse's. If there are
	// many, only some are named; StrangersMore counts the others.
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

// Collection records how the object was obtained, or the attempts to obtain it.
type Collection struct {
	Attempts int              `json:"attempts"` // number of the one that succeeded, or of all
	Earlier  []EarlierAttempt `json:"earlier"`  // why earlier ones failed
	Link     *Exchange        `json:"link,omitempty"`
	Download *Exchange        `json:"download,omitempty"`
}

// EarlierAttempt is a failed attempt.
type EarlierAttempt struct {
	EndedAt time.Time `json:"endedAt"`
	Message string    `json:"message"`
}

// Exchange is one request and its answer. It names the host, but not path, query or token.
type Exchange struct {
	AskedAt           time.Time `json:"askedAt"`
	AnsweredAt        time.Time `json:"answeredAt"`
	Host              string    `json:"host"`
	TLSVersion        string    `json:"tlsVersion"`
	CertificateSHA256 string    `json:"certificateSha256"` // of the certificate (DER), hexadecimal
	RequestID         string    `json:"requestId"`         // given by the host; can be empty
	CorrelationID     string    `json:"correlationId"`
}

// Object is the stored object.
type Object struct {
	Bucket    string     `json:"bucket"`
	Key       string     `json:"key"`
	VersionID string     `json:"versionId"` // empty in a bucket without versions
	Size      int64      `json:"size"`      // bytes
	SHA256    string     `json:"sha256"`    // hexadecimal
	CRC32C    string     `json:"crc32c"`    // base64 of the big-endian sum, as S3 has it
	PartSize  int64      `json:"partSize"`  // bytes; 0 if it was uploaded in one piece
	Retention *Retention `json:"retention,omitempty"`
}

// Retention is the lock that keeps an object from being deleted.
type Retention struct {
	Mode      string    `json:"mode"` // GOVERNANCE, COMPLIANCE, or empty for a legal hold alone
	Until     time.Time `json:"until,omitzero"`
	LegalHold bool      `json:"legalHold"`
}

// Content summarizes the package's ZIP directory. Nothing was unpacked.
type Content struct {
	Entries          int64    `json:"entries"`
	UncompressedSize int64    `json:"uncompressedSize"` // bytes
	TopLevel         []string `json:"topLevel"`
	Remarks          []string `json:"remarks"`
}

// NotCollected says why there is no package.
type NotCollected struct {
	Reason     investigation.Reason `json:"reason"`
	Message    string               `json:"message"`
	Quarantine *Quarantine          `json:"quarantine,omitempty"`
}

// Quarantine names the object that came instead of the package.
type Quarantine struct {
	Key            string `json:"key"`
	SHA256         string `json:"sha256"`
	ManifestKey    string `json:"manifestKey"`
	ManifestSHA256 string `json:"manifestSha256"`
}

// Stranger is an object that Packhorse did not store, found in a place where it stores its own.
type Stranger struct {
	Key       string    `json:"key"`
	VersionID string    `json:"versionId"` // empty in a bucket without versions
	Size      int64     `json:"size"`      // bytes
	SHA256    string    `json:"sha256"`    // hexadecimal; if empty, Note says why
	FoundAt   time.Time `json:"foundAt"`
	Note      string    `json:"note"`
}

// Software identifies the program that made the manifest.
type Software struct {
	Name            string `json:"name"`
	Version         string `json:"version"`
	Commit          string `json:"commit"`
	FunctionARN     string `json:"functionArn"` // empty outside of AWS Lambda
	FunctionVersion string `json:"functionVersion"`
}

// Custody says who wrote the manifest, where and when.
type Custody struct {
	Bucket    string    `json:"bucket"`    // that holds the manifest
	Principal string    `json:"principal"` // an IAM principal, or user@host on one machine
	Account   string    `json:"account"`   // of AWS; empty on one machine
	Region    string    `json:"region"`
	SealedAt  time.Time `json:"sealedAt"`
	// Retention is the minimum lock on the manifest and its signature.
	Retention *Retention `json:"retention,omitempty"`
}

// Signature names the key of the signature stored beside the manifest.
type Signature struct {
	Algorithm string `json:"algorithm"`
	KeyID     string `json:"keyId"` // SHA-256 of the public key (DER SubjectPublicKeyInfo), hexadecimal
	Key       string `json:"key"`   // where the key is kept, such as a KMS ARN
}

// Chain is the manifest's place in the tenant's chain.
type Chain struct {
	Sequence int64  `json:"sequence"` // from 1
	Previous string `json:"previous"` // SHA-256 of the previous manifest's bytes; empty in the first
}

// ErrBadManifest is wrapped by the errors of [Parse].
var ErrBadManifest = errors.New("not a manifest")

// Parse reads a manifest. It rejects text that is not in canonical form. It ignores unknown fields: a later
// release may have added them, and the signature covers them anyway. Errors wrap [ErrBadManifest].
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

// check rejects a manifest that [Facts] cannot have made.
func (m Manifest) check() error {
	hasObject := m.Outcome == OutcomeArchived || m.Outcome == OutcomeQuarantined
	switch {
	case m.Version != manifestVersion:
		return fmt.Errorf("its version is %.16q, but this program reads only %q", m.Version, manifestVersion)
	case m.Outcome != OutcomeArchived && m.Outcome != OutcomeNotCollected &&
		m.Outcome != OutcomeQuarantined:
		return fmt.Errorf("its outcome is %.40q", m.Outcome)
	case hasObject != (m.Object != nil), (m.Outcome == OutcomeArchived) != (m.Content != nil),
		(m.Outcome == OutcomeNotCollected) != (m.NotCollected != nil):
		return fmt.Errorf("its outcome is %q, but its sections do not match", m.Outcome)
	case !isDigest(m.Signature.KeyID):
		return fmt.Errorf("its signing key's id is %.80q, not 64 lower-case hexadecimal digits", m.Signature.KeyID)
	case hasObject && !isDigest(m.Object.SHA256):
		return fmt.Errorf("its object's SHA-256 is %.80q, not 64 lower-case hexadecimal digits", m.Object.SHA256)
	case m.Chain.Previous != "" && !isDigest(m.Chain.Previous):
		return fmt.Errorf("its predecessor is %.80q, not 64 lower-case hexadecimal digits", m.Chain.Previous)
	case hasObject && m.Object.Bucket != m.Custody.Bucket:
		return fmt.Errorf("its bucket is %.80q, but its object's bucket is %.80q", m.Custody.Bucket,
			m.Object.Bucket)
	case m.Chain.Sequence < 1 || (m.Chain.Sequence == 1) != (m.Chain.Previous == ""):
		return fmt.Errorf("its sequence number is %d, and its predecessor %.80q", m.Chain.Sequence,
			m.Chain.Previous)
	}
	return nil
}

var digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// isDigest reports whether text has the form of a SHA-256. Digests appear in file names and commands, so
// other text must not pass.
func isDigest(text string) bool { return digestForm.MatchString(text) }

// Head returns the head of a chain that ends with this manifest. text is the manifest's bytes.
func (m Manifest) Head(text []byte) investigation.Head {
	_, head := investigation.Head{Sequence: m.Chain.Sequence - 1}.Follow(text, m.Custody.Bucket)
	return head
}

// Key returns the key where the manifest belongs, from its own fields. It fails if its action is invalid.
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
