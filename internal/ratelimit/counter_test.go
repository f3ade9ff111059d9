package ratelimit_test

import (
	"testing"

	"packhorse/internal/ratelimit"
	"packhorse/internal/ratelimit/countertest"
)

func TestMemory(t *testing.T) {
	countertest.Run(t, func(*testing.T) ratelimit.Counter { return ratelimit.NewMemory() })
}
