package xpm

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/concord-suite/concord/sim/world"
	"github.com/concord-suite/concord/sim/xmltree"
)

// maxName is the longest client name accepted, in characters.
const maxName = 255

// apply sets every element of a message on a client. An absent element leaves the value alone, an
// empty one clears it.
func (c *call) apply(tx *world.Tx, cl *world.Client, n *xmltree.Node) error {
	if name, _ := n.Value("Name"); utf8.RuneCountInString(name) > maxName {
		return fail("The client name is too long")
	}
	for element, target := range cl.Texts() {
		if v, ok := n.Value(element); ok {
			*target = v
		}
	}
	if v, ok := n.Value("DateOfBirth"); ok {
		date, err := parseDate(v)
		if err != nil {
			return fail("Invalid date of birth")
		}
		cl.DateOfBirth = date
	}
	if err := c.applyTax(cl, n); err != nil {
		return err
	}
	if err := c.references(tx, cl, n); err != nil {
		return err
	}
	cl.Modified = tx.Now
	return nil
}

func (c *call) applyTax(cl *world.Client, n *xmltree.Node) error {
	tax := cl.Tax
	if tax == nil {
		tax = &world.Tax{BranchNumber: "1", AgencyStatus: "Unlinked"}
	}
	touched := false
	for element, target := range tax.Texts() {
		if v, ok := n.Value(element); ok {
			*target, touched = v, true
		}
	}
	for element, target := range tax.Flags() {
		v, ok := n.Value(element)
		switch {
		case !ok:
		case v != "" && !strings.EqualFold(v, "yes") && !strings.EqualFold(v, "no"):
			return fail("Invalid value for " + element + ", expected Yes or No")
		default:
			*target, touched = strings.EqualFold(v, "yes"), true
		}
	}
	if len(tax.TaxNumber) > 3 && !strings.HasPrefix(tax.TaxNumber, "*") {
		tax.TaxNumber = "******" + tax.TaxNumber[len(tax.TaxNumber)-3:]
	}
	if touched {
		cl.Tax = tax
	}
	return nil
}

// references sets the staff and client a client refers to.
func (c *call) references(tx *world.Tx, cl *world.Client, n *xmltree.Node) error {
	for element, target := range map[string]*string{"AccountManagerUUID": &cl.AccountManager, "JobManagerUUID": &cl.JobManager} {
		v, ok := n.Value(element)
		if !ok {
			continue
		}
		v = strings.ToLower(v)
		if staff := tx.Staff.Get(v); v != "" && (staff == nil || staff.Tenant != c.tenant) {
			return errStaff
		}
		*target = v
	}
	if v, ok := n.Value("BillingClientUUID"); ok {
		if v != "" && c.client(tx.State, v) == nil {
			return errClient
		}
		cl.BillingClient = strings.ToLower(v)
	}
	return nil
}

// parseDate reads yyyy-MM-dd, yyyyMMdd or a date with a time, and returns yyyy-MM-dd.
func parseDate(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	text, _, _ = strings.Cut(text, "T")
	for _, layout := range []string{time.DateOnly, "20060102"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.Format(time.DateOnly), nil
		}
	}
	return "", fail("Invalid date, expected yyyy-MM-dd")
}
