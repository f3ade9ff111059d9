package cfn

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The account, region and name of a Stack.
const (
	Account   = "123456789012"
	Region    = "us-east-1"
	StackName = "packhorse"
)

// Resource is a resource of a Stack, fully resolved.
type Resource struct {
	Type           string
	DeletionPolicy string
	Properties     map[string]any
}

// Stack is the result of a deployment: the resources whose condition holds, by logical id.
// References to a resource resolve to its logical id, and its ARN ends in it.
type Stack map[string]Resource

// gone is the value of AWS::NoValue.
type gone struct{}

// deployment resolves one template with its parameters.
type deployment struct {
	template *Template
	values   map[string]string
}

// Deploy returns the stack. Parameters without a default are required; a value or a combination of
// values that the template does not allow is an error.
func (t *Template) Deploy(parameters map[string]string) (Stack, error) {
	d := deployment{template: t, values: map[string]string{
		"AWS::AccountId": Account, "AWS::Region": Region, "AWS::StackName": StackName,
		"AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com",
	}}
	for name := range parameters {
		if _, ok := t.rules[name]; !ok {
			return nil, fmt.Errorf("unknown parameter %s", name)
		}
	}
	for name, rule := range t.rules {
		value, given := parameters[name]
		if !given {
			value = rule.Default
		}
		if !given && rule.Needed || !rule.takes(value) {
			return nil, fmt.Errorf("parameter %s: %q is not allowed", name, value)
		}
		d.values[name] = value
	}
	for name, rule := range t.assertions {
		if err := d.assert(rule); err != nil {
			return nil, fmt.Errorf("rule %s: %w", name, err)
		}
	}
	stack := Stack{}
	for name, description := range t.resources {
		resource, err := d.resource(description)
		if err != nil {
			return nil, fmt.Errorf("resource %s: %w", name, err)
		}
		if resource.Type != "" {
			stack[name] = resource
		}
	}
	return stack, nil
}

// assert checks the assertions of an entry of the section Rules.
func (d deployment) assert(rule any) error {
	fields, _ := rule.(map[string]any)
	assertions := sliceOf(fields["Assertions"])
	if len(assertions) == 0 || fields["RuleCondition"] != nil {
		return fmt.Errorf("unsupported %v", rule)
	}
	for _, item := range assertions {
		assertion, _ := item.(map[string]any)
		holds, err := d.resolve(assertion["Assert"])
		if err != nil {
			return err
		}
		if holds != "true" {
			return fmt.Errorf("%v", assertion["AssertDescription"])
		}
	}
	return nil
}

// resource returns the zero Resource if the condition does not hold.
func (d deployment) resource(description any) (Resource, error) {
	fields, ok := description.(map[string]any)
	if !ok {
		return Resource{}, fmt.Errorf("got %v", description)
	}
	if condition, ok := fields["Condition"].(string); ok {
		holds, err := d.holds(condition)
		if err != nil || !holds {
			return Resource{}, err
		}
	}
	properties, err := d.resolve(fields["Properties"])
	if err != nil {
		return Resource{}, err
	}
	r := Resource{}
	r.Type, _ = fields["Type"].(string)
	r.DeletionPolicy, _ = fields["DeletionPolicy"].(string)
	r.Properties, _ = properties.(map[string]any)
	return r, nil
}

func (d deployment) holds(condition string) (bool, error) {
	expression, ok := d.template.conditions[condition]
	if !ok {
		return false, fmt.Errorf("unknown condition %s", condition)
	}
	value, err := d.resolve(expression)
	return value == "true", err
}

func (d deployment) resolve(value any) (any, error) {
	switch value := value.(type) {
	case []any:
		items := []any{}
		for _, item := range value {
			resolved, err := d.resolve(item)
			if err != nil {
				return nil, err
			}
			if resolved != (gone{}) {
				items = append(items, resolved)
			}
		}
		return items, nil
	case map[string]any:
		if len(value) == 1 {
			for name, argument := range value {
				if name == "Ref" || name == "Condition" || strings.HasPrefix(name, "Fn::") {
					return d.call(name, argument)
				}
			}
		}
		fields := map[string]any{}
		for name, field := range value {
			resolved, err := d.resolve(field)
			if err != nil {
				return nil, err
			}
			if resolved != (gone{}) {
				fields[name] = resolved
			}
		}
		return fields, nil
	default:
		return value, nil
	}
}

