package legacy

import (
	"fmt"

	"github.com/concord-suite/concord/services/sync/internal/client"
	"github.com/concord-suite/concord/services/sync/internal/match"
)

// Known is a client of the firm that a row may mean.
type Known struct {
	Client string
	// Name and Code are its keys: the name by client.SortKey, the code by match.CodeKey.
	Name, Code string
	// Left: it left the client list.
	Left bool
}

// Present is what is there before an import.
type Present struct {
	// Links are those of the connection.
	Links []Link
	// Named are the clients that rows name, as far as they exist; ByCode and ByName those that have a row's code or name.
	Named          map[string]bool
	ByCode, ByName map[string][]Known
}

// Import is what an import does.
type Import struct {
	// Links are new, or there and not mapped yet, with other words for the same integer id. Made are the clients to make
	// for them, by id.
	Links []Link
	Made  map[string]client.Fields
	// Found are the clients that were there already, of new links; Unchanged the links that were.
	Found, Unchanged int
}

// resolver decides row by row.
type resolver struct {
	Import
	present  Present
	byID     map[string]*Link
	byWords  map[string]*Link // links without an integer id, by code and name
	byClient map[string]*Link
	taken    map[string]string // clients that have a link of the connection, with where it stands
	names    map[string]int    // rows without a client or a code of the list, by name
	newID    func() string
	mistakes []Mistake
}

// Resolve finds the client of each row: the one it names, else the one that has its code, else the one that alone has its
// name, on both sides, and no other code; else it is made. Who is in the list comes before who left it. Rows are checked.
func Resolve(rows []Row, firm, connection string, present Present, newID func() string) (Import, []Mistake) {
	r := &resolver{
		Import: Import{Made: map[string]client.Fields{}}, present: present, byID: map[string]*Link{}, byWords: map[string]*Link{}, byClient: map[string]*Link{},
		taken: map[string]string{}, names: map[string]int{}, newID: newID,
	}
	for i := range present.Links {
		l := &present.Links[i]
		r.taken[l.Client], r.byClient[l.Client] = "an earlier import", l
		if l.LegacyID != "" {
			r.byID[l.LegacyID] = l
		} else {
			r.byWords[l.Code+"\n"+l.Name] = l
		}
	}
	for _, row := range rows {
		r.names[client.SortKey(row.Name)]++
	}
	for _, row := range rows {
		if was := r.was(row); was != nil {
			r.again(row, was)
			continue
		}
		id, made := r.clientOf(row)
		if id == "" {
			continue // a mistake
		}
		if made {
			r.Made[id] = client.Fields{Name: row.Name, Code: row.Code}
		} else {
			r.Found++
		}
		r.taken[id] = row.Place
		r.Links = append(r.Links, Link{
			ID: newID(), Firm: firm, Connection: connection, Client: id, Name: row.Name, LegacyID: row.LegacyID, Code: row.Code,
			State: Pending,
		})
	}
	return r.Import, r.mistakes
}

func (r *resolver) wrong(row Row, field, rule, format string, args ...any) {
	at := row.At
	if at != "csv" {
		at += "." + field
	}
	r.mistakes = append(r.mistakes, Mistake{At: at, Place: row.Place, Rule: rule, Words: fmt.Sprintf(format, args...)})
}

// was is the link that a row is about, if it was imported before.
func (r *resolver) was(row Row) *Link {
	if row.LegacyID != "" {
		return r.byID[row.LegacyID]
	}
	if l := r.byClient[row.Client]; l != nil && l.LegacyID == "" && l.Code == row.Code && l.Name == row.Name {
		return l // of two with one name, the one that is named
	}
	return r.byWords[row.Code+"\n"+row.Name]
}

// again takes a corrected code or name over to a link that is not mapped yet. Anything else was there already.
func (r *resolver) again(row Row, was *Link) {
	if row.Client != "" && row.Client != was.Client {
		what := "legacy_id " + row.LegacyID
		if row.LegacyID == "" {
			what = "name " + row.Name
		}
		r.wrong(row, "client", "moved", "the %s was imported for another client", what)
		return
	}
	if !was.State.Open() || was.Code == row.Code && was.Name == row.Name {
		r.Unchanged++
		return
	}
	l := *was
	l.Code, l.Name, l.State, l.Explanation, l.Candidates = row.Code, row.Name, Pending, "", nil
	r.Links = append(r.Links, l)
}

// clientOf finds a row's client, or makes an id for a new one; "" after a mistake.
func (r *resolver) clientOf(row Row) (id string, made bool) {
	if row.Client != "" {
		switch at, taken := r.taken[row.Client]; {
		case !r.present.Named[row.Client]:
			r.wrong(row, "client", "not_found", "there is no such client")
			return "", false
		case taken:
			r.wrong(row, "client", "unique", "the client has a link already, from %s", at)
			return "", false
		}
		return row.Client, false
	}
	if key := match.CodeKey(row.Code); key != "" {
		switch with := standing(r.present.ByCode[key]); {
		case len(with) == 1:
			if at, taken := r.taken[with[0].Client]; taken {
				r.wrong(row, "code", "unique", "the client with the code %s has a link already, from %s", row.Code, at)
				return "", false
			}
			return with[0].Client, false
		case len(with) > 1:
			return r.oneOf(row, with)
		}
	}
	if id := r.byName(row); id != "" {
		return id, false
	}
	return r.newID(), true
}

// standing leaves those in the client list, or when there are none, those that left it.
func standing(all []Known) []Known {
	var listed []Known
	for _, k := range all {
		if !k.Left {
			listed = append(listed, k)
		}
	}
	if len(listed) > 0 {
		return listed
	}
	return all
}

// oneOf takes the one of several clients with a row's code that has its name too.
func (r *resolver) oneOf(row Row, with []Known) (id string, made bool) {
	n := 0
	for _, k := range with {
		if _, taken := r.taken[k.Client]; !taken && k.Name == client.SortKey(row.Name) {
			id, n = k.Client, n+1
		}
	}
	if n == 1 {
		return id, false
	}
	r.wrong(row, "code", "ambiguous", "%d clients have the code %s; name the one in client", len(with), row.Code)
	return "", false
}

// byName is the free client that alone has a row's name, on both sides, and no other code.
func (r *resolver) byName(row Row) string {
	key := client.SortKey(row.Name)
	with := standing(r.present.ByName[key])
	if r.names[key] > 1 || len(with) != 1 {
		return ""
	}
	k := with[0]
	if _, taken := r.taken[k.Client]; taken || row.Code != "" && k.Code != "" {
		return ""
	}
	return k.Client
}
