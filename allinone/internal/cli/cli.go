// Package cli is the command line of the all-in-one.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/concord-suite/concord/allinone/internal/node"
	"github.com/concord-suite/concord/platform/config"
	"github.com/concord-suite/concord/platform/telemetry"
)

const usage = `usage: concord COMMAND [FLAGS]
  run            the suite with a simulated upstream world, doing the main job before your eyes
  serve          the suite for a real practice
  connections doctor
                 look at the connections to providers from all sides, with --firm ID, --connection ID, --json
  events list    list the events that a service put aside because they could not take effect
  events retry ID, events discard ID
                 try one again, or never, with --service NAME --by NAME --reason TEXT
  keys status    list the keys that seal secrets, and how many rows are under each
  keys rotate    replace them beside the running suite; goes on where it stopped
  keys retire, keys wrap, keys unwrap
                 remove old keys; encrypt the keyring with a key in a KMS, or write it in plain
  audit export   write a firm's audit ledger into a signed file, with --firm FIRM --out FILE
  audit verify [FILE]
                 check such a file, on any machine; without one, the ledgers of --data-dir DIR
  audit follow   copy entries of the ledger as lines of JSON as they come, with --state FILE
  evidence       write what a security assessor asks for about a firm, with --firm FIRM, --scan https://HOST
  operator recover
                 make a recovery code for an operator who lost every factor, once and for a day, with --email ADDRESS
  config check   check the settings of every service, and end
  config print   print the settings in force, secrets left out
  config doc     print a table of all settings
  version        print which code this is
concord COMMAND -h lists the flags of a command.
`

// Exit codes.
const (
	exitOK       = 0
	exitFailed   = 1
	exitSettings = 2 // wrong flags or settings; nothing was created
)

// process is what the system gave.
type process struct {
	environ  []string
	out, err io.Writer
}

// Run does what the arguments say and answers the exit code.
func Run(ctx context.Context, args, environ []string, out, errs io.Writer) int {
	p := process{environ: environ, out: out, err: errs}
	command, rest := "", []string(nil)
	if len(args) > 0 {
		command, rest = args[0], args[1:]
	}
	if text := usageOf(command, rest); text != "" {
		fmt.Fprint(out, text)
		return exitOK
	}
	var err error
	switch command {
	case "run":
		err = p.run(ctx, rest)
	case "serve":
		err = p.serve(ctx, rest)
	case "config":
		err = p.config(rest)
	case "events":
		err = p.events(ctx, rest)
	case "connections":
		err = p.connections(ctx, rest)
	case "audit":
		err = p.audit(ctx, rest)
	case "evidence":
		err = p.evidence(ctx, rest)
	case "operator":
		err = p.operator(ctx, rest)
	case "keys":
		err = p.keys(ctx, rest)
	case "version":
		fmt.Fprintln(out, telemetry.ReadBuild())
	case "help", "-h", "--help":
		fmt.Fprint(out, usage)
	case "":
		fmt.Fprint(errs, usage)
		return exitSettings
	default:
		err = &wrongUsage{fmt.Sprintf("no command %q; concord help lists them", command)}
	}
	return p.explain(err)
}

// wrongUsage is a mistake in the arguments.
type wrongUsage struct{ text string }

func (w *wrongUsage) Error() string { return w.text }

// explain says what went wrong and answers the exit code.
func (p process) explain(err error) int {
	var mistakes config.Mistakes
	var wrong *wrongUsage
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errUnwell): // the command has said what
		return exitFailed
	case errors.As(err, &mistakes):
		for _, mistake := range mistakes {
			fmt.Fprintf(p.err, "concord: %s\n", mistake)
		}
		return exitSettings
	case errors.As(err, &wrong):
		fmt.Fprintf(p.err, "concord: %s\n", wrong.text)
		return exitSettings
	case errors.Is(err, syscall.EADDRINUSE):
		fmt.Fprintf(p.err, "concord: %v: another program listens there; choose another address\n", err)
	case errors.Is(err, syscall.ENOSPC):
		fmt.Fprintf(p.err, "concord: the disk is full: %v\n", err)
	default:
		fmt.Fprintf(p.err, "concord: %v\n", err)
	}
	return exitFailed
}

// common are the flags of serve and run.
type common struct {
	dataDir, httpAddr, grpcAddr, file, logLevel, kms string
}

func (c *common) register(f *flag.FlagSet, dataDir, grpcAddr, logLevel string) {
	f.StringVar(&c.dataDir, "data-dir", dataDir, "the directory that keeps everything")
	f.StringVar(&c.httpAddr, "http-addr", "127.0.0.1:8080", "where REST is answered, host:port")
	f.StringVar(&c.grpcAddr, "grpc-addr", grpcAddr, "where gRPC is answered, a loopback host:port; empty for nowhere")
	registerKMS(f, &c.kms)
	f.StringVar(&c.file, "config", "", "a YAML file with the settings, one section per service")
	f.StringVar(&c.logLevel, "log-level", logLevel, strings.Join(logLevels, ", "))
}

func (c *common) node(environ []string, log io.Writer) node.Config {
	return node.Config{
		DataDir: c.dataDir, HTTPAddr: c.httpAddr, GRPCAddr: c.grpcAddr, Environ: environ, File: c.file, KMS: c.kms, Log: log,
		Now:       time.Now,
		Telemetry: telemetry.Config{LogLevel: c.logLevel, LogFormat: "text"},
	}
}
