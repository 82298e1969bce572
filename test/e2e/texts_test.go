package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/test/story"
)

// texts plays what the provider of text messages reports: over HTTP, signed, to the gateway, and to the person who waits.
func texts(t *testing.T, in *installation) {
	adm := in.Firm(t, in.op, "texts")
	start := new(authv1.StartStepUpResponse)
	require.NoError(t, adm.Call(t.Context(), "POST", "/v1/session:startStepUp", &authv1.StartStepUpRequest{Password: story.Password}, start))
	require.Equal(t, authv1.Channel_CHANNEL_SMS, start.GetChallenge().GetChannel())
	require.Eventually(t, func() bool {
		now := new(authv1.GetChallengeResponse)
		err := adm.Call(t.Context(), "GET", "/v1/sign-in/challenges/"+start.GetChallenge().GetChallenge(), nil, now)
		return err == nil && now.GetChallenge().GetSmsDelivery() == authv1.DeliveryState_DELIVERY_STATE_DELIVERED
	}, time.Minute, 50*time.Millisecond)
}
