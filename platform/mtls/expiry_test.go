package mtls_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/concord-suite/concord/platform/mtls"
	"github.com/concord-suite/concord/platform/mtls/mtlstest"
)

func TestTheOwnCertificateIsChecked(t *testing.T) {
	ca := mtlstest.NewAuthority(t)
	for name, c := range map[string]struct {
		pair mtlstest.Pair
		says string
	}{
		"expired":       {ca.Issue("auth", mtlstest.Valid(-time.Hour, -time.Second)), "expired at 20"},
		"not valid yet": {ca.Issue("auth", mtlstest.Valid(time.Hour, 2*time.Hour)), "valid from 20"},
		"another's":     {ca.Issue("sync"), "is that of sync; issue one for spiffe://concord/auth"},
	} {
		t.Run(name, func(t *testing.T) {
			volume := mtlstest.Mount(t, c.pair, ca)
			s := volume.Open("auth")
			require.ErrorContains(t, s.Check(), c.says)
			volume.Swap(ca.Issue("auth"), ca)
			require.NoError(t, s.Check(), "the renewed one is seen without a handshake")
		})
	}
}

func TestACertificateThatShouldHaveBeenRenewedIsTold(t *testing.T) {
	ca := mtlstest.NewAuthority(t)
	now := time.Now()
	volume := mtlstest.Mount(t, ca.Issue("auth", mtlstest.Valid(-time.Hour, time.Hour)), ca)
	s, log := logged(t, volume, "auth", func() time.Time { return now })
	require.NoError(t, s.Check())
	require.Empty(t, log.take())
	now = now.Add(45 * time.Minute)
	require.NoError(t, s.Check())
	require.NoError(t, s.Check())
	line := log.take()
	require.Contains(t, line, "expires soon")
	require.NotContains(t, line[:len(line)-1], "\n")
	now = now.Add(15 * time.Minute)
	require.ErrorContains(t, s.Check(), "expired")
}

func TestExpiryIsAMetric(t *testing.T) {
	ca := mtlstest.NewAuthority(t)
	volume := mtlstest.Mount(t, ca.Issue("auth", mtlstest.Valid(-time.Hour, time.Hour)), ca)
	now := time.Now().Add(2 * time.Hour)
	s, err := mtls.Open(mtls.Config{
		Files: volume.Files(), Domain: mtlstest.Domain, Part: "auth", Now: func() time.Time { return now }, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	reader := sdkmetric.NewManualReader()
	require.NoError(t, s.Observe(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test")))
	value := func() float64 {
		var all metricdata.ResourceMetrics
		require.NoError(t, reader.Collect(t.Context(), &all))
		m := all.ScopeMetrics[0].Metrics[0]
		require.Equal(t, "concord.certificate.expiry s", m.Name+" "+m.Unit)
		return m.Data.(metricdata.Gauge[float64]).DataPoints[0].Value
	}
	require.InDelta(t, -3600, value(), 5)
	volume.Swap(ca.Issue("auth", mtlstest.Valid(-time.Hour, 5*time.Hour)), ca)
	require.InDelta(t, 3*3600, value(), 5)
}
