package manifest_test

import (
	"testing"

	"packhorse/internal/manifest"
)

// The vectors are those of RFC 8785, sections 3.2.2 to 3.2.3, without fractional numbers, plus some cases
// in which JSON encoders differ from it.
func TestCanonical(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		in   any
		want string
	}{
		{"names in order", map[string]any{"b": 1, "a": 2, "B": 3, "": 4, "a.b": 5},
			`{"":4,"B":3,"a":2,"a.b":5,"b":1}`},
		{"literals", []any{nil, true, false}, `[null,true,false]`},
		{"strings", "\u20ac$\u000f\nA'B\"\\\"/", `"€$\u000f\nA'B\"\\\"/"`},
		{"no HTML escapes", "<a href=\"x\">&</a>\u2028\u2029", "\"<a href=\\\"x\\\">&</a>\u2028\u2029\""},
		{"short escapes", "\b\t\n\f\r\x00\x1f\x7f", "\"\\b\\t\\n\\f\\r\\u0000\\u001f\x7f\""},
		{"no text", "a\xffb", "\"a\ufffdb\""},
		{"largest numbers", []int64{1<<53 - 1, -(1<<53 - 1), 0}, `[9007199254740991,-9007199254740991,0]`},
		{"nested", map[string]any{"z": []any{map[string]any{"y": []any{}, "x": map[string]any{}}}},
			`{"z":[{"x":{},"y":[]}]}`},
	} {
		got, err := manifest.Canonical(tt.in)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: got %s, %v; want %s", tt.name, got, err, tt.want)
			continue
		}
		if err := manifest.CheckCanonical(got); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for _, bad := range []any{1.5, int64(1 << 53), uint64(1 << 63)} {
		if got, err := manifest.Canonical(bad); err == nil {
			t.Errorf("%v: got %s", bad, got)
		}
	}
}
