package alarmtest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"packhorse/functions/internal/metrics"
	"packhorse/internal/mde/mdesim"
)

// logged is what the functions logged: the fields of each line.
type logged []map[string]any

// playLogs plays a day with work, a day with failures, and a stranger, and returns what was logged.
func playLogs(t *testing.T) logged {
	t.Helper()
	stack := deploy(t, nil)
	s := openSite(t, function{nameOf(stack, "PollFunction"), build(t, "poll"), tickTime},
		function{nameOf(stack, "FetchPackageFunction"), build(t, "fetch-package"), fetchTime})
	var lines logged
	keep := func(got answer) { lines = append(lines, linesOf(t, got.log)...) }
	tick := func() { keep(s.poll.invoke(t, s.environ, "{}")) }
	carry := func() { _, got := s.carry(); keep(got) }
	carry()
	tick()
	_, got := s.carry(s.plant)
	keep(got)
	s.later()
	s.tenant.SetFaults(answering(mdesim.KindList, http.StatusServiceUnavailable))
	tick()
	s.tenant.SetFaults(answering(mdesim.KindPackageURI, http.StatusForbidden))
	carry()
	s.later()
	s.tenant.SetFaults(answering(mdesim.KindPackageURI, http.StatusTooManyRequests))
	carry()
	return lines
}

// linesOf decodes the JSON lines of a log. Two fields of the same name in a line would hide one.
func linesOf(t *testing.T, log string) (lines logged) {
	t.Helper()
	for line := range strings.Lines(log) {
		fields := map[string]any{}
		if json.Unmarshal([]byte(line), &fields) != nil {
			continue
		}
		if names := namesOf(t, line); len(names) != len(fields) {
			t.Errorf("a line has two fields of one name: %s", line)
		}
		lines = append(lines, fields)
	}
	return lines
}

// namesOf returns the names of a JSON object's fields, in order, repetitions included.
func namesOf(t *testing.T, line string) (names []string) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader([]byte(line)))
	if _, err := decoder.Token(); err != nil {
		t.Fatal(err)
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name.(string))
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil && err != io.EOF {
			t.Fatal(err)
		}
	}
	return names
}

// query is a query of CloudWatch Logs Insights, in the part of its language that we use.
type query struct {
	text    string
	message string   // of the lines it selects; empty if it selects by other fields
	fields  []string // of those lines
}

var (
	quoted     = regexp.MustCompile(`'[^']*'`)
	byMessage  = regexp.MustCompile(`message = '([^']*)'`)
	alias      = regexp.MustCompile(`\bas ([A-Za-z]+)`)
	identifier = regexp.MustCompile(`@?[A-Za-z][A-Za-z0-9]*`)
	keywords   = strings.Fields("filter and or in like sort asc desc limit display stats count sum max by bin as d")
)

func parseQuery(text string) query {
	q := query{text: text}
	if match := byMessage.FindStringSubmatch(text); match != nil {
		q.message = match[1]
	}
	known := slices.Clone(keywords)
	for _, match := range alias.FindAllStringSubmatch(text, -1) {
		known = append(known, match[1])
	}
	for part := range strings.SplitSeq(quoted.ReplaceAllString(text, ""), "|") {
		if strings.HasPrefix(strings.TrimSpace(part), "SOURCE") {
			continue
		}
		for _, name := range identifier.FindAllString(part, -1) {
			if !slices.Contains(known, name) && name != "@timestamp" { // CloudWatch adds the latter
				q.fields = append(q.fields, name)
			}
		}
	}
	return q
}

// queries returns the queries of docs/operations.md and of the dashboard.
func queries(t *testing.T) (all []query) {
	t.Helper()
	text, err := os.ReadFile(root + "/docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile("(?s)\n```logs\n(.*?)\n```\n").FindAllStringSubmatch(string(text), -1) {
		all = append(all, parseQuery(match[1]))
	}
	for _, widget := range dashboard(t, map[string]string{"Dashboard": "true"}).Widgets {
		if widget.Type == "log" {
			all = append(all, parseQuery(widget.Properties.Query))
		}
	}
	return all
}

