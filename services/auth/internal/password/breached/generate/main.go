// Generate makes the list of package breached from lists of passwords.
//
// A list is a text file with one password to a line, or a JSON array of strings. Passwords that are too short to be
// chosen are left out. What is shipped was made from the list of the npm package @zxcvbn-ts/language-common 4.1.3, under
// the MIT licence (Dan Wheeler, Dropbox, the authors of zxcvbn-ts), which gathers what was published after thefts; nothing
// of it is kept but the hashes:
//
//	npm pack @zxcvbn-ts/language-common@4.1.3 && tar xzf zxcvbn-ts-language-common-4.1.3.tgz
//	go run ./generate -out passwords.gcs package/src/passwords.json
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/concord-suite/concord/services/auth/internal/password/breached"
)

func main() {
	out := flag.String("out", "passwords.gcs", "the file to write")
	flag.Parse()
	if err := generate(*out, flag.Args()); err != nil {
		log.Fatal(err)
	}
}

func generate(out string, lists []string) error {
	var all []string
	for _, path := range lists {
		words, err := read(path)
		if err != nil {
			return err
		}
		for _, w := range words {
			if w = breached.Fold(w); utf8.RuneCountInString(w) >= breached.MinLength {
				all = append(all, w)
			}
		}
	}
	if len(all) == 0 {
		return fmt.Errorf("no password of %d characters in %d lists", breached.MinLength, len(lists))
	}
	return os.WriteFile(out, breached.Pack(all), 0o644)
}

func read(path string) (words []string, err error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(strings.TrimSpace(string(raw)), "[") {
		return words, json.Unmarshal(raw, &words)
	}
	for line := range strings.Lines(string(raw)) {
		words = append(words, strings.TrimRight(line, "\r\n"))
	}
	return words, nil
}
