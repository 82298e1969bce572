package xpm

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/concord-suite/concord/services/connector/internal/provider"
)

// listing writes a list of n clients with one contact each.
func listing(n int) []byte {
	var b strings.Builder
	b.WriteString(`<Response api-method="List"><Status>OK</Status><Clients>`)
	for i := range n {
		fmt.Fprintf(&b, `<Client><UUID>%s</UUID><Name>Client %d Pty Ltd</Name><Email>c%d@example.com</Email><Address>%d High Street</Address>`+
			`<City>Perth</City><Region>WA</Region><PostCode>6000</PostCode><Country>Australia</Country><PostalAddress></PostalAddress>`+
			`<PostalCity></PostalCity><PostalRegion></PostalRegion><PostalPostCode></PostalPostCode><PostalCountry></PostalCountry>`+
			`<Phone>08 5550 %04d</Phone><Fax></Fax><Website></Website><ReferralSource></ReferralSource><ExportCode>C%d</ExportCode>`+
			`<IsArchived>No</IsArchived><IsDeleted>No</IsDeleted><TaxNumber>******123</TaxNumber><CompanyNumber></CompanyNumber>`+
			`<BusinessNumber></BusinessNumber><BranchNumber>1</BranchNumber><Contacts><Contact><UUID>%s</UUID><Name>Person %d</Name>`+
			`<Mobile></Mobile><Email></Email><Phone></Phone><IsPrimary>Yes</IsPrimary><Position>Director</Position></Contact></Contacts></Client>`,
			uuid.NewString(), i, i, i, i, i, uuid.NewString(), i)
	}
	b.WriteString(`</Clients></Response>`)
	return []byte(b.String())
}

// BenchmarkDecode reads 2,000 clients; compare with BenchmarkBareDecoder, which makes nothing of them.
func BenchmarkDecode(b *testing.B) {
	doc := listing(2000)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		err := decode(provider.Answer{Body: bytes.NewReader(doc)}, bounds.list, func(r *reader, _ string) error {
			return r.clients(func(client) error { n++; return nil })
		})
		if err != nil || n != 2000 {
			b.Fatal(n, err)
		}
	}
}

// BenchmarkBareDecoder walks through the same document with encoding/xml alone.
func BenchmarkBareDecoder(b *testing.B) {
	doc := listing(2000)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		d := xml.NewDecoder(bytes.NewReader(doc))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
}
