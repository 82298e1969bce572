package mtls_test

import (
	"bytes"
	"crypto/x509"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/mtls"
	"github.com/concord-suite/concord/platform/mtls/mtlstest"
)

// pool are the authorities that a part would believe.
func pool(all ...*mtlstest.Authority) *x509.CertPool {
	p := x509.NewCertPool()
	for _, a := range all {
		p.AppendCertsFromPEM(a.PEM())
	}
	return p
}

// inUse returns the serial number of the certificate in use and how many come with it.
func inUse(t *testing.T, s *mtls.Source) (serial string, chain int) {
	t.Helper()
	own, err := s.Certificate()
	require.NoError(t, err)
	return own.Leaf.SerialNumber.String(), len(own.Certificate)
}

func believes(t *testing.T, s *mtls.Source, all ...*mtlstest.Authority) bool {
	t.Helper()
	now, err := s.Authorities()
	require.NoError(t, err)
	return now.Equal(pool(all...))
}

func TestFilesThatCannotBeUsedLeaveWhatWasThere(t *testing.T) {
	ca, young := mtlstest.NewAuthority(t), mtlstest.NewAuthority(t)
	pair, next := ca.Issue("auth"), ca.Issue("auth")
	both := append(append([]byte{}, ca.PEM()...), young.PEM()...)
	for what, c := range map[string]struct {
		file    string
		content []byte
	}{
		"half a certificate":          {"tls.crt", next.Cert[:len(next.Cert)/2]},
		"a certificate without key":   {"tls.crt", next.Cert},
		"no certificate":              {"tls.crt", nil},
		"half a key":                  {"tls.key", next.Key[:20]},
		"another key":                 {"tls.key", next.Key},
		"nothing yet":                 {"tls.key", nil},
		"half the authorities":        {"ca.crt", both[:len(both)-40]},
		"an empty file":               {"ca.crt", nil},
		"no authority":                {"ca.crt", []byte("\n")},
		"a key among them":            {"ca.crt", append(append([]byte{}, both...), pair.Key...)},
		"a broken authority":          {"ca.crt", bytes.Replace(both, both[40:44], []byte("AAAA"), 1)},
		"the same, with words of it":  {"ca.crt", append([]byte("our authorities\n"), both[:len(both)-40]...)},
		"put together without a line": {"ca.crt", append(bytes.TrimSpace(young.PEM()), ca.PEM()...)},
		"the second one's first word": {"ca.crt", append(append([]byte{}, young.PEM()...), "-----BEG"...)},
	} {
		t.Run(what, func(t *testing.T) {
			volume := mtlstest.Mount(t, pair, ca, young)
			server, log := logged(t, volume, "auth", time.Now)
			volume.Overwrite(c.file, c.content)
			for _, client := range []*mtls.Source{ca.Source("gateway"), mtlstest.Mount(t, young.Issue("gateway"), ca).Open("gateway")} {
				state, serverErr, clientErr := shake(t, server.Server("gateway"), client.Client("auth"))
				require.NoError(t, serverErr)
				require.NoError(t, clientErr)
				require.Equal(t, pair.Leaf.SerialNumber, state.PeerCertificates[0].SerialNumber)
			}
			require.NoError(t, server.Check(), "what is in use is good")
			line := log.take()
			require.Equal(t, 1, strings.Count(line, "\n"), line)
			require.Contains(t, line, "cannot be used; those before stay in use")
			require.Contains(t, line, c.file)

			volume.Swap(next, ca, young)
			serial, _ := inUse(t, server)
			require.Equal(t, next.Leaf.SerialNumber.String(), serial, "a whole new one is used at once")
		})
	}
}

// TestACopyByHandIsUsedWhenItIsComplete: file after file, none of them in one step.
func TestACopyByHandIsUsedWhenItIsComplete(t *testing.T) {
	ca := mtlstest.NewAuthority(t)
	pair, next := ca.Issue("auth"), ca.Issue("auth")
	volume := mtlstest.Mount(t, pair, ca)
	s, log := logged(t, volume, "auth", time.Now)
	for n := range next.Cert {
		volume.Overwrite("tls.crt", next.Cert[:n])
		serial, _ := inUse(t, s)
		require.Equal(t, pair.Leaf.SerialNumber.String(), serial)
	}
	volume.Overwrite("tls.crt", next.Cert)
	for n := range len(next.Key) - 1 { // it needs no end of line
		volume.Overwrite("tls.key", next.Key[:n])
		serial, _ := inUse(t, s)
		require.Equal(t, pair.Leaf.SerialNumber.String(), serial)
	}
	volume.Overwrite("tls.key", next.Key)
	serial, _ := inUse(t, s)
	require.Equal(t, next.Leaf.SerialNumber.String(), serial)
	said := log.take()
	require.Equal(t, 1, strings.Count(said, "cannot be used"), said)
	require.Equal(t, 1, strings.Count(said, "the certificate and its key were renewed"), said)
}

