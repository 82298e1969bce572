package client

import (
	"slices"
	"time"
)

// Details are what a provider keeps of a client apart from its fields, and listings do not carry.
type Details struct {
	Groups        []string       `json:"groups,omitempty"`
	CustomFields  []CustomField  `json:"custom_fields,omitempty"`
	Relationships []Relationship `json:"relationships,omitempty"`
	// ReadAt is when they were read last, by this service's clock; zero when they were not.
	ReadAt time.Time `json:"-"`
}

// CustomField is a field that the practice defined at the provider.
type CustomField struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
}

// Relationship ties a client to another one.
type Relationship struct {
	// Type is the kind in the provider's words: Director, Shareholder, Trustee.
	Type string `json:"type,omitempty"`
	// Record is the other's record, Name its name at the provider.
	Record string `json:"record,omitempty"`
	Name   string `json:"name,omitempty"`
	// Client is the id of the client that the record is linked to, "" for none in the list. It is looked up, not kept.
	Client string `json:"-"`
	// Shares and Percentage are what is held, Start and End the days (YYYY-MM-DD) between which; empty when not known.
	Shares     string `json:"shares,omitempty"`
	Percentage string `json:"percentage,omitempty"`
	Start      string `json:"start,omitempty"`
	End        string `json:"end,omitempty"`
}

// What one client shows at most of each kind, in numbers and in characters of a value.
const (
	maxDetails = 1000
	maxValue   = 10000
	maxWord    = 300
)

// Clean returns d with text in the form in which it is stored, within what a client shows.
func (d Details) Clean() Details {
	out := Details{
		Groups:       Fields{Groups: d.Groups}.Clean().Groups,
		CustomFields: slices.Clone(d.CustomFields[:min(len(d.CustomFields), maxDetails)]), ReadAt: d.ReadAt,
		Relationships: slices.Clone(d.Relationships[:min(len(d.Relationships), maxDetails)]),
	}
	out.Groups = out.Groups[:min(len(out.Groups), maxDetails)]
	for i := range out.CustomFields {
		f := &out.CustomFields[i]
		f.Name, f.Value = cut(f.Name, maxWord), cut(f.Value, maxValue)
	}
	for i := range out.Relationships {
		r := &out.Relationships[i]
		for _, s := range []*string{&r.Type, &r.Name, &r.Shares, &r.Percentage, &r.Start, &r.End} {
			*s = cut(*s, maxWord)
		}
	}
	return out
}

func cut(s string, n int) string {
	s = Text(s)
	if len(s) <= n {
		return s
	}
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}

// JSON is d as it is stored. Equal details have equal JSON.
func (d Details) JSON() string { return encode(d) }

// ParseDetails reads what JSON wrote.
func ParseDetails(s string) Details { return decode[Details](s) }
