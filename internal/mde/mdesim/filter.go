package mdesim

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// predicate is a parsed $filter.
type predicate func(*action, time.Time) bool

// errFilter is wrapped by the errors of parseFilter; the API answers them with ODataError.
var errFilter = errors.New("the filter is not valid")

// filterToken matches the OData tokens that the documentation uses: parentheses, quoted strings
// (” doubles), and words, including datetimes without quotes.
var filterToken = regexp.MustCompile(`^\s*(\(|\)|'(?:[^']|'')*'|[^\s()']+)`)

// filterParser is a recursive-descent parser over the tokens of one filter.
type filterParser struct{ tokens []string }

// depthMax bounds nested parentheses.
const depthMax = 50

// parseFilter parses comparisons of the properties that the documentation calls filterable, joined
// by and, or, not and parentheses. Names and operators are case-insensitive.
func parseFilter(text string) (predicate, error) {
	var p filterParser
	for rest := text; strings.TrimSpace(rest) != ""; {
		match := filterToken.FindStringSubmatch(rest)
		if match == nil {
			return nil, fmt.Errorf("%w: at %.20q", errFilter, rest)
		}
		p.tokens = append(p.tokens, match[1])
		rest = rest[len(match[0]):]
	}
	matches, err := p.or(0)
	if err == nil && len(p.tokens) > 0 {
		err = fmt.Errorf("%w: unexpected %q", errFilter, p.tokens[0])
	}
	return matches, err
}

// next consumes a token.
func (p *filterParser) next() string {
	if len(p.tokens) == 0 {
		return ""
	}
	first := p.tokens[0]
	p.tokens = p.tokens[1:]
	return first
}

// accept consumes the token if it is word.
func (p *filterParser) accept(word string) bool {
	if len(p.tokens) == 0 || !strings.EqualFold(p.tokens[0], word) {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

func (p *filterParser) or(depth int) (predicate, error) {
	left, err := p.and(depth)
	for err == nil && p.accept("or") {
		var right predicate
		right, err = p.and(depth)
		first := left
		left = func(a *action, now time.Time) bool { return first(a, now) || right(a, now) }
	}
	return left, err
}

func (p *filterParser) and(depth int) (predicate, error) {
	left, err := p.term(depth)
	for err == nil && p.accept("and") {
		var right predicate
		right, err = p.term(depth)
		first := left
		left = func(a *action, now time.Time) bool { return first(a, now) && right(a, now) }
	}
	return left, err
}

func (p *filterParser) term(depth int) (predicate, error) {
	if depth > depthMax {
		return nil, fmt.Errorf("%w: too deep", errFilter)
	}
	if p.accept("not") {
		inner, err := p.term(depth + 1)
		return func(a *action, now time.Time) bool { return !inner(a, now) }, err
	}
	if !p.accept("(") {
		return p.comparison()
	}
	inner, err := p.or(depth + 1)
	if err == nil && !p.accept(")") {
		err = fmt.Errorf("%w: unclosed parenthesis", errFilter)
	}
	return inner, err
}

// holds maps each operator to a test of a comparison's result.
var holds = map[string]func(int) bool{
	"eq": func(c int) bool { return c == 0 },
	"ne": func(c int) bool { return c != 0 },
	"gt": func(c int) bool { return c > 0 },
	"ge": func(c int) bool { return c >= 0 },
	"lt": func(c int) bool { return c < 0 },
	"le": func(c int) bool { return c <= 0 },
}

func (p *filterParser) comparison() (predicate, error) {
	name, operator, value := p.next(), strings.ToLower(p.next()), p.next()
	hold, ok := holds[operator]
	if !ok {
		return nil, fmt.Errorf("%w: unknown operator %q", errFilter, operator)
	}
	if strings.EqualFold(name, "creationDateTimeUtc") {
		instant, err := time.Parse(time.RFC3339Nano, value)
		if err != nil {
			return nil, fmt.Errorf("%w: invalid datetime %q", errFilter, value)
		}
		return func(a *action, _ time.Time) bool { return hold(a.CreatedAt.Compare(instant)) }, nil
	}
	property, ok := filterable[strings.ToLower(name)]
	if !ok {
		return nil, fmt.Errorf("%w: cannot filter by property %q", errFilter, name)
	}
	if len(value) < 2 || value[0] != '\'' {
		return nil, fmt.Errorf("%w: %q is not a string", errFilter, value)
	}
	text := strings.ReplaceAll(value[1:len(value)-1], "''", "'")
	return func(a *action, now time.Time) bool {
		return hold(cmp.Compare(strings.ToLower(property(a, now)), strings.ToLower(text)))
	}, nil
}

// filterable are the properties the documentation lists. It does not list lastUpdateDateTimeUtc.
var filterable = map[string]func(*action, time.Time) string{
	"id":        func(a *action, _ time.Time) string { return a.ID },
	"type":      func(a *action, _ time.Time) string { return a.Type },
	"machineid": func(a *action, _ time.Time) string { return a.MachineID },
	"requestor": func(a *action, _ time.Time) string { return a.Requestor },
	"status":    func(a *action, now time.Time) string { return a.step(now).Status },
}
