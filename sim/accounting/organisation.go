package accounting

import (
	"strings"

	"github.com/concord-suite/concord/sim/world"
)

// organisation is the organisation as it describes itself.
type organisation struct {
	OrganisationID, Name, LegalName                  string
	PaysTax                                          bool
	Version, OrganisationType                        string
	BaseCurrency, CountryCode                        string
	IsDemoCompany                                    bool
	OrganisationStatus                               string
	FinancialYearEndDay, FinancialYearEndMonth       int
	SalesTaxBasis, SalesTaxPeriod                    string
	CreatedDateUTC, OrganisationEntityType, Timezone string
	ShortCode, Edition, Class                        string
	Addresses, Phones, ExternalLinks                 []struct{}
	PaymentTerms                                     struct{}
}

// organisation answers with the one organisation a tenant is.
func (s *Service) organisation(c *call) (reply, error) {
	var t world.Tenant
	s.store.View(func(st *world.State) { t = *st.Tenants.Get(c.tenant) })
	o := organisation{OrganisationID: t.ID, Name: t.Name, LegalName: t.Name, PaysTax: true, Version: "AU", OrganisationType: "COMPANY",
		BaseCurrency: "AUD", CountryCode: "AU", OrganisationStatus: "ACTIVE", FinancialYearEndDay: 30, FinancialYearEndMonth: 6,
		SalesTaxBasis: "ACCRUALS", SalesTaxPeriod: "QUARTERLY1", CreatedDateUTC: stamp(t.Created), OrganisationEntityType: "COMPANY",
		Timezone: "AUSEASTERNSTANDARDTIME", ShortCode: "!" + strings.ToUpper(t.ID[:5]), Edition: "BUSINESS", Class: "PREMIUM",
		Addresses: []struct{}{}, Phones: []struct{}{}, ExternalLinks: []struct{}{}}
	if t.Country == "NZ" {
		o.Version, o.BaseCurrency, o.CountryCode = "NZ", "NZD", "NZ"
		o.SalesTaxBasis, o.SalesTaxPeriod, o.Timezone = "INVOICE", "TWOMONTHS", "NEWZEALANDSTANDARDTIME"
	}
	return reply{envelope: envelope{Organisations: &[]organisation{o}}}, nil
}
