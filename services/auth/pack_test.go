package auth_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/config"
	"github.com/concord-suite/concord/services/auth"
)

// pack writes the evidence as the command does, beside the service that runs.
func (s *suite) pack(e auth.EvidenceRequest) (well bool, told string, err error) {
	s.t.Helper()
	require.NoError(s.t, e.Check())
	var cfg auth.Config
	require.NoError(s.t, config.Load(config.Source{Service: "auth", Environ: s.environ(options{})}, &cfg))
	ring, err := s.keyring.Open()
	require.NoError(s.t, err)
	var out strings.Builder
	well, err = auth.WriteEvidence(context.Background(), cfg, auth.Deps{DB: s.db, Vault: ring, Now: s.clock.Now}, e, &out)
	return well, out.String(), err
}

func TestTheEvidencePackIsAPageAndADocument(t *testing.T) {
	each(t, options{run: true}, func(t *testing.T, s *suite) {
		operator := s.operator()
		admin := s.newFirm(operator, `Harbour <script>alert(1)</script> & "Tax"`, "ada@harbour.example", newMobile())
		firm := strings.TrimPrefix(admin.firm, "firms/")
		public := httptest.NewTLSServer(http.NotFoundHandler())
		defer public.Close()
		dir := filepath.Join(t.TempDir(), "new", "folder")
		well, told, err := s.pack(auth.EvidenceRequest{Firm: firm, Dir: dir, Scan: public.URL})
		require.NoError(t, err)
		require.False(t, well, "the address has a certificate that nobody trusts")
		require.Contains(t, told, "not trusted here")
		require.Contains(t, told, "ledger whole")

		name := filepath.Join(dir, "evidence-"+firm+"-"+s.clock.Now().UTC().Format("2006-01-02"))
		page, err := os.ReadFile(name + ".html")
		require.NoError(t, err)
		require.NotContains(t, string(page), "<script")
		require.NotContains(t, string(page), "http-equiv=\"refresh\"")
		require.Contains(t, string(page), "Harbour &lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;Tax&#34;")
		for _, want := range []string{"TLS 1.3", "TLS_AES_128_GCM_SHA256", "Strict-Transport-Security", ">N13<", "12 hours", "every 30 days", "signs internal tokens",
			"whole"} {
			require.Contains(t, string(page), want)
		}
		for _, personal := range []string{"ada@", admin.mobile, "192.0.2."} {
			require.NotContains(t, string(page), personal)
		}
		info, err := os.Stat(name + ".html")
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

		text, err := os.ReadFile(name + ".json")
		require.NoError(t, err)
		var document struct {
			Evidence struct {
				Firm   string
				Ledger struct{ Intact bool }
				Staff  struct{ Active int }
			}
			Limits       []struct{ What, Value string }
			Scan         struct{ Versions []string }
			Requirements []struct {
				ID    string
				Tests []string
			}
		}
		require.NoError(t, json.Unmarshal(text, &document))
		require.Equal(t, admin.firm, document.Evidence.Firm)
		require.True(t, document.Evidence.Ledger.Intact)
		require.Equal(t, 1, document.Evidence.Staff.Active)
		require.Contains(t, document.Scan.Versions, "TLS 1.3")
		require.Len(t, document.Requirements, 22+59+7+16)
		require.NotEmpty(t, document.Limits)

		s.newFirm(operator, "Bridge Audit", "bo@bridge.example", "")
		s.newFirm(operator, "Twin", "tim@twin.example", "")
		s.newFirm(operator, "TWIN", "tom@twin.example", "")
		well, told, err = s.pack(auth.EvidenceRequest{Firm: "bridge audit", Dir: dir, Scan: "none"})
		require.NoError(t, err)
		require.True(t, well)
		require.Contains(t, told, "no public address was scanned")
		_, _, err = s.pack(auth.EvidenceRequest{Firm: "Twin", Dir: dir, Scan: "none"})
		require.ErrorContains(t, err, "several firms")
		_, _, err = s.pack(auth.EvidenceRequest{Firm: "Nobody & Sons", Dir: dir})
		require.ErrorContains(t, err, `no firm of the name "Nobody & Sons"`)
		_, told, err = s.pack(auth.EvidenceRequest{Firm: firm, Dir: dir, Scan: "https://127.0.0.1:1"})
		require.NoError(t, err, "an address that does not answer is a finding")
		require.Contains(t, told, "could not be scanned")
	})
}

func TestTheFlagsOfEvidence(t *testing.T) {
	require.Error(t, auth.EvidenceRequest{}.Check())
	require.Error(t, auth.EvidenceRequest{Firm: "x", Scan: "http://app.example.com"}.Check())
	require.NoError(t, auth.EvidenceRequest{Firm: "x", Scan: "https://app.example.com"}.Check())
}
