package settings

import (
	"strings"
	"testing"
)

// Lengths are checked beside the expressions; both ends of each count.
func TestForms(t *testing.T) {
	const role = "arn:aws:iam::123456789012:role/"
	for name, test := range map[string]struct {
		form form
		text func(n int) string
		min  int // of the part that varies
		max  int
	}{
		"table":  {tableForm, func(n int) string { return strings.Repeat("a", n) }, 3, 255},
		"bucket": {bucketForm, func(n int) string { return strings.Repeat("a", n) }, 3, 63},
		"bus":    {busForm, func(n int) string { return strings.Repeat("a", n) }, 1, 256},
		"arn":    {arnForm, func(n int) string { return "arn:" + strings.Repeat("a", n) }, 1, 1000},
		"role":   {roleForm, func(n int) string { return role + strings.Repeat("a", n) }, 1, 576},
	} {
		for n, want := range map[int]bool{test.min - 1: false, test.min: true, test.max: true} {
			if got := test.form.matches(test.text(n)); got != want {
				t.Errorf("%s with %d characters: %t", name, n, got)
			}
		}
		if name != "role" && test.form.matches(test.text(test.max+1)) { // the partition's length varies
			t.Errorf("%s with %d characters is accepted", name, test.max+1)
		}
		if test.form.matches(test.text(test.min) + "\n") {
			t.Errorf("%s with a line break is accepted", name)
		}
	}
	if roleForm.matches(role + strings.Repeat("a", 1000)) {
		t.Error("a role of any length is accepted")
	}
}
