package console

// CleanLine makes text from outside safe for a terminal without shortening it.
func CleanLine(s string) string { return cleanLine(s) }

// Clean makes text from outside safe for a terminal and short enough for a column.
func Clean(s string) string { return clean(s) }

// Bytes shows a size in binary units.
func Bytes(n int64) string { return bytes(n) }
