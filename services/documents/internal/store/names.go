package store

import (
	"slices"
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/services/documents/internal/filing"
)

// NameKey is the form in which names are compared and sorted: without regard to case, and to whether an umlaut is one
// character or two.
func NameKey(name string) string {
	return norm.NFC.String(cases.Fold().String(norm.NFC.String(strings.TrimSpace(name))))
}

// Clean is the form in which names are kept.
func Clean(name string) string { return norm.NFC.String(strings.TrimSpace(name)) }

// Honest is Clean for names that other services tell: what would deceive people is left out of them.
func Honest(name string) string { return Clean(filing.Honest(name)) }

// pattern makes a LIKE pattern that finds the text anywhere in a name key, literally.
func pattern(query string) string {
	escape := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)
	return "%" + escape.Replace(NameKey(query)) + "%"
}

// TakeName gives the folder the first of names that no other active folder of the firm has, and gives back the one it
// had. It answers filing.ErrNameTaken when others have them all.
func TakeName(tx *sqldb.Tx, firm, folder string, names []string) (string, error) {
	held, err := sqldb.Collect(tx, func(r *sqldb.Rows) (s string, err error) { return s, r.Scan(&s) },
		`SELECT name_key FROM folder_names WHERE folder = $1`, folder)
	if err != nil {
		return "", err
	}
	for _, name := range names {
		key := NameKey(name)
		if slices.Contains(held, key) {
			return name, nil
		}
		n, err := tx.Exec(`INSERT INTO folder_names (firm, name_key, folder) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, firm, key, folder)
		if err != nil {
			return "", err
		}
		if n == 0 {
			continue
		}
		_, err = tx.Exec(`DELETE FROM folder_names WHERE folder = $1 AND name_key <> $2`, folder, key)
		return name, err
	}
	return "", filing.ErrNameTaken
}

// DropName gives the folder's name back.
func DropName(tx *sqldb.Tx, folder string) error {
	_, err := tx.Exec(`DELETE FROM folder_names WHERE folder = $1`, folder)
	return err
}
