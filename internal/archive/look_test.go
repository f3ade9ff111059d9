package archive_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"packhorse/internal/investigation"
	"packhorse/internal/memory"
)

// metadataOf is the metadata of an object of the action stored by the owner's claim; without an
// owner, that of the first release.
func metadataOf(owner string) map[string]string {
	m := map[string]string{
		"packhorse-action-id": action.ActionID, "packhorse-machine-id": action.MachineID,
		"packhorse-tenant-id": action.TenantID,
	}
	if owner != "" {
		m["packhorse-claim"] = owner
	}
	return m
}

func strangerOf(key, version string, body []byte) investigation.Stranger {
	sum := sha256.Sum256(body)
	return investigation.Stranger{
		Key: key, VersionID: version, Size: int64(len(body)), SHA256: hex.EncodeToString(sum[:]),
		FoundAt: instant,
	}
}

// Only the name of a claim of this very action makes an object ours. Anything else under the key,
// whatever its metadata, is listed with its digest, and the next place is free.
func TestLookAtStrangers(t *testing.T) {
	planted := zipOf(t, 500)
	other := metadataOf("ada")
	other["packhorse-action-id"] = "b"
	machine := metadataOf("ada")
	machine["packhorse-machine-id"] = "n"
	tenant := metadataOf("ada")
	tenant["packhorse-tenant-id"] = "u"
	broken := metadataOf("ada")
	broken["packhorse-collection"] = "{"
	for name, metadata := range map[string]map[string]string{
		"no metadata":                    nil,
		"ids alone":                      metadataOf(""),
		"a claim that nobody made":       metadataOf("mallory"),
		"copied from another action":     other,
		"of another machine":             machine,
		"of another tenant":              tenant,
		"a collection that is not one":   broken,
		"a claim that contains another":  metadataOf("ada bob"),
		"a claim in other letters":       metadataOf("ADA"),
		"an empty claim beside the ids":  metadataOf(" "),
		"a collection but not the claim": {"packhorse-action-id": "a", "packhorse-collection": `{"attempt":1}`},
	} {
		for _, place := range []investigation.Key{key, quarantine} {
			b := memory.NewBucket()
			b.Plant(string(place), memory.Object{Body: planted, Metadata: metadata})
			got := look(t, b, place)
			want := investigation.Found{
				Free:      investigation.Key(investigation.Place(string(place), 1)),
				Strangers: []investigation.Stranger{strangerOf(string(place), "v1", planted)},
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got %+v, want %+v", name, got, want)
			}
		}
	}
}

// The object of an earlier attempt is found under a stranger's version, under a delete marker, or
// in a later place. If two versions have its claim, which any reader could copy, the older one
// counts.
func TestLookUnderStrangers(t *testing.T) {
	planted := zipOf(t, 500)
	for name, test := range map[string]struct {
		before, after func(b *memory.Bucket, ours memory.Object)
		at            investigation.Key
		strangers     int
	}{
		"planted before": {
			before: func(b *memory.Bucket, _ memory.Object) {
				b.Plant(string(key), memory.Object{Body: planted})
				b.Plant("packages/t/m/20261124T090000Z_a~1.zip", memory.Object{Body: planted})
			},
			at: "packages/t/m/20261124T090000Z_a~2.zip", strangers: 2,
		},
		"planted on top": {
			after: func(b *memory.Bucket, _ memory.Object) { b.Plant(string(key), memory.Object{Body: planted}) },
			at:    key, strangers: 1,
		},
		"a copy on top": {
			after: func(b *memory.Bucket, ours memory.Object) {
				ours.Body = planted
				ours.CRC32C = ""
				b.Plant(string(key), ours)
			},
			at: key, strangers: 1,
		},
		"deleted": {
			after: func(b *memory.Bucket, _ memory.Object) { b.Plant(string(key), memory.Object{Deleted: true}) },
			at:    key,
		},
		"beside it": {
			after: func(b *memory.Bucket, _ memory.Object) {
				for _, name := range []string{"a.json", "a.json.sig", "a~x.zip", "a~01.zip", "a~0.zip", "ab.zip", "a.zip.zip"} {
					b.Plant("packages/t/m/20261124T090000Z_"+name, memory.Object{Body: planted})
				}
			},
			at: key,
		},
	} {
		for _, size := range []int{1000, 4 * partSize} {
			b, body := memory.NewBucket(), zipOf(t, size)
			if test.before != nil {
				test.before(b, memory.Object{})
			}
			at := place
			at.Key = look(t, b, key).Free
			want, err := storeAt(t.Context(), b, at, body, int64(len(body)))
			if err != nil {
				t.Fatal(err)
			}
			if test.after != nil {
				test.after(b, get(b, string(at.Key)))
			}
			got := look(t, b, key)
			if got.Stored == nil || !reflect.DeepEqual(*got.Stored, want) || at.Key != test.at ||
				len(got.Strangers) != test.strangers {
				t.Errorf("%s: got %+v, want %+v in %s", name, got, want, test.at)
			}
		}
	}
}

// Bytes that somebody changed on disk under our claim are not ours any more.
func TestLookAtDamage(t *testing.T) {
	for _, size := range []int{1000, 4 * partSize} {
		b, body := memory.NewBucket(), zipOf(t, size)
		if _, err := store(t.Context(), b, body, int64(len(body))); err != nil {
			t.Fatal(err)
		}
		b.Damage(string(key), func(o *memory.Object) {
			o.Body = bytes.Clone(o.Body)
			o.Body[size/2] ^= 1
		})
		got := look(t, b, key)
		if got.Stored != nil || len(got.Strangers) != 1 || got.Strangers[0].SHA256 != "" ||
			!strings.Contains(got.Strangers[0].Note, "not the bytes that were stored") ||
			got.Free != "packages/t/m/20261124T090000Z_a~1.zip" {
			t.Errorf("%d bytes: got %+v", size, got)
		}
	}
}

