package remote

import (
	"context"
	"net/http"

	"github.com/concord-suite/concord/sim/webhooks"
	"github.com/concord-suite/concord/sim/world"
)

// NewHook is an address that is told of changed contacts.
type NewHook struct {
	ID        string `json:"id,omitempty"` // of the hook to replace
	App       string `json:"app"`          // client_id
	URL       string `json:"url"`
	Key       string `json:"key,omitempty"`       // made up unless given
	Batch     int    `json:"batch,omitempty"`     // most events in one message; default 25
	Unchecked bool   `json:"unchecked,omitempty"` // active without the intent-to-receive check
	Eager     bool   `json:"eager,omitempty"`     // checked at once and until it passes
}

// Hook sets a webhook and returns it.
func (c *Client) Hook(ctx context.Context, n NewHook) (world.Hook, error) {
	var h world.Hook
	return h, c.Do(ctx, http.MethodPost, "/control/webhooks", n, &h)
}

// Hooks returns the webhooks.
func (c *Client) Hooks(ctx context.Context) ([]world.Hook, error) {
	var answer struct {
		Webhooks []world.Hook `json:"webhooks"`
	}
	return answer.Webhooks, c.Do(ctx, http.MethodGet, "/control/webhooks", nil, &answer)
}

// CheckHook runs the intent-to-receive check of a webhook, which decides whether it is told of changes.
func (c *Client) CheckHook(ctx context.Context, id string) (webhooks.Result, error) {
	var r webhooks.Result
	return r, c.Do(ctx, http.MethodPost, "/control/webhooks/check", map[string]string{"id": id}, &r)
}

// ReplayHook sends events of a webhook again: in another order, more than once, or wrongly signed. It
// returns how each message was answered.
func (c *Client) ReplayHook(ctx context.Context, id string, r webhooks.Replay) ([]webhooks.Post, error) {
	var answer struct {
		Posts []webhooks.Post `json:"posts"`
	}
	return answer.Posts, c.Do(ctx, http.MethodPost, "/control/webhooks/replay", struct {
		ID string `json:"id"`
		webhooks.Replay
	}{id, r}, &answer)
}

// HookEvents returns the events noted for a webhook, by their sequence.
func (c *Client) HookEvents(ctx context.Context, id string) ([]world.HookEvent, error) {
	var answer struct {
		Events []world.HookEvent `json:"events"`
	}
	return answer.Events, c.Do(ctx, http.MethodGet, "/control/webhooks/"+id+"/events", nil, &answer)
}
