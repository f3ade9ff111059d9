//go:build cloud

package cloudtest

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"packhorse/internal/event"
	"packhorse/internal/event/eventschema"
	"packhorse/internal/mde/mdesim"
	"packhorse/internal/verify"
)

// check waits for all packages, and checks that each tenant's are where they belong, at the price of one call each.
func (m *manyStack) check() {
	t := m.a.t
	t.Helper()
	m.awaitDone(m.customers()...)
	archived := m.archived()
	var waits []time.Duration
	for _, c := range m.customers() {
		c.checkBudget()
		of := archived[c.config.TenantID]
		for _, a := range c.ready {
			got, there := of[a.ID]
			if !there {
				t.Errorf("%s: action %s was not announced", c.name, a.ID)
			}
			if got.Bucket != c.bucket || !strings.HasPrefix(got.Key, c.prefix+c.config.TenantID+"/") {
				t.Errorf("%s: stored in s3://%s/%s", c.name, got.Bucket, got.Key)
			}
			if ready := a.CreatedAt.Add(time.Duration(a.Steps[len(a.Steps)-1].After)); ready.After(m.began) {
				waits = append(waits, got.ArchivedAt.Sub(ready))
			}
		}
		if len(of) != len(c.ready) {
			t.Errorf("%s: %d packages were announced, want %d", c.name, len(of), len(c.ready))
		}
		m.b.checkPackages(t, of, c.tenant)
	}
	if len(archived) != len(m.customers()) {
		t.Errorf("packages of %d tenants were announced", len(archived))
	}
	slices.Sort(waits)
	t.Logf("while a slot is free, ready in Defender to object committed, %d packages: p50 %.1f s, p99 %.1f s (goals: 10 s, 35 s)",
		len(waits), waits[len(waits)/2].Seconds(), waits[len(waits)*99/100].Seconds())
	m.checkProofs()
	m.checkLogLines()
	m.checkCommands()
	m.checkDiagnosis()
}

