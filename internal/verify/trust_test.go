package verify_test

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
	"packhorse/internal/verify"
)

// keysOf returns the keys of two worlds: their ids, in order, and the keys.
func keysOf(t *testing.T) (ids []string, keys map[string]manifest.Key) {
	t.Helper()
	keys = map[string]manifest.Key{}
	for range 2 {
		text, err := newWorld(t).Trust(t).PEM("")
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := manifest.ParseKeys(text)
		if err != nil || len(parsed) != 1 {
			t.Fatalf("got %d keys, %v", len(parsed), err)
		}
		ids = append(ids, parsed[0].ID)
		keys[parsed[0].ID] = parsed[0]
	}
	slices.Sort(ids)
	return ids, keys
}

// Trust lists its keys by id, and keeps where it first saw each.
func TestTrustListsItsKeys(t *testing.T) {
	t.Parallel()
	var trust verify.Trust
	if !trust.Empty() || trust.IDs() != nil {
		t.Errorf("the zero Trust has %v", trust.IDs())
	}
	ids, keys := keysOf(t)
	for _, id := range slices.Backward(ids) {
		trust.Add(keys[id], "first/"+id)
		trust.Add(keys[id], "second/"+id)
	}
	if got := trust.IDs(); trust.Empty() || !slices.Equal(got, ids) {
		t.Errorf("got %v, want %v", got, ids)
	}
	w := newWorld(t)
	for _, key := range runOn(t, w.Store, trust, nil, verify.Scope{}).Keys {
		if key.From != "first/"+key.ID {
			t.Errorf("%s comes from %q", key.ID, key.From)
		}
	}
}

// The PEM of all keys starts with the one asked for, and reads back as the same keys.
func TestTrustWritesPEM(t *testing.T) {
	t.Parallel()
	ids, keys := keysOf(t)
	var trust verify.Trust
	for _, id := range ids {
		trust.Add(keys[id], id)
	}
	for first, want := range map[string][]string{
		"":      ids,
		ids[0]:  ids,
		ids[1]:  {ids[1], ids[0]},
		"other": ids,
	} {
		text, err := trust.PEM(first)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := manifest.ParseKeys(text)
		var got []string
		for _, key := range parsed {
			got = append(got, key.ID)
		}
		if err != nil || !slices.Equal(got, want) || !bytes.HasPrefix(text, []byte("# "+want[0]+"\n")) {
			t.Errorf("first %.8q: got %v, %v in\n%s", first, got, err, text)
		}
	}
	one, err := trust.One(ids[1])
	if err != nil || !bytes.HasPrefix(one, []byte("-----BEGIN PUBLIC KEY-----")) {
		t.Errorf("got %s, %v", one, err)
	}
	if text, err := trust.One("unknown"); err == nil {
		t.Errorf("an unknown key: got %s", text)
	}
}

// Of the keys that the archive publishes, only those that match their names are used.
func TestPublishedKeysMustMatchTheirNames(t *testing.T) {
	t.Parallel()
	whole := newWorld(t)
	ids := whole.Trust(t).IDs()
	name := "signing-keys/" + ids[0] + ".pem"
	own := whole.Store.Body(name)
	_, others := keysOf(t)
	var foreign []byte
	for _, k := range others {
		foreign, _ = k.PEM()
	}
	for _, tt := range []struct {
		name    string
		do      func(w *world)
		trusted int
		found   int // findings
	}{
		{"as it is", func(*world) {}, 1, 0},
		{"another key's bytes", func(w *world) { w.Store.Change(name, foreign) }, 0, 1},
		{"two keys in one file", func(w *world) { w.Store.Change(name, append(bytes.Clone(own), foreign...)) }, 0, 1},
		{"a line end too many", func(w *world) { w.Store.Change(name, append(bytes.Clone(own), '\n')) }, 0, 1},
		{"not PEM", func(w *world) { w.Store.Change(name, []byte("hello")) }, 0, 1},
		{"too large", func(w *world) { w.Store.Change(name, bytes.Repeat([]byte("#"), 1<<20)) }, 0, 1},
		{"a forged version on top", func(w *world) { w.Store.Put(name, foreign, lock) }, 1, 1},
		{"the true version on top", func(w *world) {
			w.Store.Change(name, foreign)
			w.Store.Put(name, own, lock)
		}, 1, 0},
		{"deleted", func(w *world) {
			w.Store.Objects[name] = append(slices.Clone(w.Store.Objects[name]), versionGone())
		}, 0, 0},
		{"a name that is not an id", func(w *world) { w.Store.Put("signing-keys/backup.pem", own, lock) }, 1, 1},
		{"a stranger under another id", func(w *world) {
			w.Store.Put("signing-keys/"+strings.Repeat("0", 64)+".pem", foreign, lock)
		}, 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := whole.Clone(t)
			tt.do(w)
			trust, findings, err := verify.TrustArchive(t.Context(), w.Store)
			if err != nil || len(trust.IDs()) != tt.trusted || len(findings) != tt.found {
				t.Errorf("trusted %v; found %v; %v", trust.IDs(), findings, err)
			}
			for _, f := range findings {
				if f.Check != verify.CheckKey || !strings.HasPrefix(f.Key, "signing-keys/") || f.Unread {
					t.Errorf("found %+v", f)
				}
			}
		})
	}
}

