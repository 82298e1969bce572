package world

import "time"

// App is a client application registered with the simulated identity service.
type App struct {
	ClientID string `json:"client_id"`
	// Secret is empty for an app that proves itself with PKCE alone.
	Secret       string   `json:"secret,omitempty"`
	Name         string   `json:"name"`
	RedirectURIs []string `json:"redirect_uris,omitempty"` // compared exactly
	// Loopback also allows http://localhost and http://127.0.0.1 with any port and path.
	Loopback bool `json:"loopback,omitempty"`
}

// Person is somebody with a sign-in at the provider.
type Person struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Email   string `json:"email"`
	Members []Role `json:"members,omitempty"`
}

// Role is what a person may do in one tenant.
type Role struct {
	Tenant string `json:"tenant"`
	// FullAccess is the privilege "Authorise 3rd Party Full Access" of a practice.
	FullAccess bool   `json:"full_access,omitempty"`
	Staff      string `json:"staff,omitempty"` // staff UUID in a practice
}

// Role returns the person's role in a tenant, or nil.
func (p *Person) Role(tenant string) *Role {
	for i := range p.Members {
		if p.Members[i].Tenant == tenant {
			return &p.Members[i]
		}
	}
	return nil
}

// Session is a browser signed in at the provider.
type Session struct {
	Person string    `json:"person"`
	Since  time.Time `json:"since"`
}

// Code is an authorization code, stored under the hash of the code.
type Code struct {
	App         string    `json:"app"`
	Person      string    `json:"person"`
	AuthEvent   string    `json:"auth_event"`
	AuthTime    time.Time `json:"auth_time"`
	RedirectURI string    `json:"redirect_uri"`
	Scope       []string  `json:"scope"`
	Challenge   string    `json:"challenge,omitempty"` // S256
	Nonce       string    `json:"nonce,omitempty"`
	Issued      time.Time `json:"issued"`
}

// Grant is one consent and the refresh tokens descended from it.
type Grant struct {
	ID        string         `json:"id"`
	App       string         `json:"app"`
	Person    string         `json:"person"`
	AuthEvent string         `json:"auth_event"`
	AuthTime  time.Time      `json:"auth_time"`
	Scope     []string       `json:"scope"`
	Nonce     string         `json:"nonce,omitempty"`
	Tokens    []RefreshToken `json:"tokens,omitempty"`
}

// RefreshToken is one refresh token of a grant. It stays usable for the grace after its first use.
type RefreshToken struct {
	Hash   string    `json:"hash"`
	Issued time.Time `json:"issued"`
	Used   time.Time `json:"used,omitzero"`
}

// Connection is a person's use of one tenant through one app.
type Connection struct {
	ID        string    `json:"id"`
	App       string    `json:"app"`
	Person    string    `json:"person"`
	Tenant    string    `json:"tenant"`
	AuthEvent string    `json:"auth_event"`
	Created   time.Time `json:"created"`
	Updated   time.Time `json:"updated"`
}
