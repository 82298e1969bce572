package xpm

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/url"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/connector/internal/provider"
)

// endlessly makes the documents of a practice of any size while they are read, so that they take no memory themselves.
type endlessly struct {
	clients int
	// lean clients have little more than a name: their number matters, not their size.
	lean  bool
	bytes int
	// flow is held while memory is measured, so that nobody reads on and makes garbage meanwhile.
	flow sync.Mutex
}

// Call implements provider.Caller.
func (e *endlessly) Call(_ context.Context, r provider.Request, read func(provider.Answer) error) error {
	from, to, next := 0, e.clients, ""
	if r.Query.Has("pageSize") {
		from, _ = strconv.Atoi(r.Query.Get("pageToken"))
		if to = from + 500; to < e.clients {
			next = fmt.Sprintf(`<Pagination><Links><Next>/?pageToken=%d</Next></Links></Pagination>`, to)
		}
	}
	return read(provider.Answer{Body: &document500{e: e, at: from, to: to, end: "</Clients>" + next + "</Response>"}, ContentType: xmlType})
}

// document500 is a document on its way.
type document500 struct {
	e      *endlessly
	at, to int
	end    string
	begun  bool
	buf    bytes.Buffer
}

func (d *document500) Read(p []byte) (int, error) {
	d.e.flow.Lock()
	defer d.e.flow.Unlock()
	for d.buf.Len() < len(p) && (!d.begun || d.at < d.to || d.end != "") {
		switch {
		case !d.begun:
			d.begun = true
			d.buf.WriteString(before)
		case d.at < d.to:
			d.client()
			d.at++
		default:
			d.buf.WriteString(d.end)
			d.end = ""
		}
	}
	if d.buf.Len() == 0 {
		return 0, io.EOF
	}
	n, err := d.buf.Read(p)
	d.e.bytes += n
	return n, err
}

func (d *document500) client() {
	n := d.at
	fmt.Fprintf(&d.buf, `<Client><ID>%d</ID><Name>Client %d Proprietary Limited</Name>`, n, n)
	if !d.e.lean {
		fmt.Fprintf(&d.buf, `<Email>client%d@example.com</Email><Address>%d High Street</Address><City>Perth</City><Region>WA</Region><PostCode>6000</PostCode>`+
			`<Country>Australia</Country><PostalAddress></PostalAddress><PostalCity></PostalCity><PostalRegion></PostalRegion><PostalPostCode></PostalPostCode>`+
			`<PostalCountry></PostalCountry><Phone>08 5550 %d</Phone><Fax></Fax><Website></Website><ExportCode>C%d</ExportCode>`+
			`<IsArchived>No</IsArchived><IsDeleted>No</IsDeleted>`, n, n, n, n)
	}
	fmt.Fprintf(&d.buf, `<UUID>%s</UUID></Client>`, id('a', n))
}

// live is how much of the heap is in use, after what is not has been collected.
func live() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers held on to in the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// streamed reads a listing and returns the most memory that was live while it was read, over what was before, in bytes.
func streamed(t *testing.T, a Adapter, listing provider.Listing, clients int) (most int64, size int) {
	t.Helper()
	source := &endlessly{clients: clients, lean: listing == provider.Clients}
	start := live()
	pages := a.List(source, provider.Query{Listing: listing})
	n := 0
	for number := 0; ; number++ {
		page, err := pages.Next(t.Context())
		require.NoError(t, err)
		n += len(page.Records)
		if number%max(1, clients/500/10) == 0 { // ten times on the way, whatever its length
			source.flow.Lock()
			most = max(most, int64(live())-int64(start))
			source.flow.Unlock()
		}
		runtime.KeepAlive(page)
		if page.Next == "" {
			require.Equal(t, clients, n)
			return most, source.bytes
		}
	}
}

// TestMemoryIsFlat: a hundred times the clients take no more memory, in pages and in one answer of 50 MB.
func TestMemoryIsFlat(t *testing.T) {
	adapter := New(XPM, &url.URL{}, time.Now)
	for name, listing := range map[string]provider.Listing{"in pages": provider.Clients, "in one answer": provider.LegacyIDs} {
		t.Run(name, func(t *testing.T) {
			var small int64
			for range 10 { // looked at as often as the large one: how far the next page is on its way is by chance
				once, _ := streamed(t, adapter, listing, 1000)
				small = max(small, once)
			}
			large, size := streamed(t, adapter, listing, 100_000)
			t.Logf("live: %d kB for 1,000 clients, %d kB for 100,000 in %d MB: %.2f times", small>>10, large>>10, size>>20, float64(large)/float64(small))
			require.Equal(t, listing == provider.LegacyIDs, size > 50_000_000)
			require.Greater(t, small, int64(0))
			require.Less(t, float64(large), 2*float64(small), "one page more or less may be on its way")
		})
	}
}
