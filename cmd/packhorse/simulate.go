package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"packhorse/cmd/packhorse/simulation"
	"packhorse/internal/tenant"
)

// simulateOptions are the flags of `packhorse simulate`.
type simulateOptions struct {
	listen      string
	actions     int
	packageSize simulation.Sizes
	seed        uint64
	caFile      string
	credential  tenant.Kind

	certificateFile string
}

func simulateCommand() *cobra.Command {
	var o simulateOptions
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Serve a simulated Defender tenant, for other clients",
		Long: `Simulate serves the Defender simulator over TLS on two ports: the API and token endpoint on one, the
download host on the next. With port 0 the system picks both. It prints the environment variables a
client needs and serves until interrupted.

The same seed always gives the same ids, hosts and packages. The first action of seed 1 is the one in
events/fetch-package.json, and its package is ready at once.

GET /_sim/verdict returns the judge's verdict, PUT /_sim/faults sets fault switches, and POST
/_sim/actions adds an action.`,
		Example: `  packhorse simulate --actions 10 --ca-file ca.pem > simulator.env
  set -a; . ./simulator.env; set +a; DEFENDER_CA_PEM="$(cat ca.pem)" packhorse run --until-idle`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			host, port, err := net.SplitHostPort(o.listen)
			number, portErr := strconv.ParseUint(port, 10, 16)
			if err != nil || portErr != nil {
				return usage(cmd, fmt.Errorf(
					"invalid --listen address %q: write host:port, such as 127.0.0.1:8443", o.listen))
			}
			if !slices.Contains(tenant.Kinds(), o.credential) {
				return usage(cmd, fmt.Errorf("unknown --credential %.40q: write federated, certificate or secret", o.credential))
			}
			if o.actions < 0 {
				return usage(cmd, errors.New("--actions must be 0 or more"))
			}
			return serveSimulation(cmd, o, host, number)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.listen, "listen", "127.0.0.1:0", "`ADDRESS` of the API; the download host uses the next port")
	flags.IntVar(&o.actions, "actions", 4, "number of actions in the tenant")
	flags.Var(&o.packageSize, "package-size", "sizes of the packages, used in turn: `SIZE`[,SIZE…], such as 2GiB")
	flags.Uint64Var(&o.seed, "seed", 1, "random seed for ids, hosts and packages")
	flags.StringVar((*string)(&o.credential), "credential", string(tenant.ClientSecret),
		"how the app proves who it is: `KIND` federated, certificate or secret")
	flags.StringVar(&o.certificateFile, "certificate-file", simulation.CertificateFile,
		"with --credential certificate, write the certificate and its key to this `FILE`")
	flags.StringVar(&o.caFile, "ca-file", "", "write the root certificate to this `FILE`")
	return cmd
}

// serveSimulation runs `packhorse simulate`.
func serveSimulation(cmd *cobra.Command, o simulateOptions, host string, port uint64) (err error) {
	next := "0"
	if port != 0 {
		next = strconv.FormatUint(port+1, 10)
	}
	plan := simulation.Plan{
		Seed: o.seed, StartedAt: time.Now().UTC(), Actions: o.actions, Sizes: o.packageSize,
	}
	tenant, err := simulation.Serve(cmd.Context(), o.listen, net.JoinHostPort(host, next), plan, o.credential, o.certificateFile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tenant.Close()) }()
	if o.caFile != "" {
		err = os.WriteFile(o.caFile, tenant.RootPEM(), 0o600)
		if err != nil {
			return fmt.Errorf("write the root certificate: %w", err)
		}
	}
	fmt.Fprintln(cmd.OutOrStdout(), strings.Join(tenant.Environ(), "\n"))
	fmt.Fprintf(cmd.ErrOrStderr(), "serving the simulator on %s; press Ctrl-C to stop\n", tenant.APIURL())
	<-cmd.Context().Done()
	return nil
}