// TestLogQueries: each query selects lines that the functions really log, by fields that they have.
func TestLogQueries(t *testing.T) {
	lines, all := playLogs(t), queries(t)
	if len(all) < 10 {
		t.Fatalf("got %d queries", len(all))
	}
	for _, q := range all {
		found := map[string]bool{}
		for _, line := range lines {
			if q.message != "" && line["message"] != q.message {
				continue
			}
			for name := range line {
				found[name] = true
			}
		}
		if len(found) == 0 || len(q.fields) < 2 {
			t.Errorf("nothing logs %q, or the query has no fields: %q", q.message, q.fields)
		}
		for _, field := range q.fields {
			if !found[field] {
				t.Errorf("no line has %s: %s", field, q.text)
			}
		}
	}
}

// board is the body of a CloudWatch dashboard:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
type board struct {
	Widgets []struct {
		Type                string
		X, Y, Width, Height int
		Properties          struct {
			Title, Markdown, Query, Region, View, Stat string
			Alarms                                     []string
			Metrics                                    [][]any
		}
	}
}

func dashboard(t *testing.T, parameters map[string]string) (b board) {
	t.Helper()
	body, _ := deploy(t, parameters)["OperatorDashboard"].Properties["DashboardBody"].(string)
	if err := json.Unmarshal([]byte(body), &b); err != nil {
		t.Fatalf("the dashboard is not JSON: %v\n%s", err, body)
	}
	return b
}

// Each metric of the dashboard is one that this function writes, and every alarm is on it.
func TestDashboard(t *testing.T) {
	parameters := map[string]string{"Dashboard": "true", "PackageUriPerMinute": "1", "KeepLogs": "true", "ManyTenants": "true"}
	stack := deploy(t, parameters)
	shown, total := map[string]bool{}, 0
	for _, widget := range dashboard(t, parameters).Widgets {
		if widget.X+widget.Width > 24 || widget.Height < 1 || widget.Type != "text" && widget.Properties.Title == "" {
			t.Errorf("CloudWatch's grid has 24 columns: %+v", widget)
		}
		for _, arn := range widget.Properties.Alarms {
			name := arn[strings.LastIndex(arn, ":")+1:]
			if stack[name].Type != "AWS::CloudWatch::Alarm" {
				t.Errorf("%s does not exist", arn)
			}
			shown[name] = true
		}
		if widget.Type == "log" && !strings.HasPrefix(widget.Properties.Query, "SOURCE 'KeptPollLogs' | ") {
			t.Errorf("with KeepLogs the logs are elsewhere: %s", widget.Properties.Query)
		}
		for _, metric := range widget.Properties.Metrics {
			total++
			checkMetric(t, metric)
		}
	}
	for name := range alarms(t, stack) {
		if !shown[name] {
			t.Errorf("the dashboard lacks %s", name)
		}
	}
	if total > 50 { // beyond 50 a dashboard is not free
		t.Errorf("the dashboard has %d metrics", total)
	}
	if _, there := deploy(t, nil)["OperatorDashboard"]; there {
		t.Error("the dashboard costs money and nobody asked for it")
	}
}

// checkMetric checks that the named function writes the metric, as docs/operations.md says.
func checkMetric(t *testing.T, metric []any) {
	t.Helper()
	if len(metric) != 5 || metric[2] != "FunctionName" {
		t.Errorf("got the metric %v", metric)
		return
	}
	name, by := metric[1].(string), map[any]string{"PollFunction": "poll", "FetchPackageFunction": "fetch-package"}[metric[3]]
	switch {
	case metric[0] == "AWS/Lambda" && (name == "Errors" || name == "Throttles") && by != "":
	case metric[0] != metrics.Namespace || metrics.Units[metrics.Name(name)] == "" || !slices.Contains(writers(t)[name], by):
		t.Errorf("%q does not write %v", by, metric)
	}
}

// writers returns the functions that write each metric, from the table in docs/operations.md.
func writers(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(root + "/docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n## Metrics\n")
	table, _, _ = strings.Cut(table, "\n## ")
	by := map[string][]string{}
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 6 {
			continue
		}
		for name := range strings.SplitSeq(cells[1], ",") {
			for _, function := range []string{"poll", "fetch-package"} {
				if strings.Contains(cells[3], function) || strings.Contains(cells[3], "both") {
					by[strings.TrimSpace(name)] = append(by[strings.TrimSpace(name)], function)
				}
			}
		}
	}
	for name := range metrics.Units {
		if len(by[string(name)]) == 0 {
			t.Errorf("docs/operations.md does not say who writes %s", name)
		}
	}
	return by
}
