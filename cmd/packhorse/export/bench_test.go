package export_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/export"
	"packhorse/cmd/packhorse/source"
	"packhorse/cmd/packhorse/take"
	"packhorse/cmd/packhorse/take/taketest"
	"packhorse/internal/investigation"
	"packhorse/internal/verify/verifytest"
)

// benchSize is the size of the package in the benchmarks, in bytes.
const benchSize = 256 << 20

// BenchmarkExport exports one large package from a folder, as a folder and as a ZIP, next to what a careful person
// would type: cp, then sha256sum of the copy. Memory is what was allocated in all; it does not grow with the size.
func BenchmarkExport(b *testing.B) {
	w := verifytest.New(b)
	noise := make([]byte, benchSize)
	for i := range noise {
		noise[i] = byte(i * i >> 7)
	}
	// Anything before the first entry still leaves a ZIP a ZIP.
	body := append(noise, verifytest.Zipped(b, "large")...)
	w.Archive(b, verifytest.Tenant, 50, body)
	rec := w.Book.Known[verifytest.Tenant][verifytest.ActionID(50)]
	dir := b.TempDir()
	w.CopyTo(b, dir)
	folder, err := source.OpenFolder(dir)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = folder.Close() })
	from := taketest.Source(folder, w.Trust(b), nil)
	w.Store = nil // it is on disk now

	for _, ending := range []string{"", ".zip"} {
		b.Run("export"+ending, func(b *testing.B) {
			b.SetBytes(benchSize)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for i := range b.N {
				path := filepath.Join(b.TempDir(), fmt.Sprint(i)+ending)
				o := export.Options{Path: path, At: at, Disk: take.OS{}}
				if _, err := export.Run(b.Context(), from, []investigation.Record{rec}, o, console.Quiet{}); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := os.RemoveAll(path); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/(1<<20), "MiB-allocated/op")
		})
	}
	b.Run("cp and sha256sum", func(b *testing.B) {
		b.SetBytes(benchSize)
		original := filepath.Join(dir, filepath.FromSlash(rec.Receipt.Key))
		for i := range b.N {
			path := filepath.Join(b.TempDir(), fmt.Sprint(i))
			out, err := exec.CommandContext(b.Context(), "sh", "-c", `cp "$1" "$2" && sync "$2" && sha256sum "$2"`, "sh", original, path).CombinedOutput()
			if err != nil || !bytes.HasPrefix(out, []byte(rec.Receipt.SHA256)) {
				b.Fatalf("%v: %s", err, out)
			}
			b.StopTimer()
			if err := os.Remove(path); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	})
}
