package archive_test

import (
	"bytes"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"packhorse/internal/investigation"
	"packhorse/internal/memory"
)

// A manifest is written once. Storing the same bytes again succeeds.
func TestManifest(t *testing.T) {
	b := memory.NewBucket()
	for _, calls := range []string{"PutObject", "PutObject ListObjectVersions GetObject"} {
		b.Forget()
		got, err := open(b).StoreManifest(t.Context(), "k.json", []byte(`{"a":1}`))
		if err != nil || !reflect.DeepEqual(got, investigation.Placed{Key: "k.json"}) || b.String() != calls {
			t.Errorf("got %+v, %v; calls: %s", got, err, b)
		}
	}
	if o := get(b, "k.json"); string(o.Body) != `{"a":1}` || o.ContentType != "application/json" ||
		b.Versions("k.json") != 1 {
		t.Errorf("got %s", o.Body)
	}
	_, err := open(b).StoreManifest(t.Context(), "k.pem", []byte("key"))
	if err != nil || get(b, "k.pem").ContentType != "application/x-pem-file" {
		t.Errorf("a public key: %v, %s", err, get(b, "k.pem").ContentType)
	}
}

// A stranger under a manifest's key is named; the manifest goes to the next place, once.
func TestManifestBesideStrangers(t *testing.T) {
	manifest := []byte(`{"a":1}`)
	huge := make([]byte, 3<<20)
	for name, test := range map[string]struct {
		key     string
		planted map[string][]byte
		at      string
	}{
		"one of another length":  {"k.json", map[string][]byte{"k.json": []byte("{}")}, "k~1.json"},
		"one of the same length": {"k.json", map[string][]byte{"k.json": []byte(`{"a":2}`)}, "k~1.json"},
		"a huge one":             {"k.json", map[string][]byte{"k.json": huge}, "k~1.json"},
		"two":                    {"k.json", map[string][]byte{"k.json": {1}, "k~1.json": {2}}, "k~2.json"},
		"beside a later package": {"k~1.json", map[string][]byte{"k~1.json": {1}}, "k.json"},
		"a public key":           {"k.pem", map[string][]byte{"k.pem": []byte("evil")}, "k~1.pem"},
	} {
		b := memory.NewBucket()
		for key, body := range test.planted {
			b.Plant(key, memory.Object{Body: body})
		}
		for range 2 {
			got, err := open(b).StoreManifest(t.Context(), test.key, manifest)
			if err != nil || got.Key != test.at || len(got.Strangers) != len(test.planted) ||
				!bytes.Equal(get(b, test.at).Body, manifest) || b.Versions(test.at) != 1 {
				t.Errorf("%s: got %+v, %v", name, got, err)
			}
			for _, s := range got.Strangers {
				if s != strangerOf(s.Key, "v1", test.planted[s.Key]) {
					t.Errorf("%s: got %+v", name, s)
				}
			}
		}
	}
}

// A version that somebody put over ours hides it but does not remove it.
func TestManifestUnderAStranger(t *testing.T) {
	b := memory.NewBucket()
	for range 3 {
		got, err := open(b).StoreManifest(t.Context(), "k.json", []byte("{}"))
		if err != nil || got.Key != "k.json" || len(got.Strangers) != b.Versions("k.json")-1 {
			t.Errorf("got %+v, %v", got, err)
		}
		b.Plant("k.json", memory.Object{Body: []byte("forged")})
	}
}

// A signature is written once. Another valid one is accepted; an invalid one is a stranger.
func TestSignature(t *testing.T) {
	bad := errors.New("not by this key")
	valid := func(signature []byte) error {
		if string(signature) != "one" {
			return bad
		}
		return nil
	}
	b := memory.NewBucket()
	for _, signature := range []string{"one", "two"} {
		got, err := open(b).StoreSignature(t.Context(), "k.json.sig", []byte(signature), valid)
		if err != nil || got.Key != "k.json.sig" {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if string(get(b, "k.json.sig").Body) != "one" ||
		b.String() != "PutObject PutObject ListObjectVersions GetObject" {
		t.Errorf("calls: %s", b)
	}
	for name, planted := range map[string][]byte{"a forged one": []byte("eve"), "a huge one": make([]byte, 1<<20)} {
		b := memory.NewBucket()
		b.Plant("k.json.sig", memory.Object{Body: planted})
		for range 2 {
			got, err := open(b).StoreSignature(t.Context(), "k.json.sig", []byte("one"), valid)
			if err != nil || got.Key != "k.json~1.sig" || len(got.Strangers) != 1 ||
				got.Strangers[0] != strangerOf("k.json.sig", "v1", planted) || b.Versions("k.json~1.sig") != 1 {
				t.Errorf("%s: got %+v, %v", name, got, err)
			}
		}
	}
}

// Ours may be among the unreadable versions: that is an error, and no second copy is written.
func TestSmallCannotBeRead(t *testing.T) {
	for _, op := range []string{memory.OpVersions, memory.OpGet} {
		b := memory.NewBucket()
		b.Plant("k.json", memory.Object{Body: []byte("{}")})
		b.Fault = func(called string, _ int) error {
			if called == op {
				return memory.Refusal(http.StatusForbidden, "AccessDenied")
			}
			return nil
		}
		_, err := open(b).StoreManifest(t.Context(), "k.json", []byte("{}"))
		if err == nil || !strings.Contains(err.Error(), "may this principal") || len(b.Keys()) != 1 {
			t.Errorf("%s: got %v", op, err)
		}
	}
}

// StoreManifest gives up if another writer keeps taking the free place: it returns an error, and
// the work is due again.
func TestSmallRace(t *testing.T) {
	b := memory.NewBucket()
	b.Fault = func(op string, _ int) error {
		if op == memory.OpPut {
			return memory.Refusal(http.StatusPreconditionFailed, "PreconditionFailed")
		}
		return nil
	}
	_, err := open(b).StoreManifest(t.Context(), "k.json", []byte("{}"))
	if err == nil || b.Count(memory.OpPut) > 10 {
		t.Errorf("got %v; calls: %s", err, b)
	}
}
