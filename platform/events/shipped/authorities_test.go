package shipped

import (
	"bytes"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/mtls/mtlstest"
)

// With the component "authorities" one authority takes another's place as docs/runbooks/certificates.md says, and the servers stay
// together and are there for their clients at each step: both are believed, the new one signs, the new one alone is believed.
func TestOneAuthorityTakesAnothersPlace(t *testing.T) {
	t.Parallel()
	old, fresh, nobodys := mtlstest.NewAuthority(t), mtlstest.NewAuthority(t), mtlstest.NewAuthority(t)
	b := begin(t, readManifests(t).believing(t), old)
	for _, s := range b.servers {
		s.certify(t, b.m.issue(t, old, "nats"), nobodys) // what stands beside the certificate counts no more
	}
	b.believe(t, old)
	b.launch(t)
	b.meshed(t)
	b.prepare(t)

	b.reloaded(t, func() { b.believe(t, old, fresh) })
	renewed := map[*server]*big.Int{}
	b.reloaded(t, func() {
		for _, s := range b.servers {
			pair := b.m.issue(t, fresh, "nats")
			s.certify(t, pair, nobodys)
			renewed[s] = pair.Leaf.SerialNumber
		}
	})
	b.authority = fresh // of clients from now on
	for s, serial := range renewed {
		for _, port := range []string{"client", "cluster"} {
			eventstest.Until(t, s.name+" shows the new authority's certificate at the port "+port, func() bool { return b.shown(t, s, port).Cmp(serial) == 0 })
		}
	}
	publish(t, b.connect(t, "sync"))
	b.reloaded(t, func() { b.believe(t, fresh) })
	publish(t, b.connect(t, "sync"))

	// Servers that start again find each other by the new authority alone.
	s := b.servers[leaver]
	s.kill()
	s.launch(t)
	b.awaitReady(t, s)
	b.meshed(t)
	js := b.connect(t, "sync")
	eventstest.Until(t, "SYNC is on three servers", func() bool { return onThree(t, js) })
	require.Error(t, b.try(t, b.m.issue(t, old, "sync")), "the old authority is believed no more")
	require.NoError(t, b.try(t, b.m.issue(t, fresh, "sync")))
}

// believe puts authorities where the ConfigMap is mounted.
func (b *bus) believe(t *testing.T, authorities ...*mtlstest.Authority) {
	t.Helper()
	var bundle bytes.Buffer
	for _, a := range authorities {
		bundle.Write(a.PEM())
	}
	for _, s := range b.servers {
		s.write(t, "/etc/nats/authorities/ca.crt", bundle.Bytes())
	}
}

// reloaded changes files and waits until every server has read them.
func (b *bus) reloaded(t *testing.T, change func()) {
	t.Helper()
	marks := map[*server]int{}
	for _, s := range b.servers {
		marks[s] = len(s.log.String())
	}
	change()
	eventstest.Until(t, "every server has read its configuration again", func() bool {
		return !slices.ContainsFunc(b.servers, func(s *server) bool {
			return !strings.Contains(s.log.since(marks[s]), "Reloaded: tls")
		})
	})
}
