package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/embedded/ledgertest"
	"packhorse/cmd/packhorse/evidence"
	"packhorse/internal/investigation"
)

const benchTenant = "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11"

// benchSizes are the numbers of finished actions in the ledger.
var benchSizes = []int{2_000, 20_000, 100_000}

// filledFolder returns a data folder of a real tenant whose ledger has that many finished actions.
func filledFolder(tb testing.TB, done int) string {
	tb.Helper()
	data := filepath.Join(tb.TempDir(), "data")
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	err := datafolder.Claim(context.Background(), data, datafolder.Origin{}, logger)
	if err != nil {
		tb.Fatal(err)
	}
	ledgertest.Fill(tb, filepath.Join(data, datafolder.Database), benchTenant, done, time.Now())
	return data
}

// BenchmarkList measures whole commands, from the arguments to the output.
func BenchmarkList(b *testing.B) {
	for _, done := range benchSizes {
		data := filledFolder(b, done)
		benchmarkLedger(b, data, fmt.Sprintf("%d/newest", done), func(ctx context.Context, ledger *evidence.Ledger) (int, error) {
			found, err := ledger.Find(ctx, investigation.Filter{Limit: 50})
			return len(found), err
		})
		commands := map[string][]string{
			"host": {"--machine", ledgertest.Host(done / 2)}, "case": {"--case", ledgertest.Case(done / 2)},
			"day": {"--since", "24h"}, "ready": {"--state", "ready"},
		}
		if done == benchSizes[0] {
			commands["everything"] = nil
		}
		for name, args := range commands {
			b.Run(fmt.Sprintf("%d/%s", done, name), func(b *testing.B) {
				for b.Loop() {
					var out, problems bytes.Buffer
					code := Main{Stdout: &out, Stderr: &problems}.Run(append([]string{"list", "--data", data}, args...))
					if code != exitDone || out.Len() < 200 {
						b.Fatalf("exit %d: %s%s", code, out.Bytes(), problems.Bytes())
					}
				}
			})
		}
	}
}

// ask is a question to a ledger.
type ask func(context.Context, *evidence.Ledger) (answers int, err error)

// benchmarkLedger measures questions to the ledger of a folder. Each opens it, as a command does.
func benchmarkLedger(b *testing.B, data, name string, question ask) {
	b.Run(name, func(b *testing.B) {
		for b.Loop() {
			ledger, err := evidence.OpenLedger(b.Context(), "", data)
			if err != nil {
				b.Fatal(err)
			}
			answers, err := question(b.Context(), ledger)
			if err != nil || answers == 0 {
				b.Fatalf("%d answers, %v", answers, err)
			}
			if err := ledger.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkStatus measures what a status needs of the ledger.
func BenchmarkStatus(b *testing.B) {
	for _, done := range benchSizes {
		benchmarkLedger(b, filledFolder(b, done), fmt.Sprint(done), func(ctx context.Context, ledger *evidence.Ledger) (int, error) {
			open, err := ledger.Open(ctx, "")
			if err != nil {
				return 0, err
			}
			counts, err := ledger.Counts(ctx, "", time.Now().Add(-24*time.Hour))
			return len(open) * counts.Archived, err
		})
	}
}

// BenchmarkCompletion measures the completion of each field.
func BenchmarkCompletion(b *testing.B) {
	for _, done := range benchSizes {
		data := filledFolder(b, done)
		for field, text := range map[investigation.Field]string{
			investigation.FieldAction: "a", investigation.FieldHost: "fin", investigation.FieldCase: "inc",
			investigation.FieldRequestor: "",
		} {
			benchmarkLedger(b, data, fmt.Sprintf("%d/%s", done, field), func(ctx context.Context, ledger *evidence.Ledger) (int, error) {
				values, err := ledger.Values(ctx, investigation.Beginning{Field: field, Text: text, Limit: 50})
				return len(values), err
			})
		}
	}
}
