package xpm

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

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

// taken reads a document as listings are read, and returns how many clients it has.
func taken(doc []byte) (n int, err error) {
	err = decode(provider.Answer{Body: bytes.NewReader(doc)}, bounds.list, func(r *reader, _ string) error {
		return r.clients(func(client) error { n++; return nil })
	})
	return n, err
}

// walked goes through a document with encoding/xml alone, which makes nothing of it.
func walked(doc []byte) error {
	d := xml.NewDecoder(bytes.NewReader(doc))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// BenchmarkDecode reads 2,000 clients.
func BenchmarkDecode(b *testing.B) {
	doc := listing(2000)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if n, err := taken(doc); err != nil || n != 2000 {
			b.Fatal(n, err)
		}
	}
}

// BenchmarkDecodeToBare reads 2,000 clients and walks through the same document with encoding/xml alone, by turns. x-bare is
// how many times as fast the reading is: 1 is as fast, though it makes records of the document and the other nothing.
func BenchmarkDecodeToBare(b *testing.B) {
	doc := listing(2000)
	b.SetBytes(2 * int64(len(doc)))
	var reading, walking time.Duration
	for b.Loop() {
		began := time.Now()
		if n, err := taken(doc); err != nil || n != 2000 {
			b.Fatal(n, err)
		}
		read := time.Now()
		if err := walked(doc); err != nil {
			b.Fatal(err)
		}
		reading, walking = reading+read.Sub(began), walking+time.Since(read)
	}
	b.ReportMetric(float64(walking)/float64(reading), "x-bare")
}
