package console_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"

	"packhorse/internal/investigation"
)

var update = flag.Bool("update", false, "rewrite the golden files; review the diff")

const (
	tenantID  = "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11"
	actionID  = "5382f7ea-7557-4ab7-9782-d50480024a4e"
	machineID = "0123456789abcdef0123456789abcdef01234567"
	longHost  = "a-host-name-that-is-longer-than-any-column.emea.corp.contoso.com"
	wideHost  = "調査端末七号"

	stem = tenantID + "/" + machineID + "/20260304T050607Z_" + actionID
)

// at is the creation time of every action in the tests.
var at = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// clock returns a stopped clock in another time zone.
func clock() time.Time { return at.Add(time.Hour).In(time.FixedZone("elsewhere", -5*3600)) }

func digest(letter string) string { return strings.Repeat(letter, 64) }

// golden compares text with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs: got\n%s\nwant\n%s", path, got, want)
	}
}

// of returns the action with that id, of which no more is known.
func of(id string) investigation.Action {
	return investigation.Action{ID: investigation.ID{TenantID: tenantID, ActionID: id}}
}

// ready returns the record of an action whose package can be fetched.
func ready(host string) investigation.Record {
	return investigation.Record{
		Action: investigation.Action{
			ID:        investigation.ID{TenantID: tenantID, ActionID: actionID},
			MachineID: machineID, ComputerDNSName: host, Requestor: "a.lindqvist@contoso.com",
			RequestorComment: "INC-4711 <odd> \"logon\"", CaseID: "INC-4711", RequestSource: "Portal",
			Status: investigation.StatusSucceeded, CreatedAt: at, LastUpdatedAt: at.Add(9 * time.Minute),
		},
		State: investigation.StateReady, ObservedAt: at.Add(10 * time.Minute),
	}
}

// fetching returns the record at its nth attempt.
func fetching(host string, attempt int) investigation.Record {
	rec := ready(host)
	rec.State, rec.Attempts = investigation.StateFetching, attempt
	return rec
}

// archived returns the record after its package was stored.
func archived(host string, size int64) investigation.Record {
	rec := fetching(host, 1)
	rec.State, rec.ArchivedAt = investigation.StateArchived, at.Add(11*time.Minute)
	rec.Receipt = investigation.Receipt{
		Bucket: "evidence", Key: "packages/" + stem + ".zip", VersionID: "v1", Size: size, SHA256: digest("a"),
	}
	rec.ManifestKey = "packages/" + stem + ".json"
	rec.Seal = investigation.Seal{Sequence: 7, Digest: digest("b")}
	return rec
}

// notCollected returns the record of an action whose package was not collected.
func notCollected(host string, reason investigation.Reason) investigation.Record {
	rec := ready(host)
	rec.State, rec.Reason = investigation.StateNotCollected, reason
	rec.Status, rec.Message = investigation.StatusFailed, "Defender says: Failed"
	rec.ManifestKey = "not-collected/" + stem + ".json"
	rec.Seal = investigation.Seal{Sequence: 8, Digest: digest("c")}
	return rec
}

// postponed returns the record after a failed attempt.
func postponed(host string) investigation.Record {
	rec := fetching(host, 2)
	rec.State, rec.Message = investigation.StateReady, "the download answered 503"
	rec.DueAt = at.Add(90 * time.Minute)
	return rec
}

// waiting returns the record of an action that Defender has not finished.
func waiting(host string) investigation.Record {
	rec := ready(host)
	rec.State, rec.Status, rec.LastUpdatedAt = investigation.StateWaiting, investigation.StatusPending, time.Time{}
	return rec
}

// done returns the record after its outcome was announced.
func done(rec investigation.Record, announcedAt time.Time) investigation.Record {
	rec.State, rec.AnnouncedAt = investigation.StateDone, announcedAt
	return rec
}

// named gives a record a different action id and creation time.
func named(rec investigation.Record, id string, createdAt time.Time) investigation.Record {
	rec.ActionID, rec.CreatedAt = id, createdAt
	return rec
}

var errFull = errors.New("no space left on device")

// full is a writer that accepts a few writes and fails all others.
type full struct {
	takes  int
	writes int // attempted writes
	took   strings.Builder
}

func (f *full) Write(p []byte) (int, error) {
	f.writes++
	if f.writes > f.takes {
		return 0, errFull
	}
	return f.took.Write(p)
}

// TestMain draws bars as in a European locale: in an East Asian one mpb takes "━" for two columns.
func TestMain(m *testing.M) {
	runewidth.DefaultCondition.EastAsianWidth = false
	os.Exit(m.Run())
}
