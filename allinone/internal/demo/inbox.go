package demo

import (
	"context"
	"fmt"
	"regexp"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
)

var pin = regexp.MustCompile(`\b[0-9]{6}\b`)

// lastMessages remembers the newest SMS and e-mail of a person, so that the next PIN is told from older ones.
func (d *Demo) lastMessages(ctx context.Context, p person) (map[string]string, error) {
	seen := map[string]string{}
	for _, to := range []string{p.Mobile, p.Email} {
		msgs, err := d.cfg.World.Messages(ctx, to, "", 0)
		if err != nil {
			return nil, err
		}
		if n := len(msgs); n > 0 {
			seen[to] = msgs[n-1].ID
		}
	}
	return seen, nil
}

// readPINs reads what arrived: by SMS, by e-mail, or both when the mobile is validated by this sign-in.
func (d *Demo) readPINs(
	ctx context.Context, p person, ch authv1.Channel, seen map[string]string, sms, email *string,
) (err error) {
	switch ch {
	case authv1.Channel_CHANNEL_EMAIL:
		*sms, err = d.readPIN(ctx, p.Email, seen)
	case authv1.Channel_CHANNEL_SMS_AND_EMAIL:
		if *email, err = d.readPIN(ctx, p.Email, seen); err != nil {
			return err
		}
		*sms, err = d.readPIN(ctx, p.Mobile, seen)
	default:
		*sms, err = d.readPIN(ctx, p.Mobile, seen)
	}
	return err
}

func (d *Demo) readPIN(ctx context.Context, to string, seen map[string]string) (string, error) {
	msgs, err := d.cfg.World.Messages(ctx, to, seen[to], mailWait)
	if err != nil {
		return "", err
	}
	for i := len(msgs) - 1; i >= 0; i-- {
		if p := pin.FindString(msgs[i].Text); p != "" {
			return p, nil
		}
	}
	return "", fmt.Errorf("no PIN arrived for %s", to)
}
