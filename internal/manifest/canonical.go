package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"
)

// integerMax is the largest integer that all JSON readers agree on: 2^53-1 (RFC 8785,
// section 3.2.2.3; RFC 7493, section 2.2).
const integerMax = 1<<53 - 1

var errNotCanonical = errors.New("not in canonical form")

// canonical returns v as canonical JSON (RFC 8785, JCS): sorted names, no whitespace, only the necessary
// escapes. Equal values have equal bytes, so the bytes can be hashed.
//
// All numbers in v MUST be integers of magnitude up to 2^53-1, as they are in a manifest. All names MUST be
// ASCII: JCS sorts by UTF-16 units, and only for ASCII is that the order of bytes.
func canonical(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	tree, err := decodeTree(text)
	if err != nil {
		return nil, err
	}
	return appendCanonical(nil, tree)
}

// checkCanonical returns an error unless text is in canonical form. That also finds duplicate names, on
// whose value readers do not agree.
func checkCanonical(text []byte) error {
	tree, err := decodeTree(text)
	if err != nil {
		return err
	}
	again, err := appendCanonical(nil, tree)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, text) {
		return errNotCanonical
	}
	return nil
}

func decodeTree(text []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var tree any
	err := decoder.Decode(&tree)
	if err != nil {
		return nil, err
	}
	_, err = decoder.Token()
	if !errors.Is(err, io.EOF) {
		return nil, errors.New("data follows the JSON")
	}
	return tree, nil
}

func appendCanonical(to []byte, tree any) ([]byte, error) {
	switch v := tree.(type) {
	case nil:
		return append(to, "null"...), nil
	case bool:
		return strconv.AppendBool(to, v), nil
	case string:
		return appendString(to, v), nil
	case json.Number:
		return appendInteger(to, v)
	case []any:
		return appendArray(to, v)
	case map[string]any:
		return appendObject(to, v)
	default:
		panic(fmt.Sprintf("manifest: JSON of type %T", tree))
	}
}

func appendInteger(to []byte, number json.Number) ([]byte, error) {
	n, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil || n > integerMax || n < -integerMax {
		return nil, fmt.Errorf("the number %.40s is not an integer up to 2^53-1", number)
	}
	return strconv.AppendInt(to, n, 10), nil
}

func appendArray(to []byte, array []any) (_ []byte, err error) {
	to = append(to, '[')
	for i, element := range array {
		if i > 0 {
			to = append(to, ',')
		}
		to, err = appendCanonical(to, element)
		if err != nil {
			return nil, err
		}
	}
	return append(to, ']'), nil
}

func appendObject(to []byte, object map[string]any) (_ []byte, err error) {
	to = append(to, '{')
	for i, name := range slices.Sorted(maps.Keys(object)) {
		if i > 0 {
			to = append(to, ',')
		}
		to = append(appendString(to, name), ':')
		to, err = appendCanonical(to, object[name])
		if err != nil {
			return nil, err
		}
	}
	return append(to, '}'), nil
}

// appendString escapes only the characters that JSON forbids in a string, in the way JCS requires.
func appendString(to []byte, s string) []byte {
	to = append(to, '"')
	for _, r := range s {
		switch r {
		case '"', '\\':
			to = append(to, '\\', byte(r))
		case '\b':
			to = append(to, `\b`...)
		case '\t':
			to = append(to, `\t`...)
		case '\n':
			to = append(to, `\n`...)
		case '\f':
			to = append(to, `\f`...)
		case '\r':
			to = append(to, `\r`...)
		default:
			if r < ' ' {
				to = fmt.Appendf(to, `\u%04x`, r)
			} else {
				to = utf8.AppendRune(to, r)
			}
		}
	}
	return append(to, '"')
}