// A published key that cannot be read is unread, not wrong. A list that fails is an error.
func TestPublishedKeyThatCannotBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	broken := w.Store.Clone()
	broken.Refuse = errNetwork
	trust, findings, err := verify.TrustArchive(t.Context(), broken)
	if err != nil || !trust.Empty() || len(findings) != 1 || !findings[0].Unread {
		t.Errorf("got %v, %v, %v", trust.IDs(), findings, err)
	}
	if _, _, err := verify.TrustArchive(t.Context(), &faulty{Archive: w.Store, failAt: 1}); err == nil {
		t.Error("a listing that fails is not an error")
	}
}

// irregular is an archive in which one key is not a regular file.
type irregular struct {
	verify.Archive
	key, what string
}

func (a irregular) List(ctx context.Context, prefix string) ([]verify.Object, error) {
	objects, err := a.Archive.List(ctx, prefix)
	for i := range objects {
		if objects[i].Key == a.key {
			objects[i] = verify.Object{Key: a.key, Irregular: a.what}
		}
	}
	return objects, err
}

func (a irregular) Open(ctx context.Context, key, version string) (io.ReadCloser, error) {
	if key == a.key {
		panic("it was opened")
	}
	return a.Archive.Open(ctx, key, version)
}

// What is not a regular file is never opened, and is a mismatch wherever evidence should be.
func TestIrregularFilesAreNeverOpened(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	trust := w.Trust(t)
	w.Store.Put("packages/notes.txt", []byte("x"), investigation.Retention{})
	for k, check := range map[string]verify.Check{
		key(prefix, 2, ".zip"):            verify.CheckObject,
		key(prefix, 2, ".json"):           verify.CheckManifest,
		key(prefix, 2, ".json.sig"):       verify.CheckSignature,
		key("quarantine/", 5, ".bin"):     verify.CheckObject,
		key("not-collected/", 4, ".json"): verify.CheckManifest,
		"packages/notes.txt":              verify.CheckStray,
	} {
		sum := runOn(t, irregular{w.Store, k, "a symbolic link"}, trust, w.Book, verify.Scope{})
		if sum.Verdict() != verify.Fail || !slices.ContainsFunc(sum.Findings, func(f verify.Finding) bool {
			return f.Key == k && f.Check == check && !f.Unread && strings.Contains(f.What+f.Found, "a symbolic link")
		}) {
			t.Errorf("%s: %s, %v", k, sum.Verdict(), sum.Findings)
		}
	}
	for k := range w.Store.Objects {
		if !strings.HasPrefix(k, investigation.SigningKeysFolder) {
			continue
		}
		trust, findings, err := verify.TrustArchive(t.Context(), irregular{w.Store, k, "a device"})
		if err != nil || !trust.Empty() || len(findings) != 1 {
			t.Errorf("%s: %v, %v, %v", k, trust.IDs(), findings, err)
		}
	}
}
