package xero

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/provider/transport"
)

// Revoke ends the grant of a refresh token. Xero answers a token it does not know like one it revoked.
func (x *Identity) Revoke(ctx context.Context, refreshToken string) error {
	form := url.Values{"token": {refreshToken}}
	r, err := http.NewRequest(http.MethodPost, x.cfg.IdentityURL.JoinPath("connect/revocation").String(), strings.NewReader(form.Encode()))
	if err != nil {
		return provider.Errorf(provider.ErrClient, "the address of the identity service is not valid")
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(x.cfg.ClientID), url.QueryEscape(x.cfg.ClientSecret))
	return x.do(ctx, r, nil)
}

// Tenants lists what the person connected, of one consent or of all.
func (x *Identity) Tenants(ctx context.Context, accessToken, event string) ([]connection.Tenant, error) {
	at := x.cfg.APIURL.JoinPath("connections")
	if event != "" {
		at.RawQuery = url.Values{"authEventId": {event}}.Encode()
	}
	r, err := x.request(http.MethodGet, at, accessToken)
	if err != nil {
		return nil, err
	}
	var list []struct {
		ID, TenantID, TenantType, TenantName, AuthEventID, UpdatedDateUTC string
	}
	if err := x.do(ctx, r, &list); err != nil {
		return nil, err
	}
	tenants := make([]connection.Tenant, 0, len(list))
	for _, c := range list {
		if c.ID == "" || c.TenantID == "" {
			return nil, provider.Errorf(provider.ErrInvalid, "a connection in the provider's answer has no identifier")
		}
		name := c.TenantName
		if name == "" { // older answers had none
			name = c.TenantID
		}
		tenants = append(tenants, connection.Tenant{ID: c.TenantID, Name: name, Type: c.TenantType, UpstreamID: c.ID,
			AuthEvent: c.AuthEventID, Updated: stamp(c.UpdatedDateUTC)})
	}
	return tenants, nil
}

// Remove ends the connection of that id, which is not the tenant's.
func (x *Identity) Remove(ctx context.Context, accessToken, upstreamID string) error {
	r, err := x.request(http.MethodDelete, x.cfg.APIURL.JoinPath("connections", url.PathEscape(upstreamID)), accessToken)
	if err != nil {
		return err
	}
	return x.do(ctx, r, nil)
}

func (x *Identity) request(method string, at *url.URL, accessToken string) (*http.Request, error) {
	r, err := http.NewRequest(method, at.String(), nil)
	if err != nil {
		return nil, provider.Errorf(provider.ErrClient, "the address of the provider is not valid")
	}
	r.Header.Set("Authorization", "Bearer "+accessToken)
	r.Header.Set("Accept", "application/json")
	return r, nil
}

// maxAnswer bounds a list of connections: a person who connected 10,000 tenants, the most an app may have, makes 3 MB.
const maxAnswer = 8 << 20

// do makes one call and reads the answer into into, unless that is nil. What is to be removed and is not there is removed.
func (x *Identity) do(ctx context.Context, r *http.Request, into any) error {
	ctx, cancel := context.WithTimeout(ctx, x.cfg.Timeout)
	defer cancel()
	resp, err := x.client.Do(r.WithContext(ctx))
	if err != nil {
		return unreached(err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotFound && r.Method == http.MethodDelete:
		return nil
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return transport.Problem(resp, x.now(), nil)
	case into == nil:
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return unreached(err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return provider.Errorf(provider.ErrInvalid, "the provider's list of connections can't be read")
	}
	return nil
}

// stamp reads a time of the provider's, which has seven digits after the second and no zone. One that can't be read is
// the zero time: it only orders tenants.
func stamp(text string) time.Time {
	for _, layout := range []string{"2006-01-02T15:04:05", time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil { // digits after the second are read without being asked for
			return at.UTC()
		}
	}
	return time.Time{}
}
