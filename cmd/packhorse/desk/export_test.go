package desk

// OfStack exports the desk of a stack whose tables a given client reaches.
var OfStack = ofStack

// OfMachine and OfParameters export what is known of a credential without using it.
var (
	OfMachine    = ofMachine
	OfParameters = ofParameters
)
