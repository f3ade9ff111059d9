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
  --quiet         show no progress and no advice; results and errors stay, and so do warnings
  --json          write JSON
  $ openssl dgst -sha256 -verify 0123456789abcdef0123456789abcdef.pem \
      -signature 20261125T074250Z_5803a2c9-ab28-4599.json.sig \
      20261125T074250Z_5803a2c9-ab28-4599-a3e0-6e9d3d2b1e4c.json
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
  --quiet         show no progress and
                  no advice; results and
                  errors stay, and so do
                  warnings
  --json          write JSON
  $ openssl dgst -sha256 -verify 0123456789abcdef0123456789abcdef.pem \
      -signature 20261125T074250Z_5803a2c9-ab28-4599.json.sig \
      20261125T074250Z_5803a2c9-ab28-4599-a3e0-6e9d3d2b1e4c.json
  Key             packages/7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11/cb724cd8a45b86bf56fcda.zip
`
	if got := console.Fit(text, 40); got != want {
		t.Errorf("got\n%s", got)
	}
	const settings = "2 settings are wrong:\n  ONE has 11 characters: want a GUID, such as 0b1c2d3e-4f50-4617-8293\n  TWO is wrong"
	const broken = "2 settings are wrong:\n  ONE has 11 characters: want a GUID,\n  such as 0b1c2d3e-4f50-4617-8293\n  TWO is wrong"
	if got := console.FitLines(settings, 40); got != broken {
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
