package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	auditeventsv1 "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"

	"github.com/concord-suite/concord/platform/telemetry"
)

// logged returns what a logger of the format writes for one call.
func logged(t *testing.T, format string, log func(*slog.Logger)) string {
	t.Helper()
	var out bytes.Buffer
	tel, err := telemetry.Start(context.Background(), telemetry.Config{LogFormat: format, LogLevel: "debug"}, "auth", telemetry.Build{}, &out)
	require.NoError(t, err)
	log(tel.Logger)
	return out.String()
}

func TestSecretsStayOutOfLogs(t *testing.T) {
	type inner struct{ ClientSecret, Name string }
	link, err := url.Parse("https://user:hush@provider.example/cb?code=hush&state=hush&page=2")
	require.NoError(t, err)
	logs := map[string]func(*slog.Logger){
		"key":          func(l *slog.Logger) { l.Info("m", "password", "hush", "Refresh-Token", "hush", "newPin", "hush") },
		"with":         func(l *slog.Logger) { l.With("authorization", "hush").Info("m") },
		"group":        func(l *slog.Logger) { l.WithGroup("token").Info("m", "value", "hush") },
		"nested group": func(l *slog.Logger) { l.Info("m", slog.Group("request", slog.Group("cookie", "value", "hush"))) },
		"header": func(l *slog.Logger) {
			l.Info("m", "headers", http.Header{"Authorization": {"hush"}, "Set-Cookie": {"hush"}})
		},
		"struct":    func(l *slog.Logger) { l.Info("m", "cfg", inner{ClientSecret: "hush"}) },
		"pointer":   func(l *slog.Logger) { l.Info("m", "cfg", &inner{ClientSecret: "hush"}) },
		"list":      func(l *slog.Logger) { l.Info("m", "all", []any{map[string]any{"otp": "hush"}}) },
		"url":       func(l *slog.Logger) { l.Info("m", "url", link) },
		"url text":  func(l *slog.Logger) { l.Info("m", "url", link.String()) },
		"error":     func(l *slog.Logger) { l.Info("m", "err", errors.New("Get \""+link.String()+"\": refused")) },
		"bearer":    func(l *slog.Logger) { l.Info("m", "line", "Authorization: Bearer hush-0123456789abcdef.hush") },
		"web token": func(l *slog.Logger) { l.Info("m", "line", "got eyJhbGciOiJF.eyJodXNoIjoi.hush") },
		"unmarshalable": func(l *slog.Logger) {
			l.Info("m", "x", struct {
				C chan int
				S string
			}{S: "hush"})
		},
	}
	for name, log := range logs {
		for _, format := range []string{"json", "text"} {
			require.NotContains(t, logged(t, format, log), "hush", "%s as %s", name, format)
		}
	}
}

func TestEverythingElseStaysInLogs(t *testing.T) {
	line := logged(t, "json", func(l *slog.Logger) {
		l.Info("basic authentication failed", "code", "NOT_FOUND", "token_id", "t-1", "pinned", true, "spinning", "yes",
			"url", "https://h/x?page=2", "err", errors.New("a=b"), "struct", struct{ Name string }{"n"}, "nothing", nil)
	})
	var got map[string]any
	require.NoError(t, json.Unmarshal([]byte(line), &got))
	delete(got, "time")
	require.Equal(t, map[string]any{
		"level": "INFO", "msg": "basic authentication failed", "service": "auth", "code": "NOT_FOUND", "token_id": "t-1",
		"pinned": true, "spinning": "yes", "url": "https://h/x?page=2", "err": "a=b",
		"struct": map[string]any{"Name": "n"}, "nothing": nil,
	}, got)
}

func TestLinesCarryTheirTrace(t *testing.T) {
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	ctx := trace.ContextWithSpanContext(context.Background(), span)
	line := logged(t, "json", func(l *slog.Logger) { l.InfoContext(ctx, "m") })
	require.Contains(t, line, `"trace_id":"01000000000000000000000000000000","span_id":"0200000000000000"`)
}

