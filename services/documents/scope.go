package documents

import (
	"context"
	"fmt"
	"time"

	"github.com/concord-suite/concord/services/documents/internal/inbound"
)

// scope says whether what the firm's contacts may see is known freshly enough. What is a little too old is waited for, half
// as long again as it may be old: servers of the bus that are replaced keep the client list's word back for that long. Nothing
// is shown meanwhile.
func (s *Service) scope(ctx context.Context, firm string) error {
	return heard(ctx, s.cfg.ScopeLag, func(ctx context.Context) (time.Duration, error) {
		return s.consumer.Lag(ctx, inbound.Stream, firm)
	})
}

// latePoll is how often the client list's word is looked for while it is late. It comes once a second, and each look of each
// contact who waits is a query: there may be many, when it is late for all.
const latePoll = 250 * time.Millisecond

// heard waits until the lag is within its bound: for half the bound at most, and not at all when the lag is above that. The
// time is measured, too, as a lag may stay where it is: of a consumer that never quite catches up.
func heard(ctx context.Context, bound time.Duration, lag func(context.Context) (time.Duration, error)) error {
	patience := time.NewTimer(bound / 2)
	defer patience.Stop()
	tick := time.NewTicker(latePoll)
	defer tick.Stop()
	for {
		now, err := lag(ctx)
		if err != nil || now <= bound {
			return err
		}
		late := fmt.Errorf("documents: the client list was last heard %s ago", now.Round(time.Millisecond))
		if now > bound+bound/2 {
			return late
		}
		select {
		case <-ctx.Done():
			return late
		case <-patience.C:
			return late
		case <-tick.C:
		}
	}
}
