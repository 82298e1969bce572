package main

import (
	"context"
	"errors"
	"flag"

	"github.com/concord-suite/concord/platform/boot"
	"github.com/concord-suite/concord/services/auth"
)

// tools are the commands about the audit ledger, the evidence of a firm, and operators who have lost every factor.
func tools() []boot.Option {
	var options []boot.Option
	for _, t := range []boot.Tool{
		{Word: "audit export", Help: "write a firm's audit ledger into a signed file; --firm FIRM, --out FILE, --from N",
			Flags: func(f *flag.FlagSet) boot.ToolRun { return register(&export{}, f) }},
		{Word: "audit verify", Help: "check such a FILE, on any machine, or without one the ledgers of the database; --firm, --key",
			Flags: func(f *flag.FlagSet) boot.ToolRun { return register(&verify{}, f) }},
		{Word: "audit follow", Help: "copy entries as lines of JSON as they come; --state FILE, --out FILE, --firm FIRM, --once",
			Flags: func(f *flag.FlagSet) boot.ToolRun { return register(&follow{}, f) }},
		{Word: "evidence", Help: "write the evidence an assessor asks for; --firm FIRM, --out FOLDER, --scan https://host",
			Flags: func(f *flag.FlagSet) boot.ToolRun { return register(&evidence{}, f) }},
		{Word: "operator recover", Help: "make a recovery code for an operator who lost every factor, once and for a day; --email ADDRESS",
			Flags: func(f *flag.FlagSet) boot.ToolRun { return register(&recovery{}, f) }},
	} {
		options = append(options, boot.WithTool(t))
	}
	return options
}

func register[T interface {
	boot.ToolRun
	Register(*flag.FlagSet)
}](run T, f *flag.FlagSet) boot.ToolRun {
	run.Register(f)
	return run
}

func deps(env boot.ToolEnv) auth.Deps {
	return auth.Deps{DB: env.DB, Vault: env.Vault, Logger: env.Logger}
}

type export struct{ auth.LedgerExport }

// Run implements boot.ToolRun.
func (e *export) Run(ctx context.Context, env boot.ToolEnv) (bool, error) {
	return true, e.LedgerExport.Run(ctx, deps(env), env.Out)
}

type verify struct{ auth.LedgerCheck }

// Argue implements boot.Argued.
func (v *verify) Argue(file string) { v.File = file }

// Detached implements boot.Detached: a file is checked without the suite.
func (v *verify) Detached() bool { return v.File != "" }

// Run implements boot.ToolRun.
func (v *verify) Run(ctx context.Context, env boot.ToolEnv) (bool, error) {
	return v.LedgerCheck.Run(ctx, deps(env), env.Out)
}

type follow struct{ auth.LedgerFollow }

// Run implements boot.ToolRun.
func (l *follow) Run(ctx context.Context, env boot.ToolEnv) (bool, error) {
	return true, l.LedgerFollow.Run(ctx, deps(env), env.Out)
}

type evidence struct{ auth.EvidenceRequest }

// errSettings is a mistake in this program.
var errSettings = errors.New("the settings are another service's")

// Run implements boot.ToolRun.
func (e *evidence) Run(ctx context.Context, env boot.ToolEnv) (bool, error) {
	cfg, ok := env.Config.(*auth.Config)
	if !ok {
		return false, errSettings
	}
	return auth.WriteEvidence(ctx, *cfg, deps(env), e.EvidenceRequest, env.Out)
}

type recovery struct{ auth.OperatorRecovery }

// Run implements boot.ToolRun.
func (r *recovery) Run(ctx context.Context, env boot.ToolEnv) (bool, error) {
	cfg, ok := env.Config.(*auth.Config)
	if !ok {
		return false, errSettings
	}
	return true, r.OperatorRecovery.Run(ctx, *cfg, deps(env), env.Out)
}
