package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/pause"
)

const (
	// patience is how long a fetcher that is denied a slot waits for it instead of giving the action back.
	// A slot that is this near is the one the poller dispatched for (it does so 1.5 s ahead), and giving
	// back costs two ledger writes and another event.
	patience = 3 * time.Second

	// deniedMax bounds how often one fetch waits like that, if others keep taking the slot.
	deniedMax = 3

	// opensMax is how often one link is opened. Retrying a broken download is free while the link is valid;
	// a new link costs a call.
	opensMax = 3
)

// obtain runs steps 2 to 6. It returns what the archive confirmed, and all strangers in the action's
// places. With an error that wraps investigation.ErrNotAPackage it returns the quarantined object, if
// there is one.
func (f *Fetcher) obtain(ctx context.Context, rec investigation.Record) (
	investigation.Stored, investigation.Strangers, error,
) {
	first, err := f.placementOf(rec)
	if err != nil {
		return investigation.Stored{}, rec.Strangers, err
	}
	seen, err := f.look(ctx, rec, first)
	if seen.found || err != nil {
		return seen.stored, seen.strangers, err
	}
	err = f.space.Room(ctx, rec.ID, investigation.SizeUnknown)
	if err != nil {
		return investigation.Stored{}, seen.strangers, err
	}
	link, exchange, err := f.link(ctx, rec)
	if err != nil {
		err = theirs(fmt.Errorf("get the package URI of action %s: %w", rec.ActionID, err))
		return investigation.Stored{}, seen.strangers, err
	}
	first.Collection.Link = exchange
	for opens := 1; ; opens++ {
		stored, err := f.transfer(ctx, seen.free(first), link)
		if err == nil || opens == opensMax || !worthReopening(ctx, err) {
			return stored, seen.strangers, err
		}
		f.logger.WarnContext(ctx, "the download failed, opening the same link again",
			slog.String("tenantId", rec.TenantID), slog.String("actionId", rec.ActionID), slog.Int("opens", opens),
			slog.String("error", err.Error()))
		if !errors.Is(err, investigation.ErrStartAgain) {
			continue
		}
		// By now something occupies the place: the package itself, or a stranger.
		rec.Strangers, first.Unnamed = seen.strangers, false
		seen, err = f.look(ctx, rec, first)
		if seen.found || err != nil {
			return seen.stored, seen.strangers, err
		}
	}
}

// placementOf says where the package of a claimed action belongs.
func (f *Fetcher) placementOf(rec investigation.Record) (investigation.Placement, error) {
	key, err := investigation.KeyOf(f.prefix, rec.Action)
	if err != nil {
		return investigation.Placement{}, err
	}
	place := investigation.Placement{
		Key: key, Action: rec.Action, Claim: rec.Owner, Unnamed: rec.HasUnnamedClaims(),
		Collection: investigation.Collection{Attempt: rec.Attempts},
	}
	if lastIfInvalid(rec) {
		place.Quarantine, err = investigation.QuarantineKeyOf(rec.Action)
	}
	return place, err
}

// sight is the result of a look at an action's places.
type sight struct {
	stored          investigation.Stored
	found           bool // an earlier attempt stored the object
	key, quarantine investigation.Key
	strangers       investigation.Strangers
}

// free returns p with the free places as its keys.
func (s sight) free(p investigation.Placement) investigation.Placement {
	p.Key, p.Quarantine = s.key, s.quarantine
	return p
}

// look runs step 2. If an earlier attempt left an object in quarantine, the error wraps
// investigation.ErrNotAPackage.
func (f *Fetcher) look(ctx context.Context, rec investigation.Record, first investigation.Placement) (
	sight, error,
) {
	s := sight{strangers: rec.Strangers}
	for _, at := range []struct {
		key  investigation.Key
		free *investigation.Key
	}{{first.Key, &s.key}, {first.Quarantine, &s.quarantine}} {
		if at.key == "" {
			continue
		}
		found, err := f.archive.Look(ctx, rec, at.key, first.Unnamed)
		if err != nil {
			return s, fmt.Errorf("look for %s: %w", at.key, err)
		}
		s.strangers = s.strangers.Add(found.Strangers...)
		*at.free = found.Free
		if found.Stored == nil {
			continue
		}
		s.stored, s.found = *found.Stored, true
		f.logger.InfoContext(ctx, "the object is already stored",
			slog.String("tenantId", rec.TenantID), slog.String("actionId", rec.ActionID), slog.String("key", s.stored.Receipt.Key))
		if at.key == first.Quarantine {
			return s, theirs(fmt.Errorf("an earlier attempt left %s: %w", s.stored.Receipt.Key,
				investigation.ErrNotAPackage))
		}
		return s, nil
	}
	return s, nil
}

// link runs steps 3 and 4. If it is denied a slot but one frees soon, it waits.
func (f *Fetcher) link(ctx context.Context, rec investigation.Record) (
	investigation.Link, investigation.Exchange, error,
) {
	for denied := 1; ; denied++ {
		link, exchange, err := f.defender.PackageURI(ctx, rec.ActionID)
		postponed, ok := errors.AsType[*investigation.PostponedError](err)
		if !ok || denied == deniedMax || postponed.RetryAt.Sub(f.now()) > patience {
			return link, exchange, err
		}
		err = pause.For(ctx, postponed.RetryAt.Sub(f.now()))
		if err != nil {
			return investigation.Link{}, investigation.Exchange{}, err
		}
	}
}

// transfer runs steps 5 and 6 once.
func (f *Fetcher) transfer(ctx context.Context, place investigation.Placement,
	link investigation.Link,
) (investigation.Stored, error) {
	pkg, err := f.defender.Open(ctx, link)
	if err != nil {
		return investigation.Stored{}, theirs(fmt.Errorf(
			"open the download of action %s: %w", place.Action.ActionID, err))
	}
	source := &watched{ReadCloser: pkg.Body}
	defer func() {
		// The archive has confirmed or refused the object by now: a failure to close changes nothing.
		_ = source.Close()
	}()
	pkg.Body = source
	err = f.space.Room(ctx, place.Action.ID, pkg.Size)
	if err != nil {
		return investigation.Stored{}, err
	}
	place.Collection.Download = pkg.Source
	stored, err := f.archive.Store(ctx, place, pkg)
	if err == nil {
		return stored, nil
	}
	err = fmt.Errorf("store the package of action %s: %w", place.Action.ActionID, err)
	if source.failed != nil || errors.Is(err, investigation.ErrNotAPackage) {
		err = theirs(err)
	}
	return stored, err
}

// worthReopening reports whether opening the same link again may help: the connection broke, or the
// archive asks for the bytes once more. A link that was refused and a download that is not a package stay
// that way.
func worthReopening(ctx context.Context, err error) bool {
	switch {
	case ctx.Err() != nil,
		errors.Is(err, investigation.ErrLinkExpired),
		errors.Is(err, investigation.ErrNotAPackage):
		return false
	case errors.Is(err, investigation.ErrStartAgain):
		return true
	default:
		_, ok := errors.AsType[*theirError](err)
		return ok
	}
}

// watched records whether reading the download failed: the archive's error alone does not tell whose
// fault it was.
type watched struct {
	io.ReadCloser
	failed error // the first error but io.EOF
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && w.failed == nil {
		w.failed = err
	}
	return n, err
}
