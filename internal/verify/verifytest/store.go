package verifytest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"packhorse/internal/investigation"
	"packhorse/internal/verify"
)

// Version is one version of an object in memory.
type Version struct {
	ID      string
	Body    []byte
	Deleted bool
	Lock    investigation.Retention
}

// Store is an archive in memory. It keeps versions, the newest last.
type Store struct {
	Objects   map[string][]Version
	Unversion bool
	Refuse    error // returned by Open, if set
}

// About implements verify.Archive.
func (s *Store) About(context.Context) (verify.About, error) {
	return verify.About{Where: "memory", Bucket: Bucket, Versioned: !s.Unversion}, nil
}

// List implements verify.Archive.
func (s *Store) List(_ context.Context, prefix string) ([]verify.Object, error) {
	var objects []verify.Object
	for key, versions := range s.Objects {
		if !strings.HasPrefix(key, prefix) || len(versions) == 0 {
			continue
		}
		o := verify.Object{Key: key}
		sized := false
		for _, v := range slices.Backward(versions) {
			if !v.Deleted && !sized {
				o.Size, sized = int64(len(v.Body)), true
			}
			o.Versions = append(o.Versions, verify.Version{ID: v.ID, Deleted: v.Deleted, Size: int64(len(v.Body))})
		}
		if s.Unversion {
			o.Versions = nil
		}
		objects = append(objects, o)
	}
	slices.SortFunc(objects, func(a, b verify.Object) int { return strings.Compare(a.Key, b.Key) })
	return objects, nil
}

func (s *Store) find(key, id string) (Version, error) {
	for _, v := range slices.Backward(s.Objects[key]) {
		if (id == "" || v.ID == id) && !v.Deleted {
			return v, nil
		}
	}
	return Version{}, fmt.Errorf("no such version")
}

// Open implements verify.Archive.
func (s *Store) Open(_ context.Context, key, id string) (io.ReadCloser, error) {
	if s.Refuse != nil {
		return nil, s.Refuse
	}
	v, err := s.find(key, id)
	return io.NopCloser(bytes.NewReader(v.Body)), err
}

// Retention implements verify.Archive.
func (s *Store) Retention(_ context.Context, key, id string) (investigation.Retention, error) {
	v, err := s.find(key, id)
	return v.Lock, err
}

// Put adds a version and returns its id.
func (s *Store) Put(key string, body []byte, lock investigation.Retention) string {
	id := fmt.Sprintf("v%d", len(s.Objects[key])+1)
	s.Objects[key] = append(s.Objects[key], Version{ID: id, Body: body, Lock: lock})
	return id
}

// Body returns the bytes of the newest version.
func (s *Store) Body(key string) []byte {
	versions := s.Objects[key]
	return versions[len(versions)-1].Body
}

// Change replaces the bytes of the newest version, which the S3 API does not allow.
func (s *Store) Change(key string, body []byte) {
	versions := slices.Clone(s.Objects[key])
	versions[len(versions)-1].Body = body
	s.Objects[key] = versions
}

// Clone returns a copy.
func (s *Store) Clone() *Store {
	c := &Store{Objects: map[string][]Version{}, Unversion: s.Unversion, Refuse: s.Refuse}
	for key, versions := range s.Objects {
		c.Objects[key] = slices.Clone(versions)
	}
	return c
}
