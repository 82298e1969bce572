package legacy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/match"
)

// Listing is what a listing, and the client list, hold that bears on some links.
type Listing struct {
	// ByID, ByCode, ByName and ByBusiness are the records by integer id, and by the keys of package match.
	ByID, ByCode, ByName, ByBusiness map[string][]Record
	// Linked are the clients that records are linked to by now, by record.
	Linked map[string]string
	// Codes counts the legacy links of the connection by code key; Owners are the open links that integer ids belong to.
	Codes  map[string]int64
	Owners map[string]string
	// Moved: the listing moved while it was read, so it can't tell that one record alone has a code.
	Moved bool
}

// shown is how many candidates are worth a person's look; more of them mean that the name says nothing.
const shown = 5

// Map decides which record a link means: by the integer id, which is identity; else by a code that one record and one
// link have, unless something speaks against it; else a person decides between those that may be it, if any. own is the
// record its client is linked to by now, if any. A record goes to one link: what is mapped is Linked from then on. The
// record is answered when the client is to be linked to it.
func (s *Listing) Map(l Link, who client.Fields, own string) (Link, Record) {
	l.Candidates, l.Record = nil, ""
	if own != "" {
		l.State, l.Record, l.Explanation = Mapped, own, "its client is linked to this record already"
		return l, Record{}
	}
	r, how, notes := s.identify(&l, who)
	if how != "" && r.Archived {
		how += "; the record is archived"
	}
	switch {
	case how != "":
		l.State, l.Record, l.Explanation = Mapped, r.ID, how
		s.Linked[r.ID] = l.Client
		return l, r
	case r.ID != "": // known, and somebody else's
		l.State, l.Explanation = Unmapped, strings.Join(notes, "; ")
		return l, Record{}
	}
	l.Candidates = s.candidates(&l, who)
	switch n := len(l.Candidates); {
	case n == 0:
		l.State, notes = Unmapped, append(notes, nothing(&l))
	case n == 1:
		l.State, notes = Suggested, append(notes, "one record may be it")
	default:
		l.State, notes = Suggested, append(notes, fmt.Sprintf("%d records may be it", n))
	}
	l.Explanation = strings.Join(notes, "; ")
	return l, Record{}
}

// identify looks for the one record that a link is. how says by what it was found, "" when it was not. A record without a
// how is the link's, and linked to another client.
func (s *Listing) identify(l *Link, who client.Fields) (r Record, how string, notes []string) {
	if l.LegacyID != "" {
		switch with := s.ByID[l.LegacyID]; {
		case len(with) == 1 && s.Linked[with[0].ID] == "":
			return with[0], "by the id pair " + l.LegacyID, nil
		case len(with) == 1:
			return with[0], "", []string{fmt.Sprintf("the record with the integer id %s is linked to another client by now", l.LegacyID)}
		case len(with) > 1:
			notes = append(notes, fmt.Sprintf("%d records have the integer id %s", len(with), l.LegacyID))
		}
	}
	code := match.CodeKey(l.Code)
	with := s.ByCode[code]
	if code == "" || len(with) == 0 {
		return Record{}, "", notes
	}
	against := s.against(l, who, with)
	if against == "" && len(notes) == 0 {
		return with[0], "by the code " + l.Code + ", which one record and one link have", nil
	}
	if against != "" {
		notes = append(notes, against)
	}
	return Record{}, "", notes
}

// against says what keeps a code from meaning identity, "" when nothing does.
func (s *Listing) against(l *Link, who client.Fields, with []Record) string {
	n := s.Codes[match.CodeKey(l.Code)]
	r := with[0]
	switch {
	case len(with) > 1:
		return fmt.Sprintf("%d records have the code %s", len(with), l.Code)
	case n > 1:
		return fmt.Sprintf("%d links have the code %s", n, l.Code)
	case s.Linked[r.ID] != "":
		return fmt.Sprintf("the record with the code %s is linked to another client by now", l.Code)
	case r.LegacyID != "" && l.LegacyID != "" && r.LegacyID != l.LegacyID:
		return fmt.Sprintf("the record with the code %s had the integer id %s, not %s", l.Code, r.LegacyID, l.LegacyID)
	case r.LegacyID != "" && s.Owners[r.LegacyID] != "" && s.Owners[r.LegacyID] != l.ID:
		return fmt.Sprintf("the record with the code %s had the integer id %s, which another link has", l.Code, r.LegacyID)
	case s.Moved:
		return "the listing moved while it was read, so another record may have the code " + l.Code
	}
	if score, _ := match.Score(r.Fields, who); score < 0 {
		return fmt.Sprintf("the record with the code %s is another client in other respects", l.Code)
	}
	return ""
}

// candidates are the free records that may be a link's, best first.
func (s *Listing) candidates(l *Link, who client.Fields) []Candidate {
	type scored struct {
		Candidate
		score int
	}
	imported := client.Fields{Name: l.Name, Code: l.Code}
	var all []scored
	seen := map[string]bool{}
	for _, r := range s.near(l, who) {
		owner := s.Owners[r.LegacyID]
		if seen[r.ID] || s.Linked[r.ID] != "" || r.LegacyID != "" && owner != "" && owner != l.ID {
			continue
		}
		seen[r.ID] = true
		score, evidence := match.Score(r.Fields, who)
		if then, words := match.Score(r.Fields, imported); then > score {
			score, evidence = then, words
		}
		if r.LegacyID != "" && r.LegacyID == l.LegacyID {
			score, evidence = score+100, append([]string{"same integer id " + r.LegacyID}, evidence...)
		}
		if score < match.Plausible {
			continue
		}
		if r.Archived {
			evidence = append(evidence, "it is archived")
		}
		all = append(all, scored{Candidate{Record: r.ID, Name: r.Fields.Name, Code: r.Fields.Code, Evidence: evidence}, score})
	}
	slices.SortFunc(all, func(a, b scored) int {
		if a.score != b.score {
			return b.score - a.score
		}
		return strings.Compare(a.Record, b.Record)
	})
	var out []Candidate
	for _, c := range all[:min(len(all), shown)] {
		out = append(out, c.Candidate)
	}
	return out
}

// near are the records that share a key with a link or its client.
func (s *Listing) near(l *Link, who client.Fields) []Record {
	return slices.Concat(s.ByID[l.LegacyID], s.ByCode[match.CodeKey(l.Code)], s.ByCode[match.CodeKey(who.Code)],
		s.ByName[match.NameKey(l.Name)], s.ByName[match.NameKey(who.Name)], s.ByBusiness[match.KeysOf(who).Business])
}

func nothing(l *Link) string {
	what := "the name " + l.Name
	if l.Code != "" {
		what = "the code " + l.Code + " or " + what
	}
	if l.LegacyID != "" {
		what = "the integer id " + l.LegacyID + ", " + what
	}
	return "no free record has " + what
}

// Keys are what records are looked up by for some links.
type Keys struct {
	IDs, Codes, Names, Business []string
}

// Add adds the keys of a link and its client.
func (k *Keys) Add(l *Link, who client.Fields) {
	add := func(to *[]string, keys ...string) {
		for _, key := range keys {
			if key != "" {
				*to = append(*to, key)
			}
		}
	}
	own := match.KeysOf(who)
	add(&k.IDs, l.LegacyID)
	add(&k.Codes, match.CodeKey(l.Code), own.Code)
	add(&k.Names, match.NameKey(l.Name), own.Name)
	add(&k.Business, own.Business)
}
