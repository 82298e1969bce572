package practice

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"unicode/utf8"
)

// The parts names are made of. None is a name anybody has.
var (
	firstNames = []string{"Ablo", "Bexi", "Cindro", "Dovan", "Eltu", "Fimra", "Gralo", "Hundis", "Ixel", "Jorvi", "Kelmo",
		"Lurna", "Mazzo", "Nerith", "Ostu", "Pelva", "Quinzo", "Rilka", "Sturno", "Tavi", "Umbro", "Velda", "Wexa", "Yolmo", "Zindra"}
	stems = []string{"Plim", "Quor", "Zand", "Vex", "Thrup", "Oll", "Brax", "Snib", "Wug", "Yarl", "Krell", "Dwim", "Florp",
		"Grint", "Hask", "Jubb", "Lonk", "Mirv", "Nork", "Purd"}
	endings = []string{"ble", "ton", "wick", "dle", "ska", "mond", "rick", "lius", "ford", "ley", "son", "by", "ett", "ano", "ewicz"}
	trades  = []string{"Holdings", "Plumbing", "Bakery", "Transport", "Consulting", "Joinery", "Dental", "Orchards",
		"Electrical", "Freight", "Interiors", "Nominees", "Properties", "Software"}
	streets = []string{"Sample Street", "Example Road", "Placeholder Lane", "Nowhere Avenue", "Specimen Parade"}
	places  = []place{
		{"Sampleton", "NSW", "2999"}, {"Exampleville", "VIC", "3999"}, {"Mockbury", "QLD", "4999"},
		{"Nowhere Creek", "SA", "5999"}, {"Specimen Bay", "WA", "6999"}, {"Placeholder", "TAS", "7999"},
	}
	// mobiles are numbers the Australian regulator keeps for fiction.
	mobiles = []string{"0491570006", "0491 570 156", "0491 570 157", "+61491570158", "0491 570 159", "0491570110",
		"0491 570 313", "0491 570 737", "0491 571 266", "0491 571 491", "0491 571 804", "0491 572 549"}
	// accented holds the same name twice: with composed letters, and with the accent as a character
	// of its own. They look alike and compare unequal.
	accented = [][2]string{
		{"Zo\u00eb", "Zoe\u0308"}, {"Br\u00fbl", "Bru\u0302l"}, {"\u00c5rv", "A\u030arv"},
		{"Mu\u00f1o", "Mun\u0303o"}, {"K\u014dwhi", "Ko\u0304whi"},
	}
)

type place struct{ city, region, postCode string }

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// chance is true in that many of 100 cases.
func chance(r *rand.Rand, percent int) bool { return r.IntN(100) < percent }

func surname(r *rand.Rand) string { return pick(r, stems) + pick(r, endings) }

// landline is a number from the ranges kept for fiction.
func landline(r *rand.Rand) string {
	return fmt.Sprintf("(0%d) 5550 %04d", pick(r, []int{2, 3, 7, 8}), r.IntN(10000))
}

// digits never begins with anything but zero: no company or business number does, so none is hit.
func digits(r *rand.Rand, n int) string {
	var b strings.Builder
	b.WriteByte('0')
	for range n - 1 {
		b.WriteByte(byte('0' + r.IntN(10)))
	}
	return b.String()
}

// long stretches a name to n characters.
func long(name string, n int) string {
	for utf8.RuneCountInString(name) < n {
		name += " and as Trustee for the " + name
	}
	return strings.TrimSpace(string([]rune(name)[:n]))
}

// address writes one to four lines. Some come the way the provider documents them, with a line break
// first and the indentation of whoever typed them.
func address(r *rand.Rand) string {
	street := fmt.Sprintf("%d %s", 1+r.IntN(299), pick(r, streets))
	switch {
	case chance(r, 65):
		return street
	case chance(r, 50):
		return fmt.Sprintf("Level %d, Simulated House\n%s", 1+r.IntN(40), street)
	default:
		return fmt.Sprintf("\n         Level %d, Simulated House\n         %s\n         Rear Entrance\n      ", 1+r.IntN(40), street)
	}
}

func poBox(r *rand.Rand) string { return fmt.Sprintf("PO Box %d", 1+r.IntN(9999)) }
