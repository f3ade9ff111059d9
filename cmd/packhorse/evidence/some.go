package evidence

import (
	"context"
	"fmt"

	"packhorse/cmd/packhorse/find"
	"packhorse/internal/investigation"
)

// Some returns the packages that the query's text names, newest first; see [find.Some]. Without a ledger, it may
// name only a file of the archive.
func (e *Evidence) Some(ctx context.Context, q find.Query) ([]investigation.Record, error) {
	if e.ledger != nil {
		q.Where, q.Names = e.ledger.Name, e.ledger.Names
		return find.Some(ctx, e.ledger, q)
	}
	key, ok := e.file(q.Text)
	if !ok {
		return nil, &NoSuchKeyError{q.Text}
	}
	err := CheckTenant(key, q.TenantID)
	if err != nil {
		return nil, err
	}
	rec, err := (&Archive{open: e.archive, started: e.started}).Record(ctx, key)
	if err != nil {
		return nil, err
	}
	return []investigation.Record{rec}, nil
}

// Find returns the records that the filter selects, newest first: those of the ledger or, without one, what the
// manifests in the archive say. The signatures of those are not checked.
func (e *Evidence) Find(ctx context.Context, filter investigation.Filter) ([]investigation.Record, error) {
	if e.ledger != nil {
		return e.ledger.Find(ctx, filter)
	}
	objects, err := e.archive.List(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("list the archive: %w", err)
	}
	archive := &Archive{open: e.archive, started: e.started}
	var all []investigation.Record
	seen := map[investigation.ID]bool{}
	for _, o := range objects {
		parts, ok := investigation.ParseKey(o.Key)
		if !ok || parts.Part != investigation.PartManifest || parts.Area == investigation.AreaQuarantine ||
			filter.TenantID != "" && parts.TenantID != filter.TenantID {
			continue
		}
		rec, err := archive.Record(ctx, o.Key)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil || rec.ID != parts.ID {
			rec = ofKey(parts) // verification will say what is wrong with it
		}
		if filter.Matches(rec) && !seen[rec.ID] {
			seen[rec.ID] = true
			all = append(all, rec)
		}
	}
	return filter.Select(all), nil
}

// ofKey returns what the key of a manifest says.
func ofKey(parts investigation.KeyParts) investigation.Record {
	return investigation.Record{
		Action: investigation.Action{ID: parts.ID, MachineID: parts.MachineID, CreatedAt: parts.CreatedAt},
		State:  investigation.StateDone, ManifestKey: parts.ManifestKey(),
	}
}
