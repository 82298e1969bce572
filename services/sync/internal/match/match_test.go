package match_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/match"
)

func TestNameKey(t *testing.T) {
	for _, same := range [][]string{
		{"Acme Pty Ltd", "ACME PTY. LTD.", "Acme Proprietary Limited", "Acme (Pty) Ltd", "Acme P/L", "acme  pty limited", "Acme Pty"},
		{"Smith, John", "John Smith", "JOHN SMITH", "  john   smith "},
		{"Tāmaki Holdings Limited", "Tamaki Holdings Ltd", "Ta\u0304maki Holdings Ltd."},
		{"The Trustee for Nguyen Family Trust", "Nguyen Family Trust", "The Nguyen Family Trust", "the trustee for the nguyen family trust"},
		{"O'Brien & Sons", "OBrien and Sons", "O’Brien + Sons"},
	} {
		for _, name := range same[1:] {
			require.Equal(t, match.NameKey(same[0]), match.NameKey(name), "%q and %q", same[0], name)
		}
	}
	for _, other := range [][2]string{
		{"Acme Pty Ltd", "Acme"}, {"Acme Pty Ltd", "Acme Ltd"}, {"Smith Family Trust", "Smith Family Trust No 2"},
		{"John Smith", "Jon Smith"}, {"The", ""},
	} {
		require.NotEqual(t, match.NameKey(other[0]), match.NameKey(other[1]), "%q and %q", other[0], other[1])
	}
	require.Empty(t, match.NameKey(" , "))
}

func TestScore(t *testing.T) {
	type f = client.Fields
	for _, c := range []struct {
		name      string
		here, rec f
		plausible bool
	}{
		{"same name alone", f{Name: "Acme Pty Ltd"}, f{Name: "ACME P/L"}, true},
		{"same code, another name", f{Name: "Acme", Code: "AC01"}, f{Name: "Acme Holdings", Code: "ac01"}, true},
		{"same code, another name and ABN", f{Name: "Acme", Code: "AC01", BusinessNumber: "51824753556"}, f{Name: "Acme Holdings", Code: "ac01", BusinessNumber: "83914571673"}, false},
		{"same code and name", f{Name: "Acme", Code: "AC01"}, f{Name: "Acme", Code: "AC01"}, true},
		{"same code, no name known", f{Code: "AC01"}, f{Name: "Acme", Code: "AC01"}, true},
		{"same code, other name, same e-mail", f{Name: "Acme", Code: "AC01", Email: "a@x.au"}, f{Name: "Acme Two", Code: "AC01", Email: "A@x.au"}, true},
		{"same ABN, renamed", f{Name: "Old", BusinessNumber: "51 824 753 556"}, f{Name: "New", BusinessNumber: "51824753556"}, true},
		{"same name, another ABN", f{Name: "Acme", BusinessNumber: "51824753556"}, f{Name: "Acme", BusinessNumber: "83914571673"}, false},
		{"father and son", f{Name: "John Smith", BirthDate: "1950-01-02"}, f{Name: "John Smith", BirthDate: "1981-07-09"}, false},
		{"same person, time in the date", f{Name: "John Smith", BirthDate: "1950-01-02"}, f{Name: "Smith, John", BirthDate: "1950-01-02T00:00:00"}, true},
		{"shared e-mail of a family", f{Name: "John Smith", Email: "s@x.au"}, f{Name: "Mary Smith", Email: "s@x.au"}, false},
		{"same birth date alone", f{Name: "John Smith", BirthDate: "1950-01-02"}, f{Name: "Mary Jones", BirthDate: "1950-01-02"}, false},
		{"person and company of one name", f{Name: "Acme", EntityType: "Individual"}, f{Name: "Acme", EntityType: "Company"}, false},
		{"same company number", f{Name: "A Pty Ltd", CompanyNumber: "004 085 616"}, f{Name: "B Pty Ltd", CompanyNumber: "004085616"}, true},
		{"nothing", f{}, f{}, false},
	} {
		score, words := match.Score(c.rec, c.here)
		require.Equal(t, c.plausible, score >= match.Plausible, "%s: %d %v", c.name, score, words)
		back, _ := match.Score(c.here, c.rec)
		require.Equal(t, score, back, "%s: both ways alike", c.name)
	}
}

func TestBest(t *testing.T) {
	record := client.Fields{Name: "Acme Pty Ltd", Code: "AC01", Email: "a@x.au"}
	got, ok := match.Best(record, []match.Candidate{
		{Client: "by name", Fields: client.Fields{Name: "Acme P/L"}},
		{Client: "by both", Fields: client.Fields{Name: "ACME PTY LTD", Code: "AC01"}},
		{Client: "another", Fields: client.Fields{Name: "Zebra"}},
	})
	require.True(t, ok)
	require.Equal(t, "by both", got.Client)
	require.Equal(t, []string{`same name "ACME PTY LTD"`, "same client code AC01", "one more client fits as well"}, got.Evidence)

	got, ok = match.Best(record, []match.Candidate{
		{Client: "left", Fields: client.Fields{Name: "Acme P/L"}, Left: true},
		{Client: "here", Fields: client.Fields{Name: "Acme P/L"}},
	})
	require.True(t, ok)
	require.Equal(t, "here", got.Client, "one still here is likelier than one that left")

	got, ok = match.Best(record, []match.Candidate{{Client: "left", Fields: client.Fields{Name: "Acme P/L"}, Left: true}})
	require.True(t, ok)
	require.Contains(t, got.Evidence, "this client left the client list before")

	_, ok = match.Best(record, nil)
	require.False(t, ok)
}
