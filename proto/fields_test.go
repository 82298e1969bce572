package contract

import (
	"regexp"
	"strings"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
)

func rulesOf(field protoreflect.FieldDescriptor) *validate.FieldRules {
	rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
	return rules
}

func isSecret(field protoreflect.FieldDescriptor) bool {
	secret, _ := proto.GetExtension(field.Options(), optionsv1.E_Secret).(bool)
	return secret
}

var (
	// secretName is what a field that holds a secret is called.
	secretName = regexp.MustCompile(`(^|_)(password|passphrase|pin|otp|secret|verifier|token|credential)s?$|(^|_)(setup|invitation|recovery|authorization|login|add_in)_codes?$`)
	// positionName is what a place in a listing is called: a token that opens nothing.
	positionName = regexp.MustCompile(`^(next_)?(page|resume|sync)_token$`)
)

// TestSecretsAreMarked: a field that is called like a secret has the secret option, or it would be logged. In auth and
// connector a bare "code" is a one-time code; elsewhere it is a client's code.
func TestSecretsAreMarked(t *testing.T) {
	messages(func(m protoreflect.MessageDescriptor) {
		pkg := string(m.ParentFile().Package())
		for i := range m.Fields().Len() {
			field := m.Fields().Get(i)
			if field.Kind() != protoreflect.StringKind && field.Kind() != protoreflect.BytesKind {
				continue
			}
			name := string(field.Name())
			suspicious := secretName.MatchString(name) && !positionName.MatchString(name)
			if name == "code" && (pkg == "concord.auth.v1" || strings.HasSuffix(string(m.Name()), "ConnectRequest")) {
				suspicious = true
			}
			if suspicious {
				assert.True(t, isSecret(field), "%s is named like a secret and not marked as one", field.FullName())
			}
			if strings.HasPrefix(pkg, "concord.events.") {
				assert.False(t, isSecret(field), "%s: no secret travels in an event", field.FullName())
			}
		}
	})
}

// TestRequestsAreBounded: whoever sends a request decides how long its texts and lists are, so every one has a bound.
func TestRequestsAreBounded(t *testing.T) {
	seen := map[protoreflect.FullName]bool{}
	var walk func(m protoreflect.MessageDescriptor)
	walk = func(m protoreflect.MessageDescriptor) {
		if seen[m.FullName()] || strings.HasPrefix(string(m.FullName()), "google.") {
			return
		}
		seen[m.FullName()] = true
		for i := range m.Fields().Len() {
			field := m.Fields().Get(i)
			rules := rulesOf(field)
			switch {
			case field.IsMap():
				assert.True(t, rules.GetMap().HasMaxPairs(), "%s has no bound", field.FullName())
				assert.True(t, isBounded(field.MapKey(), rules.GetMap().GetKeys()), "the keys of %s have no bound", field.FullName())
				assert.True(t, isBounded(field.MapValue(), rules.GetMap().GetValues()), "the values of %s have no bound", field.FullName())
			case field.IsList():
				assert.True(t, rules.GetRepeated().HasMaxItems(), "%s has no bound", field.FullName())
				assert.True(t, isBounded(field, rules.GetRepeated().GetItems()), "the items of %s have no bound", field.FullName())
			default:
				assert.True(t, isBounded(field, rules), "%s has no bound", field.FullName())
			}
			if field.Message() != nil && !field.IsMap() {
				walk(field.Message())
			}
		}
	}
	for _, m := range methods() {
		walk(m.Input())
	}
}

// isBounded says whether rules keep a text or bytes from being of any length. Other kinds are bounded by themselves.
func isBounded(field protoreflect.FieldDescriptor, rules *validate.FieldRules) bool {
	switch field.Kind() {
	case protoreflect.StringKind:
		r := rules.GetString()
		// A pattern bounds when it is anchored and repeats nothing without limit.
		pattern := r.GetPattern()
		limited := strings.HasPrefix(pattern, "^") && strings.HasSuffix(pattern, "$") && !strings.ContainsAny(pattern, "*+")
		return r.HasMaxLen() || r.HasMaxBytes() || r.HasLen() || r.GetUuid() || r.HasConst() || len(r.GetIn()) > 0 || limited
	case protoreflect.BytesKind:
		return rules.GetBytes().HasMaxLen() || rules.GetBytes().HasLen()
	case protoreflect.EnumKind:
		return true
	default:
		return true
	}
}

// TestRulesCompile: a rule that does not compile would refuse every request of its RPC at run time.
func TestRulesCompile(t *testing.T) {
	var inputs []protoreflect.MessageDescriptor
	for _, m := range methods() {
		inputs = append(inputs, m.Input())
	}
	_, err := protovalidate.New(protovalidate.WithMessageDescriptors(inputs...), protovalidate.WithDisableLazy())
	require.NoError(t, err)
}
