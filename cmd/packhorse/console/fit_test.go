package console_test

import (
	"testing"

	"packhorse/cmd/packhorse/console"
)

// TestFit: text that was written for 100 columns reads well on 40, and what is copied stays whole.
func TestFit(t *testing.T) {
	t.Parallel()
	const text = `Packhorse archives every investigation package in a Microsoft Defender for Endpoint tenant. It uses
the full budget.

A short line
and another.
  packhorse list --json --limit 0 | jq -r 'select(.outcome == "archived") | .sha256'
  --level LEVEL   write log lines of this LEVEL and above: debug, info, warn or error
  Key             packages/7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11/cb724cd8a45b86bf56fcda.zip
`
	const want = `Packhorse archives every investigation
package in a Microsoft Defender for
Endpoint tenant. It uses the full
budget.

A short line
and another.
  packhorse list --json --limit 0 | jq -r 'select(.outcome == "archived") | .sha256'
  --level LEVEL   write log lines of
                  this LEVEL and above:
                  debug, info, warn or
                  error
  Key             packages/7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11/cb724cd8a45b86bf56fcda.zip
`
	if got := console.Fit(text, 40); got != want {
		t.Errorf("got\n%s", got)
	}
	for _, width := range []int{0, 100, 200} {
		if got := console.Fit(text, width); got != text {
			t.Errorf("width %d changed it", width)
		}
	}
	for _, edge := range []string{"", "\n", "   ", "  \n  \n", "x  ", "a-single-word-that-is-wider-than-the-terminal"} {
		if got := console.Fit(edge, 10); got != edge {
			t.Errorf("%q became %q", edge, got)
		}
	}
}
