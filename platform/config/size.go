package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Size is a number of bytes, written as "512", "64KiB", "20MiB" or "2GiB".
type Size int64

// sizeUnits runs from the largest unit down, so that printing picks the largest that fits.
var sizeUnits = []struct {
	suffix string
	bytes  Size
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// UnmarshalText parses a size.
func (s *Size) UnmarshalText(text []byte) error {
	number, unit := string(text), Size(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(number, u.suffix); ok {
			number, unit = rest, u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	if err != nil || n < 0 || n > (1<<62)/int64(unit) {
		return errors.New("must be a size like 512, 64KiB, 20MiB or 2GiB")
	}
	*s = Size(n) * unit
	return nil
}

// String returns the size in its largest whole unit.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s >= u.bytes && s%u.bytes == 0 {
			return fmt.Sprintf("%d%s", int64(s/u.bytes), u.suffix)
		}
	}
	return strconv.FormatInt(int64(s), 10)
}
