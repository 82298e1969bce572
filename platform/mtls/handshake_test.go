package mtls_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/mtls"
	"github.com/concord-suite/concord/platform/mtls/mtlstest"
)

// TestAHandshakeIsNeverSkipped: a client that keeps sessions would resume one with a certificate that is refused by now.
func TestAHandshakeIsNeverSkipped(t *testing.T) {
	old, young := mtlstest.NewAuthority(t), mtlstest.NewAuthority(t)
	serving := mtlstest.Mount(t, old.Issue("auth"), old)
	server := serving.Open("auth").Server("gateway")
	client := mtlstest.Mount(t, old.Issue("gateway"), old, young).Open("gateway").Client("auth")
	client.ClientSessionCache, client.ServerName = tls.NewLRUClientSessionCache(4), "auth"
	for range 2 {
		state, serverErr, _ := shake(t, server, client)
		require.NoError(t, serverErr)
		require.False(t, state.DidResume)
	}
	serving.Swap(young.Issue("auth"), young)
	_, serverErr, _ := shake(t, server, client)
	require.ErrorContains(t, serverErr, "unknown authority")
}

// TestAResumedSessionIsVerifiedToo: were tickets given, by a listener that changes the configuration or a version of the
// library that does, a ticket of a certificate that is refused by now would be of no use on either side.
func TestAResumedSessionIsVerifiedToo(t *testing.T) {
	old, young := mtlstest.NewAuthority(t), mtlstest.NewAuthority(t)
	now := time.Now()
	for what, end := range map[string]func(serving, calling *mtlstest.Volume) (says string){
		"its authority is taken away": func(serving, _ *mtlstest.Volume) string {
			serving.Swap(young.Issue("auth"), young)
			return "unknown authority"
		},
		"it expires": func(_, _ *mtlstest.Volume) string {
			now = now.Add(12 * time.Hour)
			return "expired"
		},
	} {
		t.Run("the server: "+what, func(t *testing.T) {
			now = time.Now()
			serving := mtlstest.Mount(t, old.Issue("auth"), old)
			calling := mtlstest.Mount(t, old.Issue("gateway"), old, young)
			s, _ := logged(t, serving, "auth", func() time.Time { return now })
			server := s.Server("gateway")
			server.SessionTicketsDisabled = false
			client := calling.Open("gateway").Client("auth")
			client.ClientSessionCache, client.ServerName = tls.NewLRUClientSessionCache(4), "auth"
			for _, resumed := range []bool{false, true} {
				state, serverErr, clientErr := shake(t, server, client)
				require.NoError(t, serverErr)
				require.NoError(t, clientErr)
				require.Equal(t, resumed, state.DidResume)
			}
			says := end(serving, calling)
			_, serverErr, clientErr := shake(t, server, client)
			require.ErrorContains(t, serverErr, says)
			require.ErrorContains(t, clientErr, "bad certificate")
		})
	}
	t.Run("the client", func(t *testing.T) {
		calling := mtlstest.Mount(t, old.Issue("gateway"), old)
		server := mtlstest.Mount(t, old.Issue("auth"), old, young).Open("auth").Server("gateway")
		server.SessionTicketsDisabled = false
		client := calling.Open("gateway").Client("auth")
		client.ClientSessionCache, client.ServerName = tls.NewLRUClientSessionCache(4), "auth"
		for _, resumed := range []bool{false, true} {
			state, _, clientErr := shake(t, server, client)
			require.NoError(t, clientErr)
			require.Equal(t, resumed, state.DidResume)
		}
		calling.Swap(young.Issue("gateway"), young)
		_, _, clientErr := shake(t, server, client)
		require.ErrorContains(t, clientErr, "unknown authority")
	})
}

// crowd is how many handshakes there are at once.
const crowd = 200

// TestHandshakesDoNotNoticeARenewal: certificates and authorities are replaced all the time while a crowd connects. No
// handshake fails, and nothing is complained of: files that are read while they are swapped are read again.
func TestHandshakesDoNotNoticeARenewal(t *testing.T) {
	old, young := mtlstest.NewAuthority(t), mtlstest.NewAuthority(t)
	serving, calling := mtlstest.Mount(t, old.Issue("auth"), old), mtlstest.Mount(t, old.Issue("gateway"), old)
	s, serverLog := logged(t, serving, "auth", time.Now)
	c, clientLog := logged(t, calling, "gateway", time.Now)
	server, client := s.Server("gateway"), c.Client("auth")
	shaken, serials := make(chan error, crowd), sync.Map{}
	var left atomic.Int64
	left.Store(5 * crowd)
	var all sync.WaitGroup
	for range crowd {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				leaf, err := pipe(t, server, client)
				if err != nil {
					shaken <- err
					return
				}
				serials.Store(leaf.SerialNumber.String(), nil)
			}
		})
	}
	renewed := 0
	renew := func(v *mtlstest.Volume, s *mtls.Source, pair mtlstest.Pair, believed ...*mtlstest.Authority) {
		v.Swap(pair, believed...)
		serial, _ := inUse(t, s) // waits for who reads just now: two swaps in one reading would be two renewals at a time
		require.Equal(t, pair.Leaf.SerialNumber.String(), serial)
		require.True(t, believes(t, s, believed...))
	}
	renew(serving, s, old.Issue("auth"), old, young)
	renew(calling, c, old.Issue("gateway"), old, young)
	for by, other := young, old; left.Load() > 0; by, other = other, by {
		renew(serving, s, by.Issue("auth"), by, other)
		renew(calling, c, by.Issue("gateway"), by, other)
		renewed++
	}
	all.Wait()
	close(shaken)
	for err := range shaken {
		require.NoError(t, err)
	}
	seen := 0
	serials.Range(func(any, any) bool { seen++; return true })
	t.Logf("%d renewals, %d certificates were seen", renewed, seen)
	require.Greater(t, seen, 1)
	require.NotContains(t, serverLog.take()+clientLog.take(), "level=WARN")
}

// pipe shakes hands through a pipe, without the file descriptors that a crowd would take, and returns who answered.
func pipe(t *testing.T, server, client *tls.Config) (*x509.Certificate, error) {
	a, b := net.Pipe()
	served := make(chan error, 1)
	go func() {
		defer a.Close()
		over := tls.Server(a, server)
		err := over.HandshakeContext(t.Context())
		if err == nil {
			_, err = over.Write([]byte("."))
		}
		served <- err
	}()
	defer b.Close()
	over := tls.Client(b, client)
	err := over.HandshakeContext(t.Context())
	if err == nil {
		_, err = over.Read(make([]byte, 1))
	}
	if said := <-served; said != nil && err == nil {
		err = said
	}
	if err != nil {
		return nil, err
	}
	return over.ConnectionState().PeerCertificates[0], nil
}
