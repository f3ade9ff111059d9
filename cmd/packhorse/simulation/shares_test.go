package simulation

import (
	"slices"
	"testing"
)

func TestShares(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		actions, tenants int
		want             []int
	}{
		{7, 1, []int{7}}, {7, 2, []int{4, 3}}, {1, 3, []int{1, 0, 0}}, {40, 5, []int{20, 7, 7, 6, 0}},
		{13, 8, []int{7, 2, 1, 1, 1, 1, 0, 0}},
	} {
		if got := shares(test.actions, test.tenants); !slices.Equal(got, test.want) {
			t.Errorf("%d of %d: got %v, want %v", test.actions, test.tenants, got, test.want)
		}
	}
}
