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

// ErrStranger is wrapped if an item of the table is not a valid record of the ledger (it was
// damaged, or something else wrote it; the error names its key), or if a change would produce an
// invalid record.
var ErrStranger = investigation.ErrBadRecord

// The attribute names. The manifest key is omitted when it is the default, to keep items small.
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
	nameCompletedAt      = "completedAt" // derived; for people who look at the table
	nameState            = "state"
	nameAttempts         = "attempts"
	nameExpiredLinks     = "expiredLinks"
	nameOwner            = "owner"
	nameClaimedAt        = "claimedAt"
	nameLeaseUntil       = "leaseUntil"
	nameDueAt            = "dueAt"  // milliseconds since 1970
	nameLane             = "lane"   // "<tenantId>#live"
	nameClaims           = "claims" // owners, separated by spaces
	nameStrangers        = "strangers"
	nameReceipt          = "receipt"
	nameManifestKey      = "manifestKey"
	nameReason           = "reason"
	nameMessage          = "message"
	nameCause            = "cause"
	nameJournal          = "journal"
	nameQuarantine       = "quarantine"
	nameQuarantineSeal   = "quarantineSeal"
	nameSeal             = "seal"
	nameObservedAt       = "observedAt"
	nameArchivedAt       = "archivedAt"
	nameAnnouncedAt      = "announcedAt"

	dueIndex = "due"
)

// optional lists the attributes that an item may lack; a change removes those it does not set. A
// change keeps attributes other than those named above: a newer version may have written them.
func optional() []string {
	return []string{
		nameComputerDNSName, nameRequestor, nameRequestorComment, nameCaseID, nameRequestSource,
		nameStatus, nameLastUpdatedAt, nameCompletedAt, nameAttempts, nameExpiredLinks, nameOwner,
		nameClaimedAt, nameLeaseUntil, nameDueAt, nameLane, nameReceipt, nameManifestKey, nameReason, nameMessage, nameCause,
		nameJournal, nameClaims, nameStrangers, nameQuarantine, nameQuarantineSeal, nameSeal, nameArchivedAt, nameAnnouncedAt,
	}
}

type item = map[string]types.AttributeValue

// versioned is a record and the name of the write that made it; an empty name means that the item
// does not exist.
type versioned struct {
	investigation.Record
	version string
}

// versionLength is how much random text names a write: 65 bits, enough to be unique per item.
const versionLength = 13

func newVersion() string { return rand.Text()[:versionLength] }

func keyOf(id investigation.ID) item { return item{namePK: text(id.String())} }

// idOf splits a key. An invalid key gives an id that encodes to the same key again.
func idOf(key string) investigation.ID {
	tenant, action, _ := strings.Cut(key, "#")
	return investigation.ID{TenantID: tenant, ActionID: action}
}

func laneKey(tenantID string, lane investigation.Lane) string {
	return tenantID + "#" + string(lane)
}

// update is a conditional write in DynamoDB's expression language.
type update struct {
	change, condition string
	names             map[string]string
	values            item
}

// updateOf returns the write that replaces version was with next. A record that could not be read
// back is an error that wraps ErrStranger.
func updateOf(next versioned, was string) (update, error) {
	err := next.Validate()
	if err != nil {
		return update{}, err
	}
	return replace(encode(next.Record), optional(), next.version, was), nil
}

// replace returns the write that replaces version was with the attributes in it, under the name
// version, and removes the attributes in mayRemove that it does not set. An empty was means that
// the item must not exist.
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
	// Sorted, so equal writes have equal expressions.
	slices.Sort(sets)
	u.change = "SET " + strings.Join(sets, ", ")
	if len(removes) > 0 {
		u.change += " REMOVE " + strings.Join(removes, ", ")
	}
	return u
}

// encode returns a record's attributes, without key and version. It omits empty values.
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
		nameCause: string(r.Cause), nameClaims: string(r.Claims), nameStrangers: string(r.Strangers),
	} {
		if s != "" {
			it[name] = text(s)
		}
	}
	for name, t := range map[string]time.Time{
		nameCreatedAt: r.CreatedAt, nameLastUpdatedAt: r.LastUpdatedAt,
		nameCompletedAt: r.CompletedAt(), nameClaimedAt: r.ClaimedAt, nameLeaseUntil: r.LeaseUntil,
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
	if r.Lane != "" { // always with dueAt: the index only includes items that have both
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

// usualManifestKey is the default key of a record's manifest: next to its package or, if it was not
// collected, where the package would have been. It is empty while there is no manifest.
func usualManifestKey(r investigation.Record) string {
	if r.Receipt.Key != "" || !r.IsSealed() {
		return investigation.Key(r.Receipt.Key).Manifest()
	}
	key, err := investigation.NotCollectedKeyOf(r.Action)
	if err != nil { // then the record must store the key, or is invalid
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

// decode returns the record stored in an item. Errors wrap ErrStranger and name the item's key.
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
		r.err = errors.New("the ids do not match the key")
	}
	if r.err == nil && v.version == "" {
		r.err = errors.New("the version is missing")
	}
	if r.err == nil {
		r.err = v.Validate()
	}
	if r.err != nil {
		return versioned{}, strange(key, r.err)
	}
	return v, nil
}

// strange returns the error that the item under key is not a valid record because of why.
func strange(key *types.AttributeValueMemberS, why error) error {
	if !errors.Is(why, ErrStranger) {
		why = fmt.Errorf("%w: %w", ErrStranger, why)
	}
	if key == nil { // impossible: it is the table's key
		return why
	}
	return fmt.Errorf("item %.200q: %w", key.Value, why)
}
