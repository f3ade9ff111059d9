package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path"

	"packhorse/internal/investigation"
)

// signatureMax is many times the size of a signature, in bytes. A larger object is not one.
const signatureMax = 4 << 10

// smallType returns the content type that matches the suffix of the key.
func smallType(key string) string {
	switch path.Ext(key) {
	case ".json":
		return "application/json"
	case ".pem":
		return "application/x-pem-file"
	default: // a signature
		return "application/octet-stream"
	}
}

// racesMax is how often a place that was free in the listing may turn out to be taken.
const racesMax = 5

// StoreManifest writes a manifest, or the public key of its signature, to the first free place of
// its key, unless one of the places already has the same bytes. It returns their place and the
// strangers in the places of the key.
func (a *Archive) StoreManifest(ctx context.Context, key string, manifest []byte) (
	investigation.Placed, error,
) {
	return a.storeSmall(ctx, key, manifest, func(size int64) bool { return size == int64(len(manifest)) },
		func(there []byte) bool { return bytes.Equal(there, manifest) })
}

// StoreSignature writes a manifest's signature to the first free place of its key, unless one of
// the places has a signature that valid accepts. It returns its place and the strangers in the
// places of the key.
func (a *Archive) StoreSignature(ctx context.Context, key string, signature []byte,
	valid func(signature []byte) error,
) (investigation.Placed, error) {
	return a.storeSmall(ctx, key, signature, func(size int64) bool { return size <= signatureMax },
		func(there []byte) bool { return valid(there) == nil })
}

// storeSmall puts the body under the key. Only if the key is taken does it list the places.
func (a *Archive) storeSmall(ctx context.Context, key string, body []byte,
	mayBeOurs func(size int64) bool, isOurs func(there []byte) bool,
) (investigation.Placed, error) {
	placed := investigation.Placed{Key: key}
	err := a.putSmall(ctx, key, body)
	for races := 0; statusOf(err) == statusPreconditionFailed && races < racesMax; races++ {
		first := key
		if base, _, ok := investigation.BaseOf(key); ok {
			first = base // the package itself is not in its first place either
		}
		listed, failure := a.list(ctx, first)
		if failure != nil {
			return placed, failure
		}
		placed.Key, placed.Strangers, failure = a.examine(ctx, listed, mayBeOurs, isOurs)
		if placed.Key != "" || failure != nil {
			return placed, failure
		}
		placed.Key = freePlace(listed, first)
		err = a.putSmall(ctx, placed.Key, body)
	}
	return placed, err
}

// freePlace returns the first free place of a key. One always exists: a listing is shorter than the
// row of places.
func freePlace(listed []listedVersion, key string) string {
	occupied := map[int]bool{}
	for _, v := range listed {
		if v.latest && !v.deleted {
			occupied[v.place] = true
		}
	}
	n := 0
	for occupied[n] {
		n++
	}
	return investigation.Place(key, n)
}

// examine returns the key of our version, or "", and all others as strangers.
func (a *Archive) examine(ctx context.Context, listed []listedVersion,
	mayBeOurs func(size int64) bool, isOurs func([]byte) bool,
) (ours string, strangers []investigation.Stranger, err error) {
	for _, v := range listed {
		if v.deleted {
			continue
		}
		s := investigation.Stranger{Key: v.key, VersionID: v.id, Size: v.size, FoundAt: a.now()}
		if ours == "" && mayBeOurs(v.size) {
			body, err := a.readSmall(ctx, v)
			switch {
			case statusOf(err) == statusNotFound: // deleted since the listing
				continue
			case err == nil && isOurs(body):
				ours = v.key
				continue
			case err == nil:
				s.SHA256 = passed(body).SHA256()
			case statusOf(err) == statusBadRequest:
				s.Note = "it could not be read: " + err.Error()
			default: // ours may be among the versions that cannot be read now
				return "", strangers, err
			}
		}
		if len(strangers) < strangersRead && s.SHA256 == "" {
			s, err = a.hash(ctx, s)
			if err != nil {
				return "", strangers, err
			}
		}
		if len(strangers) < strangersRead {
			a.warn(ctx, s)
		}
		strangers = append(strangers, s)
	}
	return ours, strangers, nil
}

func (a *Archive) putSmall(ctx context.Context, key string, body []byte) error {
	o := object{key: key, contentType: smallType(key), retention: a.lock.From(a.now())}
	_, err := a.put(ctx, o, passed(body), body)
	return err
}

func (a *Archive) readSmall(ctx context.Context, v listedVersion) (body []byte, err error) {
	from, err := a.open(ctx, v.key, v.id)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	body, err = io.ReadAll(io.LimitReader(from, v.size))
	if err != nil {
		return nil, a.explain("read", v.key, err)
	}
	return body, nil
}

// passed returns the content of bytes that are not checked.
func passed(body []byte) *content {
	c := newContent(int64(len(body)), false)
	_, _ = c.Write(body) // a hash never fails
	return c
}
