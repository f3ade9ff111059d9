package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"packhorse/internal/tenant"
)

// The areas of the checks of one machine.
const (
	areaData    = "Data folder"
	areaKey     = "Signing key"
	areaArchive = "Archive"
)

// The names of checks that others need.
const (
	nameFolder     = "data.folder"
	nameAttributes = "data.attributes"
	nameDatabase   = "data.database"
	nameKey        = "signing.key"
	nameArchive    = "archive"
	nameSweeps     = "sweeps"
	namePackages   = "packages"
)

const (
	// freshest is how long ago the last sweep may have been. Nobody promises that packhorse runs all the time.
	freshest = 10 * time.Minute

	// forOthers are the permissions of everybody but the owner.
	forOthers fs.FileMode = 0o077
)

// Machine returns the checks of one machine: its disk, its archive and its ledger. They come after those of
// [Tenant].
func Machine(p MachinePorts) []Check {
	return slices.Concat(p.folderChecks(), p.keyChecks(), p.archiveChecks(), []Check{
		{
			Name: nameSweeps, Area: areaWork, After: []string{nameSettings, NameList, nameDatabase},
			Looks: "when the tenant was last swept successfully, and whether a process works in the folder", Run: p.sweeps,
		},
		{
			Name: namePackages, Area: areaWork, After: []string{nameSettings, nameDatabase},
			Looks: "whether a package waits for a person", Run: seeing(p.Work, "", p.judgeStuck),
		},
	})
}

func (p MachinePorts) folderChecks() []Check {
	in := []string{nameFolder}
	return []Check{
		{
			Name: nameFolder, Area: areaData, Looks: "whether the data folder exists, is yours, and is closed to others",
			Run: seeing(p.Folder, "", p.judgeFolder),
		},
		{
			Name: "data.files", Area: areaData, After: in, Looks: "whether the files in it are closed to others",
			Run: seeing(p.Files, "", judgeFiles),
		},
		{
			Name: "data.origin", Area: areaData, After: []string{nameSettings, nameFolder},
			Looks: "whether its packages are a real tenant's or a simulation's, like the tenant",
			Run:   seeing(p.Origin, "", p.judgeOrigin),
		},
		{
			Name: nameAttributes, Area: areaData, After: in,
			Looks: "whether the archive in it has the extended attributes that hold versions and locks",
			Run:   seeing(p.Attributes, "", p.judgeAttributes),
		},
		{
			Name: nameDatabase, Area: areaData, After: in, Looks: "whether the ledger can be read by this version of packhorse",
			Run: seeing(p.Database, "", p.judgeDatabase),
		},
		{
			Name: "data.disk", Area: areaData, After: in,
			Looks: "whether another package as large as the largest lately would fit", Run: seeing(p.Disk, "", p.judgeDisk),
		},
	}
}

func (p MachinePorts) judgeFolder(f Folder) Finding {
	data := shell(p.Want.Data)
	switch {
	case f.IsFile:
		return Fail("use another one (--data)", "%s is a file", p.Want.Data)
	case !f.Mine:
		return Fail("run packhorse as that user, or give the folder to yours: chown -R \"$(id -un)\" "+data,
			"%s belongs to %s", p.Want.Data, f.Owner)
	case f.Mode.Perm()&forOthers != 0:
		return Fail("close it: chmod 700 "+data, "others can access %s (mode %04o)", p.Want.Data, f.Mode.Perm())
	case f.Mode.Perm()&0o700 != 0o700:
		return Fail("open it to its owner: chmod 700 "+data, "its owner cannot use %s (mode %04o)", p.Want.Data, f.Mode.Perm())
	default:
		return Good("%s, mode %04o", p.Want.Data, f.Mode.Perm())
	}
}

func judgeFiles(files []OpenFile) Finding {
	if len(files) == 0 {
		return Good("nobody else can read them")
	}
	var names, quoted []string
	for _, f := range files {
		names = append(names, fmt.Sprintf("%s (mode %04o)", f.Path, f.Mode.Perm()))
		quoted = append(quoted, shell(f.Path))
	}
	return Warn("close them: chmod go-rwx "+strings.Join(quoted, " "), "open to others, should the folder be opened: %s",
		few(names))
}

func (p MachinePorts) judgeOrigin(o Origin) Finding {
	what := map[bool]string{true: "a simulation", false: "a real tenant"}
	if o.Simulated != o.Wanted {
		return Fail("use another data folder (--data): evidence and simulations never share one",
			"it has the packages of %s, and the settings name %s", what[o.Simulated], what[o.Wanted])
	}
	return Good("the packages of %s", what[o.Simulated])
}

func (p MachinePorts) judgeAttributes(problem error) Finding {
	if problem == nil {
		return Good("they are there")
	}
	advice := "copy the original again, with its attributes: cp -a ORIGINAL " + shell(p.Want.Data)
	return Fail(advice, "lost in copying: versions and locks are gone")
}

func (p MachinePorts) judgeDatabase(d Database) Finding {
	switch {
	case d.Lost:
		return Fail("put the ledger back from a backup: without it, a run archives every package a second time",
			"it is gone, although the folder was used")
	case d.Foreign != "":
		return Fail("put the ledger back from a backup, or use another data folder (--data)", "%s", d.Foreign)
	case d.Version > d.Known:
		return Fail("use the newer packhorse that wrote it", "it has schema version %d, and this packhorse knows %d", d.Version,
			d.Known)
	case d.Version < d.Known:
		return Good("schema version %d, which the next packhorse run upgrades to %d", d.Version, d.Known)
	default:
		return Good("schema version %d", d.Version)
	}
}

