package archive_test

import (
	"context"
	"io"
	"log/slog"
	"runtime"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"packhorse/internal/archive"
	"packhorse/internal/investigation"
	"packhorse/internal/memory"
)

// BenchmarkStore measures the archive's own work: reading, both digests, the ZIP check and the
// parts, into a bucket that discards everything. heap-MiB is the peak heap above the heap at the
// start; it does not grow with the package.
func BenchmarkStore(b *testing.B) {
	for name, size := range map[string]int64{"64MiB": 64 << 20, "1GiB": 1 << 30} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			var before, now runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			var peak uint64
			for b.Loop() {
				a := archive.New(discarding{memory.NewBucket()}, "evidence", lock, archive.PartSize,
					archive.PartsInFlight, clock, slog.New(slog.DiscardHandler))
				var read int64
				source := readerFunc(func(p []byte) (int, error) {
					if read >= size {
						return 0, io.EOF
					}
					if read%(64<<20) == 0 {
						runtime.ReadMemStats(&now)
						peak = max(peak, now.HeapInuse)
					}
					n := min(int64(len(p)), size-read, 1<<20)
					read += n
					return int(n), nil
				})
				// The bytes are not a ZIP, so nothing is committed, but by then all the work has
				// been done.
				_, err := a.Store(b.Context(), investigation.Placement{Key: key, Action: action},
					investigation.Package{Size: size, Body: io.NopCloser(source)})
				if err == nil {
					b.Fatal("bytes that are not a ZIP were stored as a package")
				}
			}
			b.ReportMetric(float64(peak-before.HeapInuse)/(1<<20), "heap-MiB")
		})
	}
}

// discarding is a bucket that discards every part.
type discarding struct{ *memory.Bucket }

func (d discarding) UploadPart(context.Context, *s3.UploadPartInput, ...func(*s3.Options)) (
	*s3.UploadPartOutput, error,
) {
	return &s3.UploadPartOutput{ETag: aws.String("e"), ChecksumCRC32C: aws.String("c")}, nil
}
