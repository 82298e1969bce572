package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
)

// ParseFlags reads args into the flags of f, which take no other arguments. It goes on behind a mistake: the error is a
// Mistakes with all of them, each by its flag ("--grace"), or flag.ErrHelp when help is asked for. Nothing is printed.
func ParseFlags(f *flag.FlagSet, args []string) error {
	f.SetOutput(io.Discard)
	var mistakes Mistakes
	for len(args) > 0 {
		err := f.Parse(args)
		args = f.Args()
		switch {
		case errors.Is(err, flag.ErrHelp):
			return err
		case err != nil:
			m := FlagMistake(f, err)
			// The package leaves a word that is no flag at all, and takes what follows an unknown flag for an argument.
			malformed := strings.HasPrefix(err.Error(), "bad flag syntax")
			value := m.Rule == unknownFlag && len(args) > 0 && !strings.HasPrefix(args[0], "-")
			if m.Rule == unknownFlag {
				m.Rule += "; -h lists them"
			}
			mistakes = append(mistakes, m)
			if malformed || value {
				args = args[1:]
			}
		case len(args) > 0:
			mistakes = append(mistakes, Mistake{Rule: fmt.Sprintf("%s takes no argument %q", f.Name(), args[0])})
			args = args[1:]
		}
	}
	if len(mistakes) > 0 {
		return mistakes
	}
	return nil
}

const unknownFlag = "is not a flag"

// badValue and badFlag are how package flag words its errors, which have no types.
var (
	badValue = regexp.MustCompile(`^invalid (?:boolean )?value (".*") for (?:flag )?-([^:]+): `)
	badFlag  = regexp.MustCompile(`^flag (provided but not defined|needs an argument): -(.+)$`)
)

// FlagMistake words an error of f.Parse, which is not flag.ErrHelp, like the mistakes of settings.
func FlagMistake(f *flag.FlagSet, err error) Mistake {
	if found := badValue.FindStringSubmatch(err.Error()); found != nil {
		return Mistake{Key: "--" + found[2], Rule: wantedValue(f, found[2]) + ", not " + found[1]}
	}
	if found := badFlag.FindStringSubmatch(err.Error()); found != nil {
		rule := "needs a value"
		if found[1] == "provided but not defined" {
			rule = unknownFlag
		}
		return Mistake{Key: "--" + found[2], Rule: rule}
	}
	return Mistake{Rule: err.Error()}
}

// wantedValue says what a flag takes.
func wantedValue(f *flag.FlagSet, name string) string {
	if getter, ok := f.Lookup(name).Value.(flag.Getter); ok {
		switch getter.Get().(type) {
		case bool:
			return "must be true or false"
		case int, int64, uint, uint64:
			return "must be a whole number"
		case time.Duration:
			return "must be a duration like 90s or 5m"
		}
	}
	return "has a wrong value"
}
