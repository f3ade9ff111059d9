package desk

// OfStack exports the desk of a stack whose tables a given client reaches.
var OfStack = ofStack
