package mdesim

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Scenario returns n actions as a tenant might have them at startedAt: requested by people, tools
// and rules, with packages of mixed size. Most are ready, some become ready soon, and of every six
// one fails and one times out. The same seed and start give the same actions; ids, machines and
// packages depend only on the seed. The first action is ready from the start; with seed 1 it is the
// one described by the events in events/.
//
// sizes, if given, are the package sizes in bytes, used in turn.
func Scenario(n int, seed uint64, startedAt time.Time, sizes []int64) []Action {
	if len(sizes) == 0 {
		sizes = []int64{3 << 20, 48 << 20, 700 << 10, 96 << 20, 12 << 20, 30 << 20}
	}
	random := rand.New(rand.NewPCG(seed, seed))
	actions := make([]Action, n)
	for i := range n {
		who := requestors[i%len(requestors)]
		age := time.Duration(2+random.IntN(50)) * time.Minute
		becomesReady := i%6 == 2
		if becomesReady {
			age %= 20 * time.Minute // young enough that a client still waits for it
		}
		a := Action{
			ID:              IDOf("action", seed, i),
			Type:            typeCollect,
			MachineID:       MachineOf("machine", seed, i),
			ComputerDNSName: fmt.Sprintf("%s-%02d.contoso.com", sites[i%len(sites)], random.IntN(90)+10),
			Requestor:       who.name,
			Comment:         fmt.Sprintf(who.comment, 1000+random.IntN(9000)),
			Source:          who.source,
			CreatedAt:       startedAt.Add(-age).Truncate(time.Microsecond),
			Steps:           Succeeding(age / 2),
			PackageSize:     sizes[i%len(sizes)],
			PackageSeed:     seed + uint64(i),
		}
		switch {
		case becomesReady: // while you watch
			a.Steps = Succeeding(age + 8*time.Second)
		case i%6 == 4:
			a.Steps = Ending(age/2, "Failed")
		case i%6 == 5:
			a.Steps = Ending(age/2, "TimeOut")
		}
		actions[i] = a
	}
	return actions
}

var sites = []string{"fin-ws", "hr-nb", "prod-sql", "dev-vm", "kiosk", "exec-nb"}

var requestors = []struct{ name, comment, source string }{
	{"a.lindqvist@contoso.com", "INC-%d suspicious PowerShell, collect before reimage", "Portal"},
	{"5b0f6e2d-9c1a-4f3e-8f57-2f1f0c9f7a10", "SOAR playbook run %d", "PublicApi"},
	{"Automated investigation", "Detection rule %d: credential access", "AutomatedInvestigation"},
	{"j.okafor@contoso.com", "INC-%d second collection, compare", "Portal"},
}

// OtherActions returns actions of other types, which Packhorse ignores; one type is undocumented.
func OtherActions(seed uint64, startedAt time.Time) []Action {
	var actions []Action
	for i, kind := range []string{"Isolate", "RunAntiVirusScan", "RequestSample"} {
		actions = append(actions, Action{
			ID: IDOf("other", seed, i), Type: kind, MachineID: MachineOf("other", seed, i),
			ComputerDNSName: "other.contoso.com", Requestor: requestors[0].name, Comment: "other",
			Source: "Portal", CreatedAt: startedAt.Add(-time.Hour), Steps: Succeeding(time.Minute),
		})
	}
	return actions
}
