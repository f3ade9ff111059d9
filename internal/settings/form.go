package settings

import "regexp"

// form is the format of a name, and its length in bytes. The length is not part of the expression: one that
// repeats hundreds of times takes milliseconds to compile, at each start of a function.
type form struct {
	expression *regexp.Regexp
	least      int
	most       int
}

func (f form) matches(text string) bool {
	return len(text) >= f.least && len(text) <= f.most && f.expression.MatchString(text)
}

// Names of resources. Instead of its name, each may be given by its ARN.
var (
	arnForm    = form{regexp.MustCompile(`^arn:[A-Za-z0-9_./:-]+$`), 5, 1004}
	tableForm  = form{regexp.MustCompile(`^[A-Za-z0-9_.-]+$`), 3, 255}
	bucketForm = form{regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*[a-z0-9]$`), 3, 63}
	busForm    = form{regexp.MustCompile(`^[A-Za-z0-9/._-]+$`), 1, 256}

	roleForm = form{regexp.MustCompile(`^arn:[a-z-]+:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$`), 32, 612}
)
