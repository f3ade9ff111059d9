package verify

import (
	"fmt"
	"maps"
	"slices"

	"packhorse/internal/investigation"
)

// defaultPrefix is the folder of packages unless ARCHIVE_PREFIX sets another.
const defaultPrefix = "packages/"

// placed is an object under one of the keys of an action.
type placed struct {
	parts investigation.KeyParts
	*Object
}

// family holds every object in the places of one action's key, in one folder.
type family struct {
	parts                          investigation.KeyParts // of any member
	manifests, signatures, objects []placed               // sorted by place
}

func (f *family) add(p placed) {
	switch p.parts.Part {
	case investigation.PartManifest:
		f.manifests = append(f.manifests, p)
	case investigation.PartSignature:
		f.signatures = append(f.signatures, p)
	default:
		f.objects = append(f.objects, p)
	}
}

// all returns every member.
func (f *family) all() []placed { return slices.Concat(f.objects, f.manifests, f.signatures) }

// gone reports whether no member has any bytes left.
func (f *family) gone() bool {
	return !slices.ContainsFunc(f.all(), func(p placed) bool {
		_, ok := p.Current()
		return ok || p.Irregular != ""
	})
}

// inventory is a sorted listing of the archive.
type inventory struct {
	families []*family           // sorted by key
	packages map[string][]placed // by the tail of their key
	present  []string            // all tenants with objects, regardless of the scope
	stray    []Object
	others   int
}

// sortOut groups the objects into families, and collects those that belong to none.
func sortOut(objects []Object, scope Scope) inventory {
	inv := inventory{packages: map[string][]placed{}}
	byStem := map[string]*family{}
	folders := map[string]bool{
		defaultPrefix: true, investigation.NotCollectedFolder: true, investigation.QuarantineFolder: true,
		investigation.SigningKeysFolder: true,
	}
	var unnamed []Object
	for i, o := range objects {
		n, ok := investigation.ParseKey(o.Key)
		if !ok {
			unnamed = append(unnamed, o)
			continue
		}
		folders[n.Folder+n.TenantID+"/"] = true
		if n.Folder != "" {
			folders[n.Folder] = true
		}
		p := placed{n, &objects[i]}
		if n.Area == investigation.AreaPackages && n.Part == investigation.PartObject && !o.gone() {
			inv.packages[n.Tail] = append(inv.packages[n.Tail], p)
		}
		if byStem[n.Stem()] == nil {
			byStem[n.Stem()] = &family{parts: n}
		}
		byStem[n.Stem()].add(p)
	}
	inv.takeFamilies(byStem, scope)
	for _, o := range unnamed {
		_, isKey := investigation.ParseSigningKeyKey(o.Key)
		switch {
		case o.gone() || isKey && o.Irregular == "":
		case scope == Scope{} && isBelow(o.Key, folders):
			inv.stray = append(inv.stray, o)
		default:
			inv.others++
		}
	}
	return inv
}

// takeFamilies keeps the families in scope. If the scope is one key, it keeps that key even if nothing is
// stored there. If that key is of an action that was not collected, it keeps the action's quarantine too.
func (inv *inventory) takeFamilies(byStem map[string]*family, scope Scope) {
	tenants := map[string]bool{}
	asked, isKey := investigation.ParseKey(scope.Key)
	if isKey && byStem[asked.Stem()] == nil {
		byStem[asked.Stem()] = &family{parts: asked}
	}
	for _, stem := range slices.Sorted(maps.Keys(byStem)) {
		f := byStem[stem]
		order := func(a, b placed) int { return a.parts.ComparePlaces(b.parts) }
		for _, parts := range [][]placed{f.manifests, f.signatures, f.objects} {
			slices.SortStableFunc(parts, order)
		}
		if !f.gone() {
			tenants[f.parts.TenantID] = true
		}
		switch {
		case f.gone() && stem != asked.Stem(): // empty; the chain shows if a manifest is missing
		case scope.TenantID != "" && f.parts.TenantID != scope.TenantID:
		case isKey && stem != asked.Stem() &&
			(asked.Area != investigation.AreaNotCollected || f.parts.Area != investigation.AreaQuarantine):
		default:
			inv.families = append(inv.families, f)
		}
	}
	inv.present = slices.Sorted(maps.Keys(tenants))
}

func isBelow(key string, folders map[string]bool) bool {
	for i, c := range key {
		if c == '/' && folders[key[:i+1]] {
			return true
		}
	}
	return false
}

// bytes returns the number of bytes to read.
func (inv inventory) bytes() int64 {
	var sum int64
	for _, f := range inv.families {
		for _, o := range f.objects {
			sum += o.Size
		}
	}
	return sum
}

func (inv inventory) tenants() []string {
	ids := map[string]bool{}
	for _, f := range inv.families {
		ids[f.parts.TenantID] = true
	}
	return slices.Sorted(maps.Keys(ids))
}

// unknown reports objects in the archive's folders under keys that Packhorse does not use.
func (inv inventory) unknown() []Finding {
	var findings []Finding
	for _, o := range inv.stray {
		what := "Packhorse stores nothing under such a key"
		if o.Irregular != "" {
			what = fmt.Sprintf("it is %s", o.Irregular)
		}
		findings = append(findings, Finding{Key: o.Key, Check: CheckStray, What: what})
	}
	return findings
}
