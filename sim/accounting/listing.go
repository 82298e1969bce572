package accounting

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/world"
)

// Page sizes of the provider.
const (
	defaultPage = 100
	maxPage     = 1000
)

// query reads a parameter without regard to the case of its name.
func (c *call) query(name string) string {
	for key, values := range c.URL.Query() {
		if strings.EqualFold(key, name) && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

func (c *call) flag(name string) bool { return strings.EqualFold(c.query(name), "true") }

// listContacts lists the contacts that fit all the request's parameters.
func (s *Service) listContacts(c *call) (reply, error) {
	page, paged, err := c.page()
	if err != nil {
		return reply{}, err
	}
	rows, err := s.ordered(c)
	if err != nil {
		return reply{}, err
	}
	want, err := c.wanted()
	if err != nil {
		return reply{}, err
	}
	if err := s.insertMeanwhile(c); err != nil {
		return reply{}, err
	}
	var found []*world.Party
	for _, p := range faults.Rows(c.fault, rows) {
		if want(p) {
			found = append(found, p)
		}
	}
	if len(found) == 0 && c.Header.Get("If-Modified-Since") != "" && s.store.Rules().NotModified {
		return reply{status: http.StatusNotModified}, nil
	}
	f := whole
	switch {
	case c.flag("summaryOnly"):
		f = summary
	case !paged:
		f = unpaged
	}
	var answer reply
	if paged {
		page.ItemCount = len(found)
		page.PageCount = (len(found) + page.PageSize - 1) / page.PageSize
		answer.Pagination = page
		from := min((page.Page-1)*page.PageSize, len(found))
		found = faults.Page(c.fault, found, from, min(from+page.PageSize, len(found)))
	}
	answer.Contacts = s.showAll(c, found, f)
	return answer, nil
}

func (s *Service) showAll(c *call, rows []*world.Party, f form) *[]contact {
	var names map[string]string
	s.store.View(func(st *world.State) { names = groupNames(st, c.tenant) })
	list := make([]contact, len(rows))
	for i, p := range rows {
		list[i] = show(p, names, f)
	}
	return &list
}

// page reads the page a request asks for; either parameter makes it a paged listing.
func (c *call) page() (p *pagination, paged bool, err error) {
	p = &pagination{Page: 1, PageSize: defaultPage}
	for name, target := range map[string]*int{"page": &p.Page, "pageSize": &p.PageSize} {
		text := c.query(name)
		if text == "" {
			continue
		}
		paged = true
		if *target, err = strconv.Atoi(text); err != nil || *target < 1 {
			return nil, false, except(badQuery, fmt.Sprintf("The value %q is not valid for %s.", text, name))
		}
	}
	if p.PageSize > maxPage {
		return nil, false, except(badQuery, fmt.Sprintf("The page size must be between 1 and %d.", maxPage))
	}
	const far = 1 << 30 // so that no product of the two overflows
	p.Page = min(p.Page, far)
	return p, paged, nil
}

// ordered returns all contacts in the order the request asks for, which is by their last change unless
// it says otherwise: the one that moves contacts to the end of what is being paged through.
func (s *Service) ordered(c *call) ([]*world.Party, error) {
	field, direction, _ := strings.Cut(strings.TrimSpace(c.query("order")), " ")
	if field == "" {
		field = "UpdatedDateUTC"
	}
	m, there := members[strings.ToLower(field)]
	if !there || m.kind == yesno {
		return nil, except(badQuery, fmt.Sprintf("No property or field '%s' exists in type 'Contact'", field))
	}
	rows := s.store.PartiesBy(c.tenant, m.name, m.key)
	switch strings.ToUpper(strings.TrimSpace(direction)) {
	case "", "ASC":
		return rows, nil
	case "DESC":
		turned := make([]*world.Party, len(rows))
		for i, p := range rows {
			turned[len(rows)-1-i] = p
		}
		return turned, nil
	default:
		return nil, except(badQuery, fmt.Sprintf("The direction '%s' is not ASC or DESC", direction))
	}
}

// wanted puts the filters of a request together.
func (c *call) wanted() (func(*world.Party) bool, error) {
	since, err := c.since()
	if err != nil {
		return nil, err
	}
	where, err := parseWhere(c.query("where"))
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for id := range strings.SplitSeq(c.query("IDs"), ",") {
		id = strings.ToLower(strings.Trim(strings.TrimSpace(id), `"`))
		if id != "" && !world.IsID(id) {
			return nil, except(badQuery, fmt.Sprintf("'%s' is not a ContactID", id))
		}
		if id != "" {
			ids[id] = true
		}
	}
	archived, term := c.flag("includeArchived"), strings.ToLower(c.query("searchTerm"))
	return func(p *world.Party) bool {
		return (archived || p.Status == world.PartyActive) && !p.Updated.Before(since) &&
			(len(ids) == 0 || ids[p.ID]) && (term == "" || matches(p, term)) && where(p)
	}, nil
}

func matches(p *world.Party, term string) bool {
	for _, text := range []string{p.Name, p.FirstName, p.LastName, p.Number, p.Email} {
		if strings.Contains(strings.ToLower(text), term) {
			return true
		}
	}
	return false
}

// sinceLayouts are the forms of If-Modified-Since; one without a zone is UTC.
var sinceLayouts = []string{"2006-01-02T15:04:05.999999999", time.RFC3339Nano, time.DateOnly, http.TimeFormat}

func (c *call) since() (time.Time, error) {
	text := c.Header.Get("If-Modified-Since")
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range sinceLayouts {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, except(badQuery, "If-Modified-Since is not a date such as 2009-11-12T00:00:00")
}

// getContact reads one contact by its id or its ContactNumber, archived or not.
func (s *Service) getContact(c *call) (reply, error) {
	var found *world.Party
	s.store.View(func(st *world.State) { found = lookup(st, c.tenant, c.PathValue("id")) })
	if found == nil {
		return reply{}, errNotFound
	}
	return reply{envelope: envelope{Contacts: s.showAll(c, []*world.Party{found}, whole)}}, nil
}

func lookup(st *world.State, tenant, id string) *world.Party {
	if p := st.Parties.Get(strings.ToLower(id)); p != nil {
		if p.Tenant == tenant {
			return p
		}
		return nil
	}
	for _, p := range st.Parties.All() {
		if p.Tenant == tenant && p.Number != "" && p.Number == id {
			return p
		}
	}
	return nil
}

// insertMeanwhile acts out drift by insertion: contacts appear that sort before all others.
func (s *Service) insertMeanwhile(c *call) error {
	f := c.fault
	if f == nil || f.Kind != faults.Drift || f.Order != "insert" {
		return nil
	}
	return s.store.Update(func(tx *world.Tx) error {
		for range max(f.Shift, 1) {
			p := &world.Party{ID: world.NewID(), Tenant: c.tenant, Status: world.PartyActive, Created: tx.Now}
			p.ID = "00000000" + p.ID[8:]
			p.Name = "!Inserted Meanwhile " + p.ID[9:]
			tx.PutParty(p)
		}
		return nil
	})
}
