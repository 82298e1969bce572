// Package front answers gRPC for all services of a node on one address.
//
// It passes calls on as they are, unread, to the service their name begins with; identity, permission and validation are
// that service's. Reflection lists every service of the contract.
package front

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/concord-suite/concord/platform/dial"
)

// CheckAddress refuses an address that others reach: it has no TLS. On a network, put a proxy with a certificate in front.
func CheckAddress(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if ip, err := netip.ParseAddr(host); host == "localhost" || err == nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s would be plain text to the network; choose a loopback address and put a TLS proxy in front", address)
}

// Serve answers on lis until ctx ends.
func Serve(ctx context.Context, lis net.Listener, services map[string]*dial.Listener) error {
	conns := map[string]*grpc.ClientConn{}
	for name, l := range services {
		conn, err := grpc.NewClient("passthrough:///"+name,
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(raw{})))
		if err != nil {
			return err
		}
		defer conn.Close()
		conns[name] = conn
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(raw{}), grpc.UnknownServiceHandler(forward(conns)))
	healthv1.RegisterHealthServer(server, health.NewServer())
	reflectionv1.RegisterServerReflectionServer(server, reflection.NewServerV1(reflection.ServerOptions{Services: reflected{server}}))
	go func() {
		<-ctx.Done()
		server.Stop()
	}()
	if err := server.Serve(lis); err != nil && ctx.Err() == nil {
		return fmt.Errorf("grpc: %w", err)
	}
	return nil
}

// forward passes a call to the service that its method belongs to: "/concord.sync.v1.RunService/GetRun" to sync.
func forward(conns map[string]*grpc.ClientConn) grpc.StreamHandler {
	return func(_ any, in grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(in)
		parts := strings.SplitN(strings.TrimPrefix(method, "/concord."), ".", 2)
		conn := conns[parts[0]]
		if conn == nil {
			return status.Errorf(codes.Unimplemented, "unknown method %s", method)
		}
		md, _ := metadata.FromIncomingContext(in.Context())
		ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(in.Context(), passed(md)))
		defer cancel()
		out, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
		if err != nil {
			return err
		}
		go send(in, out, cancel)
		return receive(in, out)
	}
}

// passed is what of a call's metadata goes on: who calls, and the trace.
func passed(md metadata.MD) metadata.MD {
	out := metadata.MD{}
	for _, k := range []string{"authorization", "traceparent", "tracestate"} {
		if v := md.Get(k); len(v) > 0 {
			out[k] = v
		}
	}
	return out
}

// send carries the caller's messages to the service.
func send(in grpc.ServerStream, out grpc.ClientStream, cancel context.CancelFunc) {
	for {
		var f frame
		if err := in.RecvMsg(&f); err != nil {
			if errors.Is(err, io.EOF) {
				_ = out.CloseSend() // a broken stream shows in receive
			} else {
				cancel()
			}
			return
		}
		if out.SendMsg(&f) != nil {
			return
		}
	}
}

// receive carries the service's answers to the caller, and the status with which they end.
func receive(in grpc.ServerStream, out grpc.ClientStream) error {
	for first := true; ; first = false {
		var f frame
		err := out.RecvMsg(&f)
		if first {
			if md, herr := out.Header(); herr == nil && len(md) > 0 {
				_ = in.SetHeader(md)
			}
		}
		if err != nil {
			in.SetTrailer(out.Trailer())
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := in.SendMsg(&f); err != nil {
			return err
		}
	}
}
