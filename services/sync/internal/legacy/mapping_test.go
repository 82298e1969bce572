package legacy_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/legacy"
	"github.com/concord-suite/concord/services/sync/internal/match"
)

// listed makes a listing of records; all links are of clients of their own.
func listed(links []legacy.Link, records ...legacy.Record) *legacy.Listing {
	l := &legacy.Listing{
		ByID: map[string][]legacy.Record{}, ByCode: map[string][]legacy.Record{}, ByName: map[string][]legacy.Record{},
		ByBusiness: map[string][]legacy.Record{}, Linked: map[string]string{}, Codes: map[string]int64{}, Owners: map[string]string{},
	}
	put := func(m map[string][]legacy.Record, key string, r legacy.Record) {
		if key != "" {
			m[key] = append(m[key], r)
		}
	}
	for _, r := range records {
		k := match.KeysOf(r.Fields)
		put(l.ByID, r.LegacyID, r)
		put(l.ByCode, k.Code, r)
		put(l.ByName, k.Name, r)
		put(l.ByBusiness, k.Business, r)
	}
	for _, g := range links {
		l.Codes[match.CodeKey(g.Code)]++
		l.Owners[g.LegacyID] = g.ID
	}
	return l
}

func record(id, legacyID, name, code string) legacy.Record {
	return legacy.Record{ID: id, LegacyID: legacyID, Fields: client.Fields{Name: name, Code: code}}
}

