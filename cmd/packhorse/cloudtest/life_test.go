//go:build cloud

package cloudtest

import (
	"maps"
	"slices"
	"testing"
)

// TestLifeOfTwoStacks deploys the template twice, the second stack with the tables of the first, so
// that both share one budget. Both archive the packages of one tenant at the same time, and are
// then deleted. The first proves by a client secret who it is, the second by a certificate whose key the stack
// made. A third stack, with a tenant of its own, moves from one kind of credential to the next, and a fourth has a
// registry with three tenants.
func TestLifeOfTwoStacks(t *testing.T) {
	t.Parallel()
	tenant := openTenant(t)
	vouching := openVouching(t)
	a := openAccount(t, vouching.environ()...)
	vouching.passOn(t, a.cloud.Endpoint)
	bucketServer := openBucketServer(t)
	common := append(tenant.parameters(), "S3EndpointUrl="+bucketServer.Endpoint, "SweepInterval=5s")
	common = append(common, lockParameters()...)

	many := a.openMany(bucketServer, vouching)
	many.begin()
	idle := append(slices.Clone(common), "PollState=DISABLED")
	ticking := append(slices.Clone(common), "PollState=ENABLED")
	first := a.deploy("first", idle...)
	a.checkTables(first)
	a.checkBucket(first["EvidenceBucketName"])
	tables := a.tables()
	shared := []string{
		"ExistingLedgerTable=" + first["LedgerTableName"], "ExistingBudgetTable=" + first["BudgetTableName"],
		"DefenderCredential=certificate",
	}
	shared = append(shared, a.guarding()...)
	second := a.deploy("second", append(slices.Clone(idle), shared...)...)
	shared = append(shared, a.makeCertificate(second["CertificateCommand"], tenant))
	if got := a.tables(); !slices.Equal(got, tables) {
		t.Errorf("with the second stack there are tables %q, want %q", got, tables)
	}

	stacks := []map[string]string{first, second}
	a.checkPolicies(first, nothing, nothing)
	a.checkPolicies(second, breakGlass, writers)
	a.checkTamperingRule(second)
	a.setSecrets(stacks[:1], tenant.secret)
	bucketServer.makeBuckets(t, stacks)
	heard := a.listen("facts", stacks)
	a.checkUnknownActionIsRefused(first)
	if updated := a.deploy("first", ticking...); !maps.Equal(updated, first) {
		t.Errorf("after an update the outputs are %q, want %q", updated, first)
	}
	a.deploy("second", append(slices.Clone(ticking), shared...)...)
	a.checkShared(first, second)
	a.checkCertificateKey(second, breakGlass)
	a.checkSecretless("second")
	many.resume()
	moving := a.move(bucketServer, vouching) // while the others wait for their schedules and the budget
	tables = a.tables()

	a.awaitDone(first["LedgerTableName"], tenant)
	tenant.checkBudget()
	archived := heard.check(tenant)
	a.checkVerified(bucketServer, stacks, len(tenant.ready)+1) // before newer versions hide the evidence
	a.checkEvidence(bucketServer, stacks, archived, tenant)
	bucketServer.checkPackages(t, archived, tenant)
	a.checkLogs(stacks)
	moving.check()
	many.check()
	a.checkNoLeak(append(stacks, moving.outputs, many.outputs), bucketServer, []*facts{heard, many.facts},
		tenant, moving.s, many.federated.tenant, many.certified.tenant, many.secret.tenant)

	a.deleteStacks("second", "first", movingName, manyName)
	bucketServer.checkPackages(t, archived, tenant)
	a.checkSurvivors(append(stacks, many.outputs), tables)
	a.checkLogsSurvive(second, first)
}
