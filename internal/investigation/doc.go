// Package investigation holds the nouns of Packhorse: the machine action that asks Microsoft
// Defender for Endpoint for an investigation package, the states it passes through, the object key
// it is stored under and the receipt that proves it was stored.
//
// Everything here is a value or a pure function of values. A transition takes a [Record] and the
// current time and returns the next Record. Every ledger (DynamoDB, SQLite, memory) applies the same
// function inside its own kind of conditional write, and so enforces the same rules.
//
// The package does no I/O, reads no clock and imports only the standard library.
package investigation
