package world

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Tenant types as the provider's connections list spells them.
const (
	TypePractice     = "PRACTICEMANAGER"
	TypeOrganisation = "ORGANISATION"
)

// Tenant is one practice or organisation somebody can connect.
type Tenant struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Type    string    `json:"type"`
	Country string    `json:"country,omitempty"` // AU or NZ; decides which tax elements appear
	Created time.Time `json:"created"`
	Order   int       `json:"order"`              // place among the tenants by arrival in the world
	NextInt int       `json:"next_int,omitempty"` // last integer id handed out for the 3.0 responses
}

// Staff is one employee of a practice.
type Staff struct {
	UUID   string `json:"uuid"`
	ID     int    `json:"id"`
	Tenant string `json:"tenant"`
	Name   string `json:"name"`
	Email  string `json:"email,omitempty"`
	Phone  string `json:"phone,omitempty"`
	Mobile string `json:"mobile,omitempty"`
}

// Client is a client record of a practice. Text is kept exactly as it goes into the XML.
type Client struct {
	UUID   string `json:"uuid"`
	ID     int    `json:"id"`
	Tenant string `json:"tenant"`
	Name   string `json:"name"`

	Title       string `json:"title,omitempty"`
	Gender      string `json:"gender,omitempty"`
	FirstName   string `json:"first_name,omitempty"`
	LastName    string `json:"last_name,omitempty"`
	OtherName   string `json:"other_name,omitempty"`
	Email       string `json:"email,omitempty"`
	DateOfBirth string `json:"date_of_birth,omitempty"` // yyyy-MM-dd

	Address        string `json:"address,omitempty"`
	City           string `json:"city,omitempty"`
	Region         string `json:"region,omitempty"`
	PostCode       string `json:"post_code,omitempty"`
	Country        string `json:"country,omitempty"`
	PostalAddress  string `json:"postal_address,omitempty"`
	PostalCity     string `json:"postal_city,omitempty"`
	PostalRegion   string `json:"postal_region,omitempty"`
	PostalPostCode string `json:"postal_post_code,omitempty"`
	PostalCountry  string `json:"postal_country,omitempty"`
	Phone          string `json:"phone,omitempty"`
	Fax            string `json:"fax,omitempty"`
	Website        string `json:"website,omitempty"`
	ReferralSource string `json:"referral_source,omitempty"`
	// ExportCode carries what a practice calls its client code; often empty.
	ExportCode string `json:"export_code,omitempty"`

	Prospect bool `json:"prospect,omitempty"`
	Archived bool `json:"archived,omitempty"`
	Deleted  bool `json:"deleted,omitempty"`
	// Purged clients are deleted and appear nowhere any more; reading one is an error.
	Purged bool `json:"purged,omitempty"`

	AccountManager string `json:"account_manager,omitempty"` // staff UUID
	JobManager     string `json:"job_manager,omitempty"`     // staff UUID
	BillingClient  string `json:"billing_client,omitempty"`  // client UUID
	Terms          *Terms `json:"terms,omitempty"`
	// Tax is nil where the whole block is missing from the answers, as it is for some clients.
	Tax *Tax `json:"tax,omitempty"`

	Contacts      []Link            `json:"contacts,omitempty"`
	Groups        []string          `json:"groups,omitempty"` // group UUIDs
	Relationships []Relationship    `json:"relationships,omitempty"`
	Notes         []Note            `json:"notes,omitempty"`
	Fields        map[string]string `json:"fields,omitempty"` // custom field values by definition UUID

	Created time.Time `json:"created"`
	// Modified is what modifiedsince looks at. Archiving, deleting, merging, contact edits and
	// custom fields leave it alone, as practices report of the real service.
	Modified time.Time `json:"modified"`
}

// Terms is the client type: the payment terms of a client.
type Terms struct {
	Name        string `json:"name"`
	CostMarkup  string `json:"cost_markup"`
	PaymentTerm string `json:"payment_term"` // DayOfMonth or WithinDays
	PaymentDay  string `json:"payment_day"`
}

