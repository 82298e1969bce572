package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
	"github.com/concord-suite/concord/test/topology"
)

// internal is the same matrix below the gateway, with the services as callers too: every RPC of every service, on the
// service's own address. It needs the key files of a process per service.
func internal(t *testing.T, in *installation, people []caller, own, other string) {
	conns := map[string]*grpc.ClientConn{}
	for name, addr := range in.GRPC {
		conns[name] = dial(t, addr)
	}
	callers := people
	for _, name := range []string{"auth", "connector", "documents", "sync", "gateway"} {
		callers = append(callers, caller{name: name, kind: service})
	}
	tried := 0
	for _, m := range methods() {
		if m.Name() == "SignOut" {
			continue // ends the caller
		}
		audience := strings.Split(string(m.FullName()), ".")[1]
		rule := proto.GetExtension(m.Options(), optionsv1.E_Rule).(*optionsv1.Rule)
		for _, c := range callers {
			for _, firm := range []string{own, other} {
				token := tokenOf(t, in, conns["auth"], c, audience, own)
				want := expected(rule, c, firm == own, false)
				err := invoke(t.Context(), conns[audience], m, rule, token, firm)
				require.Equal(t, want, decided(err, want), "%s as %s to the own firm %v: %v", m.FullName(), c.name, firm == own, err)
				tried++
			}
		}
	}
	fmt.Printf("access by gRPC (%s): %d RPCs, %d callers, %d calls\n", in.Kind, len(methods())-1, len(callers), tried)
}

func dial(t *testing.T, addr string) *grpc.ClientConn {
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// tokens are made once for each caller and audience: they live two minutes, the matrix takes seconds.
var tokens = struct {
	at map[string]string
	by time.Time
}{at: map[string]string{}}

// tokenOf is the internal token of a caller for a service: a service makes its own, people's are resolved by the gateway.
func tokenOf(t *testing.T, in *installation, auth *grpc.ClientConn, c caller, audience, firm string) string {
	if time.Since(tokens.by) > time.Minute {
		clear(tokens.at)
		tokens.by = time.Now()
	}
	key := strings.Join([]string{c.name, audience, firm}, " ")
	if token, ok := tokens.at[key]; ok {
		return token
	}
	switch c.kind {
	case nobody:
		return ""
	case service:
		tokens.at[key] = in.ServiceToken(t, c.name, audience, strings.TrimPrefix(firm, "firms/"))
	default:
		ctx := bearing(t.Context(), in.ServiceToken(t, "gateway", "auth", ""))
		resp, err := authv1.NewSessionServiceClient(auth).ResolveSession(ctx, &authv1.ResolveSessionRequest{
			SessionToken: c.rest.Token, Audience: audience,
		})
		require.NoError(t, err, c.name)
		tokens.at[key] = resp.GetInternalToken()
	}
	return tokens.at[key]
}

func bearing(ctx context.Context, token string) context.Context {
	if token == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// invoke calls a method with a request that names the firm and nothing else: whoever is admitted ends at validation.
func invoke(ctx context.Context, conn *grpc.ClientConn, m protoreflect.MethodDescriptor, rule *optionsv1.Rule, token, firm string) error {
	ctx, cancel := context.WithTimeout(bearing(ctx, token), 10*time.Second)
	defer cancel()
	req, resp := dynamicpb.NewMessage(m.Input()), dynamicpb.NewMessage(m.Output())
	if rule.GetFirmField() != "" {
		at, path := protoreflect.Message(req), strings.Split(rule.GetFirmField(), ".")
		for _, name := range path[:len(path)-1] {
			at = at.Mutable(at.Descriptor().Fields().ByName(protoreflect.Name(name))).Message()
		}
		at.Set(at.Descriptor().Fields().ByName(protoreflect.Name(path[len(path)-1])), protoreflect.ValueOfString(firm))
	}
	full := fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name())
	if !m.IsStreamingClient() && !m.IsStreamingServer() {
		return conn.Invoke(ctx, full, req, resp)
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: m.IsStreamingClient(), ServerStreams: true}, full)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(req); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if err := stream.RecvMsg(resp); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// decided reads the verdict off a gRPC answer.
func decided(err error, want verdict) verdict {
	reason := ""
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			reason = info.GetReason()
		}
	}
	switch code := status.Code(err); {
	case code == codes.Unauthenticated:
		return unauthenticated
	case reason == "STEP_UP_REQUIRED":
		return stepUp
	case reason == "ENROLMENT_NOT_ALLOWED":
		return admitted // permission let it pass; how the session was opened did not
	case code == codes.PermissionDenied:
		return denied
	case code == codes.NotFound && want == notFound:
		return notFound
	case code == codes.Internal, code == codes.Unknown, code == codes.Unimplemented, code == codes.Unavailable:
		return verdict(code.String())
	}
	return admitted
}

// reflection lists, describes and calls every service by grpcurl, which knows nothing but the address.
func reflection(t *testing.T, in *installation) {
	curl := func(args ...string) (string, error) { return output(t, topology.Binary(t, "grpcurl"), args...) }
	listed := 0
	for name, addr := range in.GRPC {
		out, err := curl("-plaintext", addr, "list")
		require.NoError(t, err, out)
		services := strings.Fields(out)
		require.Contains(t, services, "grpc.health.v1.Health")
		for _, s := range servicesOf(name) {
			require.Contains(t, services, string(s.FullName()), "%s at %s", name, addr)
			out, err = curl("-plaintext", addr, "describe", string(s.FullName()))
			require.NoError(t, err, out)
			for i := range s.Methods().Len() {
				require.Contains(t, out, "rpc "+string(s.Methods().Get(i).Name()))
			}
			asNobody(t, curl, addr, s)
			listed++
		}
	}
	fmt.Printf("grpcurl (%s): %d services listed, described and called\n", in.Kind, listed)
}

// asNobody calls the first RPC of a service that nobody may call without signing in, or one that everybody may.
func asNobody(t *testing.T, curl func(...string) (string, error), addr string, s protoreflect.ServiceDescriptor) {
	m := s.Methods().Get(0)
	rule := proto.GetExtension(m.Options(), optionsv1.E_Rule).(*optionsv1.Rule)
	out, err := curl("-plaintext", "-d", "{}", addr, string(s.FullName())+"/"+string(m.Name()))
	switch {
	case s.Name() == "KeyService":
		require.NoError(t, err, out)
		require.Contains(t, out, "jwks")
	case expected(rule, caller{kind: nobody}, true, false) == admitted:
		require.Error(t, err)
		require.Contains(t, out, "Code: InvalidArgument")
	default:
		require.Error(t, err)
		require.Contains(t, out, "Code: Unauthenticated")
	}
}

func servicesOf(name string) []protoreflect.ServiceDescriptor {
	var all []protoreflect.ServiceDescriptor
	seen := map[protoreflect.FullName]bool{}
	for _, m := range methods() {
		s := m.Parent().(protoreflect.ServiceDescriptor)
		if strings.HasPrefix(string(s.FullName()), "concord."+name+".") && !seen[s.FullName()] {
			seen[s.FullName()] = true
			all = append(all, s)
		}
	}
	return all
}
