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

// BenchmarkStore is the archive's own share: reading, both digests, the ZIP check and the parts,
// into a bucket that throws everything away. heap-MiB is the most the heap held beyond what was
// there before; it does not grow with the package.
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
				// It is no ZIP, so that nothing is committed; all the work has been done by then.
				_, err := a.Store(b.Context(), investigation.Placement{Key: key, Action: action},
					investigation.Package{Size: size, Body: io.NopCloser(source)})
				if err == nil {
					b.Fatal("nothing was stored as a package")
				}
			}
			b.ReportMetric(float64(peak-before.HeapInuse)/(1<<20), "heap-MiB")
		})
	}
}

// discarding is a bucket that keeps no part.
type discarding struct{ *memory.Bucket }

func (d discarding) UploadPart(context.Context, *s3.UploadPartInput, ...func(*s3.Options)) (
	*s3.UploadPartOutput, error,
) {
	return &s3.UploadPartOutput{ETag: aws.String("e"), ChecksumCRC32C: aws.String("c")}, nil
}
