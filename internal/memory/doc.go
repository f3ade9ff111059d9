// Package memory holds strict in-memory implementations of the ports: a ledger, an evidence bucket and a
// sealer. They refuse what the real ones refuse, and the ledger panics if a change breaks a rule, so a test
// or a simulation cannot miss it. The package does not import testing.
package memory
