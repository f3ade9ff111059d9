package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"packhorse/internal/cfn"
)

const root = "../.."

// typedForm finds the command lines in text: up to what ends one in a sentence, a table or a code span.
var typedForm = regexp.MustCompile("packhorse ((?:[a-z][a-z-]*)(?: [^ `|\"\\\\;,]+)*)")

// typedIn returns the command lines that a text tells people to type, without comments after them.
func typedIn(text string) (lines [][]string) {
	for _, match := range typedForm.FindAllStringSubmatch(text, -1) {
		words, _, _ := strings.Cut(match[1], "  ")
		words, _, _ = strings.Cut(words, " #")
		fields := strings.Fields(words)
		if last := len(fields) - 1; fields[last] != "." { // the folder, and not the end of a sentence
			fields[last] = strings.TrimRight(fields[last], ".:")
		}
		lines = append(lines, fields)
	}
	return lines
}

// spans finds what docs show as typed: lines and code spans that begin with the command, and the unit.
var spans = regexp.MustCompile("(?m)(?:^ *|`|/)(packhorse [^`\n]+)")

// TestTypedCommandsExist: whatever alarms, notifications, the dashboard, the README and the docs tell
// people to type is a command of this program, with flags that it has. Every command about a stack
// names one.
func TestTypedCommandsExist(t *testing.T) {
	t.Parallel()
	template, err := cfn.Load(root + "/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, format := range []string{"text", "chat"} {
		stack, err := template.Deploy(map[string]string{
			"DefenderTenantId": "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11", "Dashboard": "true",
			"DefenderClientId":  "2b7e1516-28ae-4d2a-abf7-158809cf4f3c",
			"NotificationEmail": "soc@contoso.com", "NotificationFormat": format,
		})
		if err != nil {
			t.Fatal(err)
		}
		for name, resource := range stack {
			for _, text := range said(t, resource) {
				for _, words := range typedIn(text) {
					seen++
					checkTyped(t, name, words)
					if len(words) < 3 || !strings.Contains(strings.Join(words, " "), "--stack "+cfn.StackName) {
						t.Errorf("%s: %q does not name the stack", name, words)
					}
				}
			}
		}
	}
	pages, err := filepath.Glob(root + "/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(pages, root+"/README.md", root+"/CONTRIBUTING.md") {
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, span := range spans.FindAllStringSubmatch(string(page), -1) {
			for _, words := range typedIn(span[1]) {
				seen++
				checkTyped(t, path, words)
			}
		}
	}
	if seen < 80 {
		t.Errorf("got %d commands", seen)
	}
}

// said returns the texts of a resource that people read.
func said(t *testing.T, resource cfn.Resource) []string {
	t.Helper()
	switch resource.Type {
	case "AWS::CloudWatch::Alarm":
		return []string{fmt.Sprint(resource.Properties["AlarmDescription"])}
	case "AWS::CloudWatch::Dashboard":
		return []string{fmt.Sprint(resource.Properties["DashboardBody"])}
	case "AWS::Events::Rule":
		text, err := json.Marshal(resource.Properties["Targets"])
		if err != nil {
			t.Fatal(err)
		}
		var plain strings.Builder // \u003c is a placeholder's <
		plain.WriteString(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\"`, `"`, `\n`, "\n").Replace(string(text)))
		return []string{plain.String()}
	default:
		return nil
	}
}

// checkTyped checks one command line against the program's own commands and flags.
func checkTyped(t *testing.T, where string, words []string) {
	t.Helper()
	program := Main{}.command()
	program.InitDefaultHelpCmd()
	program.InitDefaultCompletionCmd("x")
	command, rest, err := program.Find(words)
	if err == nil && command.Parent() == nil {
		err = fmt.Errorf("unknown command %q", words[0])
	}
	if err == nil {
		err = command.ParseFlags(rest)
	}
	if err != nil {
		t.Errorf("%s: packhorse %s: %v", where, strings.Join(words, " "), err)
	}
}
