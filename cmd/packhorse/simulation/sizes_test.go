package simulation_test

import (
	"testing"

	"packhorse/cmd/packhorse/simulation"
)

func TestSizes(t *testing.T) {
	var got simulation.Sizes
	for _, text := range []string{"300KiB, 64MiB", "2GiB", "17", "18B"} {
		if err := got.Set(text); err != nil {
			t.Fatal(err)
		}
	}
	if want := "307200,67108864,2147483648,17,18"; got.String() != want {
		t.Errorf("got %s, want %s", got.String(), want)
	}
	for _, bad := range []string{"", "x", "-1", "0", "1.5GiB", "2GB", "1,", "9999999GiB"} {
		if err := new(simulation.Sizes).Set(bad); err == nil {
			t.Errorf("%q was accepted as a size", bad)
		}
	}
}
