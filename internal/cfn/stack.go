package cfn

import (
	"fmt"
	"maps"
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
// References to a resource resolve to its logical id, and its ARN ends in it, or in its fixed name if it is a
// role that has one. Functions have the variables of the section Globals, too.
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
	d, err := t.start(parameters)
	if err != nil {
		return nil, err
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

// Outputs returns the values of the outputs whose condition holds. Errors are those of Deploy.
func (t *Template) Outputs(parameters map[string]string) (map[string]string, error) {
	d, err := t.start(parameters)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for name, description := range t.outputs {
		fields, _ := description.(map[string]any)
		if condition, ok := fields["Condition"].(string); ok {
			holds, err := d.holds(condition)
			if err != nil {
				return nil, fmt.Errorf("output %s: %w", name, err)
			}
			if !holds {
				continue
			}
		}
		value, err := d.resolve(fields["Value"])
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", name, err)
		}
		values[name] = fmt.Sprint(value)
	}
	return values, nil
}

// start checks the parameters.
func (t *Template) start(parameters map[string]string) (deployment, error) {
	d := deployment{template: t, values: map[string]string{
		"AWS::AccountId": Account, "AWS::Region": Region, "AWS::StackName": StackName,
		"AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com",
	}}
	for name := range parameters {
		if _, ok := t.rules[name]; !ok {
			return d, fmt.Errorf("unknown parameter %s", name)
		}
	}
	for name, rule := range t.rules {
		value, given := parameters[name]
		if !given {
			value = rule.Default
		}
		if !given && rule.Needed || !rule.takes(value) {
			return d, fmt.Errorf("parameter %s: %q is not allowed", name, value)
		}
		d.values[name] = value
	}
	for name, rule := range t.assertions {
		if err := d.assert(rule); err != nil {
			return d, fmt.Errorf("rule %s: %w", name, err)
		}
	}
	return d, nil
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
	if r.Type == "AWS::Serverless::Function" {
		err = d.addVariables(r.Properties)
	}
	return r, err
}

// addVariables gives a function the variables that all have, as SAM does.
func (d deployment) addVariables(function map[string]any) error {
	resolved, err := d.resolve(d.template.variables)
	if err != nil {
		return err
	}
	all, _ := resolved.(map[string]any)
	environment, _ := function["Environment"].(map[string]any)
	own, _ := environment["Variables"].(map[string]any)
	variables := map[string]any{}
	maps.Copy(variables, all)
	maps.Copy(variables, own)
	function["Environment"] = map[string]any{"Variables": variables}
	return nil
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
