package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// inProcess runs a command line that should end before starting any work.
func inProcess(environ []string, args ...string) outcome {
	var stdout, stderr bytes.Buffer
	code := Main{Environ: environ, Stdout: &stdout, Stderr: &stderr}.Run(args)
	return outcome{code, stdout.String(), stderr.String()}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{}, {"--help"}, {"-h"}, {"run", "--help"}, {"simulate", "--help"}, {"help", "run"},
		{"verify", "--help"}, {"custody", "--help"}, {"doctor", "--help"}, {"list", "--help"}, {"show", "--help"}, {"get", "--help"},
		{"export", "--help"}, {"status", "--help"}, {"public-key", "--help"},
	} {
		got := inProcess(nil, args...)
		if got.code != exitDone || got.stderr != "" {
			t.Errorf("%q: exit %d, %q", args, got.code, got.stderr)
		}
		for _, want := range []string{"Usage:\n  packhorse", "Examples:\n  packhorse"} {
			if !strings.Contains(got.stdout, want) {
				t.Errorf("%q: %q is missing in %s", args, want, got.stdout)
			}
		}
	}
	if got := inProcess(nil, "--version"); got.code != exitDone || !strings.Contains(got.stdout, version) {
		t.Errorf("--version: %+v", got)
	}
}

// exampleForm finds the command lines in an example: up to a pipe, a redirection, or the two spaces
// before the explanation.
var exampleForm = regexp.MustCompile(`packhorse ((?:[^ |>;\n]+ ?)+)`)

// TestExamples: every command line in the examples must parse.
func TestExamples(t *testing.T) {
	t.Parallel()
	root := Main{}.command()
	root.InitDefaultHelpCmd()
	seen := 0
	for _, cmd := range append(root.Commands(), root) {
		for _, match := range exampleForm.FindAllStringSubmatch(cmd.Example, -1) {
			seen++
			found, rest, err := root.Find(strings.Fields(match[1]))
			if err == nil {
				err = found.ParseFlags(rest)
			}
			if err != nil && !errors.Is(err, pflag.ErrHelp) {
				t.Errorf("%q does not parse: %v", match[0], err)
			}
			if found.Args != nil && found.Args(found, found.Flags().Args()) != nil {
				t.Errorf("%q has invalid arguments", match[0])
			}
		}
	}
	if seen < 7 {
		t.Errorf("only %d examples were found", seen)
	}
}

// TestEveryFlagIsExplained also keeps placeholders out of the text: pflag shows the word between
// back quotes as the flag's value.
func TestEveryFlagIsExplained(t *testing.T) {
	t.Parallel()
	for _, cmd := range (Main{}).command().Commands() {
		if cmd.Short == "" || cmd.Long == "" || cmd.Example == "" {
			t.Errorf("%s lacks help text", cmd.Name())
		}
		checkFlags(t, cmd)
	}
}

