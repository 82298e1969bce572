// Package provider is the line between the connector and the systems it talks to: what an adapter can do, what an
// identity service can do, how many calls a provider lets pass, and what can go wrong, in the same words for all of them.
//
// An adapter knows paths and documents. It never sees a token, a budget or a database: it asks a Caller.
package provider

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/concord-suite/concord/services/connector/internal/connection"
	"github.com/concord-suite/concord/services/connector/internal/record"
)

// Listing is what is listed.
type Listing int

// The listings.
const (
	// Clients is every client in use; a provider whose list has archived ones among them sends those too.
	Clients Listing = iota + 1
	// Contacts is every contact that is not deleted, with the clients it belongs to.
	Contacts
	// ChangedClients is the clients changed since a time, each followed by its contacts.
	ChangedClients
	// LegacyIDs is every client, archived ones too, with the id it had before OAuth 2: outlines of clients. Its pages come
	// out of one answer that is still being read, so only the last one says that it was whole.
	LegacyIDs
)

// Query asks for a listing.
type Query struct {
	Listing Listing
	// From is the Next of the page to go on from; empty to begin.
	From string
	// Since is for ChangedClients.
	Since time.Time
}

// Page is one page of a listing.
type Page struct {
	Records []record.Record
	// Size is how many records the page had if it was full.
	Size int
	// Next goes on after this page; empty on the last one.
	Next string
	// Total is what the provider announced for the whole listing, -1 when it announces nothing.
	Total int64
	// Gathered is set when the records were put together out of pages of something else. Drifted then tells whether those
	// moved while they were read.
	Gathered, Drifted bool
	// ServerTime is the provider's clock when it answered.
	ServerTime time.Time
}

// Pages reads a listing. Next is not called again after a page without Next, nor after an error.
type Pages interface {
	Next(ctx context.Context) (Page, error)
}

// Adapter speaks one provider's API.
type Adapter interface {
	// List begins, or goes on with, a listing. It makes no call; the first Next does.
	List(c Caller, q Query) Pages
	// Record reads one client. A client the provider does not know is a record in state Deleted without fields.
	Record(ctx context.Context, c Caller, id string) (record.Record, time.Time, error)
	// Probe makes one cheap call that needs every privilege the other calls need.
	Probe(ctx context.Context, c Caller) error
	// Requirement says in words what the person who consents must be allowed, before anybody does.
	Requirement() string
	// Privilege says in words what a person lacks whom Probe finds without privileges, and how to get it.
	Privilege() string
	// Costs says how many calls things take.
	Costs() Costs
	// Refusal reads an error answer that is the API's own, with its HTTP status, and returns nil for any other.
	Refusal(status int, body []byte) *Error
}

// Detailer is an adapter of a provider that keeps some of a client apart from it.
type Detailer interface {
	// Detail reads one client with groups, relationships and the practice's own fields. memory is what to remember things
	// under that are the same for all clients of the tenant, for example the id of the connection.
	Detail(ctx context.Context, c Caller, memory, id string) (record.Record, time.Time, error)
}

// Request is one API call.
type Request struct {
	Method string
	// Base is the API's address, with a trailing slash, when it is another one than the definition's; else nil.
	Base *url.URL
	// Path is relative to the provider's API address, without a leading slash.
	Path  string
	Query url.Values
	// Header is what is sent beside the usual; a name without values is left out.
	Header http.Header
	// Body is sent unless it is nil.
	Body []byte
	// Repeatable is set for a call that writes and may be sent again when its answer is lost: the provider knows it again.
	// Calls that only read always may.
	Repeatable bool
	// Optional is set for calls that can be done without: that they are not allowed says nothing of the connection.
	Optional bool
	// Heavy is set for calls whose answer grows with the practice; they get more time.
	Heavy bool
}

