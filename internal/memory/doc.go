// Package memory holds strict in-memory twins of the ports: a ledger, an evidence bucket and a sealer. They
// refuse what the real ones refuse, and panic when a caller breaks a rule of Packhorse, so a test or a
// simulation cannot miss it. The package does not import testing.
package memory
