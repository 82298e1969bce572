package boot_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/boot"
	"github.com/concord-suite/concord/platform/dial"
	"github.com/concord-suite/concord/platform/events/eventstest"
	"github.com/concord-suite/concord/platform/mtls/mtlstest"
)

// certified are the settings of a program with a certificate.
func certified(v *mtlstest.Volume, more ...string) []string {
	f := v.Files()
	return append([]string{
		"INSECURE=false", "HTTP_ADDR=127.0.0.1:0", "TLS_CERT_FILE=" + f.Cert, "TLS_KEY_FILE=" + f.Key, "TLS_CA_FILE=" + f.CA,
	}, more...)
}

// called are the options of the program "things", which "callers" may call.
var called = append(withDatabase[:len(withDatabase):len(withDatabase)], boot.InternalHTTP(), boot.Callers("callers"))

// echo answers a request with the address it came from.
func echo() *service {
	return &service{handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RemoteAddr) })}
}

// calling starts a program that calls things, and returns it with what it does: a call of each kind.
func calling(t *testing.T, m *machine, name string, v *mtlstest.Volume, things *running) (r *running, byGRPC func() error, byHTTP func() (string, error)) {
	t.Helper()
	peers := "PEERS=things=" + things.address(t, "grpc") + ",things-http=" + things.address(t, "http")
	r = start(t, name, m.environ(name, certified(v, peers)...), echo(), append(called[:len(called):len(called)], boot.Peers("things"), boot.HTTPPeers("things"))...)
	transport, host := r.rt.DialHTTP("things")
	return r, func() error { return ping(dial.AsNobody(t.Context(), ""), r.rt.Dial("things")) }, func() (string, error) {
		answer, err := (&http.Client{Transport: transport, Timeout: 5 * time.Second}).Get("http://" + host + "/x")
		if err != nil {
			return "", err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		return string(body), err
	}
}

func TestPeersOverTLS(t *testing.T) {
	m, ca := newMachine(t, "things", "callers", "reports", "strangers"), mtlstest.NewAuthority(t)
	mount := func(name string) *mtlstest.Volume { return mtlstest.Mount(t, ca.Issue(name), ca) }
	things := start(t, "things", m.environ("things", certified(mount("things"), "CALLERS=reports")...), echo(), called...)
	for _, name := range []string{"callers", "reports"} {
		r, byGRPC, byHTTP := calling(t, m, name, mount(name), things)
		require.NoError(t, byGRPC(), name)
		_, err := byHTTP()
		require.NoError(t, err, name)
		require.Equal(t, 0, r.end())
	}
	r, byGRPC, byHTTP := calling(t, m, "strangers", mount("strangers"), things)
	require.Error(t, byGRPC())
	_, err := byHTTP()
	require.Error(t, err)
	require.Contains(t, things.stderr.String(), `"msg":"a caller was refused","service":"things","identity":"spiffe://concord/strangers",`+
		`"error":"strangers may not call things","callers":"callers reports"`)
	require.Equal(t, 1, strings.Count(things.stderr.String(), "may not call"), "one line, for all that it tries")
	require.Equal(t, 0, r.end())

	r, byGRPC, byHTTP = calling(t, m, "callers", mount("callers"), start(t, "things", m.environ("things", certified(mount("reports"))...), echo(), called...))
	require.Error(t, byGRPC(), "who answers has somebody else's certificate")
	_, err = byHTTP()
	require.ErrorContains(t, err, "reports answers where things should")
	require.Equal(t, 0, r.end())

	stranger, err := dial.New(things.address(t, "grpc"), dial.Options{Audience: "things", Insecure: true, Timeout: 2 * time.Second})
	require.NoError(t, err)
	defer stranger.Close()
	require.Error(t, ping(t.Context(), stranger), "plain text is not answered")
	answer, err := http.Get("http://" + things.address(t, "http") + "/x")
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusBadRequest, answer.StatusCode, "plain text is not answered")
	require.Equal(t, 0, things.end())
}

