package suggest_test

import (
	"testing"

	"packhorse/cmd/packhorse/suggest"
)

func TestWord(t *testing.T) {
	t.Parallel()
	choices := []string{"archived", "notCollected", "ready", "waiting", "all", "until-idle"}
	for word, want := range map[string]string{
		"ready": "ready", "READY": "ready", "raedy": "ready", "redy": "ready", "arhcived": "archived",
		"notcolected": "notCollected", "until": "until-idle", "untilidle": "until-idle",
		"arch": "archived", "waitingfor": "waiting", "lost": "", "": "", "al": "all", "xy": "", "ax": "", "stolen": "",
	} {
		if got := suggest.Word(word, choices); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
	if got := suggest.Question("lits", "--", []string{"list"}); got != ": did you mean --list?" {
		t.Errorf("got %q", got)
	}
	if got := suggest.Question("x", "", choices); got != "" {
		t.Errorf("got %q", got)
	}
}
