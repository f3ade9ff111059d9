package cloud

// WorkOf is workOf.
var WorkOf = workOf
