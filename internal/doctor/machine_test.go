package doctor_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"packhorse/internal/doctor"
	"packhorse/internal/investigation"
	"packhorse/internal/tenant"
)

// machinePorts see a machine with which all is well. It keeps its archive in a bucket, to which everything applies.
func machinePorts() doctor.MachinePorts {
	return doctor.MachinePorts{
		Now:    func() time.Time { return now },
		Want:   doctor.MachineWanted{Data: "/srv/my data", Bucket: "evidence"},
		Folder: still(doctor.Folder{Mode: 0o700, Owner: "me", Mine: true}), Files: still([]doctor.OpenFile(nil)),
		Origin: still(doctor.Origin{}), Attributes: still[error](nil), Database: still(doctor.Database{Version: 4, Known: 4}),
		Disk: still(doctor.Disk{Free: 100 << 30, Largest: 1 << 30, Needed: 2 << 30}),
		Key:  still(doctor.Key{File: "/srv/my data/signing-key.pem", ID: "aaaa", Mode: 0o600}), Published: still([]string{"aaaa"}),
		Archive: still(struct{}{}), Lock: still(doctor.ArchiveLock{Mode: "GOVERNANCE", Takes: true}), Conditions: still(doctor.ConditionsHonored),
		Versioning: still("Enabled"), Encryption: still("AES256"), PublicAccess: still(true),
		Process: still(doctor.Process{}), Health: still(swept(time.Minute)), Work: still(doctor.MachineWork{Records: 3}),
	}
}

// swept is the health of a tenant that was last swept a while ago.
func swept(ago time.Duration) tenant.Health { return tenant.Health{}.Succeeded(now.Add(-ago)) }

