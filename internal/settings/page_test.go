package settings

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestSettingsPage: docs/settings.md has each variable in one row and no other, with the default that it has.
func TestSettingsPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile("`([A-Z][A-Z_]+)`")
	defaults := map[string][]string{}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, " | ")
		if !strings.HasPrefix(line, "| `") || len(cells) < 3 {
			continue
		}
		for i, match := range name.FindAllStringSubmatch(cells[0], -1) {
			values := strings.Split(strings.ReplaceAll(cells[1], "`", ""), ", ")
			defaults[match[1]] = append(defaults[match[1]], values[min(i, len(values)-1)])
		}
	}
	for _, v := range Variables() {
		got := defaults[v.Name]
		if len(got) != 1 {
			t.Errorf("%s is in %d rows", v.Name, len(got))
		} else if v.Default != "" && got[0] != v.Default {
			t.Errorf("%s: the page says the default is %q, not %q", v.Name, got[0], v.Default)
		}
		delete(defaults, v.Name)
	}
	for unknown := range defaults {
		t.Errorf("there is no variable %s", unknown)
	}
}
