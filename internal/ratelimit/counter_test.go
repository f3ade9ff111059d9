package ratelimit_test

import (
	"testing"

	conformance "packhorse/internal/conformance/counter"
	"packhorse/internal/ratelimit"
)

func TestMemory(t *testing.T) {
	conformance.Run(t, func(*testing.T) ratelimit.Counter { return ratelimit.NewMemory() })
}
