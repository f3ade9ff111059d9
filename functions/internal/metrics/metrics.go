// Package metrics writes the results of invocations as CloudWatch metrics.
//
// A [Meter] writes one log line per invocation in the embedded metric format, so it makes no calls
// and needs no permissions. It omits metrics that are zero, because CloudWatch charges for each
// metric in every hour in which it is reported.
package metrics

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"packhorse/internal/event"
	"packhorse/internal/fetch"
	"packhorse/internal/poll"
)

// Namespace is the namespace of all metrics; each has one dimension, FunctionName.
const Namespace = "Packhorse"

// Name is the name of a metric.
type Name string

// The metrics.
const (
	PackagesSeen         Name = "PackagesSeen"         // actions that were new to the ledger
	PackagesReady        Name = "PackagesReady"        // actions that became ready
	PackagesNotCollected Name = "PackagesNotCollected" // actions that ended without a package
	SweepSeconds         Name = "SweepSeconds"         // a tick's longest sweep of a tenant
	SweepsCompleted      Name = "SweepsCompleted"      // sweeps that saw the whole listing and recorded it
	OldestReadySeconds   Name = "OldestReadySeconds"   // how long the oldest ready package has waited

	StalestSweepSeconds   Name = "StalestSweepSeconds"   // since the last sweep of the tenant that waits the longest
	TenantsFailing        Name = "TenantsFailing"        // tenants with a failure in a tick
	TenantsWithoutConsent Name = "TenantsWithoutConsent" // of which, because they have not consented to the app

	CredentialExpiresDays Name = "CredentialExpiresDays" //nolint:gosec // a name; the days left, if they are few

	PackagesArchived       Name = "PackagesArchived"
	ArchivedBytes          Name = "ArchivedBytes"
	ReadyToArchivedSeconds Name = "ReadyToArchivedSeconds"
	FetchesPostponed       Name = "FetchesPostponed" // for any cause
	FetchesBlocked         Name = "FetchesBlocked"   // postponed until a person acts
	Strangers              Name = "Strangers"        // objects in the archive that are not ours

	BudgetLeased    Name = "BudgetLeased"    // calls that were allowed
	BudgetDenied    Name = "BudgetDenied"    // calls not sent because the budget was spent
	BudgetCooldowns Name = "BudgetCooldowns" // 429 responses: another client uses the same budget
	ClockSkew       Name = "ClockSkew"       // the least by which the clock is off; meanwhile no call is sent
)

// Units maps each metric to its CloudWatch unit.
var Units = map[Name]string{
	PackagesSeen: "Count", PackagesReady: "Count", PackagesNotCollected: "Count",
	SweepSeconds: "Seconds", SweepsCompleted: "Count", OldestReadySeconds: "Seconds",
	StalestSweepSeconds: "Seconds", TenantsFailing: "Count", TenantsWithoutConsent: "Count",
	PackagesArchived: "Count", ArchivedBytes: "Bytes", ReadyToArchivedSeconds: "Seconds",
	FetchesPostponed: "Count", FetchesBlocked: "Count", Strangers: "Count",
	BudgetLeased: "Count", BudgetDenied: "Count", BudgetCooldowns: "Count",
	ClockSkew: "Milliseconds", CredentialExpiresDays: "None", // CloudWatch has no days
}

// Meter collects the numbers of successive invocations. It is safe for concurrent use.
type Meter struct {
	log      io.Writer
	function string
	now      func() time.Time

	mu     sync.Mutex // guards values
	values map[Name]float64
}

// New returns a Meter for the named function. log is the function's standard output.
func New(log io.Writer, function string, now func() time.Time) *Meter {
	return &Meter{log: log, function: function, now: now, values: map[Name]float64{}}
}

const (
	// expiresDaysMax is when the expiry of a credential begins to matter: twice the days of the alarm, so that
	// the metric shows where it is going. Written all year, it would cost more than the alarm.
	expiresDaysMax = 60

	// expiresDaysMin stands for a credential that has expired: a metric that is not positive is left out.
	expiresDaysMin = 1.0 / 1440
)

// stalestSecondsMin is what the age of a sweep stays below while all is well: twice the longest pause between sweeps.
const stalestSecondsMin = 120

// Poll writes the metrics of a tick. The credential that was accepted last expires at that time, which is zero
// if it is unknown or never comes.
func (m *Meter) Poll(answer poll.Answer, expires time.Time) {
	if days := expires.Sub(m.now()).Hours() / 24; !expires.IsZero() && days <= expiresDaysMax {
		m.add(CredentialExpiresDays, max(days, expiresDaysMin))
	}
	m.add(PackagesSeen, float64(answer.Seen))
	m.add(PackagesReady, float64(answer.Ready))
	m.add(PackagesNotCollected, float64(answer.NotCollected))
	m.add(SweepSeconds, answer.LongestSweepSeconds)
	m.add(SweepsCompleted, float64(answer.Completed))
	m.add(OldestReadySeconds, float64(answer.OldestReadySeconds))
	m.add(TenantsFailing, float64(answer.Failing))
	m.add(TenantsWithoutConsent, float64(answer.WithoutConsent))
	if answer.StalestSeconds > stalestSecondsMin {
		m.add(StalestSweepSeconds, float64(answer.StalestSeconds))
	}
	m.write()
}

// Fetches wraps handle and writes the metrics of each fetch, see [Meter.Fetch].
func (m *Meter) Fetches(handle fetch.Handle) fetch.Handle {
	return func(ctx context.Context, e event.Envelope) (fetch.Answer, error) {
		answer, err := handle(ctx, e)
		m.Fetch(answer)
		return answer, err
	}
}

// Fetch writes the metrics of a fetch.
func (m *Meter) Fetch(answer fetch.Answer) {
	switch answer.Outcome {
	case fetch.OutcomeArchived:
		m.add(PackagesArchived, 1)
		m.add(ArchivedBytes, float64(answer.Bytes))
		m.add(ReadyToArchivedSeconds, answer.ReadySeconds)
	case fetch.OutcomeNotCollected:
		m.add(PackagesNotCollected, 1)
	case fetch.OutcomePostponed:
		m.add(FetchesPostponed, 1)
		if answer.Cause.Blocks() {
			m.add(FetchesBlocked, 1)
		}
	}
	m.add(Strangers, float64(answer.Strangers))
	m.write()
}

func (m *Meter) add(metric Name, n float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[metric] += n
}

func (m *Meter) raise(metric Name, n float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[metric] = max(m.values[metric], n)
}

// take returns the nonzero numbers and resets all of them.
func (m *Meter) take() map[Name]float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	taken := m.values
	m.values = map[Name]float64{}
	maps.DeleteFunc(taken, func(_ Name, n float64) bool { return n <= 0 })
	return taken
}

// write writes one line in the embedded metric format, unless there is nothing to say:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
func (m *Meter) write() {
	values := m.take()
	if len(values) == 0 {
		return
	}
	type definition struct {
		Name Name
		Unit string
	}
	var definitions []definition
	const dimension = "FunctionName"
	line := map[string]any{dimension: m.function}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		definitions = append(definitions, definition{name, Units[name]})
		line[string(name)] = values[name]
	}
	line["_aws"] = map[string]any{
		"Timestamp": m.now().UnixMilli(),
		"CloudWatchMetrics": []any{map[string]any{
			"Namespace": Namespace, "Dimensions": [][]string{{dimension}}, "Metrics": definitions,
		}},
	}
	text, err := json.Marshal(line)
	if err == nil {
		_, _ = m.log.Write(append(text, '\n')) // without a log there is nowhere to report this
	}
}
