package accounting

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/concord-suite/concord/sim/world"
)

// kind is what a member's values are compared as.
type kind int

const (
	text kind = iota
	yesno
	moment
	guid
)

// member is a field of a contact that listings can be filtered and ordered by.
type member struct {
	name string
	kind kind
	get  func(*world.Party) string
}

// key is the member's value as listings order it: without regard to case.
func (m member) key(p *world.Party) string { return strings.ToLower(m.get(p)) }

// sortable writes a time so that texts compare as times do.
func sortable(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000000") }

// members are the fields by their names in lower case.
var members = func() map[string]member {
	all := map[string]member{}
	for _, m := range []member{
		{"ContactID", guid, func(p *world.Party) string { return p.ID }},
		{"ContactNumber", text, func(p *world.Party) string { return p.Number }},
		{"AccountNumber", text, func(p *world.Party) string { return p.Account }},
		{"ContactStatus", text, func(p *world.Party) string { return p.Status }},
		{"Name", text, func(p *world.Party) string { return p.Name }},
		{"FirstName", text, func(p *world.Party) string { return p.FirstName }},
		{"LastName", text, func(p *world.Party) string { return p.LastName }},
		{"CompanyNumber", text, func(p *world.Party) string { return p.CompanyNumber }},
		{"EmailAddress", text, func(p *world.Party) string { return p.Email }},
		{"TaxNumber", text, func(p *world.Party) string { return p.TaxNumber }},
		{"IsCustomer", yesno, func(p *world.Party) string { return strconv.FormatBool(p.Customer) }},
		{"IsSupplier", yesno, func(p *world.Party) string { return strconv.FormatBool(p.Supplier) }},
		{"UpdatedDateUTC", moment, func(p *world.Party) string { return sortable(p.Updated) }},
	} {
		all[strings.ToLower(m.name)] = m
	}
	return all
}()

type condition = func(*world.Party) bool

var tokens = regexp.MustCompile(`\s*("(?:[^"\\]|\\.)*"|==|!=|>=|<=|>|<|&&|\|\||[(),.]|-?\d+|[A-Za-z_]\w*|\S)`)

// parseWhere reads a filter: comparisons such as IsCustomer==true, Name.Contains("x") and
// UpdatedDateUTC>=DateTime(2026,1,31), joined by AND, OR and parentheses. Nothing fits everything.
func parseWhere(filter string) (condition, error) {
	if strings.TrimSpace(filter) == "" {
		return func(*world.Party) bool { return true }, nil
	}
	p := &parser{}
	for _, m := range tokens.FindAllStringSubmatch(filter, -1) {
		p.tokens = append(p.tokens, m[1])
	}
	c, err := p.either()
	if err == nil && p.peek() != "" {
		err = except(badQuery, fmt.Sprintf("Syntax error at '%s'", p.peek()))
	}
	return c, err
}

type parser struct {
	tokens []string
	depth  int
}

// maxDepth bounds parentheses in parentheses.
const maxDepth = 50

func (p *parser) peek() string {
	if len(p.tokens) == 0 {
		return ""
	}
	return p.tokens[0]
}

func (p *parser) next() string {
	token := p.peek()
	if token != "" {
		p.tokens = p.tokens[1:]
	}
	return token
}

// take removes the next token if it is one of these words.
func (p *parser) take(words ...string) bool {
	for _, word := range words {
		if strings.EqualFold(p.peek(), word) {
			p.next()
			return true
		}
	}
	return false
}

func (p *parser) expect(word string) error {
	if !p.take(word) {
		return except(badQuery, fmt.Sprintf("'%s' expected", word))
	}
	return nil
}

func (p *parser) either() (condition, error) {
	left, err := p.both()
	for err == nil && p.take("OR", "||") {
		var right condition
		before := left
		right, err = p.both()
		left = func(c *world.Party) bool { return before(c) || right(c) }
	}
	return left, err
}

func (p *parser) both() (condition, error) {
	left, err := p.one()
	for err == nil && p.take("AND", "&&") {
		var right condition
		before := left
		right, err = p.one()
		left = func(c *world.Party) bool { return before(c) && right(c) }
	}
	return left, err
}

func (p *parser) one() (condition, error) {
	if !p.take("(") {
		return p.comparison()
	}
	if p.depth++; p.depth > maxDepth {
		return nil, except(badQuery, "The expression is nested too deeply")
	}
	inner, err := p.either()
	if err == nil {
		err = p.expect(")")
	}
	p.depth--
	return inner, err
}

func (p *parser) comparison() (condition, error) {
	name := p.next()
	m, there := members[strings.ToLower(name)]
	if !there {
		return nil, except(badQuery, fmt.Sprintf("No property or field '%s' exists in type 'Contact'", name))
	}
	if p.take(".") {
		return p.method(m)
	}
	return p.compare(m)
}

func (p *parser) compare(m member) (condition, error) {
	operator := p.next()
	holds := operators[operator]
	if holds == nil {
		return nil, except(badQuery, fmt.Sprintf("Operator expected after '%s'", m.name))
	}
	value, err := p.value(m, operator)
	if err != nil {
		return nil, err
	}
	return func(c *world.Party) bool { return holds(cmp.Compare(m.get(c), value)) }, nil
}

var operators = map[string]func(order int) bool{
	"==": func(o int) bool { return o == 0 }, "!=": func(o int) bool { return o != 0 },
	">=": func(o int) bool { return o >= 0 }, "<=": func(o int) bool { return o <= 0 },
	">": func(o int) bool { return o > 0 }, "<": func(o int) bool { return o < 0 },
}

// value reads what a member is compared with, in the form the member's values have.
func (p *parser) value(m member, operator string) (string, error) {
	token := p.next()
	wrong := except(badQuery, fmt.Sprintf("Operator '%s' incompatible with operand types of '%s' and '%s'", operator, m.name, token))
	switch {
	case m.kind == text && strings.EqualFold(token, "null"):
		return "", nil
	case m.kind == text && strings.HasPrefix(token, `"`):
		return unquote(token), nil
	case m.kind == yesno && (strings.EqualFold(token, "true") || strings.EqualFold(token, "false")):
		return strings.ToLower(token), nil
	case m.kind == guid && strings.EqualFold(token, "Guid"):
		args, err := p.arguments()
		if err != nil || len(args) != 1 {
			return "", wrong
		}
		return strings.ToLower(unquote(args[0])), nil
	case m.kind == moment && strings.EqualFold(token, "DateTime"):
		args, err := p.arguments()
		if err != nil {
			return "", wrong
		}
		return date(args, wrong)
	}
	return "", wrong
}

func date(args []string, wrong error) (string, error) {
	if len(args) != 3 && len(args) != 6 {
		return "", wrong
	}
	var n [6]int
	for i, arg := range args {
		var err error
		if n[i], err = strconv.Atoi(arg); err != nil {
			return "", wrong
		}
	}
	return sortable(time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], 0, time.UTC)), nil
}

