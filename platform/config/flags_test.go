package config_test

import (
	"flag"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/config"
)

func flags() *flag.FlagSet {
	f := flag.NewFlagSet("serve", flag.ContinueOnError)
	f.String("addr", "", "")
	f.Int("clients", 7, "")
	f.Bool("exit", false, "")
	f.Duration("grace", time.Second, "")
	return f
}

func TestParseFlagsNamesAllMistakes(t *testing.T) {
	err := config.ParseFlags(flags(), []string{
		"--clients", "many", "--colour", "red", "--exit=perhaps", "now", "---x", "--grace", "long", "--addr", "a", "--addr",
	})
	require.EqualError(t, err, `--clients: must be a whole number, not "many"
--colour: is not a flag; -h lists them
--exit: must be true or false, not "perhaps"
serve takes no argument "now"
bad flag syntax: ---x
--grace: must be a duration like 90s or 5m, not "long"
--addr: needs a value`)
	require.ErrorAs(t, err, new(config.Mistakes))
}

func TestParseFlags(t *testing.T) {
	f := flags()
	require.NoError(t, config.ParseFlags(f, []string{"-addr", "a", "--clients=3"}))
	require.Equal(t, "a", f.Lookup("addr").Value.String())
	require.NoError(t, config.ParseFlags(flags(), nil))
	require.ErrorIs(t, config.ParseFlags(flags(), []string{"--colour", "-h"}), flag.ErrHelp)
}

// A variable of no part is refused; those of other parts, and those that others put there, are not.
func TestCheckParts(t *testing.T) {
	require.NoError(t, config.CheckParts([]string{
		"PATH=/bin", "CONCORD_AUTH_X=1", "CONCORD_SYNC_Y=2", "CONCORD_PROVIDER_DATA=/data", "CONCORD_EMPTY_X=",
		"CONCORD_NATS_SERVICE_HOST=10.0.0.1", "CONCORD_NATS_SERVICE_PORT_CLIENT=4222", "CONCORD_NATS_PORT=tcp://10.0.0.1:4222",
		"CONCORD_NATS_PORT_4222_TCP=tcp://10.0.0.1:4222", "CONCORD_NATS_PORT_4222_TCP_ADDR=10.0.0.1",
	}, "auth", "sync"))
	require.EqualError(t, config.CheckParts([]string{"CONCORD_FOO_BAR=1", "CONCORD_AUHT_SMS_TOKEN=1", "CONCORD_X_PORT=1"}, "auth", "sync"),
		`CONCORD_AUHT_SMS_TOKEN: is not a setting; there are those of auth, sync
CONCORD_FOO_BAR: is not a setting; there are those of auth, sync
CONCORD_X_PORT: is not a setting; there are those of auth, sync`)
}
