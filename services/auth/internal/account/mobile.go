package account

import (
	"errors"
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// Why a mobile is refused.
var (
	ErrMobile  = errors.New("account: not a mobile number in international form, such as +61 491 570 156")
	ErrCountry = errors.New("account: text messages are not sent to this country")
)

// maxTyped bounds a number as people write it: fifteen digits, each with something between.
const maxTyped = 32

// NormalizeMobile returns a mobile number in E.164 form. It takes international numbers only, with or without spaces, of
// the countries given (ISO 3166, two letters): text messages to others are a way to make money at our cost.
func NormalizeMobile(text string, countries []string) (string, error) {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "+") || len(text) > maxTyped ||
		strings.ContainsFunc(text[1:], func(r rune) bool { return !strings.ContainsRune("0123456789 -().", r) }) {
		return "", ErrMobile // the library would drop what follows, such as an extension
	}
	number, err := phonenumbers.Parse(text, "")
	if err != nil || !phonenumbers.IsValidNumber(number) {
		return "", ErrMobile
	}
	switch phonenumbers.GetNumberType(number) {
	case phonenumbers.MOBILE, phonenumbers.FIXED_LINE_OR_MOBILE:
	default:
		return "", ErrMobile
	}
	if !slices.Contains(countries, phonenumbers.GetRegionCodeForNumber(number)) {
		return "", ErrCountry
	}
	return phonenumbers.Format(number, phonenumbers.E164), nil
}
