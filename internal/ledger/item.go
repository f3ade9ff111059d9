package ledger

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"packhorse/internal/investigation"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// ErrStranger is wrapped where an item of the table is not a record of the ledger (somebody else wrote
// it, or it was damaged; the error names its key), and where a change would make one that is not.
var ErrStranger = investigation.ErrBadRecord

// The names of the attributes. The key of a manifest that is where it always is is not written: so an
// ordinary item stays as small as it can.
const (
	namePK               = "pk" // "<tenantId>#<actionId>"
	nameVersion          = "version"
	nameTenantID         = "tenantId"
	nameActionID         = "actionId"
	nameMachineID        = "machineId"
	nameComputerDNSName  = "computerDnsName"
	nameRequestor        = "requestor"
	nameRequestorComment = "requestorComment"
	nameCaseID           = "caseId"
	nameRequestSource    = "requestSource"
	nameStatus           = "status"
	nameCreatedAt        = "createdAt"
	nameLastUpdatedAt    = "lastUpdatedAt"
	nameCompletedAt      = "completedAt" // derived; for whoever looks
	nameState            = "state"
	nameAttempts         = "attempts"
	nameExpiredLinks     = "expiredLinks"
	nameOwner            = "owner"
	nameLeaseUntil       = "leaseUntil"
	nameDueAt            = "dueAt"  // milliseconds since 1970
	nameLane             = "lane"   // "<tenantId>#live"
	nameClaims           = "claims" // owners, separated by blanks
	nameStrangers        = "strangers"
	nameReceipt          = "receipt"
	nameManifestKey      = "manifestKey"
	nameReason           = "reason"
	nameMessage          = "message"
	nameJournal          = "journal"
	nameQuarantine       = "quarantine"
	nameQuarantineSeal   = "quarantineSeal"
	nameSeal             = "seal"
	nameObservedAt       = "observedAt"
	nameArchivedAt       = "archivedAt"
	nameAnnouncedAt      = "announcedAt"

	dueIndex = "due"
)

// optional lists the attributes that an item may be without; a change removes those it leaves out.
// What is in an item beyond the names above is left alone: a newer version may have put it there.
func optional() []string {
	return []string{
		nameComputerDNSName, nameRequestor, nameRequestorComment, nameCaseID, nameRequestSource,
		nameStatus, nameLastUpdatedAt, nameCompletedAt, nameAttempts, nameExpiredLinks, nameOwner,
		nameLeaseUntil, nameDueAt, nameLane, nameReceipt, nameManifestKey, nameReason, nameMessage,
		nameJournal, nameClaims, nameStrangers, nameQuarantine, nameQuarantineSeal, nameSeal, nameArchivedAt, nameAnnouncedAt,
	}
}

type item = map[string]types.AttributeValue

// versioned is a record, and the name of the write that made it; the empty name is no item.
type versioned struct {
	investigation.Record
	version string
}

// versionLength is how much of a random text names a write: 65 bits, which no item sees twice.
const versionLength = 13

func newVersion() string { return rand.Text()[:versionLength] }

func keyOf(id investigation.ID) item { return item{namePK: text(id.String())} }

// idOf takes a key apart. A key that is none gives an id that gives the same key again.
func idOf(key string) investigation.ID {
	tenant, action, _ := strings.Cut(key, "#")
	return investigation.ID{TenantID: tenant, ActionID: action}
}

func laneKey(tenantID string, lane investigation.Lane) string {
	return tenantID + "#" + string(lane)
}

// update is a conditional write in DynamoDB's language.
type update struct {
	change, condition string
	names             map[string]string
	values            item
}

// updateOf returns the write that puts next in the place of the version that was read. What could not
// be read again is an error that wraps ErrStranger.
func updateOf(next versioned, was string) (update, error) {
	err := next.Validate()
	if err != nil {
		return update{}, err
	}
	return replace(encode(next.Record), optional(), next.version, was), nil
}

// replace returns the write of these attributes, by the version's name, that removes of the others
// those it may, in the place of the version that was read. The empty name is that of no item.
func replace(it item, mayRemove []string, version, was string) update {
	it[nameVersion] = text(version)
	u := update{names: map[string]string{}, values: item{}, condition: "attribute_not_exists(#pk)"}
	if was == "" {
		u.names["#pk"] = namePK
	} else {
		u.condition = "#version = :was"
		u.values[":was"] = text(was)
	}
	var sets, removes []string
	for name, value := range it {
		u.names["#"+name] = name
		u.values[":"+name] = value
		sets = append(sets, "#"+name+" = :"+name)
	}
	for _, name := range mayRemove {
		if _, set := it[name]; !set {
			u.names["#"+name] = name
			removes = append(removes, "#"+name)
		}
	}
	// In the order of the names, so that equal writes have equal words.
	slices.Sort(sets)
	u.change = "SET " + strings.Join(sets, ", ")
	if len(removes) > 0 {
		u.change += " REMOVE " + strings.Join(removes, ", ")
	}
	return u
}