// TestAChainThatBreaksOffIsNotUsed: the library would use the part that is there, which nobody believes. Where a certificate
// ends, it cannot be told from a shorter file.
func TestAChainThatBreaksOffIsNotUsed(t *testing.T) {
	ca := mtlstest.NewAuthority(t)
	pair := ca.Below().Issue("auth")
	volume := mtlstest.Mount(t, pair, ca, ca.Below())
	s := volume.Open("auth")
	_, serverErr, clientErr := shake(t, s.Server("gateway"), ca.Source("gateway").Client("auth"))
	require.NoError(t, serverErr)
	require.NoError(t, clientErr)
	bundle, err := os.ReadFile(volume.Files().CA)
	require.NoError(t, err)
	_, whole := inUse(t, s)
	require.Equal(t, 2, whole)
	for name, content := range map[string][]byte{"tls.crt": pair.Cert, "ca.crt": bundle} {
		second := bytes.LastIndex(content, []byte("-----BEGIN"))
		for n := range content {
			if n == second || n == second-1 { // with the first one's end of line, or without
				continue
			}
			volume.Overwrite(name, content[:n])
			_, chain := inUse(t, s)
			require.Equal(t, 2, chain, "%s, %d bytes", name, n)
			authorities, err := s.Authorities()
			require.NoError(t, err)
			require.False(t, authorities.Equal(pool(ca)), "%s, %d bytes", name, n)
		}
		volume.Overwrite(name, content)
	}
}

// TestCertificateAndAuthoritiesDoNotWaitForEachOther: an authority whose key was stolen is refused at once, also by whom
// somebody gave a wrong key, and a bundle that cannot be read lets no certificate expire.
func TestCertificateAndAuthoritiesDoNotWaitForEachOther(t *testing.T) {
	ca, young := mtlstest.NewAuthority(t), mtlstest.NewAuthority(t)
	pair, next := ca.Issue("auth"), ca.Issue("auth")
	volume := mtlstest.Mount(t, pair, ca, young)
	s := volume.Open("auth")
	volume.Overwrite("tls.key", next.Key)
	volume.Overwrite("ca.crt", young.PEM())
	require.True(t, believes(t, s, young), "the authority is taken away")
	_, serverErr, _ := shake(t, s.Server("gateway"), mtlstest.Mount(t, ca.Issue("gateway"), ca).Open("gateway").Client("auth"))
	require.ErrorContains(t, serverErr, "unknown authority")

	volume.Swap(next, ca)
	volume.Overwrite("ca.crt", []byte("half"))
	serial, _ := inUse(t, s)
	require.Equal(t, next.Leaf.SerialNumber.String(), serial, "the certificate is renewed")
	require.True(t, believes(t, s, young))
}

func TestFilesThatAreGoneLeaveWhatWasThere(t *testing.T) {
	ca := mtlstest.NewAuthority(t)
	volume := mtlstest.Mount(t, ca.Issue("auth"), ca)
	s, log := logged(t, volume, "auth", time.Now)
	before, _ := inUse(t, s)
	for _, path := range []string{volume.Files().CA, volume.Files().Key, volume.Files().Cert} {
		require.NoError(t, os.Remove(path))
		require.NoError(t, s.Check())
		require.True(t, believes(t, s, ca))
		now, _ := inUse(t, s)
		require.Equal(t, before, now)
	}
	said := log.take()
	require.Equal(t, 1, strings.Count(said, "the certificate and its key cannot be used"), said)
	require.Equal(t, 1, strings.Count(said, "the authorities cannot be used"), said)
}

// TestACertificateThatIsOfNoUseDoesNotReplaceOneThatIs: an issuer whose clock is ahead, a backup, another part's secret.
func TestACertificateThatIsOfNoUseDoesNotReplaceOneThatIs(t *testing.T) {
	ca := mtlstest.NewAuthority(t)
	start := time.Now()
	for what, c := range map[string]struct {
		next mtlstest.Pair
		says string
	}{
		"not valid yet": {ca.Issue("auth", mtlstest.Valid(10*time.Minute, 2*time.Hour)), "is valid from 20"},
		"expired":       {ca.Issue("auth", mtlstest.Valid(-time.Hour, -time.Second)), "expired at 20"},
		"another's":     {ca.Issue("sync"), "is that of sync"},
	} {
		t.Run(what, func(t *testing.T) {
			now := start
			pair := ca.Issue("auth", mtlstest.Valid(-time.Hour, time.Hour))
			volume := mtlstest.Mount(t, pair, ca)
			s, log := logged(t, volume, "auth", func() time.Time { return now })
			volume.Swap(c.next, ca)
			require.NoError(t, s.Check())
			serial, _ := inUse(t, s)
			require.Equal(t, pair.Leaf.SerialNumber.String(), serial)
			said := log.take()
			require.Equal(t, 1, strings.Count(said, "\n"), said)
			require.Contains(t, said, c.says)
			require.WithinDuration(t, start.Add(time.Hour), s.Expires(), 5*time.Second, "whoever watches the expiry sees it come")

			now = start.Add(61 * time.Minute) // the one before has expired, and the next one counts, whatever it is
			err := s.Check()
			serial, _ = inUse(t, s)
			require.Equal(t, c.next.Leaf.SerialNumber.String(), serial)
			if what == "not valid yet" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.says)
			}
		})
	}
	now := start
	volume := mtlstest.Mount(t, ca.Issue("auth"), ca)
	s, _ := logged(t, volume, "auth", func() time.Time { return now })
	ahead := ca.Issue("auth", mtlstest.Valid(10*time.Minute, 2*time.Hour))
	volume.Swap(ahead, ca)
	now = start.Add(11 * time.Minute)
	serial, _ := inUse(t, s)
	require.Equal(t, ahead.Leaf.SerialNumber.String(), serial, "it is used from its time on")
}

