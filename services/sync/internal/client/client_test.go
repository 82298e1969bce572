package client_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/sync/internal/client"
)

func TestClean(t *testing.T) {
	f := client.Fields{
		Name: "  To\u0304maki\x00 ", Code: "\t", Groups: []string{"b", " a ", "b", ""}, Postal: client.Address{Street: "1 St\n2 St ", City: " X"},
	}.Clean()
	require.Equal(t, "T\u014dmaki", f.Name, "NFC, without space around and without NUL")
	require.Empty(t, f.Code)
	require.Equal(t, []string{"a", "b"}, f.Groups)
	require.Equal(t, "1 St, 2 St, X", f.Postal.String())
	require.Equal(t, f, client.ParseFields(f.JSON()))
	require.Equal(t, client.Fields{}, client.ParseFields(`half a {`))
	require.Equal(t, "\uFFFD", client.Text("\xff"))
}

func TestDiff(t *testing.T) {
	a := client.Fields{Name: "A", Postal: client.Address{City: "X"}, Groups: []string{"g"}}
	b := client.Fields{Name: "A", Postal: client.Address{City: "Y"}, TaxNumber: "123"}
	require.Equal(t, []client.Change{
		{Field: "postal address", Old: "X", New: "Y"}, {Field: "tax number"}, {Field: "groups", Old: "g"},
	}, b.Diff(a))
	require.Empty(t, a.Diff(a))
}

func TestRecordContactHasOneLinkPerClient(t *testing.T) {
	c := client.RecordContact{Person: client.Person{Name: " P "}, Links: []client.RecordLink{
		{ClientRecord: "b", Position: "Director", Primary: true}, {ClientRecord: "a"}, {ClientRecord: "b", Position: " Trustee "},
	}}.Clean()
	require.Equal(t, "P", c.Person.Name)
	require.Equal(t, []client.RecordLink{{ClientRecord: "a"}, {ClientRecord: "b", Position: "Trustee", Primary: true}}, c.Links)
	require.Equal(t, c, client.ParseRecordContact(c.JSON()))
}

func TestSearchPattern(t *testing.T) {
	require.Equal(t, "%", client.SearchPattern("  "))
	require.Equal(t, `%100\%\_\\%`, client.SearchPattern(`100%_\`))
	require.Equal(t, "%ōmaki%", client.SearchPattern("ŌMAKI"))
}
