// Package api answers sync's RPCs: it turns requests into queries and small transactions, and hands longer work to the
// workers by writing it down.
package api

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/services/sync/internal/history"
	"github.com/concord-suite/concord/services/sync/internal/peer"
	"github.com/concord-suite/concord/services/sync/internal/store"
)

// Deps is what the RPCs work with.
type Deps struct {
	DB     *sqldb.DB
	Memory *idem.Memory
	Peers  *peer.Peers
	Now    func() time.Time
}

// Register adds the services to a server.
func Register(r grpc.ServiceRegistrar, d Deps) {
	syncv1.RegisterClientServiceServer(r, &clients{Deps: d})
	syncv1.RegisterContactServiceServer(r, &contacts{Deps: d})
	syncv1.RegisterRunServiceServer(r, &runs{Deps: d})
	syncv1.RegisterLegacyServiceServer(r, &legacyLinks{Deps: d})
	syncv1.RegisterPlanServiceServer(r, &plans{Deps: d})
}

// The patterns of resource names.
const (
	firmPattern        = "firms/{firm}"
	clientPattern      = "firms/{firm}/clients/{client}"
	contactPattern     = "firms/{firm}/contacts/{contact}"
	connectionPattern  = "firms/{firm}/connections/{connection}"
	legacyLinkPattern  = "firms/{firm}/connections/{connection}/legacyLinks/{link}"
	runPattern         = "firms/{firm}/runs/{run}"
	planPattern        = "firms/{firm}/plans/{plan}"
	changePattern      = "firms/{firm}/plans/{plan}/changes/{change}"
	offboardingPattern = "firms/{firm}/offboardings/{offboarding}"
)

func fail(code codes.Code, reason syncv1.ErrorReason, message string) *rpcerr.Error {
	return rpcerr.New(code, reason, message)
}

// What can be wrong with a request that is well-formed.
var (
	errRunning      = fail(codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_RUN_IN_PROGRESS, "a run of this connection is going on")
	errDrafting     = fail(codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_RUN_IN_PROGRESS, "the plan is not ready: its run is still finding out who would leave")
	errRunEnded     = fail(codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_RUN_ENDED, "the run has ended")
	errSuperseded   = fail(codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_PLAN_SUPERSEDED, "a newer full run took the place of this plan")
	errStale        = fail(codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_CHANGE_STALE, "what the change was made on has moved; nothing was done")
	errBlocked      = fail(codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_BLOCKED, "the client can't leave yet")
	errPast         = fail(codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_PAST_POINT_OF_NO_RETURN, "the client has left; restore it instead")
	errNotListed    = fail(codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_CLIENT_NOT_LISTED, "the client has left the client list")
	errListed       = fail(codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_CLIENT_LISTED, "the client is in the client list")
	errContactKept  = fail(codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_CONTACT_SYNCED, "the contact is kept in step and can't be changed here")
	errContactTied  = fail(codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_CONTACT_RELATED, "the contact still relates to a client")
	errInactive     = fail(codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_CONNECTION_INACTIVE, "the connection is not active")
	errEtag         = fail(codes.Aborted, syncv1.ErrorReason_ERROR_REASON_ETAG_MISMATCH, "it changed since it was read; look again")
	errDecided      = fail(codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_ALREADY_DECIDED, "it was decided already")
	errUpgradeFirst = fail(codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_UPGRADE_PENDING, "the connection has to be upgraded first")
	errNoUpgrade    = fail(codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_NOTHING_TO_UPGRADE, "the connection has no legacy link whose record is still looked for")
	errNeverLegacy  = fail(codes.FailedPrecondition, syncv1.ErrorReason_ERROR_REASON_NOTHING_TO_UPGRADE, "the clients of this provider never had other ids than they have now")
	errNoSuchClient = fail(codes.NotFound, syncv1.ErrorReason_ERROR_REASON_NOT_FOUND, "there is no such client")
)

// parse reads a resource name that the request must hold: the firm's id and the others.
func parse(field, pattern, name string) ([]string, error) {
	return names.ParseField(field, pattern, name)
}

// within reads a resource name that may be absent and must be of the firm: another firm's does not exist.
func within(firm, field, pattern, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	ids, err := parse(field, pattern, name)
	if err != nil {
		return "", err
	}
	if ids[0] != firm {
		return "", rpcerr.Default(codes.NotFound)
	}
	return ids[len(ids)-1], nil
}

// actor is how receipts and history name who acts.
func actor(ctx context.Context) string {
	p := access.From(ctx).Origin()
	switch {
	case access.StaffKind(p.Kind):
		return store.Name(p.Firm, "staff", p.ID)
	case p.Kind == access.AddIn && p.ActsFor != nil:
		return store.Name(p.Firm, "staff", p.ActsFor.Account)
	}
	return history.SystemActor
}

// viewer is the contact that calls, empty when somebody of the firm does. A contact's principal has the contact's id.
func viewer(ctx context.Context) string {
	if p := access.From(ctx); p.Kind == access.Contact {
		return p.ID
	}
	return ""
}

const (
	defaultPage = 50
	maxPage     = 1000
)

func pageSize(n int32) int {
	if n <= 0 {
		return defaultPage
	}
	return min(int(n), maxPage)
}

// place is where a list goes on: after the key and id of the last item shown. It is opaque to callers, and holds nothing
// that they have not seen.
type place struct {
	Key string `json:"k,omitempty"`
	At  int64  `json:"t,omitempty"`
	ID  string `json:"i"`
	// List stands for the list that the place is in: the method, its parent and filters, and who looks.
	List string `json:"l"`
}

// listing is a request for a page of a list.
type listing interface {
	proto.Message
	GetPageToken() string
}

// listOf stands for the list that a request asks for a page of. All of its fields but those that say which page are part of
// it, those that are added later too.
func listOf(ctx context.Context, req listing) string {
	which := proto.Clone(req).ProtoReflect()
	for _, field := range []protoreflect.Name{"page_size", "page_token"} {
		if f := which.Descriptor().Fields().ByName(field); f != nil {
			which.Clear(f)
		}
	}
	text, err := proto.MarshalOptions{Deterministic: true}.Marshal(which.Interface())
	if err != nil {
		text = nil // a request that came in has a form to go out in
	}
	sum := sha256.Sum256(slices.Concat([]byte(which.Descriptor().FullName()), []byte{0}, text, []byte{0}, []byte(viewer(ctx))))
	return base64.RawURLEncoding.EncodeToString(sum[:9]) // long enough that nobody meets another list by accident
}

// token is the page token of a place in the list of a request.
func (p place) token(ctx context.Context, req listing) string {
	p.List = listOf(ctx, req)
	text, err := json.Marshal(p)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// from reads the page token of a request, or returns the first place of its list.
func from(ctx context.Context, req listing, first place) (place, error) {
	if req.GetPageToken() == "" {
		return first, nil
	}
	bad := rpcerr.Default(codes.InvalidArgument)
	var p place
	text, err := base64.RawURLEncoding.DecodeString(req.GetPageToken())
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil || p.ID == "" || strings.ContainsRune(p.Key+p.ID, 0) { // no database keeps a NUL
		return p, bad.Field("page_token", "page_token", "is not one that a list answered")
	}
	if p.List != listOf(ctx, req) {
		return p, bad.Field("page_token", "page_token", "is one of another list, or of this one with another parent or filter")
	}
	return p, nil
}

// newest is the first place of a list that shows the newest first: later than everything.
var newest = place{At: math.MaxInt64, ID: "~"}
