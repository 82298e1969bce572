package practice_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/concord-suite/concord/sim/practice"
	"github.com/concord-suite/concord/sim/world"
)

var now = time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)

func TestTheSameSeedGivesTheSamePractice(t *testing.T) {
	a, b := practice.Generate("P", 300, 1, now), practice.Generate("P", 300, 1, now)
	if !reflect.DeepEqual(a, b) {
		t.Error("two practices of one seed differ")
	}
	if reflect.DeepEqual(a.Clients, practice.Generate("P", 300, 2, now).Clients) {
		t.Error("two seeds give the same practice")
	}
}

func TestEverySizeIsExact(t *testing.T) {
	for _, n := range []int{1, 2, 3, 10, 99, 1234} {
		active := 0
		for _, c := range practice.Generate("P", n, 5, now).Clients {
			if c.Active() {
				active++
			}
		}
		if active != n {
			t.Errorf("%d clients were asked for, %d are active", n, active)
		}
	}
}

// TestTheMessIsThere looks for each kind of untidiness in a practice of the usual size.
func TestTheMessIsThere(t *testing.T) {
	d := practice.Generate("P", 2000, 1, now)
	counts := map[string]int{}
	names, links := map[string]int{}, map[string]int{}
	for _, c := range d.Clients {
		note(counts, c)
		names[c.Name]++
		for _, l := range c.Contacts {
			links[l.Contact]++
		}
	}
	for _, n := range names {
		if n > 1 {
			counts["repeated name"]++
		}
	}
	for _, n := range links {
		if n > 1 {
			counts["shared contact"]++
		}
	}
	for _, pair := range [][2]string{{"\u00eb", "e\u0308"}, {"\u00f1", "n\u0303"}, {"\u00fb", "u\u0302"}, {"\u00c5", "A\u030a"}, {"\u014d", "o\u0304"}} {
		for name := range names {
			if strings.Contains(name, pair[0]) && names[strings.ReplaceAll(name, pair[0], pair[1])] > 0 {
				counts["names that differ in the encoding of an accent"]++
			}
		}
	}
	for _, kind := range []string{"Individual", "Company", "Trust", "Partnership", "Superannuation Fund", "without code", "without e-mail",
		"address of several lines", "indented address", "without tax block", "archived", "deleted", "related", "in a group", "long name",
		"markup in name", "name with double space", "repeated name", "shared contact", "without contacts", "several contacts", "born",
		"names that differ in the encoding of an accent", "note", "custom field"} {
		if counts[kind] == 0 {
			t.Errorf("no client: %s", kind)
		}
	}
	if share := counts["without code"] * 100 / len(d.Clients); share < 25 || share > 45 {
		t.Errorf("%d %% of the clients have no code", share)
	}
}

// note counts what is untidy about a client.
func note(counts map[string]int, c *world.Client) {
	for kind, is := range map[string]bool{
		"without code": c.ExportCode == "", "without e-mail": c.Email == "", "without tax block": c.Tax == nil,
		"address of several lines": strings.Contains(c.Address, "\n"), "indented address": strings.HasPrefix(c.Address, "\n   "),
		"archived": c.Archived, "deleted": c.Deleted, "related": len(c.Relationships) > 0, "in a group": len(c.Groups) > 0,
		"long name": utf8.RuneCountInString(c.Name) == 250, "markup in name": strings.ContainsAny(c.Name, "<&"),
		"name with double space": strings.Contains(c.Name, "  "), "without contacts": len(c.Contacts) == 0,
		"several contacts": len(c.Contacts) > 1, "born": c.DateOfBirth != "", "note": len(c.Notes) > 0, "custom field": len(c.Fields) > 0,
	} {
		if is {
			counts[kind]++
		}
	}
	if c.Tax != nil {
		counts[c.Tax.BusinessStructure]++
	}
}

