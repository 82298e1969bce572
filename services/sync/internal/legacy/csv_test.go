package legacy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/legacy"
)

func TestCSVAsSpreadsheetsWriteIt(t *testing.T) {
	for name, text := range map[string]string{
		"plain":            "legacy_id,code,name,client\n7,ABC,Abel & Co,\n,,\"Blum, Mary\",firms/f/clients/c\n",
		"byte-order mark":  "\uFEFFlegacy_id,code,name,client\r\n7,ABC,Abel & Co,\r\n,,\"Blum, Mary\",firms/f/clients/c\r\n",
		"other order":      "Name , client,CODE,Legacy_ID\nAbel & Co,,ABC,007\n\"Blum, Mary\",firms/f/clients/c,,",
		"quoted all":       "\"legacy_id\",\"code\",\"name\",\"client\"\r\n\"7\",\"ABC\",\"Abel & Co\",\"\"\r\n\"\",\"\",\"Blum, Mary\",\"firms/f/clients/c\"\r\n",
		"lines in between": "legacy_id,code,name,client\n\n7,ABC, Abel & Co ,\n\n,,\"Blum, Mary\",firms/f/clients/c\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			rows, mistakes := legacy.ParseCSV(text)
			mistakes = append(mistakes, legacy.Check(rows, client.Text)...)
			require.Empty(t, mistakes)
			require.Len(t, rows, 2)
			require.Equal(t, []string{"7", "ABC", "Abel & Co", ""}, []string{rows[0].LegacyID, rows[0].Code, rows[0].Name, rows[0].Client})
			require.Equal(t, []string{"", "", "Blum, Mary", "firms/f/clients/c"}, []string{rows[1].LegacyID, rows[1].Code, rows[1].Name, rows[1].Client})
		})
	}
	rows, mistakes := legacy.ParseCSV("name\nOnly names\n\"A\nname in two lines\"\nLast\n")
	require.Empty(t, mistakes)
	require.Len(t, rows, 3)
	require.Equal(t, "line 5", rows[2].Place, "lines are those of the file")
}

func TestEveryMistakeIsNamedWithItsLine(t *testing.T) {
	long := strings.Repeat("x", 501)
	rows, mistakes := legacy.ParseCSV("legacy_id,code,name\n" +
		"12a,,Abel\n" + // 2
		"13,,\n" + // 3
		"14,,Cora,too many\n" + // 4
		"15,," + long + "\n" + // 5
		"16,,Dora\n" + // 6
		"016,,Dora again\n" + // 7
		",X,Emil\n" + // 8
		",X,Emil\n" + // 9
		"17,a \"bare\" quote,Fritz\n" + // 10
		"1234567890123456789,,Gerd\n" + // 11
		"18," + long + ",Hans\n" + // 12
		"19,,\"never closed\n20,,Ida\n") // 13
	mistakes = append(mistakes, legacy.Check(rows, client.Text)...)
	var said []string
	for _, m := range mistakes {
		said = append(said, m.Place+": "+m.Words)
		require.Equal(t, "csv", m.At)
		require.NotEmpty(t, m.Rule)
	}
	for _, want := range []string{
		`line 2: the legacy_id "12a" is no integer of up to 18 digits`,
		"line 3: the name is missing",
		"line 4: has 4 values, and the header 3 columns",
		"line 5: the name is longer than 500 characters",
		"line 7: the legacy_id 16 stands in line 6 too",
		"line 9: the same name and code, without a legacy_id, stands in line 8 too",
		`line 10: can't be read as CSV: bare " in non-quoted-field`,
		`line 11: the legacy_id "1234567890123456789" is no integer of up to 18 digits`,
		"line 12: the code is longer than 100 characters",
		"line 13: opens a quotation mark that is not closed properly by line 14",
	} {
		require.Contains(t, said, want)
	}
	require.Len(t, said, 10)
}

