package boot_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/boot"
	"github.com/concord-suite/concord/platform/rotation"
	"github.com/concord-suite/concord/platform/vault"
)

// check is a command that finds what its flag says.
type check struct{ find string }

func (c *check) Check() error {
	if c.find == "" {
		return errors.New("say what to find: --find")
	}
	return nil
}

func (c *check) Run(_ context.Context, env boot.ToolEnv) (bool, error) {
	if c.find == "fault" {
		return false, errors.New("found a fault")
	}
	fmt.Fprintf(env.Out, "found %s, database %t, vault %t, config %t\n", c.find, env.DB != nil, env.Vault != nil, env.Config != nil)
	return c.find == "nothing", nil
}

func TestACommandOfTheProgramsOwn(t *testing.T) {
	m := newMachine(t, "things")
	require.NoError(t, vault.File{Path: m.path("keyring.json")}.Create())
	environ := m.environ("things", "KEYRING_FILE="+m.path("keyring.json"))
	options := append(withDatabase[:len(withDatabase):len(withDatabase)], boot.Keyring(rotation.Inventory{}, nil),
		boot.WithTool(boot.Tool{Word: "look", Help: "look for something", Flags: func(f *flag.FlagSet) boot.ToolRun {
			c := &check{}
			f.StringVar(&c.find, "find", "", "")
			return c
		}}))
	code, out, stderr := once(environ, builds, options, "look", "--find", "nothing")
	require.Equal(t, 0, code, stderr)
	require.Equal(t, "found nothing, database true, vault true, config true\n", out)
	code, out, stderr = once(environ, builds, options, "look", "--find=trouble")
	require.Equal(t, 1, code, "not all is well")
	require.Contains(t, out, "found trouble")
	require.Empty(t, stderr, "the command has said it")
	code, _, stderr = once(environ, builds, options, "look", "--find=fault")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "found a fault")
	for _, args := range [][]string{{"look"}, {"look", "--find=x", "there"}, {"look", "--nonsense"}} {
		code, _, stderr = once(environ, builds, options, args...)
		require.Equal(t, 2, code, args)
		require.NotEmpty(t, stderr)
	}
	code, _, _ = once(nil, builds, options, "look", "--find", "nothing")
	require.Equal(t, 2, code, "without settings")
	code, out, _ = once(nil, builds, options, "look", "-h")
	require.Equal(t, 0, code)
	require.Contains(t, out, "look for something")
}

// read is a command of two words with an argument, which needs nothing when it has one.
type read struct {
	file string
	loud bool
}

func (r *read) Argue(text string) { r.file = text }
func (r *read) Detached() bool    { return r.file != "" }
func (r *read) Check() error      { return nil }

func (r *read) Run(_ context.Context, env boot.ToolEnv) (bool, error) {
	fmt.Fprintf(env.Out, "read %q, loud %t, database %t\n", r.file, r.loud, env.DB != nil)
	return r.file != "broken", nil
}

// A command may work on a machine where there is nothing of the suite but the program.
func TestACommandThatNeedsNothing(t *testing.T) {
	m := newMachine(t, "things")
	options := append(withDatabase[:len(withDatabase):len(withDatabase)],
		boot.WithTool(boot.Tool{Word: "book read", Help: "read a book", Flags: func(f *flag.FlagSet) boot.ToolRun {
			r := &read{}
			f.BoolVar(&r.loud, "loud", false, "")
			return r
		}}))
	for _, args := range [][]string{{"book", "read", "moby", "--loud"}, {"book", "read", "--loud", "moby"}} {
		code, out, stderr := once(nil, builds, options, args...)
		require.Equal(t, 0, code, stderr)
		require.Equal(t, "read \"moby\", loud true, database false\n", out)
	}
	code, _, stderr := once(nil, builds, options, "book", "read", "broken")
	require.Equal(t, 1, code)
	require.Empty(t, stderr)
	code, _, _ = once(nil, builds, options, "book", "read")
	require.Equal(t, 2, code, "without an argument it needs the settings")
	code, out, stderr := once(m.environ("things"), builds, options, "book", "read")
	require.Equal(t, 0, code, stderr)
	require.Equal(t, "read \"\", loud false, database true\n", out)
	for _, args := range [][]string{{"book"}, {"book", "burn"}, {"book", "read", "one", "two"}, {"book", "read", "one", "--what"}} {
		code, _, stderr := once(nil, builds, options, args...)
		require.Equal(t, 2, code, args)
		require.NotEmpty(t, stderr)
	}
}
