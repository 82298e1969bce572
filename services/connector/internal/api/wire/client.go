package wire

import (
	"strings"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"

	"github.com/concord-suite/concord/services/connector/internal/record"
)

// Client reads the text fields of a client, without white space around them.
func Client(w *connectorv1.ClientFields) *record.Client {
	c := &record.Client{
		Name: w.GetName(), Code: w.GetCode(), EntityType: w.GetEntityType(), FirstName: w.GetFirstName(), LastName: w.GetLastName(),
		Email: w.GetEmail(), Phone: w.GetPhone(), Mobile: w.GetMobile(), OtherPhone: w.GetOtherPhone(), Website: w.GetWebsite(),
		Postal: address(w.GetPostalAddress()), Physical: address(w.GetPhysicalAddress()), TaxNumber: w.GetTaxNumber(),
		BusinessNumber: w.GetBusinessNumber(), CompanyNumber: w.GetCompanyNumber(), BirthDate: w.GetBirthDate(),
	}
	for _, field := range []*string{&c.Name, &c.Code, &c.EntityType, &c.FirstName, &c.LastName, &c.Email, &c.Phone, &c.Mobile,
		&c.OtherPhone, &c.Website, &c.TaxNumber, &c.BusinessNumber, &c.CompanyNumber, &c.BirthDate} {
		*field = strings.TrimSpace(*field)
	}
	return c
}

// address reads an address; its street is kept as lines without white space around them and without empty ones.
func address(w *connectorv1.Address) record.Address {
	var lines []string
	for line := range strings.Lines(w.GetStreet()) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return record.Address{Street: strings.Join(lines, "\n"), City: strings.TrimSpace(w.GetCity()), Region: strings.TrimSpace(w.GetRegion()),
		PostalCode: strings.TrimSpace(w.GetPostalCode()), Country: strings.TrimSpace(w.GetCountry())}
}
