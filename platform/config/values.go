package config

import (
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// parse sets the field from its text. Lists are separated by commas or, from a file, by newlines.
func (f field) parse(text string) error {
	if !f.isList() {
		return parseValue(f.value, text)
	}
	separator := ","
	if strings.Contains(text, "\n") {
		separator = "\n"
	}
	list := reflect.MakeSlice(f.value.Type(), 0, 4)
	for part := range strings.SplitSeq(text, separator) {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		item := reflect.New(f.value.Type().Elem()).Elem()
		if err := parseValue(item, part); err != nil {
			return err
		}
		list = reflect.Append(list, item)
	}
	f.value.Set(list)
	return nil
}

func (f field) isList() bool {
	return f.value.Kind() == reflect.Slice && !reflect.PointerTo(f.value.Type()).Implements(textType)
}

// parseValue sets one value from its text; its error says what is wanted and never repeats the text.
func parseValue(v reflect.Value, text string) error {
	if v.Type() == urlType {
		u, err := parseURL(text)
		if err == nil {
			v.Set(reflect.ValueOf(u))
		}
		return err
	}
	if v.Type() == durationType {
		d, err := time.ParseDuration(text)
		if err != nil {
			return errors.New("must be a duration like 90s or 5m")
		}
		v.SetInt(int64(d))
		return nil
	}
	if t, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return t.UnmarshalText([]byte(text))
	}
	return parseBasic(v, text)
}

func parseBasic(v reflect.Value, text string) error {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return errors.New("must be true or false")
		}
		v.SetBool(text == "true")
	case reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return errors.New("must be a number")
		}
		v.SetFloat(n)
	case reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseUint(text, 10, v.Type().Bits())
		if err != nil {
			return fmt.Errorf("must be a whole number from 0 to %d", uint64(1)<<(v.Type().Bits()-1)*2-1)
		}
		v.SetUint(n)
	default: // the signed whole numbers; isLeaf admits no others
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil {
			return errors.New("must be a whole number")
		}
		v.SetInt(n)
	}
	return nil
}

func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return nil, errors.New("must be a URL with scheme and host")
	}
	return u, nil
}

// broken returns the rule of the field's tags that its value breaks, or "".
func (f field) broken() string {
	if len(f.oneOf) > 0 {
		for _, text := range f.texts() {
			if !slices.Contains(f.oneOf, text) {
				return "must be one of " + strings.Join(f.oneOf, ", ")
			}
		}
	}
	if f.min != "" && f.below(f.min) {
		return "must be at least " + f.bound(f.min)
	}
	if f.max != "" && f.above(f.max) {
		return "must be at most " + f.bound(f.max)
	}
	return ""
}

// texts returns the value, or every item of a list, as text.
func (f field) texts() []string {
	if !f.isList() {
		return []string{fmt.Sprint(f.value.Interface())}
	}
	var all []string
	for i := range f.value.Len() {
		all = append(all, fmt.Sprint(f.value.Index(i).Interface()))
	}
	return all
}

// below and above compare with a bound of the tags; walk made sure that it can be compared.
func (f field) below(bound string) bool { order, _ := f.compare(bound); return order < 0 }
func (f field) above(bound string) bool { order, _ := f.compare(bound); return order > 0 }

// compare measures the value, or the length of a text or list, against a bound in the value's own syntax.
func (f field) compare(bound string) (int, error) {
	length := -1
	switch {
	case f.isList():
		length = f.value.Len()
	case f.value.Kind() == reflect.String:
		length = utf8.RuneCountInString(f.value.String())
	}
	if length >= 0 {
		limit, err := strconv.Atoi(bound)
		return length - limit, err
	}
	limit := reflect.New(f.value.Type()).Elem()
	if err := parseValue(limit, bound); err != nil {
		return 0, err
	}
	switch {
	case f.value.CanInt():
		return cmp.Compare(f.value.Int(), limit.Int()), nil
	case f.value.CanUint():
		return cmp.Compare(f.value.Uint(), limit.Uint()), nil
	case f.value.CanFloat():
		return cmp.Compare(f.value.Float(), limit.Float()), nil
	default:
		return 0, errors.New("the type has no order")
	}
}

// bound words a limit: a length has a unit.
func (f field) bound(limit string) string {
	switch {
	case f.isList():
		return limit + " items"
	case f.value.Kind() == reflect.String:
		return limit + " characters"
	default:
		return limit
	}
}

// describe words a broken rule, with the value that broke it unless it is a secret.
func (f field) describe(text string, rule error) string {
	if f.secret {
		return rule.Error()
	}
	return fmt.Sprintf("%s, not %q", rule, redactText(strings.ReplaceAll(text, "\n", ",")))
}
