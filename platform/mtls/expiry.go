package mtls

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/metric"
)

const (
	// overdue is the share of a certificate's life that is left when somebody should look: issuers renew with a third left.
	overdue = 6
	// overdueEvery is how often that is said.
	overdueEvery = time.Hour
)

// Check says why the part's own certificate cannot be used now: it has expired, is not valid yet, or is somebody else's.
// It reads the files, so that a renewal shows at once. One that should have been renewed by now is only told to the log.
func (s *Source) Check() error {
	p := s.pair.current()
	if err := s.usable(p); err != nil {
		return err
	}
	left := p.until.Sub(s.cfg.Now())
	if left < p.until.Sub(p.from)/overdue && s.said.due("overdue", overdueEvery) {
		s.cfg.Logger.Warn("the own certificate expires soon and has not been renewed", "expires", p.until, "left", left.Round(time.Second))
	}
	return nil
}

// usable says why a certificate cannot be used now.
func (s *Source) usable(p *pair) error {
	now := s.cfg.Now()
	switch part, err := partOf(p.own.Leaf, s.cfg.Domain); {
	case err != nil:
		return fmt.Errorf("the own certificate is wrong: %w; issue one for %s", err, Identity(s.cfg.Domain, s.cfg.Part))
	case part != s.cfg.Part:
		return fmt.Errorf("the own certificate is that of %s; issue one for %s", part, Identity(s.cfg.Domain, s.cfg.Part))
	case !now.Before(p.until):
		return fmt.Errorf("the own certificate expired at %s; renew it where it lies, no restart is needed", p.until.UTC().Format(time.RFC3339))
	case now.Before(p.from):
		return fmt.Errorf("the own certificate is valid from %s on; is the clock right?", p.from.UTC().Format(time.RFC3339))
	}
	return nil
}

// Expires is when the part's own certificate, or the first one that vouches for it, expires.
func (s *Source) Expires() time.Time { return s.pair.current().until }

// Observe makes the gauge concord.certificate.expiry: the seconds until the part's own certificate expires, negative
// afterwards.
func (s *Source) Observe(meter metric.Meter) error {
	_, err := meter.Float64ObservableGauge("concord.certificate.expiry", metric.WithUnit("s"),
		metric.WithDescription("Seconds until the own certificate expires."),
		metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			o.Observe(s.Expires().Sub(s.cfg.Now()).Seconds())
			return nil
		}))
	return err
}