func TestFilesThatAreNoImport(t *testing.T) {
	for text, want := range map[string]string{
		"legacy_id;code;name\n1;A;Abel\n":      `names a column "legacy_id;code;name"; there are legacy_id, code, name, client, separated by commas`,
		"legacy_id,code\n1,A\n":                "has no column name",
		"name,name\nA,B\n":                     "names the column name twice",
		"name\n":                               "has no rows below the header",
		" \n\n":                                `names a column ""`,
		strings.Repeat("x", 900_000):           `names a column "` + strings.Repeat("x", 40) + `…"; there are`,
		strings.Repeat("x,", 400_000):          "has 400001 columns; there are legacy_id, code, name, client",
		"name\n" + strings.Repeat("A\n", 5001): "has 5001 rows, at most 5000 are taken at a time",
	} {
		_, mistakes := legacy.ParseCSV(text)
		require.NotEmpty(t, mistakes, "%.40q", text)
		var said []string
		for _, m := range mistakes {
			said = append(said, m.Words)
		}
		require.Contains(t, strings.Join(said, "\n"), strings.TrimPrefix(want, " "), "%.40q", text)
	}
}

func FuzzParseCSV(f *testing.F) {
	f.Add("legacy_id,code,name,client\n1,A,Abel,\n")
	f.Add("\uFEFFname\n\"x\n")
	f.Add("name\n\"\"\"\n,\n")
	f.Fuzz(func(t *testing.T, text string) {
		rows, mistakes := legacy.ParseCSV(text)
		if len(rows)+len(mistakes) == 0 {
			t.Fatalf("%q: nothing and nothing wrong", text)
		}
		for _, m := range append(mistakes, legacy.Check(rows, client.Text)...) {
			if m.Words == "" || m.At == "" {
				t.Fatalf("%q: a mistake without words: %+v", text, m)
			}
		}
	})
}

// resolved is what rows come to, in words.
func resolved(t *testing.T, present legacy.Present, rows ...legacy.Row) (said []string, out legacy.Import) {
	t.Helper()
	n := 0
	for i := range rows {
		rows[i].Place, rows[i].At = fmt.Sprintf("line %d", i+2), "csv"
	}
	out, mistakes := legacy.Resolve(rows, "f", "k", present, func() string { n++; return fmt.Sprint("new-", n) })
	for _, m := range mistakes {
		said = append(said, m.Place+": "+m.Words)
	}
	return said, out
}

func TestWhoseLinkARowIs(t *testing.T) {
	present := legacy.Present{
		Named: map[string]bool{"named": true},
		ByCode: map[string][]legacy.Known{
			"abc": {{Client: "abc", Name: "abel", Code: "abc"}},
			"two": {{Client: "t1", Name: "twin", Code: "two"}, {Client: "t2", Name: "other twin", Code: "two"}},
			"old": {{Client: "left", Name: "old", Code: "old", Left: true}},
		},
		ByName: map[string][]legacy.Known{
			"blum":   {{Client: "blum", Name: "blum"}},
			"coded":  {{Client: "coded", Name: "coded", Code: "x1"}},
			"common": {{Client: "c1", Name: "common"}, {Client: "c2", Name: "common"}},
			"twice":  {{Client: "tw", Name: "twice"}},
		},
	}
	said, out := resolved(t, present,
		legacy.Row{LegacyID: "1", Name: "Whoever", Client: "named"},
		legacy.Row{LegacyID: "2", Name: "Another name", Code: "ABC"},
		legacy.Row{LegacyID: "3", Name: "BLUM"},
		legacy.Row{LegacyID: "4", Name: "Coded", Code: "X2"}, // somebody else of that name
		legacy.Row{LegacyID: "5", Name: "Common"},
		legacy.Row{LegacyID: "6", Name: "Twice"}, legacy.Row{LegacyID: "7", Name: "Twice"},
		legacy.Row{LegacyID: "8", Name: "Twin", Code: "two"},
		legacy.Row{LegacyID: "9", Name: "Old", Code: "old"},
		legacy.Row{LegacyID: "10", Name: "New", Code: "new"},
	)
	require.Empty(t, said)
	var clients []string
	for _, l := range out.Links {
		_, made := out.Made[l.Client]
		clients = append(clients, map[bool]string{true: "made", false: l.Client}[made])
		require.Equal(t, legacy.Pending, l.State)
	}
	require.Equal(t, []string{"named", "abc", "blum", "made", "made", "made", "made", "t1", "left", "made"}, clients)
	require.Equal(t, 5, out.Found)
	require.Len(t, out.Made, 5)
	require.Zero(t, out.Unchanged)
}