// TestAuthoritiesAreReplacedWithoutARestart goes through the three steps under calls of both kinds, whose connections are
// replaced every second, and then tries with a certificate of the old authority.
func TestAuthoritiesAreReplacedWithoutARestart(t *testing.T) {
	m := newMachine(t, "things", "callers")
	old, young := mtlstest.NewAuthority(t), mtlstest.NewAuthority(t)
	serving, from := mtlstest.Mount(t, old.Issue("things"), old), mtlstest.Mount(t, old.Issue("callers"), old)
	things := start(t, "things", m.environ("things", certified(serving, "MAX_CONNECTION_AGE=1s")...), echo(), called...)
	_, byGRPC, byHTTP := calling(t, m, "callers", from, things)
	_, leftGRPC, leftHTTP := calling(t, m, "callers", mtlstest.Mount(t, old.Issue("callers"), old, young), things)
	for _, step := range []func(){
		func() {},
		func() { serving.Swap(old.Issue("things"), old, young); from.Swap(old.Issue("callers"), old, young) },
		func() { serving.Swap(young.Issue("things"), old, young); from.Swap(young.Issue("callers"), old, young) },
		func() { serving.Swap(young.Issue("things"), young); from.Swap(young.Issue("callers"), young) },
	} {
		step()
		first, err := byHTTP()
		require.NoError(t, err)
		eventstest.Until(t, "the connection is replaced", func() bool {
			require.NoError(t, byGRPC())
			now, err := byHTTP()
			require.NoError(t, err)
			return now != first
		})
	}
	eventstest.Until(t, "whoever has kept the old certificate is refused", func() bool {
		_, err := leftHTTP()
		return err != nil && leftGRPC() != nil
	})
	require.Contains(t, things.stderr.String(), `"identity":"spiffe://concord/callers"`)
	require.Contains(t, things.stderr.String(), "no authority vouches for its certificate")
}

// TestAnExpiredCertificateWaitsForItsRenewal: the process runs, and works as soon as the files hold another.
func TestAnExpiredCertificateWaitsForItsRenewal(t *testing.T) {
	m, ca := newMachine(t, "things", "callers"), mtlstest.NewAuthority(t)
	serving := mtlstest.Mount(t, ca.Issue("things", mtlstest.Valid(-2*time.Hour, -time.Hour)), ca)
	things := start(t, "things", m.environ("things", certified(serving)...), echo(), called...)
	_, byGRPC, byHTTP := calling(t, m, "callers", mtlstest.Mount(t, ca.Issue("callers"), ca), things)
	require.Error(t, byGRPC())
	_, err := byHTTP()
	require.ErrorContains(t, err, "expired")
	health := "http://" + things.address(t, "health")
	eventstest.Until(t, "it says what is wrong and what to do", func() bool {
		status, body := get(t, health+"/readyz")
		return status == 503 && strings.Contains(body, "certificate: the own certificate expired at ") && strings.Contains(body, "; renew it where it lies")
	})

	serving.Swap(ca.Issue("things"), ca)
	_, err = byHTTP()
	require.NoError(t, err)
	eventstest.Until(t, "it is ready", func() bool {
		status, _ := get(t, health+"/readyz")
		return status == 200
	})
	eventstest.Until(t, "the next attempt to connect succeeds", func() bool { return byGRPC() == nil })
}

func TestFilesOfTheCertificateThatCannotBeReadEndTheStart(t *testing.T) {
	m, ca := newMachine(t, "things"), mtlstest.NewAuthority(t)
	v := mtlstest.Mount(t, ca.Issue("things"), ca)
	v.Overwrite("ca.crt", []byte("half"))
	code, _, stderr := once(m.environ("things", certified(v)...), builds, called)
	require.Equal(t, 1, code)
	require.Equal(t, "concord-things: tls: mtls: authorities "+v.Files().CA+": holds no certificate\n", stderr)

	code, _, stderr = once(m.environ("things", certified(v, "MAX_CONNECTION_AGE=0s")...), builds, called)
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "MAX_CONNECTION_AGE): must be at least 1s")
	code, _, stderr = once(m.environ("things", certified(v, "TLS_TRUST_DOMAIN=Concord Ltd", "CALLERS=reports,The Boss")...), builds, called)
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "tls.trust_domain: must be of")
	require.Contains(t, stderr, `callers: "The Boss" is no name of a service`)
}
