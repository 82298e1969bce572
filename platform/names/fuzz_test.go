package names_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/concord-suite/concord/platform/names"
)

// What is taken for a name has the ids of its pattern, and those make the same name again; nothing in it could end a path,
// a line or a text of a database.
func FuzzParse(f *testing.F) {
	const pattern = "firms/{firm}/clients/{client}"
	f.Add("firms/018f0000-0000-7000-8000-000000000001/clients/a", pattern)
	f.Add("firms//clients/", pattern)
	f.Add("firms/../clients/%2e", names.FirmPattern)
	f.Add("firms/a\x00", names.FirmPattern)
	f.Fuzz(func(t *testing.T, name, wild string) {
		ids, err := names.Parse(pattern, name)
		if err != nil {
			return
		}
		if len(ids) != 2 || name != "firms/"+ids[0]+"/clients/"+ids[1] {
			t.Fatalf("%q has the ids %q", name, ids)
		}
		if slices.ContainsFunc(ids, func(id string) bool { return id == "" || len(id) > 128 || strings.ContainsAny(id, "/\\\x00\n\r%?#") }) {
			t.Fatalf("%q holds what is no id", ids)
		}
	})
}
