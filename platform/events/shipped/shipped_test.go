package shipped

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/events/topology"
	"github.com/concord-suite/concord/platform/mtls/mtlstest"
)

// The bus of an installation, from its files alone. The steps are in the order of an installation's life.
func TestShippedBus(t *testing.T) {
	t.Parallel()
	b := begin(t, readManifests(t), mtlstest.NewAuthority(t))
	b.launch(t)
	for _, step := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"is a cluster that keeps each event three times", b.isCluster},
		{"knows each part by its certificate", b.knowsParts},
		{"lets nobody else in", b.refusesClients},
		{"listens for nothing else", b.listens},
		{"shows a renewed certificate", b.renews},
		{"lets a server leave", b.leaves},
		{"lets no part take a server's place", b.keepsPlace},
	} {
		if !t.Run(step.name, step.do) {
			return
		}
	}
}

// One server, as the component "nats-single" makes it, is ready alone, keeps events and waits for no other.
func TestShippedSingleServer(t *testing.T) {
	t.Parallel()
	b := begin(t, readManifests(t).single(t), mtlstest.NewAuthority(t))
	b.launch(t)
	b.prepare(t)
	publish(t, b.connect(t, "sync"))
	require.Equal(t, []string{"4222", "8222"}, listening(t, b.servers[0].cmd.Process.Pid), "for clients and probes, not for servers")
}

func (b *bus) isCluster(t *testing.T) {
	b.meshed(t)
	b.answersToItsName(t)
	b.prepare(t)
	js := b.connect(t, "sync")
	eventstest.Until(t, "SYNC is on three servers", func() bool { return onThree(t, js) })
	publish(t, js)
}

// answersToItsName comes to each server as its peers do, by its name in the routes. That they are together proves it of some: one of two
// servers has to come to the other.
func (b *bus) answersToItsName(t *testing.T) {
	routes := regexp.MustCompile(`"nats://([^":]+):6222"`).FindAllStringSubmatch(b.m.files["cluster.conf"], -1)
	require.Len(t, routes, len(b.servers))
	own := b.m.issue(t, b.authority, "nats")
	pair, err := tls.X509KeyPair(own.Cert, own.Key)
	require.NoError(t, err)
	believed := x509.NewCertPool()
	require.True(t, believed.AppendCertsFromPEM(b.authority.PEM()))
	for i, s := range b.servers {
		require.Equal(t, s.name+"."+b.m.set.Spec.ServiceName, routes[i][1])
		conn, err := tls.Dial("tcp", s.address(t, "cluster"), &tls.Config{ServerName: routes[i][1], RootCAs: believed, Certificates: []tls.Certificate{pair}})
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
}

// knowsParts tries what each part is declared to do, and some of what it is not.
func (b *bus) knowsParts(t *testing.T) {
	for _, p := range topology.Parts() {
		refusals := make(chan error, 100)
		js := b.connect(t, p.Name, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refusals <- err }))
		refused := func(subject string) {
			t.Helper()
			select {
			case err := <-refusals:
				require.ErrorIs(t, err, nats.ErrPermissionViolation)
				require.Contains(t, err.Error(), `"`+subject+`"`)
			case <-time.After(eventstest.Wait):
				t.Fatalf("%s: %s is not refused", p.Name, subject)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), eventstest.Wait)
		defer cancel()
		for _, name := range p.Needs() {
			_, err := js.Stream(ctx, name)
			require.NoError(t, err, "%s needs %s", p.Name, name)
		}
		forbidden := []string{"$JS.API.STREAM.PURGE.SYNC", "$JS.API.STREAM.DELETE.SYNC", "$JS.API.STREAM.CREATE.NEW", "$SYS.REQ.SERVER.PING"}
		for _, s := range topology.Streams() {
			subject := s.Emitter + ".v1.tried"
			if slices.Contains(p.Emits, s.Name) {
				_, err := js.Publish(ctx, subject, nil)
				require.NoError(t, err, "%s emits into %s", p.Name, s.Name)
			} else {
				forbidden = append(forbidden, subject)
			}
			if s.Maker != p.Name {
				forbidden = append(forbidden, "$JS.API.STREAM.UPDATE."+s.Name)
			}
		}
		for _, subject := range forbidden {
			require.NoError(t, js.Conn().Publish(subject, nil))
			refused(subject)
		}
		for _, subject := range []string{">", "$SYS.>", "_INBOX.>", "sync.v1.>"} {
			_, err := js.Conn().SubscribeSync(subject)
			require.NoError(t, err)
			refused(subject)
		}
		require.Empty(t, refusals, "nothing else was refused to %s", p.Name)
	}
}

