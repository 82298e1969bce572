package contract

import (
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
)

func subjectOf(m protoreflect.MessageDescriptor) string {
	event, _ := proto.GetExtension(m.Options(), optionsv1.E_Event).(*optionsv1.Event)
	return event.GetSubject()
}

// TestEveryEventHasItsOwnSubject: "<emitter>.v1.<message in snake case>", after the package it stands in, so that nobody
// has to look a subject up and none is used twice. A message without a subject is part of one that has.
func TestEveryEventHasItsOwnSubject(t *testing.T) {
	owner := map[string]protoreflect.FullName{}
	parts := map[protoreflect.FullName]bool{}
	var withoutSubject []protoreflect.FullName
	messages(func(m protoreflect.MessageDescriptor) {
		emitter, isEvents := strings.CutPrefix(string(m.ParentFile().Package()), "concord.events.")
		subject := subjectOf(m)
		if !isEvents {
			assert.Empty(t, subject, "%s is outside concord.events", m.FullName())
			return
		}
		for i := range m.Fields().Len() {
			if below := m.Fields().Get(i).Message(); below != nil {
				parts[below.FullName()] = true
			}
		}
		if subject == "" {
			withoutSubject = append(withoutSubject, m.FullName())
			return
		}
		assert.Equal(t, emitter+"."+snake(string(m.Name())), subject, m.FullName())
		assert.Empty(t, owner[subject], "%s and %s share %s", owner[subject], m.FullName(), subject)
		owner[subject] = m.FullName()
	})
	for _, name := range withoutSubject {
		assert.True(t, parts[name], "%s has no subject and is part of no event", name)
	}
	assert.NotEmpty(t, owner)
}

func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// TestReasonsAreUnique: callers switch on a reason alone, without asking which service answered, unless the reason means
// the same everywhere.
func TestEveryServiceHasReasons(t *testing.T) {
	for _, f := range files() {
		if f.Services().Len() == 0 {
			continue
		}
		reasons := findEnum(f.Package(), "ErrorReason")
		if !assert.NotNil(t, reasons, "package %s has no enum ErrorReason", f.Package()) {
			continue
		}
		for i := range reasons.Values().Len() {
			assert.True(t, strings.HasPrefix(string(reasons.Values().Get(i).Name()), "ERROR_REASON_"), reasons.Values().Get(i).FullName())
		}
	}
}

func findEnum(pkg protoreflect.FullName, name protoreflect.Name) protoreflect.EnumDescriptor {
	for _, f := range files() {
		if f.Package() == pkg {
			if e := f.Enums().ByName(name); e != nil {
				return e
			}
		}
	}
	return nil
}
