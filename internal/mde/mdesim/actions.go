package mdesim

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// typeCollect is the type of actions that produce packages.
const typeCollect = "CollectInvestigationPackage"

// statusSucceeded is the status at which a package is available.
const statusSucceeded = "Succeeded"

// Action is a machine action and its course.
type Action struct {
	ID              string    `json:"id"`
	Type            string    `json:"type"`
	MachineID       string    `json:"machineId"`
	ComputerDNSName string    `json:"computerDnsName"`
	Requestor       string    `json:"requestor"`
	Comment         string    `json:"requestorComment"`
	Source          string    `json:"requestSource"`
	CreatedAt       time.Time `json:"createdAt"`
	Steps           []Step    `json:"steps"`
	PackageSize     int64     `json:"packageSize"` // bytes
	PackageSeed     uint64    `json:"packageSeed"`
}

// Step is the status of an action from some time after its creation.
type Step struct {
	After  Duration `json:"after"`
	Status string   `json:"status"`
}

// Duration is a time.Duration that JSON writes as "1m30s".
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// Succeeding returns the steps of an action whose package is ready the given time after its
// creation.
func Succeeding(after time.Duration) []Step { return Ending(after, statusSucceeded) }

// Ending returns the steps of an action that ends with a status the given time after its creation.
func Ending(after time.Duration, status string) []Step {
	return []Step{
		{0, "Pending"}, {Duration(after / 3), "InProgress"}, {Duration(after), status},
	}
}

// Ready reports whether the action's package can be fetched.
func (a *Action) Ready(now time.Time) bool { return a.step(now).Status == statusSucceeded }

// action is an Action of a simulator, with its package.
type action struct {
	Action
	pkg       *zipPackage // set for a succeeding action
	downloads int         // downloads started
}

// step returns the action's current step.
func (a *Action) step(now time.Time) Step {
	current := Step{0, "Pending"}
	for _, s := range a.Steps {
		if !a.CreatedAt.Add(time.Duration(s.After)).After(now) {
			current = s
		}
	}
	return current
}

// Add puts an action into the tenant. It panics if the id is taken, which is a bug in the test.
func (s *Simulator) Add(a Action) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.find(a.ID) != nil {
		panic("mdesim: duplicate action " + a.ID)
	}
	a.ID, a.MachineID = strings.ToLower(a.ID), strings.ToLower(a.MachineID)
	if a.Type == "" {
		a.Type = typeCollect
	}
	s.actions = append(s.actions, &action{Action: a, pkg: newZipPackage(a.PackageSize, a.PackageSeed)})
}

// Package returns the size and SHA-256 of an action's package. It panics if the action is unknown.
func (s *Simulator) Package(actionID string) (size int64, sha256 string) {
	s.mu.Lock()
	a := s.find(actionID)
	s.mu.Unlock()
	if a == nil {
		panic("mdesim: unknown action " + actionID)
	}
	return a.pkg.size, a.pkg.sha256()
}

// find returns the action, or nil. The caller holds the lock.
func (s *Simulator) find(id string) *action {
	for _, a := range s.actions {
		if strings.EqualFold(a.ID, id) {
			return a
		}
	}
	return nil
}

// IDOf derives an id in GUID form from words; the same words give the same id.
func IDOf(words ...any) string {
	sum := sha256.Sum256(fmt.Append(nil, words...))
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-a" + h[17:20] + "-" + h[20:32]
}

// MachineOf derives a machine id from words; the same words give the same id.
func MachineOf(words ...any) string {
	sum := sha256.Sum256(fmt.Append(nil, words...))
	return hex.EncodeToString(sum[:20])
}
