package main

import "regexp"

// capture is one command line to show. Those with the same environment run in the same working directory, in
// this order.
type capture struct {
	name string // of its files in docs/captures
	line string // as a shell gets it
	exit int    // the code it ends with

	before string // a line that the shell gets first, and whose output nobody sees

	// tenant gives the command the settings of a simulated tenant that another process serves, as if it were
	// a real one.
	tenant bool
	// environ is more of the environment, as "NAME=value".
	environ []string
	// midway, if set, is taken of the same process as soon as the screen matches.
	midway *midway
}

// midway is a picture of a screen that is still being drawn.
type midway struct {
	name string
	when *regexp.Regexp // in what the screen shows
	stop bool           // the command ends only when it is interrupted
}

// The captures of one data folder. The seed gives the simulated tenant the same ids and hosts every time;
// events/fetch-package.json has the first of them. Times, speeds, digests and keys differ.
var captures = []capture{
	{name: "help", line: "packhorse help"},
	{name: "version", line: "packhorse version"},
	{name: "doctor", line: "packhorse doctor", tenant: true, environ: real},
	{name: "run", line: "packhorse run --simulate 4 --seed 1 --until-idle"},
	{name: "run-json", line: "packhorse run --simulate 4 --seed 1 --until-idle --json --data another | head -1"},
	{name: "list", line: "packhorse list"},
	{name: "list-wide", line: "packhorse list --wide"},
	{name: "list-json", line: "packhorse list --json | head -1"},
	{name: "list-host", line: "packhorse list fin-ws-19"},
	{name: "show", line: "packhorse show " + first},
	{name: "show-file", line: "packhorse show " + first + " Processes/Processes.csv | sha256sum"},
	{name: "status", line: "packhorse status"},
	{name: "get", line: "packhorse get " + first + " -o evidence"},
	{name: "export", line: "packhorse export --case INC-8773 -o INC-8773.zip"},
	{name: "verify", line: "packhorse verify"},
	{name: "custody", line: "packhorse custody " + first},
	{name: "public-key", line: "packhorse public-key"},
	{name: "simulate", line: "packhorse simulate", midway: &midway{
		name: "simulate", stop: true, when: regexp.MustCompile("press Ctrl-C"),
	}},
	{name: "man", line: "packhorse man manuals && ls manuals | head -5"},
	{name: "completion", line: "packhorse __complete show fin 2>/dev/null"},
	{name: "help-completion", line: "packhorse help completion"},

	// A queue: a run in the middle, and what it left when it was interrupted.
	{name: "run-midway", line: "packhorse run --simulate 12 --seed 6 --package-size 1GiB --data queue", midway: &midway{
		name: "run-midway", stop: true,
		when: regexp.MustCompile(`(\n[^\n]*━{4}[^\n]* of 1.0 GiB[^\n]*){2}\n\d+ queued`),
	}},
	{name: "status-queue", line: "packhorse status --data queue"},
	{name: "status-watch", line: "packhorse status --watch --data queue", midway: &midway{
		name: "status-watch", stop: true, when: regexp.MustCompile(`queued`),
	}},

	// Many tenants: simulated ones, and then registered ones in a data folder of their own, whose app they share.
	{name: "run-tenants", line: "packhorse run --simulate 8 --tenants 3 --seed 1 --until-idle --data simulated"},
	{name: "tenant-add", line: "packhorse tenant add " + contoso + " --name Contoso --no-check", environ: customers},
	{
		name: "tenant-list", line: "packhorse tenant list", environ: customers,
		before: "packhorse tenant add 9c4f1f0e-6d35-4d1c-8c55-0a7f5f1e2b02 --name Fabrikam --no-check",
	},
	{name: "tenant-show", line: "packhorse tenant show Contoso", environ: customers},
	{name: "tenant-consent", line: "packhorse tenant consent Contoso", environ: customers},
	{name: "tenant-suspend", line: "packhorse tenant suspend Fabrikam", environ: customers},
	{name: "tenant-resume", line: "packhorse tenant resume Fabrikam", environ: customers},
	{
		name: "status-tenants", line: "packhorse status", environ: customers,
		before: `for n in 10 11 12 13 14 15 16 17 18 19 20 21; do packhorse tenant add ` +
			`9c4f1f0e-6d35-4d1c-8c55-0a7f5f1e2b$n --name "Customer $n" --no-check; done; packhorse tenant suspend Fabrikam`,
	},
	{name: "status-tenant", line: "packhorse status --tenant Contoso", environ: customers},
	{name: "tenant-mistyped", line: "packhorse list --tenant Contosso", exit: 2, environ: customers},
	{name: "tenant-remove", line: "packhorse tenant remove Fabrikam", environ: customers},

	{name: "help-run", line: "packhorse help run"},
	{name: "help-list", line: "packhorse help list"},
	{name: "help-credential-certificate", line: "packhorse help credential certificate"},
	{name: "help-credentials", line: "packhorse help credentials"},
	{name: "help-settings", line: "packhorse help settings"},
	{name: "ambiguous", line: "packhorse show fin-ws-16 --data queue", exit: 1},
	{name: "mistyped-command", line: "packhorse verfy", exit: 2},
	{name: "mistyped-flag", line: "packhorse list --machin fin-ws-19", exit: 2},
	{name: "wrong-setting", line: "packhorse run", exit: 2, environ: append(real,
		"DEFENDER_TENANT_ID=contoso.com", "DEFENDER_CLIENT_ID=2b7e1516-28ae-4d2a-abf7-158809cf4f3c", "LOOKBACK=7d",
	)},
}

// real is the environment of somebody with a real tenant: a data folder of its own.
var real = []string{"PACKHORSE_DATA=packhorse-data"}

// customers is the environment of somebody who serves several tenants with one app.
var customers = []string{
	"PACKHORSE_DATA=customers", "DEFENDER_CLIENT_ID=2b7e1516-28ae-4d2a-abf7-158809cf4f3c", "DEFENDER_CREDENTIAL=federated",
	"AWS_REGION=eu-north-1",
}

// contoso is the id of one of them.
const contoso = "9c4f1f0e-6d35-4d1c-8c55-0a7f5f1e2b01"

// first is the short id of the first action of seed 1.
const first = "5803a2c9"
