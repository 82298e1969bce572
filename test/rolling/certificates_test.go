//go:build rolling

package rolling

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/mtls/mtlstest"
	"github.com/concord-suite/concord/test/story"
	"github.com/concord-suite/concord/test/topology"
)

const grpcPort = 9090

// renew gives every part a new certificate, and then replaces the authority, as a platform does: both are believed, then
// the new one signs, then it alone is believed.
func renew(t *testing.T, suite *topology.Replicas, l *load) {
	old, fresh := suite.Authority, mtlstest.NewAuthority(t)
	steps := []struct {
		phase    string
		by       *mtlstest.Authority
		believed []*mtlstest.Authority
	}{
		{"certificates", old, []*mtlstest.Authority{old}},
		{"both authorities", old, []*mtlstest.Authority{old, fresh}},
		{"by the new one", fresh, []*mtlstest.Authority{old, fresh}},
		{"the new one alone", fresh, []*mtlstest.Authority{fresh}},
	}
	auth := suite.Of["auth"][0]
	var last tls.Certificate // of the gateway, by the old authority
	var phases []string
	for _, s := range steps {
		l.during(s.phase)
		phases = append(phases, s.phase)
		open := connections(t, auth.IP)
		for part := range suite.Certificates {
			suite.Renew(part, s.by, s.believed...)
			suite.Settle(t, 100*time.Millisecond) // secrets do not change everywhere at once
		}
		for _, broker := range suite.Brokers {
			broker.Reload(t)
		}
		if s.by == old {
			last = own(t, suite)
		}
		began := time.Now()
		story.Eventually(t, "connections from before are replaced", func() bool { return none(connections(t, auth.IP), open) })
		fmt.Printf("%s: %d connections of %s replaced after %s\n", s.phase, len(open), auth.Name, short(time.Since(began)))
	}
	suite.Authority = fresh
	l.during("renewed")
	suite.Settle(t, time.Second)
	failed := l.report("renewed", append(phases, "renewed"), nil)
	require.Zero(t, failed, "clients that do not try again notice nothing")

	authorities := x509.NewCertPool()
	require.True(t, authorities.AppendCertsFromPEM(fresh.PEM()))
	refused := greet(auth.IP, last, authorities)
	require.Error(t, refused, "a certificate of the old authority")
	require.NoError(t, greet(auth.IP, own(t, suite), authorities), "a certificate of the new authority")
	fmt.Printf("a handshake with the gateway's certificate of the old authority: %v\n\n", refused)
}

// own is the gateway's certificate as it is now.
func own(t *testing.T, suite *topology.Replicas) tls.Certificate {
	t.Helper()
	f := suite.Certificates["gateway"].Files()
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	require.NoError(t, err)
	return pair
}

// greet makes a handshake with a server and hears what it says to the certificate: in TLS 1.3 that comes after it.
func greet(ip netip.Addr, own tls.Certificate, authorities *x509.CertPool) error {
	conn, err := tls.Dial("tcp", netip.AddrPortFrom(ip, grpcPort).String(), &tls.Config{
		RootCAs: authorities, ServerName: "auth", Certificates: []tls.Certificate{own}, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS13,
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1)) // HTTP/2 servers speak first
	return err
}

// connections are the established ones to a replica's gRPC port, by what tells them apart: the caller's address and port.
func connections(t *testing.T, ip netip.Addr) (callers []string) {
	t.Helper()
	file, err := os.Open("/proc/net/tcp")
	require.NoError(t, err)
	defer file.Close()
	b := ip.As4()
	slices.Reverse(b[:]) // the kernel prints the number as this machine has it
	local := fmt.Sprintf("%s:%04X", strings.ToUpper(hex.EncodeToString(b[:])), grpcPort)
	const established = "01"
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if f := strings.Fields(lines.Text()); len(f) > 3 && f[1] == local && f[3] == established {
			callers = append(callers, f[2])
		}
	}
	return callers
}

// none says whether none of the old is among the present ones.
func none(present, old []string) bool {
	return !slices.ContainsFunc(present, func(c string) bool { return slices.Contains(old, c) })
}