func checkFlags(t *testing.T, cmd *cobra.Command) {
	t.Helper()
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		if name, _ := pflag.UnquoteUsage(flag); flag.Usage == "" ||
			(name != "" && name != strings.ToUpper(name) && !strings.Contains(name, "SIZE") &&
				flag.Value.Type() != "int" && flag.Value.Type() != "uint64") {
			t.Errorf("%s --%s: value %q, %q", cmd.Name(), flag.Name, name, flag.Usage)
		}
	})
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"fly"}, `unknown command "fly"`},
		{[]string{"lsit"}, `unknown command "lsit" for "packhorse": did you mean list?`},
		{[]string{"veri"}, `did you mean verify?`},
		{[]string{"list", "--mashine", "x"}, "unknown flag: --mashine: did you mean --machine?"},
		{[]string{"run", "--until"}, "unknown flag: --until: did you mean --until-idle?"},
		{[]string{"run", "--qiet"}, "unknown flag: --qiet: did you mean --quiet?"},
		{[]string{"list", "--state", "notcolected"}, ": did you mean notCollected?"},
		{[]string{"verify", "--require", "signatur"}, ": did you mean signature?"},
		{[]string{"run", "--log-level", "warning"}, "write one of debug, info, warn, error: did you mean warn?"},
		{[]string{"run", "--log-format", "xml"}, "write one of text, json"},
		{[]string{"man"}, "accepts 1 arg"},
		{[]string{"version", "now"}, `unknown command "now"`},
		{[]string{"--fly"}, "unknown flag: --fly"},
		{[]string{"run", "now"}, `unknown command "now"`},
		{[]string{"run", "--fly"}, "unknown flag: --fly"},
		{[]string{"run", "--simulate"}, "flag needs an argument"},
		{[]string{"run", "--simulate", "two"}, `"two"`},
		{[]string{"run", "--simulate", "-1"}, "--simulate must be 1 or more"},
		{[]string{"run", "--simulate", "0"}, "--simulate must be 1 or more"},
		{[]string{"run", "--simulate=0", "--until-idle"}, "--simulate must be 1 or more"},
		{[]string{"run", "--until-idle=perhaps"}, `"perhaps"`},
		{[]string{"run", "--package-size", "2GiB"}, "--package-size requires --simulate"},
		{[]string{"run", "--seed", "7"}, "--seed requires --simulate"},
		{[]string{"run", "--simulate", "1", "--package-size", "2GB"}, "invalid size"},
		{[]string{"run", "--s3-endpoint", "http://127.0.0.1:1"}, "--s3-endpoint requires --bucket"},
		{[]string{"simulate", "here"}, `unknown command "here"`},
		{[]string{"verify", "a", "b"}, "accepts at most 1 arg"},
		{[]string{"verify", "a", "--all"}, "mutually exclusive"},
		{[]string{"verify", "--all", "--tenant", "x"}, "mutually exclusive"},
		{[]string{"verify", "--tenant", "contoso"}, "--tenant: \"contoso\" is neither a GUID"},
		{[]string{"verify", "--from", "s3://"}, "lacks a bucket name"},
		{[]string{"verify", "--s3-endpoint", "http://127.0.0.1:1"}, "--s3-endpoint requires --from"},
		{[]string{"custody"}, "accepts 1 arg"},
		{[]string{"list", "--newest-pair"}, "--newest-pair requires --machine"},
		{[]string{"list", "--ledger", "t"}, "--ledger requires --tenant"},
		{[]string{"list", "--state", "lost"}, "unknown state \"lost\": write one of waiting"},
		{[]string{"list", "--since", "yesterday"}, "--since: invalid time \"yesterday\""},
		{[]string{"public-key", "now"}, `unknown command "now"`},
		{[]string{"simulate", "--listen", "8443"}, "invalid --listen address"},
		{[]string{"simulate", "--listen", "127.0.0.1:https"}, "invalid --listen address"},
		{[]string{"simulate", "--listen", "127.0.0.1:65536"}, "invalid --listen address"},
		{[]string{"simulate", "--actions", "-1"}, "--actions must be 0 or more"},
		{[]string{"simulate", "--seed", "x"}, `"x"`},
	} {
		got := inProcess(nil, c.args...)
		if got.code != exitUsage || got.stdout != "" || len(lines(got.stderr)) != 1 {
			t.Errorf("%q: got exit %d, %q and %q, want exit 2 and one line",
				c.args, got.code, got.stdout, got.stderr)
		}
		for _, want := range []string{"packhorse: ", c.says, "(see packhorse ", " --help)"} {
			if !strings.Contains(got.stderr, want) && c.args[0] != "fly" && c.args[0] != "--fly" {
				t.Errorf("%q: %q does not say %q", c.args, got.stderr, want)
			}
		}
	}
}

func TestBadSettings(t *testing.T) {
	t.Parallel()
	const secret = "Zq8~canary.Secret-Value_0123456789abcdef"
	for name, c := range map[string]struct {
		environ []string
		wrong   []string
	}{
		"none": {nil, []string{"DEFENDER_TENANT_ID", "DEFENDER_CLIENT_ID", "DEFENDER_CLIENT_SECRET", "advice:"}},
		"many": {
			[]string{"DEFENDER_TENANT_ID=contoso", "DEFENDER_CLIENT_ID=" + secret,
				"DEFENDER_CLIENT_SECRET=" + secret + " ", "DEFENDER_CLOUD=moon",
				"DEFENDER_API_URL=http://x.example/?sig=" + secret, "LOOKBACK=7d", "SWEEP_INTERVAL=1s",
				"PACKAGE_URI_PER_MINUTE=3"},
			[]string{"DEFENDER_TENANT_ID", "DEFENDER_CLIENT_ID", "DEFENDER_CLOUD", "DEFENDER_API_URL",
				"DEFENDER_CLIENT_SECRET", "PACKAGE_URI_PER_MINUTE", "LOOKBACK", "SWEEP_INTERVAL"},
		},
	} {
		for _, mode := range [][]string{{}, {"--json"}, {"--until-idle"}} {
			data := filepath.Join(t.TempDir(), "data")
			got := inProcess(c.environ, append([]string{"run", "--data", data}, mode...)...)
			var named []string
			for _, line := range lines(got.stderr)[1:] {
				variable, _, _ := strings.Cut(strings.TrimSpace(line), " ")
				named = append(named, variable)
			}
			if got.code != exitUsage || got.stdout != "" || !slices.Equal(named, c.wrong) {
				t.Errorf("%s: got exit %d, %q, and named %q, want exit 2 and %q",
					name, got.code, got.stdout, named, c.wrong)
			}
			if strings.Contains(got.stderr, secret) {
				t.Errorf("%s: the secret was printed: %s", name, got.stderr)
			}
			if _, err := os.Stat(data); err == nil {
				t.Errorf("%s: the data folder was created", name)
			}
		}
	}
}