// TestAClockThatStepsIsFollowed: forward, everything has expired and nobody is let in; back, all is as it was. What was said
// before the step is said again.
func TestAClockThatStepsIsFollowed(t *testing.T) {
	ca := mtlstest.NewAuthority(t)
	now := time.Now()
	volume := mtlstest.Mount(t, ca.Issue("auth"), ca)
	s, log := logged(t, volume, "auth", func() time.Time { return now })
	server, client := s.Server("gateway"), ca.Source("gateway").Client("auth")
	let := func() error {
		_, serverErr, _ := shake(t, server, client)
		return serverErr
	}
	require.NoError(t, let())
	now = now.Add(12 * time.Hour)
	require.ErrorContains(t, let(), "expired")
	require.ErrorContains(t, s.Check(), "expired")
	now = now.Add(-12 * time.Hour)
	require.NoError(t, let())
	require.NoError(t, s.Check())
	now = now.Add(-12 * time.Hour)
	log.take()
	require.ErrorContains(t, let(), "not yet valid")
	require.ErrorContains(t, s.Check(), "is the clock right?")
	require.Contains(t, log.take(), "a caller was refused", "though it was said at a later time")
	now = now.Add(12 * time.Hour)
	require.NoError(t, let())
}

func TestFilesThatCannotBeUsedAtTheStart(t *testing.T) {
	ca := mtlstest.NewAuthority(t)
	pair := ca.Issue("auth")
	open := func(c mtls.Config) error {
		c.Now, c.Logger = time.Now, slog.New(slog.DiscardHandler)
		_, err := mtls.Open(c)
		return err
	}
	volume := mtlstest.Mount(t, pair, ca)
	whole := mtls.Config{Files: volume.Files(), Domain: "concord", Part: "auth"}
	require.NoError(t, open(whole))
	for what, edit := range map[string]func(*mtls.Config){
		"no trust domain": func(c *mtls.Config) { c.Domain = "" },
		"no part":         func(c *mtls.Config) { c.Part = "Auth" },
		"no authorities":  func(c *mtls.Config) { c.Files.CA = "" },
		"no such file":    func(c *mtls.Config) { c.Files.Key += ".old" },
	} {
		c := whole
		edit(&c)
		require.Error(t, open(c), what)
	}
	volume.Overwrite("tls.crt", []byte("half"))
	err := open(whole)
	require.ErrorContains(t, err, whole.Files.Cert, "it says which file")
	require.NotContains(t, err.Error(), "\n")
}

// TestAuthoritiesOfOthersAreFollowed: those of a bus that is the platform's own.
func TestAuthoritiesOfOthersAreFollowed(t *testing.T) {
	ca, young := mtlstest.NewAuthority(t), mtlstest.NewAuthority(t)
	volume := mtlstest.Mount(t, ca.Issue("auth"), ca)
	log := &lines{}
	a, err := mtls.OpenAuthorities(volume.Files().CA, time.Now, slog.New(slog.NewTextHandler(log, nil)))
	require.NoError(t, err)
	believed := func() *x509.CertPool {
		p, err := a.Pool()
		require.NoError(t, err)
		return p
	}
	require.True(t, believed().Equal(pool(ca)))
	volume.Overwrite("ca.crt", young.PEM()[:100])
	require.True(t, believed().Equal(pool(ca)))
	require.Contains(t, log.take(), "the authorities cannot be used; those before stay in use")
	volume.Overwrite("ca.crt", young.PEM())
	require.True(t, believed().Equal(pool(young)))
	require.Contains(t, log.take(), "the authorities were renewed")
	_, err = mtls.OpenAuthorities(volume.Files().CA+".old", time.Now, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "mtls: authorities: open ")
	_, err = mtls.OpenAuthorities("", time.Now, slog.New(slog.DiscardHandler))
	require.Error(t, err)
}
