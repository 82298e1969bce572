package legacy

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Row is one client with its keys, as it is imported.
type Row struct {
	// Place is where the row stands, for the words about it: "line 12" or "row 3"; At the same as a field path.
	Place, At string
	// Client is the resource name of a client of the list, or empty.
	Client               string
	LegacyID, Code, Name string
}

// Mistake is something wrong with an import.
type Mistake struct {
	// At is where, as a field path: csv, or rows.rows[2].code.
	At string
	// Place is where in words, "line 12"; empty when it is about all of it. Rule is a word for programs.
	Place, Rule, Words string
}

const (
	// MaxRows is how many rows one import takes: what one transaction does in a second or two.
	MaxRows = 5000

	maxID   = 18 // digits, what fits a signed 64-bit number
	maxCode = 100
	maxName = 500
	// maxColumns is how many columns of a header are named when they are none of ours: more of them are another file.
	maxColumns = 50
)

// columns are those of the file. Only the name has to be there.
var columns = []string{"legacy_id", "code", "name", "client"}

// ParseCSV reads rows from a file with a header: comma-separated, in UTF-8 with or without a byte-order mark, lines ended
// in either way, values quoted where they need it. It names all mistakes, each with its line.
func ParseCSV(text string) (rows []Row, mistakes []Mistake) {
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "\uFEFF")))
	r.FieldsPerRecord = -1 // counted here, so that a short line is one mistake and not the end
	header, err := r.Read()
	if err != nil {
		return nil, append(mistakes, unreadable(err))
	}
	at, mistakes := headerOf(header)
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	n := 0
	for ; ; n++ {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if n >= MaxRows {
			continue // counted, and not kept: a small file may have half a million lines
		}
		if err != nil {
			mistakes = append(mistakes, unreadable(err))
			continue // the reader goes on after the line
		}
		line, _ := r.FieldPos(0)
		place := fmt.Sprintf("line %d", line)
		if len(record) != len(header) {
			mistakes = append(mistakes, Mistake{At: "csv", Place: place, Rule: "columns",
				Words: fmt.Sprintf("has %d values, and the header %d columns", len(record), len(header))})
			continue
		}
		rows = append(rows, Row{
			Place: place, At: "csv", LegacyID: value(record, at, "legacy_id"), Code: value(record, at, "code"),
			Name: value(record, at, "name"), Client: value(record, at, "client"),
		})
	}
	if len(rows)+len(mistakes) == 0 {
		mistakes = append(mistakes, Mistake{At: "csv", Rule: "rows", Words: "has no rows below the header"})
	}
	if n > MaxRows {
		return nil, []Mistake{{At: "csv", Rule: "rows", Words: fmt.Sprintf("has %d rows, at most %d are taken at a time", n, MaxRows)}}
	}
	return rows, mistakes
}

func value(record []string, at map[string]int, column string) string {
	if i, there := at[column]; there {
		return record[i]
	}
	return ""
}

// headerOf finds the columns.
func headerOf(header []string) (at map[string]int, mistakes []Mistake) {
	at = map[string]int{}
	wrong := func(format string, args ...any) {
		mistakes = append(mistakes, Mistake{At: "csv", Place: "line 1", Rule: "header", Words: fmt.Sprintf(format, args...)})
	}
	if len(header) > maxColumns {
		wrong("has %d columns; there are %s", len(header), strings.Join(columns, ", "))
		return nil, mistakes
	}
	for i, name := range header {
		name = strings.ToLower(strings.TrimSpace(name))
		_, twice := at[name]
		switch {
		case twice:
			wrong("names the column %s twice", name)
		case !slices.Contains(columns, name):
			wrong("names a column %q; there are %s, separated by commas", clip(name), strings.Join(columns, ", "))
		}
		at[name] = i
	}
	if _, there := at["name"]; !there && len(mistakes) == 0 {
		wrong("has no column name")
	}
	return at, mistakes
}

func unreadable(err error) Mistake {
	m := Mistake{At: "csv", Rule: "csv", Words: "can't be read as CSV: " + err.Error()}
	if p, ok := errors.AsType[*csv.ParseError](err); ok {
		m.Place, m.Words = fmt.Sprintf("line %d", p.StartLine), "can't be read as CSV: "+p.Err.Error()
		if errors.Is(p.Err, csv.ErrQuote) && p.Line != p.StartLine {
			m.Words = fmt.Sprintf("opens a quotation mark that is not closed properly by line %d", p.Line)
		}
	}
	return m
}

// Check brings the values of rows into the form in which they are stored, and names what is wrong with them: each by
// itself, and two that can't be told apart.
func Check(rows []Row, text func(string) string) (mistakes []Mistake) {
	ids, plain := map[string]string{}, map[string]string{}
	for i := range rows {
		r := &rows[i]
		wrong := func(field, rule, words string) {
			at := r.At
			if at != "csv" {
				at += "." + field
			}
			mistakes = append(mistakes, Mistake{At: at, Place: r.Place, Rule: rule, Words: words})
		}
		r.LegacyID, r.Code, r.Name, r.Client = text(r.LegacyID), text(r.Code), text(r.Name), text(r.Client)
		switch {
		case len(r.LegacyID) > maxID || strings.Trim(r.LegacyID, "0123456789") != "":
			wrong("legacy_id", "integer", fmt.Sprintf("the legacy_id %q is no integer of up to %d digits", clip(r.LegacyID), maxID))
			continue
		case r.Name == "":
			wrong("display_name", "required", "the name is missing")
		case utf8.RuneCountInString(r.Name) > maxName:
			wrong("display_name", "max_len", fmt.Sprintf("the name is longer than %d characters", maxName))
		}
		if utf8.RuneCountInString(r.Code) > maxCode {
			wrong("code", "max_len", fmt.Sprintf("the code is longer than %d characters", maxCode))
		}
		r.LegacyID = IntegerID(r.LegacyID)
		seen, key, field, words := ids, r.LegacyID, "legacy_id", "the legacy_id "+r.LegacyID
		if r.LegacyID == "" {
			seen, key, field, words = plain, r.Code+"\n"+r.Name+"\n"+r.Client, "display_name", "the same name and code, without a legacy_id,"
		}
		if first, twice := seen[key]; twice && r.Name != "" {
			wrong(field, "unique", words+" stands in "+first+" too")
		} else {
			seen[key] = r.Place
		}
	}
	return mistakes
}

func clip(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}
