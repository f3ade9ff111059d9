package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"packhorse/cmd/packhorse/build"
	"packhorse/internal/settings"
)

// TestDataDefault: PACKHORSE_DATA is the default of every --data flag, and the flag wins.
func TestDataDefault(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, cmd := range (Main{Environ: []string{"PACKHORSE_DATA=/somewhere"}}).command().Commands() {
		flag := cmd.Flags().Lookup("data")
		if flag == nil {
			continue
		}
		seen++
		if flag.DefValue != "/somewhere" || flag.Value.String() != "/somewhere" || flag.Changed {
			t.Errorf("%s: got %q and %q", cmd.Name(), flag.DefValue, flag.Value)
		}
	}
	if seen < 5 {
		t.Errorf("only %d commands have --data", seen)
	}
	environ := []string{"PACKHORSE_DATA=" + filepath.Join(t.TempDir(), "there")}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"list"}, "no ledger found in " + strings.TrimPrefix(environ[0], "PACKHORSE_DATA=")},
		{[]string{"list", "--data", "/elsewhere"}, "no ledger found in /elsewhere"},
	} {
		if got := inProcess(environ, c.args...); got.code != exitFailed || !strings.Contains(got.stderr, c.want) {
			t.Errorf("%q: got %+v, want %q", c.args, got, c.want)
		}
	}
}

// TestDataOfASimulation: the variable also names the folder of a simulation, and an empty one counts as unset.
func TestDataOfASimulation(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "simulated")
	got := packhorse(t, []string{"PACKHORSE_DATA=" + data}, "run", "--simulate", "1", "--package-size", "1KiB",
		"--until-idle", "-q")
	if got.code != exitDone || got.stderr != "" || !strings.Contains(got.stdout, "Judge: PASS") {
		t.Errorf("got %+v, want the table only", got)
	}
	if _, err := os.Stat(filepath.Join(data, "packhorse.db")); err != nil {
		t.Error(err)
	}
	if got := inProcess([]string{"PACKHORSE_DATA="}, "list"); !strings.Contains(got.stderr, "in packhorse-data") {
		t.Errorf("empty: got %+v", got)
	}
}

// TestQuiet: no advice, but errors.
func TestQuiet(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-q", "list"}, {"list", "--quiet"}} {
		got := inProcess(nil, append(args, "--data", "/nowhere")...)
		if got.code != exitFailed || got.stderr != "packhorse: no ledger found in /nowhere\n" {
			t.Errorf("%q: got %+v", args, got)
		}
	}
	if got := inProcess(nil, "list", "--data", "/nowhere"); !strings.Contains(got.stderr, "\nadvice: ") {
		t.Errorf("got %+v, want advice", got)
	}
}

// TestLogFlags: the flags decide which lines are logged, and how.
func TestLogFlags(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "level=WARN msg=w\nlevel=ERROR msg=e\n"},
		{[]string{"--log-level", "error"}, "level=ERROR msg=e\n"},
		{[]string{"--log-level=info"}, "level=INFO msg=i\nlevel=WARN msg=w\nlevel=ERROR msg=e\n"},
		{[]string{"--log-level=debug"}, "level=DEBUG msg=d\nlevel=INFO msg=i\nlevel=WARN msg=w\nlevel=ERROR msg=e\n"},
		{[]string{"--log-format", "json", "--log-level", "error"}, `{"level":"ERROR","msg":"e"}` + "\n"},
	} {
		root := Main{}.command()
		cmd, _, err := root.Find([]string{"run"})
		if err == nil {
			err = cmd.ParseFlags(c.args)
		}
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		logger := newLogger(cmd, &out)
		for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
			logger.Log(context.Background(), level, strings.ToLower(level.String()[:1]))
		}
		got := regexp.MustCompile(`time=\S+ |"time":"[^"]+",`).ReplaceAllString(out.String(), "")
		if got != c.want {
			t.Errorf("%q: got %q, want %q", c.args, got, c.want)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	got := inProcess(nil, "version")
	if got.code != exitDone || !strings.HasPrefix(got.stdout, "packhorse "+buildFacts().Version+"\ncommit ") {
		t.Errorf("got %+v", got)
	}
	var facts build.Facts
	got = inProcess(nil, "version", "--json")
	if err := json.Unmarshal([]byte(got.stdout), &facts); err != nil || facts != buildFacts() || facts.Go == "" {
		t.Errorf("got %q, %v", got.stdout, err)
	}
}