func TestMachine(t *testing.T) {
	t.Parallel()
	type P = doctor.MachinePorts
	obstacle := errors.New("input/output error")
	unmade := &doctor.UnmadeError{What: "it"}
	denied := &doctor.DeniedError{Action: "s3:GetBucketVersioning"}
	failed := func(ago time.Duration) tenant.Health { return swept(time.Hour).Failed(now.Add(-ago), "403") }
	for _, c := range []struct {
		name, check, says, advises string
		state                      doctor.State
		with                       func(*P)
	}{
		{"folder", "data.folder", "mode 0700", "", doctor.OK, func(*P) {}},
		{"a file", "data.folder", "is a file", "--data", doctor.Failed, func(p *P) { p.Folder = still(doctor.Folder{IsFile: true}) }},
		{"another's", "data.folder", "belongs to root", "chown -R", doctor.Failed, func(p *P) { p.Folder = still(doctor.Folder{Owner: "root", Mode: 0o700}) }},
		{"open", "data.folder", "mode 0755", "chmod 700 '/srv/my data'", doctor.Failed, func(p *P) { p.Folder = still(doctor.Folder{Mine: true, Mode: 0o755}) }},
		{"closed to its owner", "data.folder", "mode 0500", "chmod 700", doctor.Failed, func(p *P) { p.Folder = still(doctor.Folder{Mine: true, Mode: 0o500}) }},
		{"no folder", "data.folder", "does not exist yet", "", doctor.Skipped, func(p *P) { p.Folder = failing[doctor.Folder](unmade) }},
		{"in no folder", "data.disk", "needs data.folder", "", doctor.Skipped, func(p *P) { p.Folder = failing[doctor.Folder](unmade) }},
		{"files", "data.files", "nobody else", "", doctor.OK, func(*P) {}},
		{"open files", "data.files", "packhorse.db (mode 0644)", "chmod go-rwx", doctor.Warning, func(p *P) {
			p.Files = still([]doctor.OpenFile{{Path: "packhorse.db", Mode: 0o644}})
		}},
		{"files unknown", "data.files", "input/output", "", doctor.Skipped, func(p *P) { p.Files = failing[[]doctor.OpenFile](obstacle) }},
		{"real", "data.origin", "a real tenant", "", doctor.OK, func(*P) {}},
		{"simulated", "data.origin", "packages of a simulation", "another data folder", doctor.Failed, func(p *P) { p.Origin = still(doctor.Origin{Simulated: true}) }},
		{"no origin", "data.origin", "does not exist yet", "", doctor.Skipped, func(p *P) { p.Origin = failing[doctor.Origin](unmade) }},
		{"attributes", "data.attributes", "they are there", "", doctor.OK, func(*P) {}},
		{"no attributes", "data.attributes", "lost", "cp -a ORIGINAL '/srv/my data'", doctor.Failed, func(p *P) { p.Attributes = still[error](obstacle) }},
		{"attributes unknown", "data.attributes", "input/output", "", doctor.Skipped, func(p *P) { p.Attributes = failing[error](obstacle) }},
		{"ledger", "data.database", "version 4", "", doctor.OK, func(*P) {}},
		{"earlier ledger", "data.database", "upgrades to 4", "", doctor.OK, func(p *P) { p.Database = still(doctor.Database{Version: 2, Known: 4}) }},
		{"later ledger", "data.database", "version 5", "newer", doctor.Failed, func(p *P) { p.Database = still(doctor.Database{Version: 5, Known: 4}) }},
		{"foreign ledger", "data.database", "nonsense", "backup", doctor.Failed, func(p *P) { p.Database = still(doctor.Database{Foreign: "nonsense"}) }},
		{"ledger gone", "data.database", "it is gone", "backup", doctor.Failed, func(p *P) { p.Database = still(doctor.Database{Lost: true}) }},
		{"no ledger", "data.database", "does not exist yet", "", doctor.Skipped, func(p *P) { p.Database = failing[doctor.Database](unmade) }},
		{"disk", "data.disk", "102400 MiB are free", "", doctor.OK, func(*P) {}},
		{"disk filling", "data.disk", "can take 2048 MiB", "free some space", doctor.Warning, func(p *P) { p.Disk = still(doctor.Disk{Free: 3 << 30, Needed: 2 << 30}) }},
		{"disk full", "data.disk", "1 MiB are free", "free some space", doctor.Failed, func(p *P) { p.Disk = still(doctor.Disk{Free: 1 << 20, Needed: 2 << 30}) }},
		{"disk unknown", "data.disk", "input/output", "", doctor.Skipped, func(p *P) { p.Disk = failing[doctor.Disk](obstacle) }},

		{"key", "signing.key", "P-256", "", doctor.OK, func(*P) {}},
		{"key open", "signing.key", "could sign", "chmod 600", doctor.Failed, func(p *P) { p.Key = still(doctor.Key{Mode: 0o640}) }},
		{"key damaged", "signing.key", "not a key", "backup", doctor.Failed, func(p *P) { p.Key = still(doctor.Key{Mode: 0o600, Problem: "not a key"}) }},
		{"no key", "signing.key", "does not exist yet", "", doctor.Skipped, func(p *P) { p.Key = failing[doctor.Key](unmade) }},
		{"published", "signing.published", "has published it", "", doctor.OK, func(*P) {}},
		{"new key", "signing.published", "the next packhorse run", "", doctor.OK, func(p *P) {
			p.Key = still(doctor.Key{ID: "bbbb", Others: []string{"aaaa"}, Mode: 0o600})
		}},
		{"another archive's key", "signing.published", "another archive", "put the archive's own key back", doctor.Failed, func(p *P) {
			p.Key = still(doctor.Key{ID: "bbbb", Mode: 0o600})
		}},
		{"none published", "signing.published", "no key yet", "", doctor.Skipped, func(p *P) { p.Published = still([]string(nil)) }},

		{"archive", "archive", "s3://evidence", "", doctor.OK, func(*P) {}},
		{"archive refused", "archive", "NoSuchBucket", "create it", doctor.Failed, func(p *P) {
			p.Archive = failing[struct{}](&doctor.RefusedError{Text: "NoSuchBucket", Advice: "create it"})
		}},
		{"no archive", "archive", "does not exist yet", "", doctor.Skipped, func(p *P) { p.Archive = failing[struct{}](unmade) }},
		{"lock", "archive.lock", "Object Lock is on", "", doctor.OK, func(*P) {}},
		{"no lock", "archive.lock", "no Object Lock", "put-object-lock-configuration", doctor.Failed, func(p *P) { p.Lock = still(doctor.ArchiveLock{Mode: "GOVERNANCE"}) }},
		{"no lock wanted", "archive.lock", "OBJECT_LOCK_MODE is NONE", "export OBJECT_LOCK_MODE=GOVERNANCE", doctor.Warning, func(p *P) {
			p.Lock = still(doctor.ArchiveLock{Takes: true})
		}},
		{"lock unknown", "archive.lock", "input/output", "", doctor.Skipped, func(p *P) { p.Lock = failing[doctor.ArchiveLock](obstacle) }},
		{"versions", "archive.versioning", "enabled", "", doctor.OK, func(*P) {}},
		{"suspended", "archive.versioning", "suspended", "put-bucket-versioning", doctor.Failed, func(p *P) { p.Versioning = still("Suspended") }},
		{"no versions", "archive.versioning", "off", "put-bucket-versioning", doctor.Failed, func(p *P) { p.Versioning = still("") }},
		{"versions denied", "archive.versioning", "s3:GetBucketVersioning is denied", "allow", doctor.Skipped, func(p *P) { p.Versioning = failing[string](denied) }},
		{"encrypted", "archive.encryption", "AES256", "", doctor.OK, func(*P) {}},
		{"not encrypted", "archive.encryption", "does not encrypt", "put-bucket-encryption", doctor.Warning, func(p *P) { p.Encryption = still("") }},
		{"encryption unknown", "archive.encryption", "input/output", "", doctor.Skipped, func(p *P) { p.Encryption = failing[string](obstacle) }},
		{"private", "archive.public", "blocked", "", doctor.OK, func(*P) {}},
		{"public", "archive.public", "not blocked", "put-public-access-block", doctor.Failed, func(p *P) { p.PublicAccess = still(false) }},
		{"elsewhere", "archive.public", "only Amazon S3", "", doctor.Skipped, func(p *P) { p.Want.Endpoint = "https://minio.example" }},
		{"conditions", "archive.conditions", "was refused", "", doctor.OK, func(*P) {}},
		{"conditions ignored", "archive.conditions", "accepted", "If-None-Match", doctor.Failed, func(p *P) { p.Conditions = still(doctor.ConditionsIgnored) }},
		{"conditions unknown", "archive.conditions", "digest first", "", doctor.Skipped, func(p *P) { p.Conditions = still(doctor.ConditionsUnknown) }},
		{"no stranger", "archive.strangers", "none was found", "", doctor.OK, func(*P) {}},
		{"a stranger", "archive.strangers", "packages/x.zip", "find out who", doctor.Warning, func(p *P) {
			p.Work = still(doctor.MachineWork{Strangers: []investigation.Stranger{{Key: "packages/x.zip"}}})
		}},
		{"strangers unknown", "archive.strangers", "input/output", "", doctor.Skipped, func(p *P) { p.Work = failing[doctor.MachineWork](obstacle) }},

		{"swept", "sweeps", "1 min ago; no process runs now", "", doctor.OK, func(*P) {}},
		{"running", "sweeps", "process 7 runs", "", doctor.OK, func(p *P) { p.Process = still(doctor.Process{ID: 7}) }},
		{"hanging", "sweeps", "process 7 has the ledger open, but has not swept for 1 h", "kill 7 && packhorse run", doctor.Failed, func(p *P) {
			p.Process, p.Health = still(doctor.Process{ID: 7}), still(swept(time.Hour))
		}},
		{"not running", "sweeps", "1 h ago, and no process runs", "packhorse run --data '/srv/my data' --bucket evidence", doctor.Warning, func(p *P) {
			p.Health = still(swept(time.Hour))
		}},
		{"sweeps fail", "sweeps", "sweeps fail since 2 min ago: 403", "mend", doctor.Failed, func(p *P) { p.Health = still(failed(2 * time.Minute)) }},
		{"never succeeded", "sweeps", "no sweep has succeeded yet", "mend", doctor.Failed, func(p *P) {
			p.Health = still(tenant.Health{}.Failed(now, "403"))
		}},
		{"never swept", "sweeps", "never swept", "packhorse run", doctor.Skipped, func(p *P) { p.Health = still(tenant.Health{}) }},
		{"sweeps unknown", "sweeps", "input/output", "", doctor.Skipped, func(p *P) { p.Health = failing[tenant.Health](obstacle) }},
		{"process unknown", "sweeps", "input/output", "", doctor.Skipped, func(p *P) { p.Process = failing[doctor.Process](obstacle) }},
		{"packages", "packages", "3 actions", "", doctor.OK, func(*P) {}},
		{"a stuck package", "packages", "the disk is full", "packhorse show 3f2a81c0", doctor.Warning, func(p *P) {
			p.Work = still(doctor.MachineWork{Stuck: []doctor.StackStuck{{Action: "3f2a81c0", Message: "the disk is full", Since: now.Add(-2 * time.Hour)}}})
		}},
		{"packages unknown", "packages", "input/output", "", doctor.Skipped, func(p *P) { p.Work = failing[doctor.MachineWork](obstacle) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := machinePorts()
			c.with(&p)
			checks := slices.Concat(doctor.Tenant(tenantPorts()), doctor.Machine(p))
			expects(t, finds(t, checks, c.check), c.state, c.says, c.advises)
		})
	}
}

// TestHealthyMachine: if all is well, every check says so.
func TestHealthyMachine(t *testing.T) {
	t.Parallel()
	for _, r := range doctor.Run(t.Context(), slices.Concat(doctor.Tenant(tenantPorts()), doctor.Machine(machinePorts())), func(doctor.Result) {}) {
		expects(t, r, doctor.OK, "", "")
	}
}
