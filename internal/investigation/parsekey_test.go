package investigation_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"packhorse/internal/investigation"
)

// partKey names a part of the nth action's evidence.
func partKey(folder string, n int, suffix string) string {
	return fmt.Sprintf("%s7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11/0123456789abcdef0123456789abcdef01234567/"+
		"20260304T05%02d07Z_00000000-0000-4000-8000-%012d%s", folder, n, n, suffix)
}

// FuzzParseKey: no key crashes, and one that is taken apart is put together again.
func FuzzParseKey(f *testing.F) {
	for _, s := range []string{
		"", "/", "a/b/c", partKey("packages/", 1, ".zip"), partKey("", 1, ".json"), partKey("/", 1, ".zip"), partKey("../", 1, ".zip"),
		partKey("not-collected/", 1, ".json"), partKey("not-collected/", 1, ".zip"), partKey("quarantine/", 1, ".bin"),
		partKey("quarantine/x/", 1, ".zip"), partKey("signing-keys/", 1, ".zip"), partKey("packages/", 1, ".json.sig"),
		strings.ToUpper(partKey("packages/", 1, ".zip")), "packages//" + partKey("", 1, ".zip"), "\xff/\x00/\u202e.json",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if k, ok := investigation.ParseKey(s); ok && k.Key() != s {
			t.Errorf("%q became %q", s, k.Key())
		}
	})
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		partKey("packages/", 1, ".zip"): true, partKey("", 1, ".json"): true, partKey("a/b/", 1, ".json.sig"): true,
		partKey("quarantine/", 1, ".bin"): true, partKey("not-collected/", 1, ".json"): true,
		partKey("quarantine/", 1, ".zip"): false, partKey("not-collected/", 1, ".zip"): false,
		partKey("/", 1, ".zip"): false, partKey("../", 1, ".zip"): false, partKey("packages/", 1, ".exe"): false,
		partKey("signing-keys/", 1, ".json"): false, partKey("quarantine/x/", 1, ".json"): false,
		"packages/x.json": false, "": false,
	} {
		if _, got := investigation.ParseKey(s); got != want {
			t.Errorf("ParseKey(%q): %t", s, got)
		}
	}
}

// What a key says is in its parts, whatever place it is in.
func TestKeyParts(t *testing.T) {
	t.Parallel()
	base := investigation.KeyParts{
		ID: investigation.ID{
			TenantID: "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11",
			ActionID: "00000000-0000-4000-8000-000000000006",
		},
		MachineID: "0123456789abcdef0123456789abcdef01234567",
		CreatedAt: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC),
		Folder:    "packages/", Tail: partKey("", 6, ""),
	}
	for key, edit := range map[string]func(*investigation.KeyParts){
		partKey("packages/", 6, ".zip"):   func(*investigation.KeyParts) {},
		partKey("packages/", 6, "~3.zip"): func(k *investigation.KeyParts) { k.Place = 3 },
		partKey("packages/", 6, "~3.json"): func(k *investigation.KeyParts) {
			k.Part, k.Place = investigation.PartManifest, 3
		},
		partKey("packages/", 6, "~3.json~2.sig"): func(k *investigation.KeyParts) {
			k.Part, k.Place, k.SignaturePlace = investigation.PartSignature, 3, 2
		},
		partKey("quarantine/", 6, ".bin"): func(k *investigation.KeyParts) {
			k.Folder, k.Area = "quarantine/", investigation.AreaQuarantine
		},
		partKey("not-collected/", 6, ".json.sig"): func(k *investigation.KeyParts) {
			k.Folder, k.Area = "not-collected/", investigation.AreaNotCollected
			k.Part = investigation.PartSignature
		},
	} {
		want := base
		edit(&want)
		got, ok := investigation.ParseKey(key)
		if !ok || got != want || got.Key() != key {
			t.Errorf("%s: got %+v, %t", key, got, ok)
		}
		if got, ok := investigation.ParseKeyEnd("any/where/" + partKey("", 6, ".zip")); !ok || got.ID != want.ID {
			t.Errorf("the end of a key: got %+v, %t", got, ok)
		}
	}
	for _, bad := range []string{"~0.zip", "~01.zip", "~10000.zip", "~.zip", "~x.zip", "~1~2.zip"} {
		if k, ok := investigation.ParseKey(partKey("packages/", 6, bad)); ok {
			t.Errorf("%s: got %+v", bad, k)
		}
	}
}
