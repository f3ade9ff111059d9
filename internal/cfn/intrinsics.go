package cfn

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

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
	case name == "Fn::FindInMap" && len(arguments) == 3:
		return d.find(arguments)
	case name == "Fn::Join" && len(arguments) == 2:
		var parts []string
		for _, part := range sliceOf(arguments[1]) {
			parts = append(parts, fmt.Sprint(part))
		}
		return strings.Join(parts, fmt.Sprint(arguments[0])), nil
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

// find looks a value up in the section Mappings.
func (d deployment) find(keys []any) (any, error) {
	var value any = d.template.mappings
	for _, key := range keys {
		fields, _ := value.(map[string]any)
		value = fields[fmt.Sprint(key)]
	}
	if value == nil {
		return nil, fmt.Errorf("the mappings lack %v", keys)
	}
	return value, nil
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
	properties, _ := fields["Properties"].(map[string]any)
	if fixed := properties["RoleName"]; fixed != nil {
		text, err := d.resolve(fixed)
		if err != nil {
			return nil, err
		}
		name = fmt.Sprint(text)
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
