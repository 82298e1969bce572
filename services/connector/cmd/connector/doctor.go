package main

import (
	"context"
	"errors"
	"flag"

	"github.com/concord-suite/concord/platform/boot"
	"github.com/concord-suite/concord/services/connector"
)

// doctor is the command that looks at connections.
func doctor() boot.Tool {
	return boot.Tool{
		Word: "doctor",
		Help: "look at every connection from all sides; --firm ID, --connection ID and --json",
		Flags: func(f *flag.FlagSet) boot.ToolRun {
			var run examination
			run.Register(f)
			return &run
		},
	}
}

type examination struct{ connector.Examination }

// Run implements boot.ToolRun.
func (e *examination) Run(ctx context.Context, env boot.ToolEnv) (bool, error) {
	cfg, ok := env.Config.(*connector.Config)
	if !ok {
		return false, errors.New("the settings are another service's")
	}
	return connector.Doctor(ctx, *cfg, connector.Deps{DB: env.DB, Vault: env.Vault, Logger: env.Logger}, e.Examination, env.Out)
}