// TestEverythingPointsSomewhere follows every reference of a practice.
func TestEverythingPointsSomewhere(t *testing.T) {
	d := practice.Generate("P", 500, 9, now)
	clients, others := map[string]bool{}, map[string]bool{"": true}
	for _, c := range d.Clients {
		clients[c.UUID] = true
	}
	for _, s := range d.Staff {
		others[s.UUID] = true
	}
	for _, p := range d.Contacts {
		others[p.UUID] = true
	}
	for _, g := range d.Groups {
		others[g.UUID] = true
	}
	ids := map[int]bool{}
	for _, c := range d.Clients {
		if ids[c.ID] || c.ID == 0 || c.Tenant != d.Tenant.ID {
			t.Errorf("client %s has id %d of tenant %s", c.Name, c.ID, c.Tenant)
		}
		ids[c.ID] = true
		for _, l := range c.Contacts {
			clients[c.UUID] = clients[c.UUID] && others[l.Contact]
		}
		for _, g := range c.Groups {
			clients[c.UUID] = clients[c.UUID] && others[g]
		}
		for _, r := range c.Relationships {
			clients[c.UUID] = clients[c.UUID] && clients[r.Related]
		}
		if !clients[c.UUID] || !others[c.AccountManager] || !others[c.JobManager] || c.BillingClient != "" && !clients[c.BillingClient] {
			t.Errorf("client %s points nowhere", c.Name)
		}
		if c.Modified.After(now) || c.Modified.Before(c.Created) {
			t.Errorf("client %s was modified at %s, made at %s", c.Name, c.Modified, c.Created)
		}
	}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAPracticeFromCSV(t *testing.T) {
	d, err := practice.Read(write(t, "smalltown.csv", "\ufeffcode,Name,contacts,group,archived,date_of_birth,structure\n"+
		"A1,First Ltd,\"Pat Example <pat@example.com>; Lee Example\",Family,,,Company\n"+
		",\"Second, of Two\",Pat Example <pat@example.com>,Family,yes,1970-01-31,Individual\n"), now)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Clients) != 2 || len(d.Contacts) != 2 || len(d.Groups) != 1 || d.Tenant.Name != "smalltown" {
		t.Fatalf("%d clients, %d contacts, %d groups of %s", len(d.Clients), len(d.Contacts), len(d.Groups), d.Tenant.Name)
	}
	one, two := d.Clients[0], d.Clients[1]
	if one.ExportCode != "A1" || one.Name != "First Ltd" || one.Tax.BusinessStructure != "Company" || !one.Contacts[0].Primary {
		t.Errorf("first client: %+v", one)
	}
	if two.Name != "Second, of Two" || !two.Archived || two.DateOfBirth != "1970-01-31" || two.Contacts[0].Contact != one.Contacts[0].Contact {
		t.Errorf("second client: %+v", two)
	}
}

