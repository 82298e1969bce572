package xpm

import (
	"slices"
	"strconv"
	"strings"

	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/world"
)

func (s *Service) staff(c *call) []*world.Staff {
	var list []*world.Staff
	s.store.View(func(st *world.State) {
		for _, row := range st.Staff.All() {
			if row.Tenant == c.tenant {
				list = append(list, row)
			}
		}
	})
	slices.SortFunc(list, func(a, b *world.Staff) int { return strings.Compare(a.Name+a.UUID, b.Name+b.UUID) })
	return list
}

func (s *Service) listStaff(c *call) (content, error) {
	list := faults.Rows(c.fault, s.staff(c))
	return func(w *writer) {
		w.list("StaffList", len(list), func(i int) { w.staff(list[i]) })
	}, nil
}

func (s *Service) getStaff(c *call) (content, error) {
	list := s.staff(c)
	at := slices.IndexFunc(list, func(row *world.Staff) bool {
		return strings.EqualFold(row.UUID, c.PathValue("id")) || c.v30 && strconv.Itoa(row.ID) == c.PathValue("id")
	})
	if at < 0 {
		return nil, errStaff
	}
	return func(w *writer) { w.staff(list[at]) }, nil
}

func (w *writer) staff(row *world.Staff) {
	w.open("Staff")
	if w.v30 {
		w.text("ID", strconv.Itoa(row.ID))
	} else {
		w.text("UUID", row.UUID)
	}
	w.text("Name", row.Name)
	w.text("Email", row.Email)
	w.text("Phone", row.Phone)
	w.text("Mobile", row.Mobile)
	w.text("Address", "")
	w.text("PayrollCode", "")
	if w.v30 {
		w.text("UUID", row.UUID)
	}
	w.close("Staff")
}

func (s *Service) deleteJob(*call) (content, error) { return nil, fail("Invalid job identifier") }

// jobStates are the states a practice has out of the box.
var jobStates = []string{"Planned", "In Progress", "Completed", "Cancelled"}

func (s *Service) changeJobState(c *call) (content, error) {
	state, _ := c.body.Value("State")
	if !slices.Contains(jobStates, state) {
		return nil, fail("Invalid state code")
	}
	return nil, fail("Invalid job identifier")
}