// archived returns what was announced, by tenant and action.
func (m *manyStack) archived() map[string]map[string]event.Archived {
	t := m.a.t
	t.Helper()
	schemas, err := eventschema.Load(filepath.Join(m.a.root, "docs", "events"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]event.Archived{}
	for _, one := range m.facts.read() {
		if err := schemas.Check(one.DetailType, one.Detail); err != nil {
			t.Error(err)
		}
		detail := decode[event.Archived](t, one.Detail) // every event has the tenant
		switch {
		case detail.TenantID == "":
			t.Errorf("an event without a tenant: %s", one.Detail)
		case one.DetailType == event.TypeArchived:
			if all[detail.TenantID] == nil {
				all[detail.TenantID] = map[string]event.Archived{}
			}
			all[detail.TenantID][detail.ActionID] = detail
		}
	}
	return all
}

// checkProofs checks that each tenant got the kind of proof that its app accepts.
func (m *manyStack) checkProofs() {
	t := m.a.t
	t.Helper()
	for _, c := range m.customers() {
		if refused := c.Judge().Verdict().Refused[mdesim.KindToken]; refused > 0 {
			t.Errorf("%s: Entra ID refused %d of the requests", c.name, refused)
		}
		if got := len(c.Assertions()) > 0; got != (c != m.secret) {
			t.Errorf("%s: assertions: %t", c.name, got)
		}
	}
}

// checkLogLines checks that every line about an action says whose it is, and that all tenants are there.
func (m *manyStack) checkLogLines() {
	t := m.a.t
	t.Helper()
	var fetched string
	for _, c := range m.customers() {
		m.a.await("a line about each package of "+c.name+" in the fetch function's log", func() bool {
			fetched = m.a.logs(m.outputs["FetchPackageLogGroupName"])
			return strings.Count(fetched, " tenantId="+c.config.TenantID+" ") >= len(c.ready)
		})
	}
	for line := range strings.Lines(fetched + m.a.logs(m.outputs["PollLogGroupName"])) {
		if strings.Contains(line, " actionId=") && !strings.Contains(line, " tenantId=") || strings.Contains(line, "level=ERROR") {
			t.Errorf("in the logs: %s", line)
		}
	}
}

// checkCommands checks what the command line says of the stack and of each tenant.
func (m *manyStack) checkCommands() {
	t := m.a.t
	t.Helper()
	status := m.archivedByStatus()
	for _, c := range m.customers() {
		if status[c.name] != len(c.ready) {
			t.Errorf("status says that of %s %d packages are archived", c.name, status[c.name])
		}
		listed := m.run("list", "--stack", manyName, "--tenant", c.name, "--json", "--limit", "0")
		if got := strings.Count(listed, `"tenantId":"`+c.config.TenantID+`"`); got != len(c.ready) ||
			strings.Count(listed, `"outcome":"archived"`) != got || strings.Count(listed, "\n") < got {
			t.Errorf("list --tenant %s shows\n%s", c.name, listed)
		}
		last := m.verify(c)
		if !last.OK || !last.Ledger || len(last.Tenants) != 1 || last.Manifests != len(c.ready) ||
			last.Tenants[0].ID != c.config.TenantID ||
			last.Tenants[0].Chain != (verify.Reach{Length: int64(len(c.ready)), Whole: true, Ended: true}) {
			t.Errorf("verify --tenant %s: %+v", c.name, last)
		}
	}
}

// archivedByStatus returns how many packages packhorse status says are archived, by the tenants' names.
func (m *manyStack) archivedByStatus() map[string]int {
	m.a.t.Helper()
	var status struct {
		Tenants []struct {
			Name     string
			Archived int
			Problems []any
		}
	}
	text := m.run("status", "--stack", manyName, "--json")
	if err := json.Unmarshal([]byte(text), &status); err != nil {
		m.a.t.Fatalf("%v: %s", err, text)
	}
	archived := map[string]int{}
	for _, one := range status.Tenants {
		archived[one.Name] = one.Archived
		if len(one.Problems) > 0 {
			m.a.t.Errorf("status sees problems of %s: %v", one.Name, one.Problems)
		}
	}
	return archived
}

// found is a line of packhorse doctor --json.
type found struct{ Name, State, Text, TenantName string }

// diagnosis returns what packhorse doctor finds, by check and, after a slash, the tenant's name. The schedule is off,
// as doctor says; a failure of a tenant is an error.
func (m *manyStack) diagnosis() map[string]found {
	t := m.a.t
	t.Helper()
	out, err := m.a.packhorse("doctor", "--stack", manyName, "--json")
	all := map[string]found{}
	for line := range strings.Lines(out) {
		var one found
		if json.Unmarshal([]byte(line), &one) != nil {
			continue // the last words, on standard error
		}
		name := one.Name
		if one.TenantName != "" {
			name += "/" + one.TenantName
			if one.State == "failed" {
				t.Errorf("doctor: %+v", one)
			}
		}
		all[name] = one
	}
	if got := all["schedule"]; err == nil || got.State != "failed" || !strings.Contains(got.Text, "DISABLED") {
		t.Errorf("doctor says of the schedule: %+v, %v", got, err)
	}
	if strings.Contains(out, m.secret.secret) || looksSecret.MatchString(out) {
		t.Error("doctor shows a secret")
	}
	return all
}

// checkDiagnosis checks that doctor has looked at each tenant with its own proof.
func (m *manyStack) checkDiagnosis() {
	t := m.a.t
	t.Helper()
	all := m.diagnosis()
	for c, kind := range map[*customer]string{m.federated: "federated", m.certified: "certificate", m.secret: "secret"} {
		for _, check := range []string{"settings", "token", "credential", "list", "sweeps", "packages", "links.permission"} {
			if got := all[check+"/"+c.name]; got.State != "ok" {
				t.Errorf("doctor says of %s: %s is %+v", c.name, check, got)
			}
		}
		bucket := c.bucket
		if c != m.certified {
			bucket = "the stack's"
		}
		// The local cloud's S3 does not know the public access block: then the check says that it could not look.
		if got := all["tenant.bucket/"+c.name]; got.State == "failed" || !strings.Contains(got.Text, bucket) {
			t.Errorf("doctor says of the bucket of %s: %+v", c.name, got)
		}
		if got := all["credential/"+c.name].Text; !strings.HasPrefix(got, kind+": ") {
			t.Errorf("doctor says of the credential of %s: %s", c.name, got)
		}
	}
}

// verify verifies a tenant's evidence with the key of KMS. A bucket of the tenant's own has to be named.
func (m *manyStack) verify(c *customer) verified {
	m.a.t.Helper()
	public, _ := m.a.publicKey(m.outputs)
	where := []string{"--stack", manyName}
	if c.bucket != m.outputs["EvidenceBucketName"] {
		where = []string{"--from", "s3://" + c.bucket, "--ledger", m.outputs["LedgerTableName"]}
	}
	return m.a.verify(append(where, "--tenant", c.config.TenantID, "--pub", m.a.pemFile(public))...)
}
