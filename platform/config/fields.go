package config

import (
	"encoding"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"time"
)

// field is one setting: a leaf of the struct with its tags.
type field struct {
	key      string // "sms.url"
	variable string // "SMS_URL"
	value    reflect.Value
	fallback string
	doc      string
	required bool
	secret   bool
	min, max string
	oneOf    []string
}

// structure is a struct on the way to the leaves; it may have a Validate method.
type structure struct {
	key   string
	value reflect.Value
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	urlType      = reflect.TypeFor[*url.URL]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// walk lists the settings of cfgs in the order of the structs. An error means that a struct is wrong, not the settings.
func walk(cfgs []any) ([]field, []structure, error) {
	w := walker{taken: map[string]bool{configFile: true}}
	for _, cfg := range cfgs {
		pointer := reflect.ValueOf(cfg)
		if pointer.Kind() != reflect.Pointer || pointer.Elem().Kind() != reflect.Struct {
			return nil, nil, fmt.Errorf("config: want a pointer to a struct, got %T", cfg)
		}
		if err := w.structure(pointer.Elem(), nil); err != nil {
			return nil, nil, err
		}
	}
	return w.fields, w.structs, nil
}

type walker struct {
	fields  []field
	structs []structure
	taken   map[string]bool
}

// structure walks one struct whose key is path. A field tagged `config:",inline"` adds its settings to those of the
// struct it stands in; `config:"-"` is left alone.
func (w *walker) structure(v reflect.Value, path []string) error {
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		if !sf.IsExported() {
			continue
		}
		name, tagged := sf.Tag.Lookup("config")
		switch {
		case name == "-":
			continue
		case name == ",inline" && sf.Type.Kind() == reflect.Struct:
			if err := w.structure(v.Field(i), path); err != nil {
				return err
			}
			continue
		case !tagged || name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "":
			return fmt.Errorf("config: %s.%s needs a config tag in snake_case", v.Type(), sf.Name)
		}
		below := append(append([]string(nil), path...), name)
		if isLeaf(sf.Type) {
			if err := w.leaf(sf, v.Field(i), below); err != nil {
				return err
			}
			continue
		}
		if sf.Type.Kind() != reflect.Struct {
			return fmt.Errorf("config: %s.%s has a type no setting can have: %s", v.Type(), sf.Name, sf.Type)
		}
		if err := w.structure(v.Field(i), below); err != nil {
			return err
		}
	}
	w.structs = append(w.structs, structure{key: strings.Join(path, "."), value: v})
	return nil
}

func (w *walker) leaf(sf reflect.StructField, v reflect.Value, path []string) error {
	f := field{
		key:      strings.Join(path, "."),
		variable: strings.ToUpper(strings.Join(path, "_")),
		value:    v,
		fallback: sf.Tag.Get("default"),
		doc:      sf.Tag.Get("doc"),
		required: sf.Tag.Get("required") == "true",
		secret:   sf.Tag.Get("secret") == "true",
		min:      sf.Tag.Get("min"),
		max:      sf.Tag.Get("max"),
		oneOf:    strings.Fields(sf.Tag.Get("oneof")),
	}
	if f.doc == "" {
		return fmt.Errorf("config: %s needs a doc tag", f.key)
	}
	names := []string{f.variable}
	if f.secret {
		names = append(names, f.variable+"_FILE")
	}
	for _, name := range names {
		if w.taken[name] {
			return fmt.Errorf("config: two settings share the variable %s", name)
		}
		w.taken[name] = true
	}
	if err := f.checkTags(); err != nil {
		return err
	}
	w.fields = append(w.fields, f)
	return nil
}

// checkTags makes sure that bounds and default are values of the field's type and that the default keeps the rules, so
// that nothing later has to ask.
func (f field) checkTags() error {
	for _, bound := range []string{f.min, f.max} {
		if bound == "" {
			continue
		}
		if _, err := f.compare(bound); err != nil {
			return fmt.Errorf("config: the bound %q of %s: %w", bound, f.key, err)
		}
	}
	if f.fallback == "" {
		return nil
	}
	trial := f
	trial.value = reflect.New(f.value.Type()).Elem()
	if err := trial.parse(f.fallback); err != nil {
		return fmt.Errorf("config: the default of %s %w", f.key, err)
	}
	if rule := trial.broken(); rule != "" {
		return fmt.Errorf("config: the default of %s %s", f.key, rule)
	}
	return nil
}

// isLeaf says whether a type is one setting.
func isLeaf(t reflect.Type) bool {
	if t == urlType || reflect.PointerTo(t).Implements(textType) {
		return true
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Float64,
		reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return true
	case reflect.Slice:
		return t.Elem().Kind() != reflect.Slice && isLeaf(t.Elem())
	default:
		return false
	}
}
