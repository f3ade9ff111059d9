package manifest_test

import (
	"strings"
	"testing"

	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
	"packhorse/internal/strictschema"
)

// TestSimulated: every manifest of a simulation says so, within the schema. All others omit the field, so
// their bytes are the same as before the field existed.
func TestSimulated(t *testing.T) {
	schema, err := strictschema.Load("../../docs/custody/manifest.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, simulated := range []bool{true, false} {
		instead := stored()
		instead.Receipt.Key = strings.NewReplacer("packages/", "quarantine/", ".zip", ".bin").
			Replace(instead.Receipt.Key)
		byPackage, byInstead := facts(t, stored()), facts(t, instead)
		byPackage.Provenance.Simulated, byInstead.Provenance.Simulated = simulated, simulated
		rec, invalid := fetching(), fetching()
		rec.Receipt = stored().Receipt
		invalid.Reason, invalid.Quarantine = investigation.ReasonInvalid, instead.Receipt
		invalid.QuarantineSeal.Digest = strings.Repeat("0f", 32)
		collected, err := byPackage.Outcome(rec, investigation.Head{})
		if err != nil {
			t.Fatal(err)
		}
		given, err := byInstead.Outcome(invalid, investigation.Head{})
		if err != nil {
			t.Fatal(err)
		}
		quarantined, err := byInstead.Quarantined(invalid, investigation.Head{})
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range [][]byte{collected, given, quarantined} {
			m, err := manifest.Parse(text)
			if err != nil || m.Simulated != simulated {
				t.Errorf("got %t, %v, want %t: %s", m.Simulated, err, simulated, text)
			}
			if err := strictschema.Check(schema, text); err != nil {
				t.Error(err)
			}
			if strings.Contains(string(text), "simulated") != simulated {
				t.Errorf("simulated %t: %s", simulated, text)
			}
		}
	}
}
