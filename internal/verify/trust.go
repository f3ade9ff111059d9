package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
)

// TrustedKey is a public key that signatures are checked with.
type TrustedKey struct {
	ID   string `json:"keyId"`
	From string `json:"from"` // a file, or a key of the archive
}

// Trust holds the only keys that signatures are checked with. The zero Trust is empty.
type Trust struct {
	keys map[string]manifest.Key
	from map[string]string
	// came: the keys came with the archive.
	came bool
}

// Add trusts a key. from names its file or its key in the archive; if a key is added twice, the first
// from is kept.
func (t *Trust) Add(key manifest.Key, from string) {
	if t.keys == nil {
		t.keys, t.from = map[string]manifest.Key{}, map[string]string{}
	}
	if _, known := t.keys[key.ID]; !known {
		t.keys[key.ID], t.from[key.ID] = key, from
	}
}

// Empty reports whether t holds no keys.
func (t Trust) Empty() bool { return len(t.keys) == 0 }

// list returns the keys, sorted by id.
func (t Trust) list() []TrustedKey {
	var keys []TrustedKey
	for id, from := range t.from {
		keys = append(keys, TrustedKey{ID: id, From: from})
	}
	slices.SortFunc(keys, func(a, b TrustedKey) int { return strings.Compare(a.ID, b.ID) })
	return keys
}

// PEM returns all keys, each below a line with its id. The key with the id first comes first.
func (t Trust) PEM(first string) ([]byte, error) {
	keys := t.list()
	slices.SortStableFunc(keys, func(a, b TrustedKey) int {
		switch {
		case a.ID == first && b.ID != first:
			return -1
		case b.ID == first && a.ID != first:
			return 1
		default:
			return 0
		}
	})
	var text []byte
	for _, key := range keys {
		block, err := t.keys[key.ID].PEM()
		if err != nil {
			return nil, err
		}
		text = fmt.Appendf(text, "# %s\n%s", key.ID, block)
	}
	return text, nil
}

// One returns the PEM of the key with that id.
func (t Trust) One(id string) ([]byte, error) {
	key, ok := t.keys[id]
	if !ok {
		return nil, fmt.Errorf("no key with id %s", id)
	}
	return key.PEM()
}

// IDs returns the ids of all keys, sorted.
func (t Trust) IDs() []string {
	var ids []string
	for _, key := range t.list() {
		ids = append(ids, key.ID)
	}
	return ids
}

// TrustArchive reads the keys published in the archive itself. Anybody who can write to the archive can
// publish a key there, so these prove little. The findings name the keys that do not match their names.
func TrustArchive(ctx context.Context, a Archive) (Trust, []Finding, error) {
	objects, err := a.List(ctx, investigation.SigningKeysFolder)
	if err != nil {
		return Trust{}, nil, err
	}
	t := Trust{came: true}
	var findings []Finding
	var ids []string // the ids in the findings' names
	for _, o := range objects {
		id, ok := investigation.ParseSigningKeyKey(o.Key)
		if !ok || o.gone() {
			continue // a stray, reported elsewhere
		}
		key, finding := published(ctx, a, o, id)
		if finding != nil {
			findings, ids = append(findings, *finding), append(ids, id)
		}
		if key.Public != nil {
			t.Add(key, o.Key)
		}
	}
	for i, id := range ids { // an impostor contradicts nothing if the true key was found elsewhere
		if from, ok := t.from[id]; ok && from != findings[i].Key {
			findings[i].Kind = KindStranger
		}
	}
	return t, findings, nil
}

// published reads one published key: the newest version that matches its name. If that is not the current
// version, the finding describes the current one.
func published(ctx context.Context, a Archive, o Object, id string) (manifest.Key, *Finding) {
	var seen *Finding
	versions := o.readable()
	if o.Irregular != "" {
		versions = []string{""}
	}
	for _, version := range versions {
		text, err := readVersion(ctx, a, o, version, publicKeyMax)
		if err != nil {
			if seen == nil {
				seen = &Finding{
					Key: o.Key, Check: CheckKey, What: "the published key cannot be read", Found: err.Error(),
					Unread: !isWrong(err),
				}
			}
			continue
		}
		key, f := publishedAs(text, id)
		if f == nil {
			return key, seen
		}
		if seen == nil {
			f.Key, f.Check = o.Key, CheckKey
			sum := sha256.Sum256(text)
			f.Stranger = &Stranger{
				Key: o.Key, VersionID: version, Size: int64(len(text)), SHA256: hex.EncodeToString(sum[:]),
			}
			seen = f
		}
	}
	return manifest.Key{}, seen
}

// publishedAs reads a public key, which must have that id.
func publishedAs(text []byte, id string) (manifest.Key, *Finding) {
	keys, err := manifest.ParseKeys(text)
	if err != nil || len(keys) != 1 {
		return manifest.Key{}, &Finding{What: "not a single public key", Expected: "the key " + id}
	}
	if keys[0].ID != id {
		return manifest.Key{}, &Finding{
			What: "the published key does not match its name", Expected: id, Found: keys[0].ID,
		}
	}
	own, err := keys[0].PEM()
	if err != nil || !bytes.Equal(own, text) {
		return manifest.Key{}, &Finding{What: "the published key is not in the form Packhorse writes"}
	}
	return keys[0], nil
}