// Tax is the block of a client that exists where the practice module is on.
type Tax struct {
	TaxNumber                string `json:"tax_number,omitempty"` // masked but for three digits
	CompanyNumber            string `json:"company_number,omitempty"`
	BusinessNumber           string `json:"business_number,omitempty"`
	BranchNumber             string `json:"branch_number,omitempty"`
	BusinessStructure        string `json:"business_structure,omitempty"`
	BalanceMonth             string `json:"balance_month,omitempty"`
	GSTRegistered            bool   `json:"gst_registered,omitempty"`
	PrepareGST               bool   `json:"prepare_gst,omitempty"`
	GSTPeriod                string `json:"gst_period,omitempty"`
	GSTBasis                 string `json:"gst_basis,omitempty"`
	ProvisionalTaxBasis      string `json:"provisional_tax_basis,omitempty"`
	ProvisionalTaxRatio      string `json:"provisional_tax_ratio,omitempty"`
	SignedTaxAuthority       bool   `json:"signed_tax_authority,omitempty"`
	TaxAgent                 string `json:"tax_agent,omitempty"`
	AgencyStatus             string `json:"agency_status,omitempty"`
	ReturnType               string `json:"return_type,omitempty"`
	PrepareActivityStatement bool   `json:"prepare_activity_statement,omitempty"`
	PrepareTaxReturn         bool   `json:"prepare_tax_return,omitempty"`
	ActiveATOClient          bool   `json:"active_ato_client,omitempty"`
}

// Link ties a contact to a client; primary and position belong to the pair, not to the contact.
type Link struct {
	Contact  string `json:"contact"`
	Primary  bool   `json:"primary,omitempty"`
	Position string `json:"position,omitempty"`
}

// Relationship ties a client to another client.
type Relationship struct {
	UUID       string `json:"uuid"`
	ID         int    `json:"id,omitempty"`
	Type       string `json:"type"`
	Related    string `json:"related"` // client UUID
	Shares     string `json:"shares,omitempty"`
	Percentage string `json:"percentage,omitempty"`
	Start      string `json:"start,omitempty"` // yyyy-MM-dd
	End        string `json:"end,omitempty"`   // yyyy-MM-dd
}

// Note is a note on a client.
type Note struct {
	Title  string `json:"title"`
	Text   string `json:"text,omitempty"`
	Folder string `json:"folder,omitempty"`
	Date   string `json:"date"` // yyyy-MM-ddTHH:mm:ss
	By     string `json:"by,omitempty"`
}

// Contact is a person related to any number of clients of one practice.
type Contact struct {
	UUID       string            `json:"uuid"`
	ID         int               `json:"id"`
	Tenant     string            `json:"tenant"`
	Name       string            `json:"name"`
	Salutation string            `json:"salutation,omitempty"`
	Addressee  string            `json:"addressee,omitempty"`
	Mobile     string            `json:"mobile,omitempty"`
	Email      string            `json:"email,omitempty"`
	Phone      string            `json:"phone,omitempty"`
	Deleted    bool              `json:"deleted,omitempty"`
	Fields     map[string]string `json:"fields,omitempty"`
}

// Group is a client group; its members are the clients that name it.
type Group struct {
	UUID    string `json:"uuid"`
	ID      int    `json:"id"`
	Tenant  string `json:"tenant"`
	Name    string `json:"name"`
	Taxable bool   `json:"taxable,omitempty"`
}

// FieldDefinition is a custom field of a practice.
type FieldDefinition struct {
	UUID       string `json:"uuid"`
	Tenant     string `json:"tenant"`
	Name       string `json:"name"`
	Type       string `json:"type"`              // Text, Decimal, Number, Date, Checkbox, Dropdown List…
	Options    string `json:"options,omitempty"` // one a line
	Link       string `json:"link,omitempty"`
	UseClient  bool   `json:"use_client,omitempty"`
	UseContact bool   `json:"use_contact,omitempty"`
}

// ValueElement names the XML element a value of this field travels in.
func (f *FieldDefinition) ValueElement() string {
	switch f.Type {
	case "Decimal", "Number", "Date":
		return f.Type
	case "Checkbox":
		return "Boolean"
	default:
		return "Text"
	}
}

