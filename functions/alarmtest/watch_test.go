package alarmtest

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"packhorse/internal/cfn"
)

const root = "../.."

// datum is one number that CloudWatch received.
type datum struct {
	namespace, metric, dimension, of string
	value                            float64
}

// alarm is an alarm of the template.
type alarm struct {
	namespace, metric, dimension, of string
	statistic, comparison, missing   string
	threshold                        float64
	periods, datapoints              int
}

func deploy(t *testing.T, parameters map[string]string) cfn.Stack {
	t.Helper()
	template, err := cfn.Load(root + "/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{
		"DefenderTenantId": "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11",
		"DefenderClientId": "2b7e1516-28ae-4d2a-abf7-158809cf4f3c",
	}
	for name, value := range parameters {
		all[name] = value
	}
	stack, err := template.Deploy(all)
	if err != nil {
		t.Fatal(err)
	}
	return stack
}

// alarms reads the stack's alarms.
func alarms(t *testing.T, stack cfn.Stack) map[string]alarm {
	t.Helper()
	all := map[string]alarm{}
	for name, resource := range stack {
		if resource.Type != "AWS::CloudWatch::Alarm" {
			continue
		}
		text := func(property string) string { s, _ := resource.Properties[property].(string); return s }
		number := func(property string) int { n, _ := strconv.Atoi(text(property)); return n }
		a := alarm{
			namespace: text("Namespace"), metric: text("MetricName"), statistic: text("Statistic"),
			comparison: text("ComparisonOperator"), missing: text("TreatMissingData"),
			periods: number("EvaluationPeriods"), datapoints: number("DatapointsToAlarm"),
		}
		dimensions, _ := resource.Properties["Dimensions"].([]any)
		dimension, _ := dimensions[0].(map[string]any)
		a.dimension, a.of = fmt.Sprint(dimension["Name"]), nameOf(stack, fmt.Sprint(dimension["Value"]))
		threshold, err := strconv.ParseFloat(text("Threshold"), 64)
		if err != nil || len(dimensions) != 1 || a.periods < 1 {
			t.Fatalf("%s: %v, %v", name, err, resource.Properties)
		}
		a.threshold = threshold
		if a.datapoints == 0 {
			a.datapoints = a.periods
		}
		all[name] = a
	}
	return all
}

// nameOf returns a resource's name on AWS.
func nameOf(stack cfn.Stack, logicalID string) string {
	for _, property := range []string{"FunctionName", "QueueName"} {
		if name, ok := stack[logicalID].Properties[property].(string); ok {
			return name
		}
	}
	return logicalID
}

// goesOff evaluates the alarm over its last periods, as CloudWatch does.
func (a alarm) goesOff(t *testing.T, periods [][]datum) bool {
	t.Helper()
	if len(periods) < a.periods {
		t.Fatalf("%d periods are too few for %+v", len(periods), a)
	}
	breaching := 0
	for _, period := range periods[len(periods)-a.periods:] {
		if a.breached(t, period) {
			breaching++
		}
	}
	return breaching >= a.datapoints
}

func (a alarm) breached(t *testing.T, period []datum) bool {
	t.Helper()
	var values []float64
	for _, d := range period {
		if d.namespace == a.namespace && d.metric == a.metric && d.dimension == a.dimension && d.of == a.of {
			values = append(values, d.value)
		}
	}
	if len(values) == 0 {
		return a.missing == "breaching"
	}
	value := 0.0
	switch a.statistic {
	case "Maximum":
		value = slices.Max(values)
	case "Minimum":
		value = slices.Min(values)
	case "Sum":
		for _, v := range values {
			value += v
		}
	default:
		t.Fatalf("unknown statistic %s", a.statistic)
	}
	switch a.comparison {
	case "LessThanOrEqualToThreshold":
		return value <= a.threshold
	case "GreaterThanOrEqualToThreshold":
		return value >= a.threshold
	case "LessThanThreshold":
		return value < a.threshold
	default:
		t.Fatalf("unknown comparison %s", a.comparison)
		return false
	}
}

// embedded returns the numbers in a function's output, which has the embedded metric format.
func embedded(t *testing.T, log string) []datum {
	t.Helper()
	var all []datum
	for line := range strings.Lines(log) {
		var head struct {
			AWS struct {
				CloudWatchMetrics []struct {
					Namespace  string
					Dimensions [][]string
					Metrics    []struct{ Name string }
				}
			} `json:"_aws"`
		}
		fields := map[string]any{}
		if json.Unmarshal([]byte(line), &head) != nil || json.Unmarshal([]byte(line), &fields) != nil {
			continue
		}
		for _, directive := range head.AWS.CloudWatchMetrics {
			for _, metric := range directive.Metrics {
				dimension := directive.Dimensions[0][0]
				value, _ := fields[metric.Name].(float64)
				all = append(all, datum{
					directive.Namespace, metric.Name, dimension, fmt.Sprint(fields[dimension]), value,
				})
			}
		}
	}
	return all
}

// documented reads the causes of each alarm from the table of docs/operations.md.
func documented(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(root + "/docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "## When an alarm goes off\n")
	table, _, _ = strings.Cut(table, "\n## ")
	rows := map[string][]string{}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 3 || !strings.HasSuffix(strings.TrimSpace(cells[0]), "Alarm") {
			continue
		}
		for cause := range strings.SplitSeq(cells[2], ";") {
			name := strings.TrimSpace(cells[0])
			rows[name] = append(rows[name], strings.TrimSpace(cause))
		}
	}
	return rows
}