// TestSettingsTopic: the help page has every variable that package settings reads, and those of this program.
func TestSettingsTopic(t *testing.T) {
	t.Parallel()
	got := inProcess(nil, "help", "settings")
	if got.code != exitDone {
		t.Fatalf("got %+v", got)
	}
	for _, v := range settings.Variables() {
		if strings.Count(got.stdout, "\n  "+v.Name+"\n") != 1 {
			t.Errorf("%s is missing", v.Name)
		}
	}
	for _, name := range []string{variableData, variableNoColor, variableTerm} {
		if !strings.Contains(got.stdout, "\n  "+name+"\n") {
			t.Errorf("%s is missing", name)
		}
	}
	run := inProcess(nil, "run", "--help").stdout
	if !strings.Contains(run, "packhorse help settings") || !strings.Contains(inProcess(nil).stdout, "settings") {
		t.Error("nothing leads to the page")
	}
}

// all returns the command and those below it.
func all(cmd *cobra.Command) []*cobra.Command {
	commands := []*cobra.Command{cmd}
	for _, sub := range cmd.Commands() {
		commands = append(commands, all(sub)...)
	}
	return commands
}

// TestFlagsInTexts: every command has a long text and examples, and every flag that these name exists: in the
// command itself or, where the text is about another command, in that one.
func TestFlagsInTexts(t *testing.T) {
	t.Parallel()
	root := Main{}.command()
	known := map[string]bool{"--help": true, "--version": true}
	for _, cmd := range all(root) {
		cmd.Flags().VisitAll(func(flag *pflag.Flag) { known["--"+flag.Name] = true })
	}
	root.PersistentFlags().VisitAll(func(flag *pflag.Flag) { known["--"+flag.Name] = true })
	others := regexp.MustCompile(`(?m)^ *aws .*$`) // another program's command
	names := regexp.MustCompile(`--[a-z][a-z0-9-]*`)
	seen := 0
	for _, cmd := range all(root) {
		if len(cmd.Long) < 100 || cmd.Short == "" || cmd.Example == "" {
			t.Errorf("%s lacks a text", cmd.Name())
		}
		for _, name := range names.FindAllString(others.ReplaceAllString(cmd.Long+"\n"+cmd.Example, ""), -1) {
			seen++
			if !known[name] {
				t.Errorf("%s names %s, which no command has", cmd.Name(), name)
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d flags were found", seen)
	}
}

// TestManuals: every command has a man page with its text, flags and examples, and each shell a completion. They
// are the same each time.
func TestManuals(t *testing.T) {
	t.Parallel()
	var before map[string]string
	for range 2 {
		dir := t.TempDir()
		if got := inProcess(nil, "man", dir); got.code != exitDone || got.stdout+got.stderr != "" {
			t.Fatalf("got %+v", got)
		}
		files := map[string]string{}
		err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			files[strings.TrimPrefix(path, dir+"/")] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range files {
			if before != nil && before[name] != text {
				t.Errorf("%s differs each time", name)
			}
		}
		before = files
	}
	for _, cmd := range all(Main{}.command()) {
		name := "man1/" + strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
		if cmd.Hidden || !cmd.Runnable() {
			continue
		}
		page := before[name]
		for _, want := range []string{".TH ", ".SH NAME", ".SH DESCRIPTION", ".SH OPTIONS", ".SH EXAMPLE"} {
			if !strings.Contains(page, want) {
				t.Errorf("%s lacks %s", name, want)
			}
		}
		cmd.LocalFlags().VisitAll(func(flag *pflag.Flag) {
			if !flag.Hidden && !strings.Contains(strings.ReplaceAll(page, `\-`, "-"), "--"+flag.Name) {
				t.Errorf("%s lacks --%s", name, flag.Name)
			}
		})
	}
	for _, want := range []string{"DIR/s3/<bucket>/<key>", "\n  DEFENDER_CLIENT_ID      the app"} {
		if page := strings.ReplaceAll(before["man1/packhorse-run.1"], `\-`, "-"); !strings.Contains(page, want) {
			t.Errorf("the page of run lacks %q: %s", want, page[:2000])
		}
	}
	shells := []string{"completions/packhorse.bash", "completions/_packhorse", "completions/packhorse.fish"}
	for _, shell := range shells {
		if !strings.Contains(before[shell], "packhorse") {
			t.Errorf("%s is missing", shell)
		}
	}
}
