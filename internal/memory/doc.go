// Package memory holds strict in-memory twins of the ports: a ledger, an evidence bucket and a maker of
// manifests. They refuse what the real ones refuse, and panic where a rule of Packhorse is broken, so a
// test or a simulation cannot miss it. The package does not import testing.
package memory