func TestBadCSVIsRefusedInWords(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "header cannot be read",
		"code\nA1\n":                   "the column name is missing",
		"name,shoe_size\nA,7\n":        `unknown column "shoe_size"`,
		"name,code\n":                  "there is no client below the header",
		"name,code\nA\n":               "line 2: record on line 2: wrong number of fields",
		"name,code\n,A1\n":             "line 2: name is empty",
		"name,uuid\nA,17\n":            `uuid "17" is not a UUID`,
		"name,archived\nA,perhaps\n":   `archived "perhaps" is neither yes nor no`,
		"name,date_of_birth\nA,1970\n": `date_of_birth "1970"`,
		"name,contacts\nA,<x>\n":       `contact "<x>"`,
	} {
		if _, err := practice.Read(write(t, "p.csv", text), now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, err := practice.Read(filepath.Join(t.TempDir(), "nothing.csv"), now); err == nil {
		t.Error("a missing file is taken")
	}
}

// recording writes a folder of exchanges and returns it.
func recording(t *testing.T, index string, bodies map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	bodies["index.json"] = index
	for name, text := range bodies {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const clientXML = `<Client><ID>7</ID><Name>%s</Name><IsArchived>No</IsArchived>%s<UUID>11111111-1111-4111-8111-111111111111</UUID></Client>`

func TestAPracticeFromRecordedExchanges(t *testing.T) {
	contacts := `<Contacts><Contact><ID>70</ID><Name>Pat</Name><Position>Director</Position><IsPrimary>Yes</IsPrimary></Contact></Contacts>` +
		`<Groups><Group><ID>700</ID><Name>Family</Name></Group></Groups>`
	ok := `<Response api-method="List"><Status>OK</Status>%s</Response>`
	dir := recording(t, `[
		{"recorded_at":"Tue, 05 May 2020 06:00:00 GMT","method":"GET","uri":"https://x/client.api/get/7","status":200,"response_body":"new.xml"},
		{"recorded_at":"Mon, 04 May 2020 06:00:00 GMT","method":"GET","uri":"https://x/client.api/list","status":200,"response_body":"old.xml"},
		{"recorded_at":"Wed, 06 May 2020 06:00:00 GMT","method":"POST","uri":"https://x/client.api/contact","status":200,"request_body":"add.xml","response_body":"added.xml"},
		{"recorded_at":"Thu, 07 May 2020 06:00:00 GMT","method":"GET","uri":"https://x/staff.api/list","status":403,"response_body":"no.json"}]`,
		map[string]string{
			"old.xml":   fmt.Sprintf(ok, "<Clients>"+fmt.Sprintf(clientXML, "Old name", contacts)+"</Clients>"),
			"new.xml":   fmt.Sprintf(ok, fmt.Sprintf(clientXML, "New &amp; name", "<AgencyStatus>Unlinked</AgencyStatus>")),
			"add.xml":   `<Contact><Client><ID>7</ID></Client><Name>Lee</Name></Contact>`,
			"added.xml": fmt.Sprintf(ok, `<Contact><ID>71</ID><Name>Lee</Name><IsPrimary>No</IsPrimary></Contact>`),
			"no.json":   `{}`,
		})
	d, err := practice.Read(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Clients) != 1 || len(d.Contacts) != 2 || len(d.Groups) != 1 {
		t.Fatalf("%d clients, %d contacts, %d groups", len(d.Clients), len(d.Contacts), len(d.Groups))
	}
	c := d.Clients[0]
	if c.Name != "New & name" || c.ID != 7 || c.Tax == nil || len(c.Contacts) != 2 || c.Contacts[0].Position != "Director" ||
		!c.Contacts[0].Primary || len(c.Groups) != 1 || d.Groups[0].Name != "Family" {
		t.Errorf("the client is %+v", c)
	}
}

func TestBadRecordingsAreRefusedInWords(t *testing.T) {
	entry := `[{"recorded_at":"","method":"GET","uri":"u","status":200,"response_body":%q}]`
	for want, dir := range map[string]string{
		"has an index.json":          t.TempDir(),
		"index.json":                 recording(t, "{", map[string]string{}),
		"no exchange":                recording(t, "[]", map[string]string{}),
		"is not a plain file name":   recording(t, fmt.Sprintf(entry, "../a.xml"), map[string]string{}),
		"no such file":               recording(t, fmt.Sprintf(entry, "a.xml"), map[string]string{}),
		"XML syntax error":           recording(t, fmt.Sprintf(entry, "a.xml"), map[string]string{"a.xml": "<a><b></a>"}),
		"a record has no ID":         recording(t, fmt.Sprintf(entry, "a.xml"), map[string]string{"a.xml": "<R><Status>OK</Status><Client><Name>n</Name></Client></R>"}),
		"client 7 has no UUID":       recording(t, fmt.Sprintf(entry, "a.xml"), map[string]string{"a.xml": "<R><Status>OK</Status><Client><ID>7</ID></Client></R>"}),
		`ID "seven" is not a number`: recording(t, fmt.Sprintf(entry, "a.xml"), map[string]string{"a.xml": "<R><Status>OK</Status><Client><ID>seven</ID></Client></R>"}),
	} {
		if _, err := practice.Read(dir, now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
