// Package config fills one typed struct per service from defaults, a YAML file and the environment, and checks it before
// anything is started.
//
// A setting is a struct field with tags:
//
//	type Config struct {
//		Timeout time.Duration `config:"timeout" default:"5s" min:"100ms" max:"1m" doc:"How long one upstream call may take."`
//		Policy  string        `config:"policy" default:"CREATE" oneof:"CREATE REVIEW" doc:"What happens with new records."`
//		SMS     struct {
//			URL   *url.URL `config:"url" required:"true" doc:"Where messages are sent."`
//			Token string   `config:"token" secret:"true" doc:"The gateway's token."`
//		} `config:"sms"`
//	}
//
// Its key is the path of the config tags ("sms.url"), its variable CONCORD_<SERVICE>_ and the path in upper case
// (CONCORD_AUTH_SMS_URL). The environment wins over the file, the file over the default; an empty variable counts as not
// set. A secret may also be named by file: CONCORD_AUTH_SMS_TOKEN_FILE, or token_file in YAML; the newline at the end of
// that file is dropped; a field of type Secret can be read from it again. An unknown key in the file and an unknown
// CONCORD_<SERVICE>_ variable are mistakes: a misspelt setting must not silently leave the default in force.
//
// min and max bound numbers, durations, sizes and the length of strings and lists. A struct (the whole or a nested one)
// may have a method Validate() error for rules across fields; joined errors count one by one.
//
// The package reads nothing by itself: environment and file are given in Source, so one process can load several services.
package config

import (
	"fmt"
	"strings"
)

// Source says where the settings of one service come from.
type Source struct {
	// Service names the service; it makes the prefix of the variables ("auth": CONCORD_AUTH_).
	Service string
	// Environ holds "KEY=value" pairs, as os.Environ returns them.
	Environ []string
	// File is the path of a YAML file; empty means the one named by CONCORD_<SERVICE>_CONFIG_FILE, if any.
	File string
	// Section is the first-level key of the file under which this service's settings stand. Empty means that the whole
	// file belongs to the service.
	Section string
}

// configFile is the reserved last part of the variable that names the file.
const configFile = "CONFIG_FILE"

// Prefix returns how the variables of a service begin: "CONCORD_AUTH_".
func Prefix(service string) string {
	return "CONCORD_" + strings.ToUpper(strings.ReplaceAll(service, "-", "_")) + "_"
}

// Load fills cfgs, pointers to structs whose settings stand side by side, and checks them. When settings are wrong the
// error is a Mistakes with all of them; any other error means that the file could not be read or that a struct's own tags
// are wrong.
func Load(src Source, cfgs ...any) error {
	fields, structs, err := walk(cfgs)
	if err != nil {
		return err
	}
	l := loader{prefix: Prefix(src.Service), variables: map[string]string{}, fileValues: map[string]string{}}
	for _, pair := range src.Environ {
		name, value, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, l.prefix) && value != "" {
			l.variables[name] = value
		}
	}
	path := src.File
	if path == "" {
		path = l.variables[l.prefix+configFile]
	}
	delete(l.variables, l.prefix+configFile)
	if path != "" {
		if err := l.readFile(path, src.Section, fields); err != nil {
			return err
		}
	}
	for _, f := range fields {
		l.set(f)
	}
	l.refuseUnknownVariables(fields)
	if len(l.mistakes) == 0 { // rules across fields mean nothing while single fields are wrong
		for _, s := range structs {
			l.validate(s)
		}
	}
	if len(l.mistakes) > 0 {
		return l.mistakes
	}
	return nil
}

// loader carries the state of one Load.
type loader struct {
	prefix     string
	variables  map[string]string // what the environment says, by full name
	fileValues map[string]string // what the file says, by key; list items joined by newlines
	mistakes   Mistakes
}

func (l *loader) mistake(f field, format string, args ...any) {
	l.mistakes = append(l.mistakes, Mistake{Key: f.key, Variable: l.prefix + f.variable, Rule: fmt.Sprintf(format, args...)})
}

// set gives one field its value and checks the rules of its tags.
func (l *loader) set(f field) {
	text, path, given, ok := l.lookup(f)
	if !ok {
		return
	}
	if !given {
		if f.required {
			l.mistake(f, "is required")
			return
		}
		if f.fallback == "" {
			return
		}
		text = f.fallback
	}
	if err := f.parse(text); err != nil {
		l.mistake(f, "%s", f.describe(text, err))
		return
	}
	if rule := f.broken(); rule != "" {
		l.mistake(f, "%s", f.describe(text, fmt.Errorf("%s", rule)))
	}
	if secret, is := f.value.Addr().Interface().(*Secret); is {
		secret.path = path
	}
}

// lookup finds the text given for the field, and the file that it was in if it was in one of its own. ok is false when it
// cannot be read, which is then already noted.
func (l *loader) lookup(f field) (text, path string, given, ok bool) {
	variable := l.prefix + f.variable
	text, given = l.variables[variable]
	if !f.secret {
		if !given {
			text, given = l.fileValues[f.key]
		}
		return text, "", given, true
	}
	path, named := l.variables[variable+"_FILE"]
	if given && named {
		l.mistake(f, "is given twice, by %s and %s_FILE", variable, variable)
		return "", "", false, false
	}
	if !given && !named {
		text, given = l.fileValues[f.key]
		path, named = l.fileValues[f.key+"_file"]
		if given && named {
			l.mistake(f, "is given twice in the file, as %s and %s_file", f.key, f.key)
			return "", "", false, false
		}
	}
	if !named {
		return text, "", given, true
	}
	text, err := readSecret(path)
	if err != nil {
		l.mistake(f, "cannot be read: %v", err)
		return "", "", false, false
	}
	if text == "" {
		l.mistake(f, "is empty in the file %s", path)
		return "", "", false, false
	}
	return text, path, true, true
}

func (l *loader) refuseUnknownVariables(fields []field) {
	known := map[string]bool{}
	for _, f := range fields {
		known[l.prefix+f.variable] = true
		if f.secret {
			known[l.prefix+f.variable+"_FILE"] = true
		}
	}
	for _, name := range sortedKeys(l.variables) {
		if !known[name] {
			l.mistakes = append(l.mistakes, Mistake{Variable: name, Rule: "is not a setting"})
		}
	}
}

func (l *loader) validate(s structure) {
	checked, ok := s.value.Addr().Interface().(interface{ Validate() error })
	if !ok {
		return
	}
	for _, err := range split(checked.Validate()) {
		l.mistakes = append(l.mistakes, Mistake{Key: s.key, Rule: err.Error()})
	}
}