// An object that is unreadable or too large is listed without a digest. Once named, it is not read
// again.
func TestLookAtTheUnreadable(t *testing.T) {
	b := memory.NewBucket()
	b.Plant(string(key), memory.Object{Body: []byte("x"), Unreadable: true})
	got := look(t, b, key)
	if len(got.Strangers) != 1 || got.Strangers[0].SHA256 != "" ||
		!strings.Contains(got.Strangers[0].Note, "a key that Packhorse does not have") {
		t.Errorf("got %+v", got)
	}
	b.Plant(string(key), memory.Object{Body: []byte("xyz")})
	rec := record
	rec.Strangers = rec.Strangers.Add(got.Strangers...)
	b.Forget()
	again, err := open(b).Look(t.Context(), rec, key, false)
	if err != nil || len(again.Strangers) != 1 || again.Strangers[0].VersionID != "v2" ||
		b.String() != "ListObjectVersions HeadObject GetObject" {
		t.Errorf("got %+v, %v; calls: %s", again, err, b)
	}
}

// Many strangers are all counted, but only the first are read.
func TestLookAtACrowd(t *testing.T) {
	b := memory.NewBucket()
	for n := range 50 {
		b.Plant(investigation.Place(string(key), n), memory.Object{Body: fmt.Append(nil, n)})
	}
	got := look(t, b, key)
	strangers := investigation.Strangers("").Add(got.Strangers...)
	if len(got.Strangers) != 50 || got.Free != "packages/t/m/20261124T090000Z_a~50.zip" ||
		b.Count(memory.OpGet) != 8 || len(strangers.List()) != 8 || strangers.More() != 42 {
		t.Errorf("got %d strangers, %d read, place %s, %d named and %d more", len(got.Strangers),
			b.Count(memory.OpGet), got.Free, len(strangers.List()), strangers.More())
	}
}

// A service that does not keep versions gets a listing without them.
func TestLookWithoutVersions(t *testing.T) {
	b := memory.NewBucket()
	b.Plant(string(key), memory.Object{Body: []byte("x")})
	b.Fault = func(op string, _ int) error {
		if op == memory.OpVersions {
			return memory.Refusal(http.StatusNotImplemented, "NotImplemented")
		}
		return nil
	}
	got := look(t, b, key)
	want := []investigation.Stranger{strangerOf(string(key), "", []byte("x"))}
	if !reflect.DeepEqual(got.Strangers, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A failed request is not guessed around: the look is repeated later.
func TestLookFails(t *testing.T) {
	for _, op := range []string{memory.OpVersions, memory.OpHead, memory.OpGet} {
		b, body := memory.NewBucket(), zipOf(t, 1000)
		if _, err := store(t.Context(), b, body, int64(len(body))); err != nil {
			t.Fatal(err)
		}
		b.Fault = func(called string, _ int) error {
			if called == op {
				return memory.Refusal(http.StatusForbidden, "AccessDenied")
			}
			return nil
		}
		found, err := open(b).Look(t.Context(), record, key, false)
		if err == nil || !strings.Contains(err.Error(), "may this principal") || found.Free != "" {
			t.Errorf("%s: got %+v, %v", op, found, err)
		}
	}
}

// An object of the first release has no claim. If such a release may have stored it, its bytes
// decide: if Defender just sent the same bytes, it is recognized, with the request that brought
// them now. Anything else is a stranger.
func TestUnnamed(t *testing.T) {
	until := retention.Until.Add(-24 * time.Hour)
	for _, size := range []int{1000, 4 * partSize} {
		body := zipOf(t, size)
		locked := memory.Object{
			Body: body, Metadata: metadataOf(""), Mode: "GOVERNANCE", Until: &until,
			Hold: types.ObjectLockLegalHoldStatusOn,
		}
		locked.Metadata["packhorse-collection"] = `{"attempt":1,"link":{"host":"forged.example"}}`
		unlocked, otherBytes, claimed := locked, locked, locked
		unlocked.Mode, unlocked.Until = "", nil
		otherBytes.Body = zipOf(t, size+2)
		claimed.Metadata = metadataOf("mallory")
		for name, test := range map[string]struct {
			planted    memory.Object
			admitted   bool
			recognized bool
		}{
			"the same bytes":                  {locked, true, true},
			"the same bytes, after the first": {locked, false, false},
			"other bytes":                     {otherBytes, true, false},
			"the same bytes, not locked":      {unlocked, true, false},
			"with somebody's claim":           {claimed, true, false},
		} {
			b := memory.NewBucket()
			b.Plant(string(key), test.planted)
			at := place
			at.Unnamed = test.admitted
			found, err := open(b).Look(t.Context(), record, key, test.admitted)
			if err != nil || found.Stored != nil {
				t.Errorf("%s: got %+v, %v", name, found, err)
			}
			got, err := storeAt(t.Context(), b, at, body, int64(len(body)))
			if test.recognized {
				if err != nil || found.Free != key || got.Receipt.VersionID != "v1" || got.Collection != collection ||
					!got.Receipt.Retention.Until.Equal(until) {
					t.Errorf("%s: got %+v, %v", name, got, err)
				}
				continue
			}
			if !errors.Is(err, investigation.ErrStartAgain) || b.Versions(string(key)) != 1 || b.Uploads() > 0 {
				t.Errorf("%s: got %+v, %v", name, got, err)
			}
		}
	}
}