func TestLogLevel(t *testing.T) {
	var out bytes.Buffer
	tel, err := telemetry.Start(context.Background(), telemetry.Config{LogLevel: "warn"}, "auth", telemetry.Build{}, &out)
	require.NoError(t, err)
	tel.Logger.Info("quiet")
	tel.Logger.Warn("loud")
	require.NotContains(t, out.String(), "quiet")
	require.Contains(t, out.String(), "loud")
}

// secretMessage builds a message type with secret fields of every shape, since the contract's own may change.
func secretMessage(t *testing.T) protoreflect.MessageType {
	t.Helper()
	secret := &descriptorpb.FieldOptions{}
	proto.SetExtension(secret, optionsv1.E_Secret, true)
	field := func(name string, number int32, kind descriptorpb.FieldDescriptorProto_Type, repeated bool, options *descriptorpb.FieldOptions) *descriptorpb.FieldDescriptorProto {
		label := descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL
		if repeated {
			label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED
		}
		f := &descriptorpb.FieldDescriptorProto{Name: &name, JsonName: &name, Number: &number, Type: &kind, Label: &label, Options: options}
		if kind == descriptorpb.FieldDescriptorProto_TYPE_MESSAGE {
			f.TypeName = proto.String(".t.M")
		}
		return f
	}
	const text, raw, message = descriptorpb.FieldDescriptorProto_TYPE_STRING, descriptorpb.FieldDescriptorProto_TYPE_BYTES, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("t.proto"), Package: proto.String("t"), Syntax: proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("M"), Field: []*descriptorpb.FieldDescriptorProto{
			field("open", 1, text, false, nil),
			field("pin", 2, text, false, secret),
			field("key", 3, raw, false, secret),
			field("codes", 4, text, true, secret),
			field("one", 5, message, false, nil),
			field("many", 6, message, true, nil),
			field("hidden", 7, message, false, secret),
		}}},
	}, nil)
	require.NoError(t, err)
	return dynamicpb.NewMessageType(file.Messages().Get(0))
}

func TestSecretFieldsOfProtoMessages(t *testing.T) {
	kind := secretMessage(t)
	fields := kind.Descriptor().Fields()
	build := func() protoreflect.Message {
		m := kind.New()
		m.Set(fields.ByName("open"), protoreflect.ValueOfString("stays"))
		m.Set(fields.ByName("pin"), protoreflect.ValueOfString("hush"))
		m.Set(fields.ByName("key"), protoreflect.ValueOfBytes([]byte("hush")))
		m.Mutable(fields.ByName("codes")).List().Append(protoreflect.ValueOfString("hush"))
		return m
	}
	m := build()
	m.Set(fields.ByName("one"), protoreflect.ValueOfMessage(build()))
	m.Mutable(fields.ByName("many")).List().Append(protoreflect.ValueOfMessage(build()))
	m.Set(fields.ByName("hidden"), protoreflect.ValueOfMessage(build()))
	before := proto.Clone(m.Interface())

	line := logged(t, "json", func(l *slog.Logger) { l.Info("m", "request", m.Interface()) })
	var got map[string]any
	require.NoError(t, json.Unmarshal([]byte(line), &got))
	clean := map[string]any{"open": "stays", "pin": telemetry.Redacted}
	require.Equal(t, map[string]any{
		"open": "stays", "pin": telemetry.Redacted, "one": clean, "many": []any{clean},
	}, got["request"])
	require.True(t, proto.Equal(before, m.Interface()), "the message itself is untouched")
}

func TestMessage(t *testing.T) {
	packed, err := anypb.New(wrapperspb.String("hush"))
	require.NoError(t, err)
	clean, ok := telemetry.Message(packed).(*anypb.Any)
	require.True(t, ok)
	require.Empty(t, clean.GetValue())
	require.Equal(t, packed.GetTypeUrl(), clean.GetTypeUrl())

	require.Nil(t, telemetry.Message(nil))
	var none *auditeventsv1.AuditEntry
	require.Equal(t, none, telemetry.Message(none))
}