// arguments reads a list in parentheses.
func (p *parser) arguments() ([]string, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	var list []string
	for !p.take(")") {
		if p.peek() == "" {
			return nil, p.expect(")")
		}
		if !p.take(",") {
			list = append(list, p.next())
		}
	}
	return list, nil
}

var methods = map[string]func(s, part string) bool{
	"contains": strings.Contains, "startswith": strings.HasPrefix, "endswith": strings.HasSuffix,
}

// method reads what follows a member's dot: ToLower() or ToUpper() any number of times, then a test or
// a comparison.
func (p *parser) method(m member) (condition, error) {
	if m.kind != text {
		return nil, except(badQuery, fmt.Sprintf("'%s' has no methods", m.name))
	}
	name := p.next()
	args, err := p.arguments()
	if err != nil {
		return nil, err
	}
	get := m.get
	switch lower := strings.ToLower(name); {
	case lower == "tolower" && len(args) == 0:
		m.get = func(c *world.Party) string { return strings.ToLower(get(c)) }
	case lower == "toupper" && len(args) == 0:
		m.get = func(c *world.Party) string { return strings.ToUpper(get(c)) }
	case methods[lower] != nil && len(args) == 1:
		holds, part := methods[lower], unquote(args[0])
		return func(c *world.Party) bool { return holds(get(c), part) }, nil
	default:
		return nil, except(badQuery, fmt.Sprintf("No applicable method '%s' exists in type 'String'", name))
	}
	if p.depth++; p.depth > maxDepth {
		return nil, except(badQuery, "The expression is nested too deeply")
	}
	defer func() { p.depth-- }()
	if p.take(".") {
		return p.method(m)
	}
	return p.compare(m)
}

func unquote(token string) string {
	if s, err := strconv.Unquote(token); err == nil {
		return s
	}
	return strings.Trim(token, `"`)
}
