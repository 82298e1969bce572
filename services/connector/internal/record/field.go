package record

import "strings"

// Field returns where a text field of a client is kept, by its path in the contract: "email", "postal_address.city". It
// returns nil for what is no text field of a client.
func (c *Client) Field(path string) *string {
	switch path {
	case "name":
		return &c.Name
	case "code":
		return &c.Code
	case "entity_type":
		return &c.EntityType
	case "first_name":
		return &c.FirstName
	case "last_name":
		return &c.LastName
	case "email":
		return &c.Email
	case "phone":
		return &c.Phone
	case "mobile":
		return &c.Mobile
	case "other_phone":
		return &c.OtherPhone
	case "website":
		return &c.Website
	case "tax_number":
		return &c.TaxNumber
	case "business_number":
		return &c.BusinessNumber
	case "company_number":
		return &c.CompanyNumber
	case "birth_date":
		return &c.BirthDate
	}
	if part, ok := strings.CutPrefix(path, "postal_address."); ok {
		return c.Postal.field(part)
	}
	if part, ok := strings.CutPrefix(path, "physical_address."); ok {
		return c.Physical.field(part)
	}
	return nil
}

// AddressParts are the fields of an address by their names in the contract.
var AddressParts = []string{"street", "city", "region", "postal_code", "country"}

func (a *Address) field(name string) *string {
	switch name {
	case "street":
		return &a.Street
	case "city":
		return &a.City
	case "region":
		return &a.Region
	case "postal_code":
		return &a.PostalCode
	case "country":
		return &a.Country
	}
	return nil
}
