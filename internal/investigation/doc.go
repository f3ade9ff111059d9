// Package investigation holds the nouns of Packhorse: the machine action that asks Microsoft
// Defender for Endpoint for an investigation package, the states it passes through, the object key
// it is stored under and the receipt that proves it was stored.
//
// Everything here is a value or a pure function of values: a transition takes a [Record] and the
// present time and gives back the next Record, so that every ledger (DynamoDB, SQLite, memory)
// enforces the same rules by applying the same function under its own kind of conditional write.
//
// The package does no I/O, reads no clock and imports only the standard library.
package investigation
