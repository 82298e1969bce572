package accounting

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/concord-suite/concord/services/connector/internal/provider"
)

// pageLimit bounds a page of 1,000 contacts and a single contact. 1,000 contacts with every field filled make 8 MB.
const pageLimit = 32 << 20

// envelope is what stands around the list of an answer.
type envelope struct {
	// at is the provider's clock when it answered: the earlier of what the answer and its header say.
	at     time.Time
	paging paging
}

// paging is what the provider says of a page and of the list it is of; size is 0 when it says nothing.
type paging struct{ page, size, pages, items int64 }

// decode reads one answer. item is called for each item of the list of that name and reads it. Nothing that it collected
// may be used when decode returns an error: only the end of the document tells that it is whole.
func decode(a provider.Answer, limit int64, list string, item func(*reader) error) (envelope, error) {
	e := envelope{at: a.ServerTime}
	r, err := newReader(a, limit)
	if err != nil {
		return e, err
	}
	status, listed := "", false
	err = r.object(func(key string) (err error) {
		switch key {
		case list:
			listed = true
			return r.list(func() error { return item(r) })
		case "Status":
			status, err = r.text()
		case "DateTimeUTC":
			err = r.clock(&e.at)
		case "pagination":
			e.paging, err = r.paging()
		default:
			err = r.skip()
		}
		return err
	})
	if err == nil {
		err = r.end()
	}
	switch {
	case err != nil:
		return e, explain(r.src, err)
	case !listed:
		return e, provider.Errorf(provider.ErrInvalid, "the provider's answer holds no %s", list)
	case status != "" && !strings.EqualFold(status, "OK"):
		return e, provider.Errorf(provider.ErrInvalid, "the provider's answer does not say that it succeeded")
	}
	return e, nil
}

func (r *reader) paging() (p paging, err error) {
	targets := map[string]*int64{"page": &p.page, "pageSize": &p.size, "pageCount": &p.pages, "itemCount": &p.items}
	err = r.object(func(key string) (err error) {
		target, known := targets[key]
		if !known {
			return r.skip()
		}
		if *target, err = r.number(); err == nil && *target < 0 {
			err = errShape
		}
		return err
	})
	return p, err
}

// clock reads the time of an answer and takes it when it is earlier than what is known. Who asks for changes since then
// must not miss one.
func (r *reader) clock(at *time.Time) error {
	text, err := r.text()
	if err != nil || text == "" {
		return err
	}
	said, err := date(text)
	if err == nil && (at.IsZero() || said.Before(*at)) {
		*at = said
	}
	return err
}

// dates is how the provider writes times: milliseconds since 1970 in UTC. The offset some have is that of the place
// where it was noted, and changes nothing.
var dates = regexp.MustCompile(`^/Date\((-?\d{1,15})([+-]\d{4})?\)/$`)

func date(text string) (time.Time, error) {
	found := dates.FindStringSubmatch(text)
	if found == nil {
		return time.Time{}, provider.Errorf(provider.ErrInvalid, "a time in the provider's answer can't be read")
	}
	ms, err := strconv.ParseInt(found[1], 10, 64)
	return time.UnixMilli(ms).UTC(), err // fifteen digits always fit
}