// call evaluates an intrinsic function.
func (d deployment) call(name string, argument any) (any, error) {
	if name == "Fn::If" {
		return d.choose(sliceOf(argument))
	}
	argument, err := d.resolve(argument)
	if err != nil {
		return nil, err
	}
	arguments := sliceOf(argument)
	switch text, _ := argument.(string); {
	case name == "Ref" && text == "AWS::NoValue":
		return gone{}, nil
	case name == "Ref":
		return d.ref(text)
	case name == "Fn::GetAtt":
		return d.attribute(text)
	case name == "Condition":
		holds, err := d.holds(text)
		return fmt.Sprint(holds), err
	case name == "Fn::Sub" && len(arguments) == 2:
		local, _ := arguments[1].(map[string]any)
		return d.substitute(fmt.Sprint(arguments[0]), local)
	case name == "Fn::Sub":
		return d.substitute(text, nil)
	case name == "Fn::And":
		return fmt.Sprint(!slices.Contains(arguments, any("false"))), nil
	case name == "Fn::Or":
		return fmt.Sprint(slices.Contains(arguments, any("true"))), nil
	case name == "Fn::Equals" && len(arguments) == 2:
		return fmt.Sprint(arguments[0] == arguments[1]), nil
	case name == "Fn::Not" && len(arguments) == 1:
		return fmt.Sprint(arguments[0] != "true"), nil
	case name == "Fn::Split" && len(arguments) == 2:
		parts := []any{}
		for part := range strings.SplitSeq(fmt.Sprint(arguments[1]), fmt.Sprint(arguments[0])) {
			parts = append(parts, part)
		}
		return parts, nil
	default:
		return nil, fmt.Errorf("unsupported %s of %v", name, argument)
	}
}

func (d deployment) choose(arguments []any) (any, error) {
	if len(arguments) != 3 {
		return nil, fmt.Errorf("Fn::If of %d arguments", len(arguments))
	}
	holds, err := d.holds(fmt.Sprint(arguments[0]))
	if err != nil {
		return nil, err
	}
	if holds {
		return d.resolve(arguments[1])
	}
	return d.resolve(arguments[2])
}

func (d deployment) ref(name string) (any, error) {
	if value, ok := d.values[name]; ok {
		return value, nil
	}
	if _, ok := d.template.resources[name]; ok {
		return name, nil
	}
	return nil, fmt.Errorf("unknown name %s", name)
}

// arns are the ARN formats, with a placeholder for the logical id.
var arns = map[string]string{
	"AWS::IAM::Role":  "arn:aws:iam::" + Account + ":role/%s",
	"AWS::S3::Bucket": "arn:aws:s3:::%s",
	"AWS::KMS::Key":   "arn:aws:kms:" + Region + ":" + Account + ":key/%s",
}

func (d deployment) attribute(path string) (any, error) {
	name, attribute, _ := strings.Cut(path, ".")
	fields, ok := d.template.resources[name].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("unknown resource %s", name)
	}
	form, ok := arns[fmt.Sprint(fields["Type"])]
	switch {
	case attribute != "Arn":
		return name, nil
	case !ok:
		form = "arn:aws:any:" + Region + ":" + Account + ":%s"
	}
	return fmt.Sprintf(form, name), nil
}

var variable = regexp.MustCompile(`\$\{([A-Za-z0-9:.]+)\}`)

// substitute replaces the variables of a text; local ones are those of the call itself.
func (d deployment) substitute(text string, local map[string]any) (any, error) {
	var failure error
	text = variable.ReplaceAllStringFunc(text, func(match string) string {
		name := match[2 : len(match)-1]
		if value, ok := local[name]; ok {
			return fmt.Sprint(value)
		}
		find := d.ref
		if strings.Contains(name, ".") {
			find = d.attribute
		}
		value, err := find(name)
		if err != nil {
			failure = err
		}
		return fmt.Sprint(value)
	})
	return text, failure
}
