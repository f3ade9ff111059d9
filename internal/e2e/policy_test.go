package e2e_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"packhorse/internal/cfn"
)

// deploy resolves template.yaml with these parameters and the required ones.
func deploy(t *testing.T, parameters map[string]string) cfn.Stack {
	t.Helper()
	stack, err := tryDeploy(t, parameters)
	if err != nil {
		t.Fatal(err)
	}
	return stack
}

func tryDeploy(t *testing.T, parameters map[string]string) (cfn.Stack, error) {
	t.Helper()
	template, err := cfn.Load(root + "/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return template.Deploy(withRequired(parameters))
}

func withRequired(parameters map[string]string) map[string]string {
	all := map[string]string{
		"DefenderTenantId": "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11",
		"DefenderClientId": "2b7e1516-28ae-4d2a-abf7-158809cf4f3c",
	}
	maps.Copy(all, parameters)
	return all
}

// statement is a policy statement.
type statement struct {
	effect    string
	principal any // nil in a role's policy
	actions   []string
	resources []string
	condition map[string]any
}

// list returns one string, or several, as a slice.
func list(value any) []string {
	if text, ok := value.(string); ok {
		return []string{text}
	}
	var all []string
	items, _ := value.([]any)
	for _, item := range items {
		all = append(all, fmt.Sprint(item))
	}
	return all
}

// statementsOf parses a policy document.
func statementsOf(t *testing.T, document any) []statement {
	t.Helper()
	policy, _ := document.(map[string]any)
	items, _ := policy["Statement"].([]any)
	if len(items) == 0 {
		t.Fatalf("the policy has no statements: %v", document)
	}
	var all []statement
	for _, item := range items {
		fields, ok := item.(map[string]any)
		if !ok {
			t.Fatalf("got the statement %v", item)
		}
		s := statement{
			effect: fmt.Sprint(fields["Effect"]), principal: fields["Principal"],
			actions: list(fields["Action"]), resources: list(fields["Resource"]),
		}
		s.condition, _ = fields["Condition"].(map[string]any)
		all = append(all, s)
	}
	return all
}

// request is what IAM decides on. The facts are its condition keys.
type request struct {
	principal string // its ARN; empty for an AWS service acting on its own behalf
	action    string
	resource  string
	facts     map[string]string
}

// like matches text against a pattern with IAM's wildcards.
func like(pattern, text string) bool {
	form := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(pattern))
	return regexp.MustCompile(`(?is)^` + form + `$`).MatchString(text)
}

func anyLike(patterns []string, text string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return like(p, text) })
}

// matches reports whether the statement applies to the request, ignoring its principal.
func (s statement) matches(t *testing.T, r request) bool {
	t.Helper()
	if !anyLike(s.actions, r.action) || !anyLike(s.resources, r.resource) {
		return false
	}
	for operator, keys := range s.condition {
		fields, ok := keys.(map[string]any)
		if !ok {
			t.Fatalf("got the condition %v", keys)
		}
		for key, values := range fields {
			fact, known := r.facts[key]
			if !holds(t, operator, list(values), fact, known) {
				return false
			}
		}
	}
	return true
}

// holds evaluates one condition. If the request lacks the key, a negated operator holds and any
// other does not: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
func holds(t *testing.T, operator string, values []string, fact string, known bool) bool {
	t.Helper()
	compare := func(is func(fact, value float64) bool) bool {
		f, factErr := strconv.ParseFloat(fact, 64)
		v, valueErr := strconv.ParseFloat(values[0], 64)
		return known && factErr == nil && valueErr == nil && is(f, v)
	}
	switch operator {
	case "Null":
		return (values[0] == "true") == !known
	case "ForAllValues:StringEquals": // facts have one value here; without the key it holds
		return !known || slices.Contains(values, fact)
	case "StringEquals", "Bool":
		return known && slices.Contains(values, fact)
	case "StringNotEquals":
		return !known || !slices.Contains(values, fact)
	case "ArnEquals", "ArnLike":
		return known && anyLike(values, fact)
	case "ArnNotEquals":
		return !known || !anyLike(values, fact)
	case "NumericGreaterThan":
		return compare(func(f, v float64) bool { return f > v })
	case "NumericLessThan":
		return compare(func(f, v float64) bool { return f < v })
	case "NumericLessThanEquals":
		return compare(func(f, v float64) bool { return f <= v })
	default:
		t.Fatalf("unknown operator %s", operator)
		return false
	}
}

// allowed decides as IAM does within one account. Any deny wins. Otherwise the resource's policy
// must name the principal, or the principal's identity policy must allow the request; a key's
// policy must first delegate to the account by naming its root.
func allowed(t *testing.T, resource, identity []statement, r request) bool {
	t.Helper()
	const accountRoot = "arn:aws:iam::" + cfn.Account + ":root"
	named, delegated := false, !strings.HasPrefix(r.action, "kms:")
	for _, s := range resource {
		principals := []string{}
		switch principal := s.principal.(type) {
		case string:
			principals = append(principals, principal)
		case map[string]any:
			principals = list(principal["AWS"])
		}
		everybody, me := slices.Contains(principals, "*"), slices.Contains(principals, r.principal)
		if !s.matches(t, r) {
			continue
		}
		switch {
		case s.effect == "Deny" && (everybody || me || slices.Contains(principals, accountRoot)):
			return false
		case s.effect == "Allow" && (everybody || me):
			named = true
		case s.effect == "Allow" && slices.Contains(principals, accountRoot):
			delegated = true
		}
	}
	own := false
	for _, s := range identity {
		if !s.matches(t, r) {
			continue
		}
		if s.effect == "Deny" {
			return false
		}
		own = true
	}
	return named || own && delegated
}