func TestRowsThatNameNobodyOrSomebodyTwice(t *testing.T) {
	present := legacy.Present{
		Links: []legacy.Link{
			{ID: "l1", Client: "had", LegacyID: "50", Code: "H", Name: "Had", State: legacy.Mapped, Record: "r"},
			{ID: "l2", Client: "open", LegacyID: "51", Code: "O", Name: "Open", State: legacy.Suggested, Explanation: "two"},
			{ID: "l3", Client: "plain", Code: "P", Name: "Plain", State: legacy.Pending},
		},
		Named:  map[string]bool{"c": true, "had": true},
		ByCode: map[string][]legacy.Known{"two": {{Client: "t1", Name: "a"}, {Client: "t2", Name: "b"}}, "one": {{Client: "c", Name: "c"}}},
	}
	said, _ := resolved(t, present,
		legacy.Row{LegacyID: "1", Name: "X", Client: "nobody"},
		legacy.Row{LegacyID: "2", Name: "C", Client: "c"},
		legacy.Row{LegacyID: "3", Name: "C", Client: "c"},
		legacy.Row{LegacyID: "4", Name: "C", Code: "ONE"},
		legacy.Row{LegacyID: "5", Name: "Neither", Code: "TWO"},
		legacy.Row{LegacyID: "6", Name: "Had", Client: "had"},
		legacy.Row{LegacyID: "50", Name: "Had", Client: "c"},
	)
	require.Equal(t, []string{
		"line 2: there is no such client",
		"line 4: the client has a link already, from line 3",
		"line 5: the client with the code ONE has a link already, from line 3",
		"line 6: 2 clients have the code TWO; name the one in client",
		"line 7: the client has a link already, from an earlier import",
		"line 8: the legacy_id 50 was imported for another client",
	}, said)

	said, out := resolved(t, present,
		legacy.Row{LegacyID: "50", Code: "changed", Name: "Had"}, // mapped: too late, and no matter
		legacy.Row{LegacyID: "51", Code: "O2", Name: "Open"},     // a code put right
		legacy.Row{Code: "P", Name: "Plain"},
	)
	require.Empty(t, said)
	require.Equal(t, 2, out.Unchanged)
	require.Len(t, out.Links, 1)
	l := out.Links[0]
	require.Equal(t, []string{"l2", "open", "O2", "", string(legacy.Pending)}, []string{l.ID, l.Client, l.Code, l.Explanation, string(l.State)})
}

// A file of a megabyte may have half a million lines: what is said about them is short, and nothing of them is kept.
func TestFileOfVeryManyLines(t *testing.T) {
	for _, text := range []string{strings.Repeat("A\n", 499_000), strings.Repeat("\"\n", 200_000) + "x", strings.Repeat("a,b\n", 240_000)} {
		rows, mistakes := legacy.ParseCSV("name\n" + text)
		require.LessOrEqual(t, len(mistakes), 1)
		require.Empty(t, rows)
		for _, m := range mistakes {
			require.Less(t, len(m.Words), 200)
		}
	}
}

// Two clients of one name, without a code or an integer id, are told apart by the clients that the rows name.
func TestTwoOfOneName(t *testing.T) {
	rows := []legacy.Row{{Place: "line 2", At: "csv", Name: "Mary Blum", Client: "a"}, {Place: "line 3", At: "csv", Name: "Mary Blum", Client: "b"}}
	require.Empty(t, legacy.Check(rows, client.Text))
	present := legacy.Present{Named: map[string]bool{"a": true, "b": true}}
	said, out := resolved(t, present, rows...)
	require.Empty(t, said)
	require.Len(t, out.Links, 2)
	present.Links = out.Links
	said, out = resolved(t, present, rows...)
	require.Empty(t, said)
	require.Equal(t, 2, out.Unchanged, "the same links again")
	require.Empty(t, out.Links)
	said, _ = resolved(t, present, legacy.Row{Name: "Mary Blum", Client: "c"})
	require.Equal(t, []string{"line 2: the name Mary Blum was imported for another client"}, said)
	twice := slices.Concat(rows, rows[:1])
	require.Len(t, legacy.Check(twice, client.Text), 1)
}