// encode returns the attributes of a record, without key and version. What is empty is left out.
func encode(r investigation.Record) item {
	it := item{
		nameTenantID: text(r.TenantID), nameActionID: text(r.ActionID),
		nameMachineID: text(r.MachineID), nameState: text(string(r.State)),
	}
	for name, s := range map[string]string{
		nameComputerDNSName: r.ComputerDNSName, nameRequestor: r.Requestor,
		nameRequestorComment: r.RequestorComment, nameCaseID: r.CaseID,
		nameRequestSource: r.RequestSource, nameStatus: string(r.Status), nameOwner: r.Owner,
		nameReason: string(r.Reason), nameMessage: r.Message, nameJournal: string(r.Journal),
		nameClaims: string(r.Claims), nameStrangers: string(r.Strangers),
	} {
		if s != "" {
			it[name] = text(s)
		}
	}
	for name, t := range map[string]time.Time{
		nameCreatedAt: r.CreatedAt, nameLastUpdatedAt: r.LastUpdatedAt,
		nameCompletedAt: r.CompletedAt(), nameLeaseUntil: r.LeaseUntil,
		nameObservedAt: r.ObservedAt, nameArchivedAt: r.ArchivedAt, nameAnnouncedAt: r.AnnouncedAt,
	} {
		if !t.IsZero() {
			it[name] = text(t.UTC().Format(time.RFC3339Nano))
		}
	}
	for name, n := range map[string]int{nameAttempts: r.Attempts, nameExpiredLinks: r.ExpiredLinks} {
		if n != 0 {
			it[name] = number(int64(n))
		}
	}
	if r.Lane != "" { // with it dueAt, whatever it is: the index takes only items with both
		it[nameLane] = text(laneKey(r.TenantID, r.Lane))
		it[nameDueAt] = number(r.DueAt.UnixMilli())
	}
	for name, receipt := range map[string]investigation.Receipt{
		nameReceipt: r.Receipt, nameQuarantine: r.Quarantine,
	} {
		if receipt != (investigation.Receipt{}) {
			it[name] = &types.AttributeValueMemberM{Value: encodeReceipt(receipt)}
		}
	}
	for name, seal := range map[string]investigation.Seal{
		nameSeal: r.Seal, nameQuarantineSeal: r.QuarantineSeal,
	} {
		if seal != (investigation.Seal{}) {
			it[name] = &types.AttributeValueMemberM{Value: encodeSeal(seal)}
		}
	}
	if r.ManifestKey != usualManifestKey(r) {
		it[nameManifestKey] = text(r.ManifestKey)
	}
	return it
}

// usualManifestKey is where the manifest of a record always is: beside its package, or in the place
// of one that there will not be. Where there is no manifest yet it is empty.
func usualManifestKey(r investigation.Record) string {
	if r.Receipt.Key != "" || !r.IsSealed() {
		return investigation.Key(r.Receipt.Key).Manifest()
	}
	key, err := investigation.NotCollectedKeyOf(r.Action)
	if err != nil { // then the record names it itself, or is none
		return ""
	}
	return key
}

func encodeReceipt(r investigation.Receipt) item {
	it := item{"size": number(r.Size)}
	for name, s := range map[string]string{
		"bucket": r.Bucket, "key": r.Key, "versionId": r.VersionID, "sha256": r.SHA256, "crc": r.CRC32C,
		"lockMode": r.Retention.Mode,
	} {
		if s != "" {
			it[name] = text(s)
		}
	}
	if r.PartSize != 0 {
		it["partSize"] = number(r.PartSize)
	}
	if !r.Retention.Until.IsZero() {
		it["retainUntil"] = text(r.Retention.Until.UTC().Format(time.RFC3339Nano))
	}
	if r.Retention.LegalHold {
		it["legalHold"] = &types.AttributeValueMemberBOOL{Value: true}
	}
	return it
}

func encodeSeal(s investigation.Seal) item {
	it := item{nameSequence: number(s.Sequence), nameDigest: text(s.Digest)}
	for name, words := range map[string]string{"bucket": s.Bucket, "manifest": s.Manifest} {
		if words != "" {
			it[name] = text(words)
		}
	}
	return it
}

// decode returns the record in an item. An error wraps ErrStranger and names the item's key.
func decode(it item) (versioned, error) {
	key, ok := it[namePK].(*types.AttributeValueMemberS)
	if !ok {
		return versioned{}, fmt.Errorf("%w: an item without a key", ErrStranger)
	}
	r := reader{item: it}
	v := versioned{version: r.text(nameVersion)}
	id := idOf(key.Value)
	v.Record = r.record(id)
	if r.err == nil && (r.text(nameTenantID) != id.TenantID || r.text(nameActionID) != id.ActionID) {
		r.err = errors.New("its ids are not those of its key")
	}
	if r.err == nil && v.version == "" {
		r.err = errors.New("it has no version")
	}
	if r.err == nil {
		r.err = v.Validate()
	}
	if r.err != nil {
		return versioned{}, strange(key, r.err)
	}
	return v, nil
}

// strange says that the item of that key is no record, and why.
func strange(key *types.AttributeValueMemberS, why error) error {
	if !errors.Is(why, ErrStranger) {
		why = fmt.Errorf("%w: %w", ErrStranger, why)
	}
	if key == nil { // cannot be: it is the table's key
		return why
	}
	return fmt.Errorf("item %.200q: %w", key.Value, why)
}
