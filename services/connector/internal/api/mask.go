package api

import (
	"errors"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/concord-suite/concord/platform/rpcerr"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"

	"github.com/concord-suite/concord/services/connector/internal/api/reason"
	"github.com/concord-suite/concord/services/connector/internal/provider"
	"github.com/concord-suite/concord/services/connector/internal/record"
)

// writable returns the fields that a mask names, each once and addresses by their parts, or says which of them there is
// not, which the provider can't write, and which have values that nobody can.
func writable(w provider.Writer, set *record.Client, mask []string) ([]string, error) {
	unknown, refused, wrong := rpcerr.Default(codes.InvalidArgument), reason.NotSupported, reason.RecordInvalid
	var paths []string
	for i, path := range mask {
		field := "update_mask.paths[" + itoa(i) + "]"
		if _, err := fieldmaskpb.New(&connectorv1.ClientFields{}, path); err != nil || path == "" {
			unknown = unknown.Field(field, "in", "names no field of a client")
			continue
		}
		for _, one := range parts(path) {
			longest, ok := w.Writable(one)
			switch target := set.Field(one); {
			case !ok || target == nil:
				refused = refused.Field(field, "not_supported", path+" can't be written at this provider")
			case !slices.Contains(paths, one):
				paths = append(paths, one)
				if rule := broken(one, *target, longest); rule != "" {
					wrong = wrong.Field("client."+one, "value", rule)
				}
			}
		}
	}
	switch {
	case len(mask) == 0:
		return nil, unknown.Field("update_mask", "required", "names at least one field")
	case len(unknown.Violations()) > 0:
		return nil, unknown
	case len(refused.Violations()) > 0:
		return nil, refused
	case len(wrong.Violations()) > 0:
		return nil, wrong
	}
	slices.Sort(paths) // the same fields make the same bytes
	return paths, nil
}

// parts returns the parts of an address for the whole, and any other field as it is.
func parts(path string) []string {
	if path != "postal_address" && path != "physical_address" {
		return []string{path}
	}
	var all []string
	for _, part := range record.AddressParts {
		all = append(all, path+"."+part)
	}
	return all
}

// broken says what no provider could take about a value, or "".
func broken(path, value string, longest int) string {
	for _, r := range value {
		if unicode.IsControl(r) && (r != '\n' || !isStreet(path)) {
			return "has characters that are no text"
		}
	}
	switch {
	case utf8.RuneCountInString(value) > longest:
		return "has at most " + itoa(longest) + " characters at this provider"
	case path == "name" && value == "":
		return "can't be empty"
	case path == "birth_date" && value != "":
		if _, err := time.Parse(time.DateOnly, value); err != nil {
			return "is a date, YYYY-MM-DD"
		}
	}
	return ""
}

func isStreet(path string) bool {
	return path == "postal_address.street" || path == "physical_address.street"
}

// same reports whether a client has the values of another in some fields.
func same(a, b *record.Client, paths []string) bool {
	return !slices.ContainsFunc(paths, func(path string) bool { return *a.Field(path) != *b.Field(path) })
}

// blamed fills in what a refused value can only be about: the one field that was written.
func blamed(err error, paths []string) error {
	e, ok := errors.AsType[*provider.Error](err)
	if !ok || len(paths) != 1 {
		return err
	}
	named := *e
	named.Values = slices.Clone(e.Values)
	for i := range named.Values {
		if named.Values[i].Path == "" {
			named.Values[i].Path = paths[0]
		}
	}
	return &named
}