// Answer is the answer to a call that succeeded as far as HTTP goes.
type Answer struct {
	// Body ends with an error when it was cut off or grows beyond what is read.
	Body io.Reader
	// NotModified is set, and Body empty, when nothing changed since the time that the request named.
	NotModified bool
	// ContentType is the header of that name.
	ContentType string
	// ServerTime is the provider's clock when it answered.
	ServerTime time.Time
}

// Caller makes API calls for one tenant: with a valid token, within the limits, and with the provider's errors told
// apart. read is called again when an answer broke off and the call is repeated, so it begins anew each time; the error
// it returns is returned.
type Caller interface {
	Call(ctx context.Context, r Request, read func(Answer) error) error
}

// Identity is the sign-in service of a provider.
type Identity interface {
	// AuthorizeURL is where a person consents to scopes. verifier is the PKCE verifier; its S256 challenge goes into the
	// address.
	AuthorizeURL(state, verifier string, scopes []string) string
	// Issuer is what the service calls itself in its answers (RFC 9207).
	Issuer() string
	// Exchange turns the code of a consent into tokens.
	Exchange(ctx context.Context, code, verifier string) (Tokens, error)
	// Refresh spends a refresh token. Whatever error it returns but the refusals, the token may have been spent.
	Refresh(ctx context.Context, refreshToken string) (Tokens, error)
	// Revoke ends a grant. A grant the service does not know is revoked already.
	Revoke(ctx context.Context, refreshToken string) error
	// Tenants lists what the person connected; event narrows it to one consent, "" does not.
	Tenants(ctx context.Context, accessToken, event string) ([]connection.Tenant, error)
	// Remove ends the connection of that id. One the service does not know is removed already.
	Remove(ctx context.Context, accessToken, upstreamID string) error
}

// Limits is how many calls a provider lets pass, and how many of them are kept for people who wait.
type Limits struct {
	// Concurrent, PerMinute and PerDay are per tenant.
	Concurrent, PerMinute, PerDay int
	// AppPerMinute is over all tenants.
	AppPerMinute int
	// Reserve is what background work leaves of each for people, Runs what work that can wait leaves besides for runs.
	Reserve, Runs Reserve
}

// Costs is how many calls things take at a provider.
type Costs struct {
	// Listings are the listings there are.
	Listings map[Listing]ListingCost
	// Read is for one client, Detail for one with its groups, relationships and fields of the practice's own, DetailsAhead
	// once before many of those.
	Read, Detail, DetailsAhead int
}

// ListingCost is what a listing costs.
type ListingCost struct {
	// Ahead are the calls before the first page.
	Ahead int
	// Page is how many clients, or with OfContacts contacts, one call brings; 0 for all of them.
	Page       int
	OfContacts bool
}

// Reserve is a part of the limits that is kept for something.
type Reserve struct{ Concurrent, PerMinute, PerDay, AppPerMinute int }

// Definition is one configured provider.
type Definition struct {
	Provider connection.Provider
	// App names the registration at the provider that calls are counted against, for example "xero/<client id>". Grants
	// belong to it: providers with the same app share the identity service and the person's consent.
	App string
	// Scopes are what consent is asked for, and what it must cover.
	Scopes []string
	// TenantType is the provider's word for the tenants that can be connected here.
	TenantType string
	// TenantNoun is the word for people, for example "practice".
	TenantNoun string
	// ContactTypes tells whether there are contact types to choose from.
	ContactTypes bool
	// LegacyIDs tells whether clients can be listed with the ids they had before OAuth 2, and so whether a connection from
	// then can be upgraded.
	LegacyIDs bool
	// TenantHeader is the header of every call that names the tenant, xero-tenant-id unless it is set.
	TenantHeader string
	// BaseURL is the address of the API, with a trailing slash.
	BaseURL  *url.URL
	Identity Identity
	Adapter  Adapter
	Limits   Limits
}

// Registry holds the providers configured in this installation.
type Registry map[connection.Provider]Definition
