// Package rest is the translated part of the REST surface: every RPC of the contract that has an HTTP rule, by
// grpc-gateway, with the suite's own errors and cookies.
package rest

import (
	"context"
	"fmt"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/concord-suite/concord/gateway/internal/problem"
	"github.com/concord-suite/concord/gateway/internal/request"
	"github.com/concord-suite/concord/gateway/internal/session"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
)

// Conns are the services, each called with the caller's own token.
type Conns struct {
	Auth, Connector, Sync, Documents grpc.ClientConnInterface
}

// New makes the handler.
func New(conns Conns, cookies session.Cookies, sessions *session.Cache) (http.Handler, error) {
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, strict{&runtime.JSONPb{
			// Frontends rely on every field being there; unknown fields in a request are a mistake to be told.
			MarshalOptions:   protojson.MarshalOptions{EmitUnpopulated: true},
			UnmarshalOptions: protojson.UnmarshalOptions{DiscardUnknown: false},
		}}),
		runtime.WithMiddlewares(known(request.Contract("concord."))),
		runtime.WithErrorHandler(handleError),
		runtime.WithRoutingErrorHandler(handleRouting),
		runtime.WithForwardResponseOption(cookieAnswers(cookies, sessions, authv1.NewSessionServiceClient(conns.Auth))),
		// No header of the outside reaches a service: identity travels by token only.
		runtime.WithIncomingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithOutgoingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithDisablePathLengthFallback(),
	)
	ctx := context.Background()
	for _, register := range []func() error{
		func() error {
			return authv1.RegisterSignInServiceHandlerClient(ctx, mux, authv1.NewSignInServiceClient(conns.Auth))
		},
		func() error {
			return authv1.RegisterSessionServiceHandlerClient(ctx, mux, authv1.NewSessionServiceClient(conns.Auth))
		},
		func() error {
			return authv1.RegisterFirmServiceHandlerClient(ctx, mux, authv1.NewFirmServiceClient(conns.Auth))
		},
		func() error {
			return authv1.RegisterFactorServiceHandlerClient(ctx, mux, authv1.NewFactorServiceClient(conns.Auth))
		},
		func() error {
			return authv1.RegisterPasswordServiceHandlerClient(ctx, mux, authv1.NewPasswordServiceClient(conns.Auth))
		},
		func() error {
			return authv1.RegisterAddInServiceHandlerClient(ctx, mux, authv1.NewAddInServiceClient(conns.Auth))
		},
		func() error {
			return authv1.RegisterEvidenceServiceHandlerClient(ctx, mux, authv1.NewEvidenceServiceClient(conns.Auth))
		},
		func() error {
			return authv1.RegisterAccountServiceHandlerClient(ctx, mux, authv1.NewAccountServiceClient(conns.Auth))
		},
		func() error {
			return authv1.RegisterLedgerServiceHandlerClient(ctx, mux, authv1.NewLedgerServiceClient(conns.Auth))
		},
		func() error {
			return connectorv1.RegisterConnectionServiceHandlerClient(ctx, mux, connectorv1.NewConnectionServiceClient(conns.Connector))
		},
		func() error {
			return syncv1.RegisterClientServiceHandlerClient(ctx, mux, syncv1.NewClientServiceClient(conns.Sync))
		},
		func() error {
			return syncv1.RegisterContactServiceHandlerClient(ctx, mux, syncv1.NewContactServiceClient(conns.Sync))
		},
		func() error {
			return syncv1.RegisterRunServiceHandlerClient(ctx, mux, syncv1.NewRunServiceClient(conns.Sync))
		},
		func() error {
			return syncv1.RegisterPlanServiceHandlerClient(ctx, mux, syncv1.NewPlanServiceClient(conns.Sync))
		},
		func() error {
			return syncv1.RegisterLegacyServiceHandlerClient(ctx, mux, syncv1.NewLegacyServiceClient(conns.Sync))
		},
		func() error {
			return documentsv1.RegisterFolderServiceHandlerClient(ctx, mux, documentsv1.NewFolderServiceClient(conns.Documents))
		},
		func() error {
			return documentsv1.RegisterDocumentServiceHandlerClient(ctx, mux, documentsv1.NewDocumentServiceClient(conns.Documents))
		},
		func() error {
			return documentsv1.RegisterEmailJobServiceHandlerClient(ctx, mux, documentsv1.NewEmailJobServiceClient(conns.Documents))
		},
	} {
		if err := register(); err != nil {
			return nil, fmt.Errorf("registering the REST surface: %w", err)
		}
	}
	return mux, nil
}

// known finds the route of a request, and refuses what the route's address does not take.
func known(routes request.Routes) runtime.Middleware {
	return func(next runtime.HandlerFunc) runtime.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
			pattern, _ := runtime.HTTPPattern(r.Context())
			route := routes[request.Key(r.Method, pattern.String())]
			if route == nil {
				next(w, r, params)
				return
			}
			if p := route.CheckQuery(r.URL); p != nil {
				problem.Write(w, r, p)
				return
			}
			ctx := request.WithRoute(r.Context(), route)
			if route.Body != "*" {
				ctx = problem.WithBody(ctx, route.Body)
			}
			next(w, r.WithContext(ctx), params)
		}
	}
}

func handleError(
	_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error,
) {
	if st := status.Convert(err); st.Code() == codes.InvalidArgument && len(st.Details()) == 0 {
		// What a service refuses has details; this is a request that could not be translated into a call.
		problem.Write(w, r, unreadable(request.RouteOf(r.Context()), st.Message()))
		return
	}
	problem.WriteError(w, r, err)
}

// handleRouting answers what no RPC is mapped to: an unknown path, or a known one with another method.
func handleRouting(
	_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, httpStatus int,
) {
	switch httpStatus {
	case http.StatusMethodNotAllowed:
		problem.Write(w, r, problem.New(httpStatus, "METHOD_NOT_ALLOWED", "this address does not take "+r.Method))
	case http.StatusNotFound:
		problem.Write(w, r, problem.New(httpStatus, "NOT_FOUND", "there is nothing at this address"))
	default:
		problem.WriteError(w, r, status.Error(codes.InvalidArgument, "the request could not be read"))
	}
}
