package remote

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
)

// Choice is what a person does on the consent pages.
type Choice struct {
	Person string // id or e-mail
	Tenant string // id or name; empty takes the only one on offer
	Deny   bool
}

// Consent goes through the consent pages of an authorization URL as a browser would: signs in,
// chooses, allows. It returns where the browser is sent afterwards, without going there. When the
// provider shows an error page instead, its text is the error.
func Consent(ctx context.Context, authorizeURL string, choice Choice) (*url.URL, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	b := browser{ctx: ctx, http: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}}
	defer b.http.CloseIdleConnections()
	page, _, err := b.open(http.MethodGet, authorizeURL, nil)
	if err != nil {
		return nil, err
	}
	if _, _, err = b.submit(authorizeURL, page, "/identity/login", url.Values{"person": {choice.Person}}); err != nil {
		return nil, fmt.Errorf("sign in: %w", err)
	}
	if page, _, err = b.open(http.MethodGet, authorizeURL, nil); err != nil {
		return nil, err
	}
	fields := url.Values{"action": {"deny"}}
	if !choice.Deny {
		tenant, err := find(page, choice.Tenant)
		if err != nil {
			return nil, err
		}
		fields = url.Values{"action": {"allow"}, "tenant": {tenant}}
	}
	_, next, err := b.submit(authorizeURL, page, "/identity/consent", fields)
	if err != nil {
		return nil, fmt.Errorf("consent: %w", err)
	}
	if next == nil {
		return nil, errors.New("the consent page sent the browser nowhere")
	}
	return next, nil
}

type browser struct {
	ctx  context.Context
	http *http.Client
}

var wrongText = regexp.MustCompile(`class="wrong">([^<]*)<`)

// open loads a page, or says where it redirects to.
func (b browser) open(method, address string, form url.Values) (page string, next *url.URL, err error) {
	req, err := http.NewRequestWithContext(b.ctx, method, address, strings.NewReader(form.Encode()))
	if err != nil {
		return "", nil, err
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := b.http.Do(req)
	if err != nil {
		return "", nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return "", nil, err
	}
	if res.StatusCode/100 == 3 {
		next, err = res.Location()
		return "", next, err
	}
	if wrong := wrongText.FindSubmatch(text); wrong != nil {
		return "", nil, errors.New(html.UnescapeString(string(wrong[1])))
	}
	if res.StatusCode != http.StatusOK {
		return "", nil, fmt.Errorf("%s answered %s", address, res.Status)
	}
	return string(text), nil, nil
}

var (
	formTag = regexp.MustCompile(`(?s)<form[^>]*action="([^"]*)".*?</form>`)
	hidden  = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	option  = regexp.MustCompile(`<input type="radio" name="tenant" value="([^"]*)"> ([^\n<]*)`)
)

// submit fills in the form of a page that goes to action, hidden fields included, and sends it.
func (b browser) submit(base, page, action string, fields url.Values) (string, *url.URL, error) {
	for _, form := range formTag.FindAllStringSubmatch(page, -1) {
		if form[1] != action {
			continue
		}
		for _, field := range hidden.FindAllStringSubmatch(form[0], -1) {
			fields.Set(field[1], html.UnescapeString(field[2]))
		}
		target, err := url.Parse(base)
		if err != nil {
			return "", nil, err
		}
		return b.open(http.MethodPost, target.ResolveReference(&url.URL{Path: action}).String(), fields)
	}
	return "", nil, fmt.Errorf("the page has no form for %s", action)
}

// find returns the value of the offered tenant with that id or name.
func find(page, want string) (string, error) {
	offers := option.FindAllStringSubmatch(page, -1)
	if want == "" && len(offers) == 1 {
		return offers[0][1], nil
	}
	var names []string
	for _, o := range offers {
		name := html.UnescapeString(strings.TrimSpace(o[2]))
		if want != "" && (o[1] == want || name == want) {
			return o[1], nil
		}
		names = append(names, name)
	}
	return "", fmt.Errorf("%q is not offered; on offer: %s", want, strings.Join(names, ", "))
}
