package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"packhorse/internal/investigation"
)

// hashBytesMax is the largest stranger that is read for its SHA-256: the size of an ordinary
// package. A larger one, planted, would keep the fetcher from its work.
const hashBytesMax = 256 << 20

// strangersRead is how many strangers one look reads. The ledger names no more.
const strangersRead = 8

// Look sorts the objects in the places of key, which is the package's or its quarantine's:
//
//   - the object that a claim of the record stored. It carries the claim's name, and the ids of the
//     action, machine and tenant; of two versions that do, the older one: the other is a copy of it.
//     Its bytes are read once and held against its own checksums
//   - strangers: everything else, in any version
//   - the first place that is free
//
// It needs a listing and a HEAD for each version; usually there is no version. With unnamed, an
// object that lacks a claim's name but otherwise fits is neither ours nor a stranger: Store decides
// by its bytes.
func (a *Archive) Look(ctx context.Context, rec investigation.Record, key investigation.Key,
	unnamed bool,
) (investigation.Found, error) {
	listed, err := a.list(ctx, string(key))
	if err != nil {
		return investigation.Found{}, err
	}
	s := search{archive: a, rec: rec, unnamed: unnamed}
	for _, v := range listed {
		if v.deleted {
			continue
		}
		err := s.sort(ctx, v)
		if err != nil {
			return investigation.Found{}, err
		}
	}
	found := investigation.Found{Stored: s.stored}
	found.Free = investigation.Key(freePlace(listed, string(key)))
	if s.candidate {
		found.Free = key
	}
	found.Strangers, err = a.name(ctx, rec, s.strangers)
	return found, err
}

// search sorts the versions of one look, the oldest of a key first.
type search struct {
	archive *Archive
	rec     investigation.Record
	unnamed bool

	stored    *investigation.Stored
	candidate bool // an earlier release may have stored the object in the first place
	strangers []listedVersion
}

func (s *search) sort(ctx context.Context, v listedVersion) error {
	if s.rec.Strangers.Has(investigation.Stranger{Key: v.key, VersionID: v.id}) {
		s.strangers = append(s.strangers, v)
		return nil
	}
	there, err := s.archive.head(ctx, v.key, v.id)
	switch {
	case errors.Is(err, investigation.ErrNotStored): // deleted since the listing
		return nil
	case errors.Is(err, errUnreadable):
		v.note = "it could not be read: it is encrypted with a key that Packhorse does not have"
	case err != nil:
		return err
	case !there.belongsTo(s.rec.Action):
	case s.unnamed && there.claim == "" && v.place == 0:
		s.candidate = true
		return nil
	case s.rec.Claims.Has(there.claim) && s.stored == nil:
		stored, err := s.archive.readBack(ctx, there)
		conflict, damaged := errors.AsType[*conflictError](err)
		if !damaged && err != nil {
			return err
		}
		if !damaged {
			s.stored = &stored
			return nil
		}
		v.note = "it carries a claim of this action, but not the bytes that were stored: it has " + conflict.Error()
	}
	s.strangers = append(s.strangers, v)
	return nil
}

// name describes the strangers, leaving out those that the record already names.
func (a *Archive) name(ctx context.Context, rec investigation.Record, versions []listedVersion) (
	[]investigation.Stranger, error,
) {
	var strangers []investigation.Stranger
	read := len(rec.Strangers.List())
	for _, v := range versions {
		s := investigation.Stranger{Key: v.key, VersionID: v.id, Size: v.size, FoundAt: a.now(), Note: v.note}
		if rec.Strangers.Has(s) {
			continue
		}
		if read++; read <= strangersRead {
			var err error
			s, err = a.hash(ctx, s)
			if err != nil {
				return nil, err
			}
			a.warn(ctx, s)
		}
		strangers = append(strangers, s)
	}
	return strangers, nil
}

func (a *Archive) warn(ctx context.Context, s investigation.Stranger) {
	a.logger.WarnContext(ctx, "an object that packhorse did not store is in its place",
		slog.String("key", s.Key), slog.String("versionId", s.VersionID), slog.Int64("size", s.Size),
		slog.String("sha256", s.SHA256), slog.String("note", s.Note))
}

// hash reads a stranger and adds its SHA-256, unless it is too large or known to be unreadable. The
// error is the context's: if a stranger cannot be read, its note says so.
func (a *Archive) hash(ctx context.Context, s investigation.Stranger) (investigation.Stranger, error) {
	switch {
	case s.Note != "":
		return s, nil
	case s.Size > hashBytesMax:
		s.Note = fmt.Sprintf("it was not read: it has more than %d MiB", hashBytesMax>>20)
		return s, nil
	}
	sum, err := a.sum(ctx, s)
	if ctx.Err() != nil {
		return s, context.Cause(ctx)
	}
	if err != nil {
		s.Note = "it could not be read: " + err.Error()
		return s, nil
	}
	s.SHA256 = sum
	return s, nil
}

func (a *Archive) sum(ctx context.Context, s investigation.Stranger) (sum string, err error) {
	body, err := a.open(ctx, s.Key, s.VersionID)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	hash := sha256.New()
	_, err = io.Copy(hash, body)
	if err != nil {
		return "", a.explain("read", s.Key, err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
