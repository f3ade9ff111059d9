package verify

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"packhorse/internal/investigation"
)

// unit is what belongs to one manifest. What is not there is nil.
type unit struct {
	name                        name // of any of its parts
	manifest, signature, object *Object
}

// inventory is a listing, sorted out.
type inventory struct {
	units    []unit              // in the order of their keys
	packages map[string][]string // the keys of packages, by their tail
	stray    []Object
	others   int
}

// sortOut finds the units among the objects, and what belongs to none.
func sortOut(objects []Object, scope Scope) inventory {
	inv := inventory{packages: map[string][]string{}}
	byStem := map[string]*unit{}
	folders := map[string]bool{
		defaultPrefix: true, investigation.NotCollectedFolder: true, investigation.QuarantineFolder: true,
		investigation.SigningKeysFolder: true,
	}
	var unnamed []Object
	for i, o := range objects {
		n, ok := parseName(o.Key)
		if !ok {
			unnamed = append(unnamed, o)
			continue
		}
		folders[n.folder+n.tenantID+"/"] = true
		if n.folder != "" {
			folders[n.folder] = true
		}
		if n.area == areaPackages && n.part == partObject && !o.gone() {
			inv.packages[n.tail] = append(inv.packages[n.tail], o.Key)
		}
		u := byStem[n.stem()]
		if u == nil {
			u = &unit{name: n}
			byStem[n.stem()] = u
		}
		switch n.part {
		case partManifest:
			u.manifest = &objects[i]
		case partSignature:
			u.signature = &objects[i]
		default:
			u.object = &objects[i]
		}
	}
	inv.takeUnits(byStem, scope)
	for _, o := range unnamed {
		_, isKey := parseSigningKey(o.Key)
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

// takeUnits keeps what the scope asks for. Where that is one key, the key is looked for even if
// nothing lies there; and what may have to do with the same action is looked at too.
func (inv *inventory) takeUnits(byStem map[string]*unit, scope Scope) {
	asked, isKey := parseName(scope.Key)
	if isKey && byStem[asked.stem()] == nil {
		byStem[asked.stem()] = &unit{name: asked}
	}
	for _, stem := range slices.Sorted(maps.Keys(byStem)) {
		u := *byStem[stem]
		switch {
		case u.gone() && stem != asked.stem(): // there is nothing, and the chain says if there was
		case scope.TenantID != "" && u.name.tenantID != scope.TenantID:
		case isKey && stem != asked.stem() &&
			(asked.area != areaNotCollected || u.name.area != areaQuarantine):
		default:
			inv.units = append(inv.units, u)
		}
	}
}

// gone reports whether nothing of the unit has any bytes left.
func (u unit) gone() bool {
	for _, o := range []*Object{u.manifest, u.signature, u.object} {
		if o == nil {
			continue
		}
		if _, ok := o.current(); ok || o.Irregular != "" {
			return false
		}
	}
	return true
}

func isBelow(key string, folders map[string]bool) bool {
	for i, c := range key {
		if c == '/' && folders[key[:i+1]] {
			return true
		}
	}
	return false
}

// bytes is how much there is to read.
func (inv inventory) bytes() int64 {
	var sum int64
	for _, u := range inv.units {
		if u.object != nil && u.manifest != nil {
			sum += u.object.Size
		}
	}
	return sum
}

func (inv inventory) tenants() []string {
	ids := map[string]bool{}
	for _, u := range inv.units {
		ids[u.name.tenantID] = true
	}
	return slices.Sorted(maps.Keys(ids))
}

// strays names what no manifest speaks of. What the ledger has in hand is being stored at this
// moment.
func (inv inventory) strays(inHand func(investigation.ID) bool) []Finding {
	var findings []Finding
	for _, u := range inv.units {
		if u.manifest != nil || inHand(u.name.id()) {
			continue
		}
		for _, o := range []*Object{u.object, u.signature} {
			if o != nil && !o.gone() {
				findings = append(findings, Finding{
					Key: o.Key, TenantID: u.name.tenantID, Check: CheckStray,
					What: "no manifest speaks of it", Expected: u.name.manifestKey(),
				})
			}
		}
	}
	for _, o := range inv.stray {
		what := "Packhorse stores nothing under such a key"
		if o.Irregular != "" {
			what = fmt.Sprintf("it is %s", o.Irregular)
		}
		findings = append(findings, Finding{Key: o.Key, Check: CheckStray, What: what})
	}
	slices.SortStableFunc(findings, func(a, b Finding) int { return strings.Compare(a.Key, b.Key) })
	return findings
}