// Takes reports whether a value is one of this field.
func (f *FieldDefinition) Takes(value string) bool {
	var err error
	switch f.Type {
	case "Checkbox":
		return value == "true" || value == "false"
	case "Dropdown List":
		return slices.Contains(strings.Split(f.Options, "\n"), value)
	case "Number":
		_, err = strconv.Atoi(value)
	case "Decimal":
		_, err = strconv.ParseFloat(value, 64)
	case "Date":
		day, _, _ := strings.Cut(strings.ReplaceAll(value, "-", ""), "T")
		_, err = time.Parse("20060102", day)
	}
	return err == nil
}

// Clone returns a copy whose slices and maps can be changed.
func (c *Client) Clone() *Client {
	n := *c
	n.Contacts = slices.Clone(c.Contacts)
	n.Groups = slices.Clone(c.Groups)
	n.Relationships = slices.Clone(c.Relationships)
	n.Notes = slices.Clone(c.Notes)
	n.Fields = map[string]string{}
	for k, v := range c.Fields {
		n.Fields[k] = v
	}
	if c.Tax != nil {
		tax := *c.Tax
		n.Tax = &tax
	}
	return &n
}

// Active reports whether the client is neither archived nor deleted.
func (c *Client) Active() bool { return !c.Archived && !c.Deleted }

// Link returns the position of a contact among the client's contacts, or -1.
func (c *Client) Link(contact string) int {
	return slices.IndexFunc(c.Contacts, func(l Link) bool { return l.Contact == contact })
}

// sortKey orders names the way the provider's listings do: without regard to case.
func sortKey(name, id string) string { return strings.ToLower(name) + "\x00" + id }

// Texts returns the client's plain text elements by the name they have in requests and answers.
func (c *Client) Texts() map[string]*string {
	return map[string]*string{
		"Name": &c.Name, "Title": &c.Title, "Gender": &c.Gender, "FirstName": &c.FirstName, "LastName": &c.LastName,
		"OtherName": &c.OtherName, "Email": &c.Email, "Address": &c.Address, "City": &c.City, "Region": &c.Region,
		"PostCode": &c.PostCode, "Country": &c.Country, "PostalAddress": &c.PostalAddress, "PostalCity": &c.PostalCity,
		"PostalRegion": &c.PostalRegion, "PostalPostCode": &c.PostalPostCode, "PostalCountry": &c.PostalCountry,
		"Phone": &c.Phone, "Fax": &c.Fax, "Website": &c.Website, "ReferralSource": &c.ReferralSource, "ExportCode": &c.ExportCode,
	}
}

// Texts returns the text elements of the tax block by name.
func (t *Tax) Texts() map[string]*string {
	return map[string]*string{
		"TaxNumber": &t.TaxNumber, "CompanyNumber": &t.CompanyNumber, "BusinessNumber": &t.BusinessNumber,
		"BranchNumber": &t.BranchNumber, "BusinessStructure": &t.BusinessStructure, "BalanceMonth": &t.BalanceMonth,
		"GSTPeriod": &t.GSTPeriod, "GSTBasis": &t.GSTBasis, "ProvisionalTaxBasis": &t.ProvisionalTaxBasis,
		"ProvisionalTaxRatio": &t.ProvisionalTaxRatio, "TaxAgent": &t.TaxAgent, "AgencyStatus": &t.AgencyStatus,
		"ReturnType": &t.ReturnType,
	}
}

// Flags returns the Yes/No elements of the tax block by name.
func (t *Tax) Flags() map[string]*bool {
	return map[string]*bool{
		"GSTRegistered": &t.GSTRegistered, "PrepareGST": &t.PrepareGST, "SignedTaxAuthority": &t.SignedTaxAuthority,
		"PrepareActivityStatement": &t.PrepareActivityStatement, "PrepareTaxReturn": &t.PrepareTaxReturn,
		"ActiveAtoClient": &t.ActiveATOClient,
	}
}

// Texts returns the contact's own text elements by name.
func (c *Contact) Texts() map[string]*string {
	return map[string]*string{
		"Name": &c.Name, "Salutation": &c.Salutation, "Addressee": &c.Addressee,
		"Mobile": &c.Mobile, "Email": &c.Email, "Phone": &c.Phone,
	}
}

// NextInt hands out the next integer id of a practice, for 3.0 answers.
func (tx *Tx) NextInt(tenant string) int {
	row := *tx.Tenants.Get(tenant)
	row.NextInt++
	tx.Tenants.Put(tx, tenant, &row)
	return row.NextInt
}