// mib formats bytes.
func mib(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }

// roomy is how many packages should fit; with fewer it is time to act.
const roomy = 10

func (p MachinePorts) judgeDisk(d Disk) Finding {
	largest := ""
	if d.Largest > 0 {
		largest = fmt.Sprintf("; the largest package lately had %s", mib(d.Largest))
	}
	const advice = "free some space, or move the data folder to a larger disk: docs/operations.md"
	switch {
	case d.Free < d.Needed:
		return Fail(advice, "%s are free, and storing a package can take %s%s", mib(d.Free), mib(d.Needed), largest)
	case d.Free < roomy*d.Needed:
		return Warn(advice, "%s are free, and storing a package can take %s%s", mib(d.Free), mib(d.Needed), largest)
	default:
		return Good("%s are free%s", mib(d.Free), largest)
	}
}

func (p MachinePorts) keyChecks() []Check {
	return []Check{
		{
			Name: nameKey, Area: areaKey, After: []string{nameFolder},
			Looks: "whether the signing key is closed to others, and can sign (ECDSA P-256)", Run: seeing(p.Key, "", judgeSigningKey),
		},
		{
			Name: "signing.published", Area: areaKey, After: []string{nameKey, nameArchive},
			Looks: "whether the archive has published this key", Run: p.judgePublished,
		},
	}
}

func judgeSigningKey(k Key) Finding {
	switch {
	case k.Mode.Perm()&forOthers != 0:
		return Fail("close it, and if somebody may have read it, rename it, so that a new one is made: chmod 600 "+shell(k.File),
			"others can read %s (mode %04o), and could sign", k.File, k.Mode.Perm())
	case k.Problem != "":
		return Fail("put the key back from a backup, or move it away to have a new one made: mv "+shell(k.File)+" "+
			shell(k.File+".damaged"), "%s: %s", k.File, k.Problem)
	default:
		return Good("%.16s…, P-256, mode %04o", k.ID, k.Mode.Perm())
	}
}

func (p MachinePorts) judgePublished(ctx context.Context) Finding {
	key, err := p.Key(ctx)
	if err != nil {
		return unseen(err, "")
	}
	published, err := p.Published(ctx)
	if err != nil {
		return unseen(err, "")
	}
	var foreign []string
	for _, id := range published {
		if id != key.ID && !slices.Contains(key.Others, id) {
			foreign = append(foreign, fmt.Sprintf("%.16s…", id))
		}
	}
	switch {
	case slices.Contains(published, key.ID):
		return Good("the archive has published it")
	case len(published) == 0:
		return Skip("", "the archive has published no key yet: packhorse run does it")
	case len(foreign) > 0:
		return Fail("put the archive's own key back as "+key.File+", from a backup; if it is lost, keep its public half as"+
			" signing-key-old.pub.pem beside the new key: packhorse public-key --all",
			"%s is the key of another archive: this one has published %s", key.File, few(foreign))
	default:
		return Good("new: the next packhorse run publishes it")
	}
}

func (p MachinePorts) sweeps(ctx context.Context) Finding {
	process, err := p.Process(ctx)
	if err != nil {
		return unseen(err, "")
	}
	return seeing(p.Health, "", func(h tenant.Health) Finding { return p.judgeHealth(h, process) })(ctx)
}

func (p MachinePorts) judgeHealth(h tenant.Health, process Process) Finding {
	now, oldest := p.Now(), max(freshest, tenant.SweepAge(p.Want.Tenants))
	run := "start it: packhorse run --data " + shell(p.Want.Data)
	if p.Want.Bucket != "" {
		run += " --bucket " + shell(p.Want.Bucket)
	}
	if p.Want.Endpoint != "" {
		run += " --s3-endpoint " + shell(p.Want.Endpoint)
	}
	switch {
	case process.ID != 0 && now.Sub(h.TriedAt) > oldest && !h.TriedAt.IsZero():
		return Fail(fmt.Sprintf("end it, then %s", strings.Replace(run, ": ", fmt.Sprintf(": kill %d && ", process.ID), 1)),
			"process %d has the ledger open, but has not swept for %s", process.ID, age(now.Sub(h.TriedAt)))
	case !h.FailingSince.IsZero() && h.SweptAt.IsZero():
		return Fail("mend what the message names; then "+run, "no sweep has succeeded yet: %s", h.Message)
	case !h.FailingSince.IsZero():
		return Fail("mend what the message names; then "+run, "sweeps fail since %s ago: %s", age(now.Sub(h.FailingSince)), h.Message)
	case h.SweptAt.IsZero():
		return Skip(run, "the tenant was never swept")
	case now.Sub(h.SweptAt) > oldest:
		return Warn(run, "the last successful sweep was %s ago, and no process runs", age(now.Sub(h.SweptAt)))
	case process.ID != 0:
		return Good("the last successful sweep was %s ago; process %d runs", age(max(0, now.Sub(h.SweptAt))), process.ID)
	default:
		return Good("the last successful sweep was %s ago; no process runs now", age(max(0, now.Sub(h.SweptAt))))
	}
}

func (p MachinePorts) judgeStuck(w MachineWork) Finding {
	if len(w.Stuck) == 0 {
		return Good("%d actions, none waits for a person", w.Records)
	}
	s := w.Stuck[0]
	return Warn("read its history: packhorse show "+shell(s.Action)+" --data "+shell(p.Want.Data),
		"%d ready packages do not get on; the oldest is %.8s, for %s: %s", len(w.Stuck), s.Action, age(p.Now().Sub(s.Since)),
		s.Message)
}
