package ledger

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"packhorse/internal/investigation"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// reader reads attributes from an item, and stops at the first one of the wrong type.
type reader struct {
	item item
	err  error
}

func (r *reader) record(id investigation.ID) investigation.Record {
	rec := investigation.Record{
		Action: investigation.Action{
			ID: id, MachineID: r.text(nameMachineID), ComputerDNSName: r.text(nameComputerDNSName),
			Requestor: r.text(nameRequestor), RequestorComment: r.text(nameRequestorComment),
			CaseID: r.text(nameCaseID), RequestSource: r.text(nameRequestSource),
			Status:    investigation.Status(r.text(nameStatus)),
			CreatedAt: r.instant(nameCreatedAt), LastUpdatedAt: r.instant(nameLastUpdatedAt),
		},
		State: investigation.State(r.text(nameState)), Owner: r.text(nameOwner),
		Attempts:     int(r.number(nameAttempts, 0)),
		ExpiredLinks: int(r.number(nameExpiredLinks, 0)),
		LeaseUntil:   r.instant(nameLeaseUntil), Lane: r.lane(id.TenantID), DueAt: r.dueAt(),
		Claims:    investigation.Claims(r.text(nameClaims)),
		Strangers: investigation.Strangers(r.text(nameStrangers)),
		Receipt:   r.receipt(nameReceipt), Reason: investigation.Reason(r.text(nameReason)),
		Message: r.text(nameMessage), Journal: investigation.Journal(r.text(nameJournal)),
		Quarantine: r.receipt(nameQuarantine), QuarantineSeal: r.seal(nameQuarantineSeal),
		Seal: r.seal(nameSeal), ObservedAt: r.instant(nameObservedAt),
		ArchivedAt: r.instant(nameArchivedAt), AnnouncedAt: r.instant(nameAnnouncedAt),
	}
	// Earlier releases do not know these two, and leave them behind.
	if rec.State == investigation.StateFetching {
		rec.ClaimedAt = r.instant(nameClaimedAt)
	}
	if !rec.State.Decided() {
		rec.Cause = investigation.Cause(r.text(nameCause))
	}
	rec.ManifestKey = r.text(nameManifestKey)
	if _, set := r.item[nameManifestKey]; !set {
		rec.ManifestKey = usualManifestKey(rec)
	}
	return rec
}

func (r *reader) fail(name, want string) {
	if r.err == nil {
		r.err = fmt.Errorf("attribute %q is not %s", name, want)
	}
}

// text returns "" for a missing attribute.
func (r *reader) text(name string) string {
	value, set := r.item[name]
	if !set {
		return ""
	}
	s, ok := value.(*types.AttributeValueMemberS)
	if !ok {
		r.fail(name, "a string")
		return ""
	}
	return s.Value
}

// number returns absent for a missing attribute.
func (r *reader) number(name string, absent int64) int64 {
	value, set := r.item[name]
	if !set {
		return absent
	}
	n, ok := value.(*types.AttributeValueMemberN)
	if !ok {
		r.fail(name, "a number")
		return absent
	}
	i, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil {
		r.fail(name, "a whole number")
		return absent
	}
	return i
}

// instant returns the zero time for a missing attribute.
func (r *reader) instant(name string) time.Time {
	s := r.text(name)
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		r.fail(name, "a time (RFC 3339)")
		return time.Time{}
	}
	return t.UTC()
}

func (r *reader) dueAt() time.Time {
	millis := r.number(nameDueAt, math.MinInt64)
	if millis == math.MinInt64 {
		if _, set := r.item[nameLane]; set {
			r.fail(nameDueAt, "set, although the item has a lane")
		}
		return time.Time{}
	}
	return time.UnixMilli(millis).UTC()
}

func (r *reader) lane(tenantID string) investigation.Lane {
	key := r.text(nameLane)
	if key == "" {
		return ""
	}
	lane, ok := strings.CutPrefix(key, tenantID+"#")
	if !ok {
		r.fail(nameLane, "a lane of its tenant")
		return ""
	}
	return investigation.Lane(lane)
}

// part returns a reader of the map with that name, or nil for a missing attribute.
func (r *reader) part(name string) *reader {
	value, set := r.item[name]
	if !set {
		return nil
	}
	m, ok := value.(*types.AttributeValueMemberM)
	if !ok {
		r.fail(name, "a map")
		return nil
	}
	return &reader{item: m.Value}
}

func (r *reader) receipt(name string) investigation.Receipt {
	in := r.part(name)
	if in == nil {
		return investigation.Receipt{}
	}
	receipt := investigation.Receipt{
		Bucket: in.text("bucket"), Key: in.text("key"), VersionID: in.text("versionId"),
		Size: in.number("size", -1), SHA256: in.text("sha256"), CRC32C: in.text("crc"),
		PartSize: in.number("partSize", 0),
		Retention: investigation.Retention{
			Mode: in.text("lockMode"), Until: in.instant("retainUntil"), LegalHold: in.flag("legalHold"),
		},
	}
	if in.err != nil {
		r.fail(name, "a receipt")
	}
	return receipt
}

func (r *reader) seal(name string) investigation.Seal {
	in := r.part(name)
	if in == nil {
		return investigation.Seal{}
	}
	seal := investigation.Seal{
		Sequence: in.number(nameSequence, -1), Digest: in.text(nameDigest), Bucket: in.text("bucket"),
		Manifest: in.text("manifest"),
	}
	if in.err != nil {
		r.fail(name, "a seal")
	}
	return seal
}

// flag returns false for a missing attribute.
func (r *reader) flag(name string) bool {
	value, set := r.item[name]
	if !set {
		return false
	}
	b, ok := value.(*types.AttributeValueMemberBOOL)
	if !ok {
		r.fail(name, "true or false")
		return false
	}
	return b.Value
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}
