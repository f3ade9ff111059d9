package simulation

import (
	"fmt"
	"strconv"
	"strings"
)

// Sizes is a flag value: package sizes in bytes, written with binary units.
type Sizes []int64

var sizeUnits = []struct {
	suffix string
	bytes  int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}, {"", 1}}

// sizeMax exceeds the size of any real package and prevents integer overflow.
const sizeMax = 1 << 40 // bytes

// Set parses "SIZE[,SIZE…]". Each call adds to the list.
func (l *Sizes) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		size, err := parseSize(strings.TrimSpace(part))
		if err != nil {
			return err
		}
		*l = append(*l, size)
	}
	return nil
}

// String formats the list in the syntax of Set.
func (l *Sizes) String() string {
	parts := make([]string, len(*l))
	for i, size := range *l {
		parts[i] = strconv.FormatInt(size, 10)
	}
	return strings.Join(parts, ",")
}

// Type names the flag's kind in the help text.
func (l *Sizes) Type() string { return "sizes" }

func parseSize(text string) (int64, error) {
	for _, unit := range sizeUnits {
		digits, ok := strings.CutSuffix(text, unit.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n <= 0 || n > sizeMax/unit.bytes {
			break
		}
		return n * unit.bytes, nil
	}
	return 0, fmt.Errorf("invalid size %q: write bytes or a binary unit, such as 300KiB, 64MiB or 2GiB", text)
}
