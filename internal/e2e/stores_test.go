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
	"time"

	"packhorse/internal/eventbus"
	"packhorse/internal/investigation"
)

// bucket is a strict evidence bucket in memory: nothing is ever replaced.
type bucket struct {
	mu      sync.Mutex // guards what follows
	objects map[investigation.Key]investigation.Stored
	commits map[investigation.Key]int
	small   map[string][]byte // manifests, signatures and keys
}

func newBucket() *bucket {
	return &bucket{
		objects: map[investigation.Key]investigation.Stored{}, commits: map[investigation.Key]int{},
		small: map[string][]byte{},
	}
}

func (b *bucket) stored(key investigation.Key) (investigation.Stored, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	stored, ok := b.objects[key]
	if !ok {
		return stored, fmt.Errorf("head %s: %w", key, investigation.ErrNotStored)
	}
	return stored, nil
}

// commit puts the object if there is none, as If-None-Match does, with what is written on it.
func (b *bucket) commit(key investigation.Key, body []byte, c investigation.Collection,
	content investigation.Content,
) (investigation.Stored, error) {
	sum := sha256.Sum256(body)
	stored := investigation.Stored{
		Receipt: investigation.Receipt{
			Bucket: "evidence", Key: string(key), VersionID: "v1", Size: int64(len(body)),
			SHA256: hex.EncodeToString(sum[:]),
			CRC32C: base64.StdEncoding.EncodeToString(crc(body)),
		},
		Collection: c, Content: content,
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if there, ok := b.objects[key]; ok {
		if there.Receipt != stored.Receipt {
			return investigation.Stored{}, fmt.Errorf("put %s: there is another object", key)
		}
		return there, nil
	}
	b.objects[key] = stored
	b.commits[key]++
	return stored, nil
}

func crc(body []byte) []byte {
	sum := crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli))
	return []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}
}

// checkWhole is the archive's duty before a commit.
func checkWhole(body []byte, size int64) (investigation.Content, error) {
	if size != investigation.SizeUnknown && size != int64(len(body)) {
		return investigation.Content{}, io.ErrUnexpectedEOF
	}
	archive, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return investigation.Content{}, fmt.Errorf("%w: %w", investigation.ErrNotAPackage, err)
	}
	return investigation.Content{Entries: int64(len(archive.File)), UncompressedSize: int64(len(body))}, nil
}

// put stores a small object, once. Other bytes under the same key are an error.
func (b *bucket) put(key string, text []byte, same func(there []byte) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if there, ok := b.small[key]; ok {
		return same(there)
	}
	b.small[key] = bytes.Clone(text)
	return nil
}

func (b *bucket) has(key string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.small[key] != nil
}

// archivePort is one process's way to the bucket.
type archivePort struct{ p *proc }

func (a archivePort) Stored(_ context.Context, key investigation.Key) (investigation.Stored, error) {
	a.p.live()
	return a.p.w.bucket.stored(key)
}

func (a archivePort) Store(_ context.Context, place investigation.Placement, pkg investigation.Package) (
	stored investigation.Stored, err error,
) {
	body, err := io.ReadAll(pkg.Body)
	if err != nil {
		return stored, fmt.Errorf("read the package: %w", err)
	}
	row, key := "complete", place.Key
	content, invalid := checkWhole(body, pkg.Size)
	if invalid != nil {
		if place.Quarantine == "" {
			return stored, invalid
		}
		row, key = "quarantine", place.Quarantine
	}
	place.Collection.Download = pkg.Source
	err = a.p.do(row, func() error {
		var err error
		stored, err = a.p.w.bucket.commit(key, body, place.Collection, content)
		return err
	})
	if err != nil {
		return investigation.Stored{}, err
	}
	return stored, invalid
}

func (a archivePort) StoreManifest(_ context.Context, key string, manifest []byte) error {
	return a.p.do("manifest", func() error {
		return a.p.w.bucket.put(key, manifest, func(there []byte) error {
			if !bytes.Equal(there, manifest) {
				// It would never be stored: the run would not come to its end.
				return fmt.Errorf("%s has other bytes", key)
			}
			return nil
		})
	})
}

func (a archivePort) StoreSignature(_ context.Context, key string, signature []byte,
	valid func([]byte) error,
) error {
	return a.p.do("signature", func() error { return a.p.w.bucket.put(key, signature, valid) })
}

// busPort is one process's way to the bus.
type busPort struct{ p *proc }

func (b busPort) Ready(_ context.Context, ids []investigation.ID) ([]investigation.ID, error) {
	return b.hand("put Ready", eventbus.TypeReady, ids)
}

func (b busPort) Settled(_ context.Context, ids []investigation.ID) ([]investigation.ID, error) {
	return b.hand("put Settled", eventbus.TypeSettled, ids)
}

func (b busPort) hand(row, detailType string, ids []investigation.ID) ([]investigation.ID, error) {
	err := b.p.do(row, func() error {
		for _, id := range ids {
			b.p.w.event(detailType, eventbus.NewWork(id))
			b.p.w.deliver(detailType, id)
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
	time.Sleep(announceLatency)
	for _, rec := range records {
		row, detailType, detail := "put Archived", eventbus.TypeArchived, any(eventbus.NewArchived(rec))
		if rec.Reason != "" {
			row, detailType = "put Not Collected", eventbus.TypeNotCollected
			detail = eventbus.NewNotCollected(rec)
		}
		err := b.p.do(row, func() error {
			if !b.p.w.bucket.has(investigation.SignatureKey(rec.ManifestKey)) {
				return fmt.Errorf("an announcement of what is not signed: %s", rec.ManifestKey)
			}
			b.p.w.event(detailType, detail)
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
