package e2e_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"packhorse/internal/eventbus"
	"packhorse/internal/investigation"
)

// bucket is a strict evidence bucket in memory: nothing is ever replaced.
type bucket struct {
	mu        sync.Mutex // guards what follows
	objects   map[investigation.Key]investigation.Receipt
	commits   map[investigation.Key]int
	manifests map[string][]byte
}

func newBucket() *bucket {
	return &bucket{
		objects: map[investigation.Key]investigation.Receipt{}, commits: map[investigation.Key]int{},
		manifests: map[string][]byte{},
	}
}

func (b *bucket) stored(key investigation.Key) (investigation.Receipt, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	receipt, ok := b.objects[key]
	if !ok {
		return receipt, fmt.Errorf("head %s: %w", key, investigation.ErrNotStored)
	}
	return receipt, nil
}

// commit puts the object if there is none, as If-None-Match does.
func (b *bucket) commit(key investigation.Key, body []byte) (investigation.Receipt, error) {
	sum := sha256.Sum256(body)
	receipt := investigation.Receipt{
		Bucket: "evidence", Key: string(key), VersionID: "v1", Size: int64(len(body)),
		SHA256: hex.EncodeToString(sum[:]),
		CRC32C: base64.StdEncoding.EncodeToString(crc(body)),
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if there, ok := b.objects[key]; ok {
		if there != receipt {
			return investigation.Receipt{}, fmt.Errorf("put %s: there is another object", key)
		}
		return there, nil
	}
	b.objects[key] = receipt
	b.commits[key]++
	return receipt, nil
}

func crc(body []byte) []byte {
	sum := crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli))
	return []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}
}

// checkWhole is the archive's duty before a commit.
func checkWhole(body []byte, size int64) error {
	if size != investigation.SizeUnknown && size != int64(len(body)) {
		return io.ErrUnexpectedEOF
	}
	_, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return fmt.Errorf("%w: %w", investigation.ErrNotAPackage, err)
	}
	return nil
}

// putManifest panics where a manifest made again has other bytes: it must be a pure function.
func (b *bucket) putManifest(key string, manifest []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	there, ok := b.manifests[key]
	if ok && !bytes.Equal(there, manifest) {
		panic("e2e: the manifest made again differs")
	}
	b.manifests[key] = bytes.Clone(manifest)
}

// archivePort is one process's way to the bucket.
type archivePort struct{ p *proc }

func (a archivePort) Stored(_ context.Context, key investigation.Key) (
	investigation.Receipt, error,
) {
	a.p.live()
	return a.p.w.bucket.stored(key)
}

func (a archivePort) Store(_ context.Context, key investigation.Key, _ investigation.Action,
	pkg investigation.Package,
) (receipt investigation.Receipt, err error) {
	body, err := io.ReadAll(pkg.Body)
	if err != nil {
		return receipt, fmt.Errorf("read the package: %w", err)
	}
	err = checkWhole(body, pkg.Size)
	if err != nil {
		return receipt, err
	}
	err = a.p.do("complete", func() error {
		var err error
		receipt, err = a.p.w.bucket.commit(key, body)
		return err
	})
	return receipt, err
}

func (a archivePort) StoreManifest(_ context.Context, key string, manifest []byte) error {
	return a.p.do("manifest", func() error {
		a.p.w.bucket.putManifest(key, manifest)
		return nil
	})
}

// busPort is one process's way to the bus.
type busPort struct{ p *proc }

func (b busPort) Ready(_ context.Context, ids []investigation.ID) ([]investigation.ID, error) {
	err := b.p.do("put Ready", func() error {
		for _, id := range ids {
			b.p.w.event(eventbus.TypeReady, eventbus.NewReady(id))
			b.p.w.deliver(id)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
}

func (b busPort) Announce(_ context.Context, records []investigation.Record) (
	[]investigation.ID, error,
) {
	var taken []investigation.ID
	for _, rec := range records {
		err := b.p.do("put Archived", func() error {
			if rec.State != investigation.StateArchived {
				return fmt.Errorf("an announcement of a record that is %s", rec.State)
			}
			b.p.w.event(eventbus.TypeArchived, eventbus.NewArchived(rec))
			b.p.w.announced(rec.ID)
			return nil
		})
		if err != nil {
			return taken, err
		}
		taken = append(taken, rec.ID)
	}
	return taken, nil
}

func (w *world) event(detailType string, detail any) {
	text, err := json.Marshal(detail)
	if err != nil {
		panic(err)
	}
	err = w.schemas.Check(detailType, text)
	if err != nil {
		w.t.Error(err)
	}
	w.write(string(text))
}