func TestWhichRecordALinkMeans(t *testing.T) {
	who := client.Fields{Name: "Abel Pty Ltd", Code: "ABC"}
	link := legacy.Link{ID: "l", Client: "c", Name: "Abel Pty Ltd", Code: "ABC", LegacyID: "12"}
	others := []legacy.Link{{ID: "m", Client: "d", Code: "OTHER", LegacyID: "99"}}
	linked := func(l *legacy.Listing) *legacy.Listing { l.Linked["r"] = "somebody"; return l }
	moved := func(l *legacy.Listing) *legacy.Listing { l.Moved = true; return l }
	noID := link
	noID.LegacyID = ""
	for _, c := range []struct {
		name       string
		link       legacy.Link
		who        client.Fields
		listing    *legacy.Listing
		own        string
		state      legacy.State
		record     string
		words      string
		candidates []string
	}{
		{
			"by the id pair, whatever it is called now", link, who, listed(nil, record("r", "12", "Renamed", "NEW"), record("s", "", "Abel Pty Ltd", "ABC")), "",
			legacy.Mapped, "r", "by the id pair 12", nil,
		},
		{
			"by the code", link, who, listed([]legacy.Link{link}, record("r", "", "Abel", "abc")), "",
			legacy.Mapped, "r", "by the code ABC, which one record and one link have", nil,
		},
		{
			"linked meanwhile", link, who, listed(nil, record("r", "12", "Abel", "")), "own",
			legacy.Mapped, "own", "its client is linked to this record already", nil,
		},
		{
			"the record is somebody else's", link, who, linked(listed(nil, record("r", "12", "Abel", "ABC"))), "",
			legacy.Unmapped, "", "the record with the integer id 12 is linked to another client by now", nil,
		},
		{
			"two records have the code", link, who, listed([]legacy.Link{link}, record("r", "", "Abel Pty Ltd", "ABC"), record("s", "", "Zorn", "abc")), "",
			legacy.Suggested, "", "2 records have the code ABC; 2 records may be it", []string{"r", "s"},
		},
		{
			"two links have the code", link, who, listed([]legacy.Link{link, {ID: "x", Code: "abc"}}, record("r", "", "Abel", "ABC")), "",
			legacy.Suggested, "", "2 links have the code ABC; one record may be it", []string{"r"},
		},
		{
			"the code's record had another id", link, who, listed([]legacy.Link{link}, record("r", "13", "Abel", "ABC")), "",
			legacy.Suggested, "", "the record with the code ABC had the integer id 13, not 12; one record may be it", []string{"r"},
		},
		{
			"the code's record is another link's", link, who, listed(append(others, link), record("r", "99", "Abel", "ABC")), "",
			legacy.Unmapped, "", "the record with the code ABC had the integer id 99, not 12; no free record has the integer id 12, the code ABC or the name Abel Pty Ltd", nil,
		},
		{
			"the code's record has the id of another link", noID, who, listed(append(others, noID), record("r", "99", "Abel", "ABC")), "",
			legacy.Unmapped, "", "the record with the code ABC had the integer id 99, which another link has; no free record has the code ABC or the name Abel Pty Ltd", nil,
		},
		{
			"the listing moved", noID, who, moved(listed([]legacy.Link{noID}, record("r", "", "Abel", "ABC"))), "",
			legacy.Suggested, "", "the listing moved while it was read, so another record may have the code ABC; one record may be it", []string{"r"},
		},
		{
			"what else is known speaks against it", noID, client.Fields{Name: "Abel", Code: "ABC", BusinessNumber: "51824753556"},
			listed([]legacy.Link{noID}, legacy.Record{ID: "r", Fields: client.Fields{Name: "Zorn", Code: "ABC", BusinessNumber: "53004085616"}}), "",
			legacy.Suggested, "", "the record with the code ABC is another client in other respects; one record may be it", []string{"r"},
		},
		{
			"by the name it may be", link, who, listed(nil, record("r", "", "ABEL PROPRIETARY LIMITED", "")), "",
			legacy.Suggested, "", "one record may be it", []string{"r"},
		},
		{
			"by the number it may be", noID, client.Fields{Name: "Abel", BusinessNumber: "51 824 753 556"},
			listed(nil, legacy.Record{ID: "r", Fields: client.Fields{Name: "Zorn", BusinessNumber: "51824753556"}}), "",
			legacy.Suggested, "", "one record may be it", []string{"r"},
		},
		{
			"nothing fits", link, who, listed(nil, record("r", "13", "Zorn", "Z")), "",
			legacy.Unmapped, "", "no free record has the integer id 12, the code ABC or the name Abel Pty Ltd", nil,
		},
		{
			"two records with one id, one with the code", link, who,
			listed([]legacy.Link{link}, record("r", "12", "Abel Pty Ltd", "ABC"), record("s", "12", "Zorn", "")), "",
			legacy.Suggested, "", "2 records have the integer id 12; 2 records may be it", []string{"r", "s"},
		},
		{
			"two records with one id", link, who, listed(nil, record("r", "12", "Abel Pty Ltd", ""), record("s", "12", "Zorn", "")), "",
			legacy.Suggested, "", "2 records have the integer id 12; 2 records may be it", []string{"r", "s"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, to := c.listing.Map(c.link, c.who, c.own)
			require.Equal(t, c.state, got.State, got.Explanation)
			require.Equal(t, c.record, got.Record)
			require.Equal(t, c.words, got.Explanation)
			require.Equal(t, c.state == legacy.Mapped && c.own == "", to.ID != "")
			var candidates []string
			for _, x := range got.Candidates {
				require.NotEmpty(t, x.Evidence)
				candidates = append(candidates, x.Record)
			}
			require.Equal(t, c.candidates, candidates)
		})
	}
}

func TestARecordGoesToOneLink(t *testing.T) {
	l := listed(nil, record("r", "", "Abel", ""))
	l.ByID["1"], l.ByID["2"] = []legacy.Record{record("r", "1", "Abel", "")}, []legacy.Record{record("r", "2", "Abel", "")}
	first, _ := l.Map(legacy.Link{ID: "a", Client: "a", LegacyID: "1", Name: "Abel"}, client.Fields{Name: "Abel"}, "")
	second, _ := l.Map(legacy.Link{ID: "b", Client: "b", LegacyID: "2", Name: "Abel"}, client.Fields{Name: "Abel"}, "")
	require.Equal(t, legacy.Mapped, first.State)
	require.Equal(t, legacy.Unmapped, second.State)
}
