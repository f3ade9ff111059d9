package e2e_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// chapter returns the part of docs/operations.md under a heading, up to the next one of its level.
func chapter(t *testing.T, heading string) string {
	t.Helper()
	_, text, found := strings.Cut(read(t, "docs/operations.md"), "\n"+heading+"\n")
	if !found {
		t.Fatalf("docs/operations.md lacks %q", heading)
	}
	level, _, _ := strings.Cut(heading, " ")
	text, _, _ = strings.Cut(text, "\n"+level+" ")
	return text
}

// fenced matches code blocks, in which lines may begin with #.
var fenced = regexp.MustCompile("(?s)```.*?```")

// anchorOf returns the anchor that GitHub gives a heading.
func anchorOf(heading string) string {
	kept := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(heading), "")
	return strings.ReplaceAll(kept, " ", "-")
}

// The contents at the top list every chapter in order, and every link within the page leads somewhere.
func TestOperationsContents(t *testing.T) {
	text := fenced.ReplaceAllString(read(t, "docs/operations.md"), "")
	var want, anchors []string
	for _, match := range regexp.MustCompile(`(?m)^(##+) (.+)$`).FindAllStringSubmatch(text, -1) {
		anchors = append(anchors, anchorOf(match[2]))
		if match[1] == "##" && match[2] != "Contents" {
			want = append(want, "* ["+match[2]+"](#"+anchorOf(match[2])+")")
		}
	}
	got := strings.Split(strings.TrimSpace(chapter(t, "## Contents")), "\n")
	if !slices.Equal(got, want) {
		t.Errorf("got the contents\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, match := range regexp.MustCompile(`\]\(#([^)]+)\)`).FindAllStringSubmatch(text, -1) {
		if !slices.Contains(anchors, match[1]) {
			t.Errorf("a link leads to #%s, which does not exist", match[1])
		}
	}
	if begin, end := strings.Index(text, "<!-- doctor:begin -->"), strings.Index(text, "<!-- doctor:end -->"); begin < 0 || end < begin {
		t.Error("there is no place for the table of doctor's checks")
	}
}

// texts returns the strings in the program, with constant parts joined.
func texts(t *testing.T) (all []string) {
	t.Helper()
	for _, folder := range []string{"internal", "functions", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(node ast.Node) bool {
				expression, ok := node.(ast.Expr)
				if !ok {
					return true
				}
				text, is := joined(expression)
				if is {
					all = append(all, text)
				}
				return !is
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// joined returns the value of a string literal or a sum of them.
func joined(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		left, isLeft := joined(e.X)
		right, isRight := joined(e.Y)
		return left + right, e.Op == token.ADD && isLeft && isRight
	default:
		return "", false
	}
}

// says reports whether the program's text can print the message, in which … stands for what varies.
func says(text, message string) bool {
	for part := range strings.SplitSeq(message, "…") {
		_, rest, found := strings.Cut(text, strings.TrimSpace(part))
		if !found {
			return false
		}
		text = rest
	}
	return true
}

// Every message in the table is one that the program prints: people search for what they see.
func TestErrorMessagesExist(t *testing.T) {
	all, messages := texts(t), 0
	for line := range strings.Lines(chapter(t, "## Error messages")) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		message, quoted := strings.CutPrefix(strings.TrimSpace(cells[0]), "`")
		if len(cells) != 3 || !quoted {
			continue
		}
		messages++
		message = strings.TrimSuffix(message, "`")
		if !slices.ContainsFunc(all, func(text string) bool { return says(text, message) }) {
			t.Errorf("nothing prints %q", message)
		}
		if strings.TrimSpace(cells[2]) == "" {
			t.Errorf("the table does not say what to do about %q", message)
		}
	}
	if messages < 25 {
		t.Errorf("the table has %d messages", messages)
	}
}

// A log line whose field has the name of a part of every line would hide one of the two.
func TestLogFieldsHideNothing(t *testing.T) {
	hiding := regexp.MustCompile(`slog\.[A-Z][A-Za-z0-9]*\("(?:message|msg|level|time|timestamp|requestId|source)"`)
	for _, folder := range []string{"internal", "functions"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			if found := hiding.FindString(read(t, strings.TrimPrefix(path, root+"/"))); found != "" {
				t.Errorf("%s: %s", entry.Name(), found)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// unitKeys are the settings of systemd that a unit here may use. Sources: systemd.unit(5),
// systemd.service(5), systemd.exec(5), systemd.kill(5), systemd.resource-control(5).
var unitKeys = map[string]string{
	"Unit": "Description Documentation After Wants StartLimitIntervalSec StartLimitBurst",
	"Service": "Type User Group EnvironmentFile StateDirectory StateDirectoryMode WorkingDirectory ExecStart " +
		"Restart RestartSec RestartPreventExitStatus TimeoutStopSec UMask LimitCORE NoNewPrivileges " +
		"CapabilityBoundingSet AmbientCapabilities ProtectSystem ProtectHome ProtectProc ProtectClock " +
		"ProtectHostname ProtectControlGroups ProtectKernelLogs ProtectKernelModules ProtectKernelTunables " +
		"PrivateTmp PrivateDevices PrivateUsers RemoveIPC LockPersonality MemoryDenyWriteExecute " +
		"RestrictAddressFamilies RestrictNamespaces RestrictRealtime RestrictSUIDSGID SystemCallArchitectures " +
		"SystemCallFilter",
	"Install": "WantedBy",
}

// unit parses the systemd unit in docs/operations.md.
func unit(t *testing.T) map[string]string {
	t.Helper()
	_, text, found := strings.Cut(chapter(t, "## One machine"), "\n```ini\n")
	text, _, closed := strings.Cut(text, "\n```\n")
	if !found || !closed {
		t.Fatal("docs/operations.md lacks the unit")
	}
	values, current := map[string]string{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		key, value, assigned := strings.Cut(line, "=")
		switch {
		case line == "":
		case strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") && unitKeys[strings.Trim(line, "[]")] != "":
			current = strings.Trim(line, "[]")
		case !assigned || !slices.Contains(strings.Fields(unitKeys[current]), key):
			t.Errorf("[%s] does not know %q", current, line)
		case values[current+"."+key] != "":
			t.Errorf("[%s] sets %s twice", current, key)
		default:
			values[current+"."+key] = value
		}
	}
	return values
}

// The unit runs as a user of its own, shuts everything it does not need, and stops as Packhorse wants
// to be stopped. It is the only process that reads the credential.
func TestServiceUnit(t *testing.T) {
	got := unit(t)
	for key, want := range map[string]string{
		"Service.User": "packhorse", "Service.UMask": "0077", "Service.NoNewPrivileges": "yes",
		"Service.ProtectSystem": "strict", "Service.ProtectHome": "yes", "Service.CapabilityBoundingSet": "",
		"Service.StateDirectoryMode": "0700", "Service.LimitCORE": "0", "Service.Restart": "on-failure",
		"Service.RestartPreventExitStatus": "2", "Install.WantedBy": "multi-user.target",
	} {
		if value, there := got[key]; value != want || !there {
			t.Errorf("%s is %q (%t), want %q", key, value, there, want)
		}
	}
	for key, value := range got {
		if strings.HasPrefix(key, "Service.Protect") || strings.HasPrefix(key, "Service.Private") ||
			strings.HasPrefix(key, "Service.Restrict") {
			if value == "no" || value == "" {
				t.Errorf("%s is off", key)
			}
		}
	}
	start := strings.Fields(got["Service.ExecStart"])
	if len(start) < 2 || !filepath.IsAbs(start[0]) || !strings.Contains(got["Service.ExecStart"],
		"--data /var/lib/"+got["Service.StateDirectory"]+"/") {
		t.Errorf("it starts %q; systemd makes /var/lib/%s writable, and nothing else is", start, got["Service.StateDirectory"])
	}
}
