package request

import (
	"context"
	"net/http"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/concord-suite/concord/gateway/internal/problem"
	"github.com/concord-suite/concord/platform/rpcerr"
	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
)

// KeyHeader makes a call that changes something be done once, as draft-ietf-httpapi-idempotency-key-header describes: it
// is the request_id of the call, for every call that has one.
const KeyHeader = "Idempotency-Key"

type onceKey struct{}

// Once remembers the Idempotency-Key of a request that changes something.
func Once(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent := r.Header.Values(KeyHeader)
		if len(sent) == 0 || r.Method == http.MethodGet || r.Method == http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		key, ok := keyOf(sent)
		if !ok {
			problem.Write(w, r, problem.Invalid(problem.Field{
				Field: KeyHeader, Rule: "string.uuid", Detail: "must be one UUID, with or without quotation marks",
			}))
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), onceKey{}, key)))
	})
}

// keyOf reads the header: a structured field of type string, whose quotation marks many programs leave out.
func keyOf(sent []string) (string, bool) {
	if len(sent) != 1 {
		return "", false
	}
	key := strings.TrimSpace(sent[0])
	if unquoted, ok := strings.CutPrefix(key, `"`); ok {
		if key, ok = strings.CutSuffix(unquoted, `"`); !ok {
			return "", false
		}
	}
	if len(key) != len(uuid.Nil.String()) || uuid.Validate(key) != nil {
		return "", false
	}
	return strings.ToLower(key), true
}

// Conn makes calls on conn as their requests were meant: with the Idempotency-Key as request_id, and without what only
// answers hold.
func Conn(conn grpc.ClientConnInterface) grpc.ClientConnInterface { return meant{conn} }

type meant struct{ grpc.ClientConnInterface }

var errTwoIDs = rpcerr.Default(codes.InvalidArgument).
	Field("request_id", "same_id", "is another one than the "+KeyHeader+" header; send one of them")

// Invoke implements grpc.ClientConnInterface.
func (c meant) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	if m, ok := args.(proto.Message); ok {
		if err := once(ctx, m.ProtoReflect()); err != nil {
			return err
		}
		dropOutput(m.ProtoReflect())
	}
	return c.ClientConnInterface.Invoke(ctx, method, args, reply, opts...)
}

func once(ctx context.Context, m protoreflect.Message) error {
	key, _ := ctx.Value(onceKey{}).(string)
	field := m.Descriptor().Fields().ByName("request_id")
	if key == "" || field == nil {
		return nil
	}
	if given := m.Get(field).String(); given != "" && !strings.EqualFold(given, key) {
		return errTwoIDs
	}
	m.Set(field, protoreflect.ValueOfString(key))
	return nil
}

// dropOutput takes away what a request repeats from an answer and no caller decides (AIP-203): whoever reads a resource,
// changes it and sends it back need not know which fields those are.
func dropOutput(m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		output, _ := proto.GetExtension(f.Options(), optionsv1.E_OutputOnly).(bool)
		switch {
		case output:
			m.Clear(f)
		case f.IsMap() || f.Message() == nil:
		case f.IsList():
			for i := range v.List().Len() {
				dropOutput(v.List().Get(i).Message())
			}
		default:
			dropOutput(v.Message())
		}
		return true
	})
}
