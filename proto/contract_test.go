// Package contract checks what the linter cannot: that the facts the contract carries as options are complete and agree
// with each other. A new RPC, event or field that leaves one out fails here before it reaches a server.
package contract

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	_ "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	_ "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	_ "github.com/concord-suite/concord/proto/gen/concord/events/audit/v1"
	_ "github.com/concord-suite/concord/proto/gen/concord/events/auth/v1"
	_ "github.com/concord-suite/concord/proto/gen/concord/events/connector/v1"
	_ "github.com/concord-suite/concord/proto/gen/concord/events/documents/v1"
	_ "github.com/concord-suite/concord/proto/gen/concord/events/sync/v1"
	_ "github.com/concord-suite/concord/proto/gen/concord/options/v1"
	_ "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
)

// files returns every file of the contract.
func files() []protoreflect.FileDescriptor {
	var all []protoreflect.FileDescriptor
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if strings.HasPrefix(string(f.Package()), "concord.") {
			all = append(all, f)
		}
		return true
	})
	return all
}

// methods returns every RPC.
func methods() []protoreflect.MethodDescriptor {
	var all []protoreflect.MethodDescriptor
	for _, f := range files() {
		for i := range f.Services().Len() {
			in := f.Services().Get(i).Methods()
			for j := range in.Len() {
				all = append(all, in.Get(j))
			}
		}
	}
	return all
}

// messages calls visit for every message of the contract, nested ones included, but not for the entries of maps.
func messages(visit func(protoreflect.MessageDescriptor)) {
	var walk func(protoreflect.MessageDescriptors)
	walk = func(in protoreflect.MessageDescriptors) {
		for i := range in.Len() {
			if m := in.Get(i); !m.IsMapEntry() {
				visit(m)
				walk(m.Messages())
			}
		}
	}
	for _, f := range files() {
		walk(f.Messages())
	}
}

// fieldAt finds the field of a dotted path, or nil.
func fieldAt(m protoreflect.MessageDescriptor, path string) protoreflect.FieldDescriptor {
	head, rest, nested := strings.Cut(path, ".")
	field := m.Fields().ByName(protoreflect.Name(head))
	switch {
	case field == nil || !nested:
		return field
	case field.Message() == nil:
		return nil
	default:
		return fieldAt(field.Message(), rest)
	}
}

// TestEveryGeneratedFileIsChecked keeps the imports above complete.
func TestEveryGeneratedFileIsChecked(t *testing.T) {
	source := regexp.MustCompile(`(?m)^// source: (\S+)$`)
	err := filepath.WalkDir("gen", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".pb.go") {
			return err
		}
		code, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if found := source.FindSubmatch(code); found != nil {
			_, err := protoregistry.GlobalFiles.FindFileByPath(string(found[1]))
			require.NoError(t, err, "%s: import its package in contract_test.go", path)
		}
		return nil
	})
	require.NoError(t, err)
	require.NotEmpty(t, methods())
}
