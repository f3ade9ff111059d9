package ledger

import (
	"context"
	"fmt"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/memory"
)

// call is one change of a record by the ledger.
type call struct {
	id     investigation.ID
	change investigation.Change
	seals  bool // the result is sealed too
}

func (c call) String() string { return fmt.Sprintf("%s action %s", c.change.Name, c.id.ActionID) }

// do makes the call.
func (b *bench) do(ctx context.Context, c call, l Ledger) (investigation.Record, error) {
	if c.seals {
		return l.Seal(ctx, c.id, c.change, b.sealer)
	}
	return l.Change(ctx, c.id, c.change)
}

// expect returns the record and head that the call should produce.
func (b *bench) expect(c call, r investigation.Record, head investigation.Head) (
	investigation.Record, investigation.Head, error,
) {
	next, err := c.change.Apply(r)
	if err != nil || !c.seals {
		return next, head, err
	}
	return next.Sealed(head, &memory.Sealer{Words: b.sealer.Words, Err: b.sealer.Err})
}

func (b *bench) claim(id investigation.ID, owner string, now time.Time) call {
	return call{id: id, change: investigation.Claim(owner, now, now.Add(lease))}
}

func (b *bench) renew(id investigation.ID, owner string, until time.Time) call {
	return call{id: id, change: investigation.Renew(owner, until)}
}

func (b *bench) release(id investigation.ID, owner string, rel investigation.Release) call {
	return call{id: id, change: investigation.GiveBack(owner, rel)}
}

func (b *bench) archived(id investigation.ID, owner string, now time.Time) call {
	receipt := investigation.Receipt{Bucket: "evidence", Key: "packages/" + id.ActionID + ".zip",
		VersionID: "v-1", Size: 5_000_000_000_123, SHA256: fmt.Sprintf("%064x", 7), CRC32C: "yZRlqg==",
		PartSize: 64 << 20, Retention: retention(t0)}
	return call{id: id, seals: true, change: investigation.Archive(owner, investigation.Arrival{
		At: now, Receipt: receipt, Strangers: strangers("packages/" + id.ActionID),
	})}
}

// strangers returns two strangers in an action's places.
func strangers(stem string) investigation.Strangers {
	return investigation.Strangers("").Add(
		investigation.Stranger{Key: stem + ".zip", VersionID: "v-0", Size: 7, SHA256: fmt.Sprintf("%064x", 9),
			FoundAt: t0.Add(123 * time.Millisecond)},
		investigation.Stranger{Key: stem + "~1.zip", Size: 1 << 40, FoundAt: t0, Note: "not read"})
}

// retention returns a lock for ten years, in whole seconds as in S3, with a legal hold.
func retention(from time.Time) investigation.Retention {
	return investigation.Retention{Mode: "COMPLIANCE",
		Until: from.AddDate(10, 0, 0).Truncate(time.Second), LegalHold: true}
}

func (b *bench) notCollected(id investigation.ID, owner string) call {
	return b.closed(id, owner, investigation.Closing{At: t0, Reason: investigation.ReasonExpired,
		Message: "six links expired"})
}

// quarantined is like notCollected, with a quarantined object.
func (b *bench) quarantined(id investigation.ID, owner string) call {
	return b.closed(id, owner, investigation.Closing{At: t0, Reason: investigation.ReasonInvalid,
		Message: "the download is not a package",
		Quarantine: investigation.Receipt{Bucket: "evidence", Key: "quarantine/" + id.ActionID + ".bin",
			VersionID: "v-2", Size: 17, SHA256: fmt.Sprintf("%064x", 8), CRC32C: "yZRlqh==",
			PartSize: 8 << 20, Retention: retention(t0)}})
}

func (b *bench) closed(id investigation.ID, owner string, c investigation.Closing) call {
	return call{id: id, seals: true, change: investigation.Close(owner, c)}
}

func (b *bench) seal(id investigation.ID) call {
	return call{id: id, seals: true, change: investigation.Unchanged()}
}

func (b *bench) announced(id investigation.ID, now time.Time) call {
	return call{id: id, change: investigation.Announce(investigation.Conclusion{
		At: now, Strangers: strangers("packages/" + id.ActionID + ".json"),
	})}
}
