package embedded_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"packhorse/cmd/packhorse/embedded"
	"packhorse/internal/investigation"
	"packhorse/internal/ratelimit"
)

// These tests run the test binary again as the other processes on one data folder. Such a process
// runs TestChild alone; this variable has its task: "<role> <path of the file>".
const childVariable = "PACKHORSE_TEST_CHILD"

const (
	// children is how many processes share the file, and goroutines how many work in each.
	children   = 2
	goroutines = 4
)

// TestChild is the body of a child process. In the test run itself it does nothing.
func TestChild(t *testing.T) {
	role, path, isChild := strings.Cut(os.Getenv(childVariable), " ")
	if !isChild {
		return
	}
	db := openDB(t, path) // all children at once; at first the file is missing
	fmt.Println("ready")
	switch role {
	case "lease":
		childLeases(t, db)
	case "claim":
		childClaims(t, db)
	case "observe":
		childObserves(t, db)
	default:
		t.Fatalf("unknown role %q", role)
	}
}

// startChild returns a child process and the lines it writes after "ready". The caller MUST read
// all lines.
func startChild(ctx context.Context, t *testing.T, role, path string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestChild$", "-test.count=1")
	cmd.Env = append(os.Environ(), childVariable+"="+role+" "+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Fatalf("the child is not ready: %q, %v", lines.Text(), lines.Err())
	}
	return cmd, lines
}

// run waits for the children and returns the lines that begin with the role.
func run(t *testing.T, role, path string) []string {
	t.Helper()
	var mu sync.Mutex // guards all
	var all []string
	var wait sync.WaitGroup
	for range children {
		wait.Go(func() {
			cmd, lines := startChild(t.Context(), t, role, path)
			for lines.Scan() {
				if rest, ok := strings.CutPrefix(lines.Text(), role+" "); ok {
					mu.Lock()
					all = append(all, rest)
					mu.Unlock()
				}
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("a child: %v", err)
			}
		})
	}
	wait.Wait()
	return all
}

// The leases' clock runs faster, equally in every process, so a slot is held for 30 ms instead of
// 90 s.
const (
	speed    = 3000
	leaseFor = 3 * time.Second // real time: about 100 times a slot's hold
)

var budget = ratelimit.Budget{Name: "shared", PerMinute: 2, PerHour: 120}

func childLeases(t *testing.T, db *embedded.DB) {
	counter := embedded.NewCounter(db)
	began := time.Now()
	fast := func() time.Time {
		return now.Add(time.Since(time.Unix(began.Unix()/100*100, 0)) * speed)
	}
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for i := 0; time.Since(began) < leaseFor; i++ {
				at := fast()
				owner := fmt.Sprint(os.Getpid(), "-", g, "-", i)
				d, err := counter.Lease(t.Context(), budget, owner, at)
				if err != nil {
					t.Errorf("lease: %v", err)
					return
				}
				if d.Allowed {
					fmt.Println("lease", at.UnixMilli(), d.Slot)
				}
			}
		})
	}
	all.Wait()
}

// Even if many processes lease as fast as they can, any N+1 leases span more than a slot's hold,
// and most of the budget is used.
func TestProcessesShareABudget(t *testing.T) {
	var at []int64
	for _, line := range run(t, "lease", filepath.Join(t.TempDir(), "packhorse.db")) {
		ms, slot, _ := strings.Cut(line, " ")
		n, err := strconv.ParseInt(ms, 10, 64)
		if err != nil || (slot != "0" && slot != "1") {
			t.Fatalf("%q: %v", line, err)
		}
		at = append(at, n)
	}
	slices.Sort(at)
	hold := (ratelimit.MaxCall + budget.Window() + ratelimit.Guard).Milliseconds()
	slots := budget.Slots()
	for i := slots; i < len(at); i++ {
		if span := at[i] - at[i-slots]; span < hold {
			t.Errorf("%d leases within %d ms, want at least %d ms", slots+1, span, hold)
		}
	}
	possible := slots * int(leaseFor.Milliseconds()*speed/hold)
	t.Logf("%d leases of %d possible", len(at), possible)
	if len(at) < possible/4 {
		t.Errorf("got %d leases, want more than a quarter of %d", len(at), possible)
	}
}

// claimable is how many actions the children compete for.
const claimable = 60

func claimableID(i int) string { return fmt.Sprintf("%040x", i) }

func childClaims(t *testing.T, db *embedded.DB) {
	ledger := embedded.NewLedger(db)
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for _, i := range rand.Perm(claimable) {
				id := investigation.ID{TenantID: tenant, ActionID: claimableID(i)}
				owner := fmt.Sprint(os.Getpid(), "-", g)
				_, err := ledger.Change(t.Context(), id, investigation.Claim(owner, now, now.Add(time.Hour)))
				if err == nil {
					fmt.Println("claim", id.ActionID, owner)
				}
			}
		})
	}
	all.Wait()
}

// Each action is claimed by exactly one process, and the ledger knows which.
func TestProcessesClaimEachActionOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "packhorse.db")
	ledger := embedded.NewLedger(openDB(t, path))
	for i := range claimable {
		a := someAction("0", now)
		a.ActionID = claimableID(i)
		if _, err := ledger.Change(t.Context(), a.ID, investigation.Observe(a, now)); err != nil {
			t.Fatal(err)
		}
	}
	owners := map[string]string{}
	perProcess := map[string]int{}
	for _, line := range run(t, "claim", path) {
		action, owner, _ := strings.Cut(line, " ")
		if owners[action] != "" {
			t.Errorf("action %s was claimed by %s and %s", action, owners[action], owner)
		}
		owners[action] = owner
		pid, _, _ := strings.Cut(owner, "-")
		perProcess[pid]++
	}
	t.Logf("claims of each process: %v", perProcess)
	records, err := ledger.Records(t.Context(), tenant)
	if err != nil || len(records) != claimable {
		t.Fatalf("got %d records, %v", len(records), err)
	}
	for _, rec := range records {
		if rec.Owner == "" || rec.Owner != owners[rec.ActionID] || rec.Attempts != 1 {
			t.Errorf("action %s: the ledger says %q in attempt %d, the processes say %q",
				rec.ActionID, rec.Owner, rec.Attempts, owners[rec.ActionID])
		}
	}
}

func childObserves(t *testing.T, db *embedded.DB) {
	ledger := embedded.NewLedger(db)
	for i := 0; ; i++ { // until the process is killed
		a := someAction("0", now)
		a.ActionID = fmt.Sprintf("%040x", i)
		if _, err := ledger.Change(t.Context(), a.ID, investigation.Observe(a, now)); err != nil {
			t.Fatal(err)
		}
		fmt.Println("observe", a.ActionID)
	}
}

// All records that a killed process reported as written are there, and the file is intact.
func TestKilledProcessLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "packhorse.db")
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	cmd, lines := startChild(ctx, t, "observe", path)
	var written []investigation.ID
	for lines.Scan() {
		action, ok := strings.CutPrefix(lines.Text(), "observe ")
		if !ok || len(action) != 40 { // truncated by the kill
			continue
		}
		written = append(written, investigation.ID{TenantID: tenant, ActionID: action})
		if len(written) == 50 {
			kill()
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the child was not killed")
	}
	db := openDB(t, path)
	records, err := embedded.NewLedger(db).Load(t.Context(), written)
	if err != nil || len(records) != len(written) {
		t.Errorf("got %d records of %d, %v", len(records), len(written), err)
	}
	if got, err := db.Pragma(t.Context(), "integrity_check"); err != nil || got != "ok" {
		t.Errorf("integrity: %q, %v", got, err)
	}
}
