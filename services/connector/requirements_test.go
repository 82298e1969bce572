package connector_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	"github.com/concord-suite/concord/sim"
)

// What the database holds of a consent opens with the connector's keyring, for its own row, and with nothing else.
func TestS03_RefreshTokensInTheDatabaseAreSealed(t *testing.T) {
	each(t, options{}, func(t *testing.T, s *suite) {
		s.connect(firmA, sim.Owner, sim.PracticeName)
		other, err := vault.OpenOrCreate(filepath.Join(t.TempDir(), "keyring.json"))
		require.NoError(t, err)
		var id string
		var refresh, access []byte
		require.NoError(t, s.db.Read(t.Context(), func(tx *sqldb.Tx) error {
			return tx.QueryRow(`SELECT id, refresh_sealed, access_sealed FROM grants`).Scan(&id, &refresh, &access)
		}))
		for column, sealed := range map[string][]byte{"refresh": refresh, "access": access} {
			row := vault.Row{Firm: firmA, Table: "grants", ID: id, Column: column}
			plain, err := s.ring.Open(sealed, row)
			require.NoError(t, err, column)
			require.True(t, slices.ContainsFunc(s.wire.secrets, func(secret string) bool {
				return strings.Contains(string(plain), secret)
			}), "what was sealed as %s is no token that the provider gave", column)
			for _, wrong := range []vault.Row{
				{Firm: firmB, Table: "grants", ID: id, Column: column}, {Firm: firmA, Table: "grants", ID: "another", Column: column},
				{Firm: firmA, Table: "grants", ID: id, Column: "spare"},
			} {
				_, err = s.ring.Open(sealed, wrong)
				require.Error(t, err)
			}
			_, err = other.Open(sealed, row)
			require.Error(t, err, "another keyring opens it")
		}
	})
}

// What people write is text, whatever it looks like: nothing in it becomes part of a statement, or of the XML or JSON that
// is sent to the provider.
func TestS13_NoValueBecomesXMLOrJSONOrSQL(t *testing.T) {
	ledgers(t, options{}, func(t *testing.T, l ledger) {
		before := l.fields()
		for _, value := range []string{
			`x'); DROP TABLE grants; --`, `</City><Name>Mallory</Name><City>`, `","Name":"Mallory`, `]]><!-- & < > "`,
		} {
			_, err := l.update(l.request(&connectorv1.ClientFields{PostalAddress: &connectorv1.Address{City: value}}, "postal_address.city"))
			require.NoError(t, err, value)
			require.Equal(t, value, l.fields().GetPostalAddress().GetCity())
			require.Equal(t, before.GetName(), l.fields().GetName(), value)
		}
		require.Equal(t, "1", l.cell(`SELECT CAST(COUNT(*) AS TEXT) FROM grants`))
	})
}
