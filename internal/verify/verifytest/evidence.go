package verifytest

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
	"packhorse/internal/zipinspect"
)

// ActionID returns the id of the nth action.
func ActionID(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// Key returns the key of one part of an action's evidence.
func Key(folder string, n int, suffix string) string {
	return folder + Tenant + "/" + Machine + "/" + stamp(n) + "_" + ActionID(n) + suffix
}

func stamp(n int) string {
	return CreatedAt.Add(time.Duration(n) * time.Minute).Format("20060102T150405Z")
}

// Record returns the record of an action whose package is being fetched.
func (w *World) Record(tenantID string, n int) investigation.Record {
	at := CreatedAt.Add(time.Duration(n) * time.Minute)
	return investigation.Record{
		Action: investigation.Action{
			ID:        investigation.ID{TenantID: tenantID, ActionID: ActionID(n)},
			MachineID: Machine, ComputerDNSName: "fin-ws-17.contoso.com",
			Requestor: "a.lindqvist@contoso.com", RequestorComment: "INC-4711 suspicious PowerShell",
			CaseID: "INC-4711", RequestSource: "Portal", Status: investigation.StatusSucceeded,
			CreatedAt: at, LastUpdatedAt: at.Add(9 * time.Minute),
		},
		State: investigation.StateFetching, Attempts: 1, Owner: "worker",
		ObservedAt: at.Add(10 * time.Minute),
	}
}

func (w *World) exchange(host string) investigation.Exchange {
	return investigation.Exchange{
		AskedAt: w.Now.Add(-3 * time.Second), AnsweredAt: w.Now.Add(-2 * time.Second), Host: host,
		TLSVersion: "TLS 1.3", CertificateSHA256: strings.Repeat("ab", 32), RequestID: "req-1",
		CorrelationID: "cor-1",
	}
}

// StoreObject stores the bytes that came for an action, and returns what the archive would.
func (w *World) StoreObject(t testing.TB, key string, body []byte, judge bool) investigation.Stored {
	t.Helper()
	i, err := zipinspect.Inspect(bytes.NewReader(body), judge)
	if err != nil {
		t.Fatal(err)
	}
	id := w.Put(key, body, Lock)
	kept := Lock
	if w.unlocked {
		kept = investigation.Retention{}
	}
	return investigation.Stored{
		Receipt: investigation.Receipt{
			Bucket: Bucket, Key: key, VersionID: id, Size: i.Size, SHA256: i.SHA256, CRC32C: i.CRC32C,
			Retention: kept,
		},
		Collection: investigation.Collection{
			Attempt: 1, Link: w.exchange("api.securitycenter.microsoft.com"),
			Download: w.exchange("packages.blob.core.windows.net"),
		},
		Content: i.Content,
	}
}

// Archive stores the package of an action, with its manifest.
func (w *World) Archive(t testing.TB, tenantID string, n int, body []byte) {
	t.Helper()
	rec := w.Record(tenantID, n)
	key, err := investigation.KeyOf(Prefix, rec.Action)
	if err != nil {
		t.Fatal(err)
	}
	stored := w.StoreObject(t, string(key), body, true)
	rec, err = investigation.Archive("worker", investigation.Arrival{At: w.Now, Receipt: stored.Receipt}).Apply(rec)
	if err != nil {
		t.Fatal(err)
	}
	w.Settle(t, rec, stored)
}

// NotCollected stores the manifest of an action of the first tenant that ended without a package. If came
// is not nil, it goes to quarantine.
func (w *World) NotCollected(t testing.TB, n int, reason investigation.Reason, came []byte) {
	t.Helper()
	rec := w.Record(Tenant, n)
	var stored investigation.Stored
	if came != nil {
		key, err := investigation.QuarantineKeyOf(rec.Action)
		if err != nil {
			t.Fatal(err)
		}
		stored = w.StoreObject(t, string(key), came, false)
	}
	rec, err := investigation.Close("worker", investigation.Closing{
		At: w.Now, Reason: reason, Message: "the package could not be collected", Quarantine: stored.Receipt,
	}).Apply(rec)
	if err != nil {
		t.Fatal(err)
	}
	w.Settle(t, rec, stored)
}

// Settle seals a record, writes its manifests and signatures, and marks it done.
func (w *World) Settle(t testing.TB, rec investigation.Record, stored investigation.Stored) {
	t.Helper()
	w.Now = w.Now.Add(time.Minute)
	sealer, err := w.Writer.Sealer(t.Context(), stored.Collection, stored.Content)
	if err != nil {
		t.Fatal(err)
	}
	rec, head, err := rec.Sealed(w.Book.Heads[rec.TenantID], sealer)
	if err != nil {
		t.Fatal(err)
	}
	w.Book.Heads[rec.TenantID] = head
	write := func(key, text string) {
		signature, err := w.Writer.Sign(t.Context(), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		w.Put(key, []byte(text), Lock)
		w.Put(investigation.SignatureKey(key), signature, Lock)
	}
	if rec.QuarantineSeal.Sequence > 0 {
		write(investigation.Key(rec.Quarantine.Key).Manifest(), rec.QuarantineSeal.Manifest)
	}
	write(rec.ManifestKey, rec.Seal.Manifest)
	rec, err = investigation.Announce(investigation.Conclusion{At: w.Now}).Apply(rec)
	if err != nil {
		t.Fatal(err)
	}
	if w.Book.Known[rec.TenantID] == nil {
		w.Book.Known[rec.TenantID] = map[string]investigation.Record{}
	}
	w.Book.Known[rec.TenantID][rec.ActionID] = rec
}

// Zipped returns a package that contains text.
func Zipped(t testing.TB, text string) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for _, name := range []string{"Autoruns/Autoruns.csv", "Network/ActNetConns.txt", "summary.txt"} {
		f, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(f, "%s of %s", name, strings.Repeat(text, 20))
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// Reseal replaces a manifest with m and signs it, as if m had been sealed.
func (w *World) Reseal(t testing.TB, key string, m manifest.Manifest) {
	t.Helper()
	text := canonical(t, m)
	signature, err := w.Writer.Sign(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	w.Store.Change(key, text)
	w.Store.Change(investigation.SignatureKey(key), signature)
}

// canonical returns a manifest's JSON with sorted names, which is enough to make it canonical.
func canonical(t testing.TB, m manifest.Manifest) []byte {
	t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var sorted map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&sorted); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(sorted); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}