// refusesClients tries certificates that are no part's, and none.
func (b *bus) refusesClients(t *testing.T) {
	stranger := mtlstest.NewAuthority(t)
	part, theirs := b.m.issue(t, b.authority, "sync"), b.m.issue(t, stranger, "sync")
	peer := b.m.issue(t, b.authority, "nats")
	require.NoError(t, b.try(t, part), "so it would be, were it a part's")
	require.ErrorIs(t, b.try(t, peer), nats.ErrAuthorization, "a server is no client")
	for why, attempt := range map[string]func() error{
		"certificate signed by unknown authority": func() error { return b.try(t, theirs) },
		"client didn't provide a certificate":     func() error { return b.try(t, mtlstest.Pair{}, nats.UserInfo("spiffe://concord/sync", "")) },
	} {
		require.Error(t, attempt(), why)
		// In TLS 1.3 a client hears of it too late to tell it from a broken connection.
		eventstest.Until(t, "a server says: "+why, func() bool {
			return slices.ContainsFunc(b.servers, func(s *server) bool { return strings.Contains(s.log.String(), why) })
		})
	}
}

// try connects with a certificate, or with none when pair is empty.
func (b *bus) try(t *testing.T, pair mtlstest.Pair, more ...nats.Option) error {
	t.Helper()
	f := mtlstest.Mount(t, pair, b.authority).Files()
	opts := append(more, nats.RootCAs(f.CA), nats.SetCustomDialer(names{b}), nats.Timeout(eventstest.Wait))
	if pair.Leaf != nil {
		opts = append(opts, nats.ClientCert(f.Cert, f.Key))
	}
	nc, err := nats.Connect(wiring, opts...)
	if err == nil {
		nc.Close()
	}
	return err
}

// listens reads from the kernel where a server listens: at the ports of the manifest, and for no leaf nodes, gateways, browsers or
// profilers.
func (b *bus) listens(t *testing.T) {
	for _, s := range b.servers {
		var want []string
		for _, p := range b.m.container().Ports {
			want = append(want, fmt.Sprint(p.Port))
		}
		slices.Sort(want)
		require.Equal(t, want, listening(t, s.cmd.Process.Pid))
	}
}

// listening are the TCP ports at which a process listens.
func listening(t *testing.T, pid int) (ports []string) {
	t.Helper()
	fds := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(fds)
	require.NoError(t, err)
	var sockets []string
	for _, e := range entries {
		to, _ := os.Readlink(filepath.Join(fds, e.Name())) // one that was closed meanwhile is none
		if inode, ok := strings.CutPrefix(to, "socket:["); ok {
			sockets = append(sockets, strings.TrimSuffix(inode, "]"))
		}
	}
	const listens = "0A"
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		table, err := os.ReadFile(file)
		if err != nil {
			continue // a machine without IPv6
		}
		for line := range strings.Lines(string(table)) {
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != listens || !slices.Contains(sockets, f[9]) {
				continue
			}
			port, err := strconv.ParseUint(f[1][strings.LastIndex(f[1], ":")+1:], 16, 16)
			require.NoError(t, err)
			ports = append(ports, fmt.Sprint(port))
		}
	}
	slices.Sort(ports)
	return ports
}
