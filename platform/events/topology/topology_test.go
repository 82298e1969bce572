package topology_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
	_ "github.com/concord-suite/concord/proto/gen/concord/events/auth/v1"
	_ "github.com/concord-suite/concord/proto/gen/concord/events/connector/v1"
	_ "github.com/concord-suite/concord/proto/gen/concord/events/documents/v1"
	_ "github.com/concord-suite/concord/proto/gen/concord/events/sync/v1"
	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"

	"github.com/concord-suite/concord/platform/events/topology"
)

// Every event of the contract has a stream, somebody who emits into it, and somebody who makes it.
func TestEveryEventIsDeclared(t *testing.T) {
	seen := map[string]bool{}
	protoregistry.GlobalTypes.RangeMessages(func(m protoreflect.MessageType) bool {
		event, ok := proto.GetExtension(m.Descriptor().Options(), optionsv1.E_Event).(*optionsv1.Event)
		if !ok || event.GetSubject() == "" {
			return true
		}
		s, ok := topology.StreamOf(event.GetSubject())
		require.True(t, ok, event.GetSubject())
		seen[s.Name] = true
		require.NoError(t, topology.MayEmit(s.Maker, s.Name))
		return true
	})
	require.Len(t, seen, len(topology.Streams()))
	for _, p := range topology.Parts() {
		for _, subject := range p.Watches {
			_, ok := topology.StreamOf(subject)
			require.True(t, ok, subject)
		}
		for _, name := range append(append([]string{}, p.Emits...), p.Follows...) {
			_, ok := topology.StreamNamed(name)
			require.True(t, ok, name)
		}
	}
}

func TestWhatIsNotDeclaredIsRefused(t *testing.T) {
	require.NoError(t, topology.MayEmit("sync", "AUDIT"))
	require.ErrorContains(t, topology.MayEmit("sync", "AUTH"), "sync is not declared to emit into the stream AUTH")
	require.ErrorContains(t, topology.MayEmit("gateway", "AUDIT"), "gateway is not declared")
	require.NoError(t, topology.MayFollow("documents", "SYNC"))
	require.ErrorContains(t, topology.MayFollow("documents", "CONNECTOR"), "documents is not declared to follow the stream CONNECTOR")
	require.NoError(t, topology.MayWatch("gateway", "auth.v1.session_revoked"))
	require.ErrorContains(t, topology.MayWatch("gateway", "auth.v1.staff_invited"), "gateway is not declared to watch auth.v1.staff_invited")
	require.NoError(t, topology.MayFollow("a program of the platform's own", "SYNC"))
}

// What nobody of the suite may ever do on the bus, whatever is declared.
func TestPermissionsNeverTakeAway(t *testing.T) {
	for _, p := range topology.Parts() {
		may := p.Permissions()
		for _, subject := range append(append([]string{}, may.Publish...), may.Subscribe...) {
			for _, never := range []string{"STREAM.DELETE", "STREAM.PURGE", "STREAM.MSG.DELETE", "$SYS", "$JS.API.>", "CONSUMER.RESET"} {
				require.NotContains(t, subject, never, p.Name)
			}
			require.False(t, strings.HasPrefix(subject, ">") || strings.HasPrefix(subject, "*"), "%s: %s", p.Name, subject)
		}
	}
}

func TestWriteAccountsNamesEveryPart(t *testing.T) {
	var text strings.Builder
	require.NoError(t, topology.WriteAccounts(&text, "example"))
	for _, p := range topology.Parts() {
		require.Contains(t, text.String(), `user: "spiffe://example/`+p.Name+`"`)
	}
	require.Contains(t, text.String(), "system_account: SYS")
}
