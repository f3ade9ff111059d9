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

// Trust is the keys that signatures are checked with, and nothing else is. The zero Trust has none.
type Trust struct {
	keys map[string]manifest.Key
	from map[string]string
	// came: the keys came with the archive.
	came bool
}

// Add trusts a key, which came from a file or from a key of the archive. The first place it came from
// is the one that is named.
func (t *Trust) Add(key manifest.Key, from string) {
	if t.keys == nil {
		t.keys, t.from = map[string]manifest.Key{}, map[string]string{}
	}
	if _, known := t.keys[key.ID]; !known {
		t.keys[key.ID], t.from[key.ID] = key, from
	}
}

// Empty reports whether there is no key.
func (t Trust) Empty() bool { return len(t.keys) == 0 }

// list returns the keys in the order of their ids.
func (t Trust) list() []TrustedKey {
	var keys []TrustedKey
	for id, from := range t.from {
		keys = append(keys, TrustedKey{ID: id, From: from})
	}
	slices.SortFunc(keys, func(a, b TrustedKey) int { return strings.Compare(a.ID, b.ID) })
	return keys
}

// PEM returns the keys, each under a line with its id, the given one first.
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

// One returns the PEM of the key of that id.
func (t Trust) One(id string) ([]byte, error) {
	key, ok := t.keys[id]
	if !ok {
		return nil, fmt.Errorf("there is no key %s", id)
	}
	return key.PEM()
}

// IDs returns the ids of all keys, in order.
func (t Trust) IDs() []string {
	var ids []string
	for _, key := range t.list() {
		ids = append(ids, key.ID)
	}
	return ids
}

// TrustArchive reads the keys that are published in the archive itself. Whoever could write there
// could have put them there: findings say which are not what their names say.
func TrustArchive(ctx context.Context, a Archive) (Trust, []Finding, error) {
	objects, err := a.List(ctx, investigation.SigningKeysFolder)
	if err != nil {
		return Trust{}, nil, err
	}
	t := Trust{came: true}
	var findings []Finding
	var ids []string // of the keys that the findings' names promise
	for _, o := range objects {
		id, ok := investigation.ParseSigningKeyKey(o.Key)
		if !ok || o.gone() {
			continue // a stray, and named as such
		}
		key, finding := published(ctx, a, o, id)
		if finding != nil {
			findings, ids = append(findings, *finding), append(ids, id)
		}
		if key.Public != nil {
			t.Add(key, o.Key)
		}
	}
	for i, id := range ids { // what lies beside the key that it pretends to be contradicts nothing
		if from, ok := t.from[id]; ok && from != findings[i].Key {
			findings[i].Kind = KindStranger
		}
	}
	return t, findings, nil
}

// published reads one published key: the newest version that is what its name says. The finding is
// about the one that everybody sees, if that is not it.
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

// publishedAs reads a public key that has to be the one of that id.
func publishedAs(text []byte, id string) (manifest.Key, *Finding) {
	keys, err := manifest.ParseKeys(text)
	if err != nil || len(keys) != 1 {
		return manifest.Key{}, &Finding{What: "it is not one public key", Expected: "the key " + id}
	}
	if keys[0].ID != id {
		return manifest.Key{}, &Finding{
			What: "the published key is another than its name says", Expected: id, Found: keys[0].ID,
		}
	}
	own, err := keys[0].PEM()
	if err != nil || !bytes.Equal(own, text) {
		return manifest.Key{}, &Finding{What: "the published key is not written as Packhorse writes it"}
	}
	return keys[0], nil
}
