package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/test/story"
)

// veteran is a practice with clients from before OAuth 2.
type veteran struct {
	name, csv string
	// links is how many clients the file has; renamed are those that it has under names and codes of long ago, by their
	// integer ids; coded have a code and no integer id; twins share one code, and have no integer id either.
	links          int
	renamed, coded []remote.Record
	twins          []remote.Record
	// unheard are records that the file does not have.
	unheard int
}

// upgrade: what a practice had linked by integer ids, codes and names is linked to the records of today, what can't be told
// is decided by a person, and nobody is in the client list twice.
func upgrade(t *testing.T, in *installation) {
	adm := in.Firm(t, in.op, "veteran")
	old := practice(t, in)
	conn := adm.Imported(t, old.name)
	require.Equal(t, connectorv1.ConnectionState_CONNECTION_STATE_LEGACY, conn.GetState())
	imported(t, adm, conn.GetName(), old)
	was := adm.LegacyLinks(t, conn.GetName(), "")
	require.Len(t, was, old.links)

	now := adm.Upgrade(t, conn.GetName())
	require.Equal(t, conn.GetName(), now.GetName(), "the connection keeps its name")
	require.Equal(t, connectorv1.ConnectionState_CONNECTION_STATE_ACTIVE, now.GetState())
	runs := adm.Runs(t, conn.GetName(), 2)
	up, full := runs[0], runs[1]
	require.Equal(t, syncv1.RunKind_RUN_KIND_UPGRADE, up.GetKind())
	require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, up.GetState(), up.GetMessage())
	require.True(t, up.GetProven(), up.GetUnprovenReason())
	counts := up.GetCounts()
	require.EqualValues(t, old.links, counts.GetLegacyMapped()+counts.GetLegacySuggested()+counts.GetLegacyUnmapped())
	require.EqualValues(t, old.links-len(old.twins)-1, counts.GetLegacyMapped())
	require.Equal(t, syncv1.RunKind_RUN_KIND_FULL, full.GetKind(), "it follows by itself")
	require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, full.GetState(), full.GetMessage())
	require.Zero(t, full.GetCounts().GetRemovalsStarted())
	require.LessOrEqual(t, full.GetCounts().GetClientsCreated(), int64(old.unheard), "nobody is made a second time")

	mapped := map[string]*syncv1.LegacyLink{} // by record
	for _, l := range adm.LegacyLinks(t, conn.GetName(), "state=LEGACY_LINK_STATE_MAPPED") {
		mapped[l.GetRecordId()] = l
	}
	for _, r := range old.renamed {
		require.Equal(t, fmt.Sprintf("by the id pair %d", r.ID), mapped[r.UUID].GetExplanation())
		require.Equal(t, r.Name, client(t, adm, mapped[r.UUID].GetClient()).GetDisplayName(), "under the name it has today")
	}
	for _, r := range old.coded {
		require.Contains(t, mapped[r.UUID].GetExplanation(), "by the code "+r.Code)
	}
	reviewed(t, adm, conn.GetName(), old)

	estimate := new(syncv1.EstimateRunResponse)
	require.NoError(t, adm.Call(t.Context(), "GET", "/v1/"+adm.Firm+"/runs:estimate?kind=RUN_KIND_FULL&connection="+conn.GetName(), nil, estimate))
	require.Contains(t, estimate.GetBasis(), "at the last full sync")
	require.Positive(t, estimate.GetCalls())
	last := adm.Run(t, conn.GetName(), syncv1.RunKind_RUN_KIND_FULL)
	require.Equal(t, syncv1.RunState_RUN_STATE_SUCCEEDED, last.GetState(), last.GetMessage())
	require.Zero(t, last.GetCounts().GetClientsCreated())
	require.LessOrEqual(t, last.GetCalls(), estimate.GetCalls(), "it costs no more than was said")
	records, err := in.World.Clients(t.Context(), "", "", 1000)
	require.NoError(t, err)
	// Each record is a client or a suggestion, and one client has no record any more.
	require.EqualValues(t, len(records)+1, int64(len(adm.Clients(t, "")))+last.GetCounts().GetSuggestions())
	detailed(t, adm)
}

// practice prepares the practice upstream, and what its clients were called long ago.
func practice(t *testing.T, in *installation) *veteran {
	t.Helper()
	records, err := in.World.Clients(t.Context(), "", "", 1000)
	require.NoError(t, err)
	codes := map[string]int{}
	for _, r := range records {
		codes[strings.ToLower(r.Code)]++
	}
	state, err := in.World.State(t.Context())
	require.NoError(t, err)
	v := &veteran{}
	for _, tenant := range state.Tenants {
		if tenant.Clients == len(records) {
			v.name = tenant.Name
		}
	}
	var lines strings.Builder
	lines.WriteString("\uFEFFlegacy_id,code,name,client\r\n")
	line := func(id int, code, name string) {
		v.links++
		integer := ""
		if id > 0 {
			integer = fmt.Sprint(id)
		}
		fmt.Fprintf(&lines, "%s,\"%s\",\"%s\",\r\n", integer, code, strings.ReplaceAll(name, `"`, `""`))
	}
	for i, r := range records {
		switch {
		case len(v.twins) < 2 && i > 20:
			_, err := in.World.Update(t.Context(), r.UUID, map[string]string{"ExportCode": "TWIN-1"})
			require.NoError(t, err)
			v.twins = append(v.twins, r)
			line(0, "TWIN-1", r.Name)
		case i%10 == 9:
			v.unheard++
		case i%10 == 3:
			v.renamed = append(v.renamed, r)
			line(r.ID, fmt.Sprint("LONG-AGO-", i), fmt.Sprintf("Long ago, %d", i))
		case i%10 == 5 && r.Code != "" && codes[strings.ToLower(r.Code)] == 1:
			v.coded = append(v.coded, r)
			line(0, r.Code, "Known by its code")
		default:
			line(r.ID, r.Code, r.Name)
		}
	}
	var without []string
	for _, r := range append(v.coded, v.twins...) {
		without = append(without, r.UUID)
	}
	_, err = in.World.DropIDs(t.Context(), remote.UUIDs(without...))
	require.NoError(t, err)
	line(987654321, "", "Sold its farm and left")
	v.csv = lines.String()
	return v
}

// imported brings the file in: first with a mistake, then to look, then in earnest, then once more.
func imported(t *testing.T, adm *story.Person, conn string, old *veteran) {
	t.Helper()
	send := func(csv string, check bool) (*syncv1.ImportLegacyLinksResponse, error) {
		got := new(syncv1.ImportLegacyLinksResponse)
		return got, adm.Call(t.Context(), "POST", "/v1/"+conn+"/legacyLinks:import", &syncv1.ImportLegacyLinksRequest{
			Source: &syncv1.ImportLegacyLinksRequest_Csv{Csv: csv}, ValidateOnly: check,
		}, got)
	}
	_, err := send(old.csv+"no number,,Somebody,\r\n", false)
	require.ErrorContains(t, err, fmt.Sprintf("line %d", old.links+2))
	for _, check := range []bool{true, false} {
		got, err := send(old.csv, check)
		require.NoError(t, err)
		require.EqualValues(t, old.links, got.GetImported())
		require.EqualValues(t, old.links, got.GetClientsCreated())
	}
	got, err := send(old.csv, false)
	require.NoError(t, err)
	require.EqualValues(t, old.links, got.GetUnchanged())
}

// reviewed works the reviewed list off: one of the twins is mapped, the other one follows, and who is gone is dismissed.
func reviewed(t *testing.T, adm *story.Person, conn string, old *veteran) {
	t.Helper()
	open := adm.LegacyLinks(t, conn, "state=LEGACY_LINK_STATE_SUGGESTED")
	require.Len(t, open, len(old.twins))
	for _, l := range open {
		require.Contains(t, l.GetExplanation(), "2 records have the code TWIN-1")
		record := ""
		for _, r := range old.twins {
			if r.Name == l.GetDisplayName() {
				record = r.UUID
			}
		}
		got := new(syncv1.DecideLegacyLinkResponse)
		require.NoError(t, adm.Call(t.Context(), "POST", "/v1/"+l.GetName()+":decide", &syncv1.DecideLegacyLinkRequest{
			Decision: &syncv1.DecideLegacyLinkRequest_RecordId{RecordId: record},
		}, got))
		require.Equal(t, syncv1.LegacyLinkState_LEGACY_LINK_STATE_MAPPED, got.GetLegacyLink().GetState())
		require.True(t, client(t, adm, l.GetClient()).GetSynced())
	}
	gone := adm.LegacyLinks(t, conn, "state=LEGACY_LINK_STATE_UNMAPPED")
	require.Len(t, gone, 1)
	require.NoError(t, adm.Call(t.Context(), "POST", "/v1/"+gone[0].GetName()+":decide", &syncv1.DecideLegacyLinkRequest{
		Decision: &syncv1.DecideLegacyLinkRequest_Dismiss{Dismiss: true},
	}, nil))
	require.False(t, client(t, adm, gone[0].GetClient()).GetSynced(), "it stays, and nothing keeps it in step")
}

func client(t *testing.T, adm *story.Person, name string) *syncv1.Client {
	t.Helper()
	got := new(syncv1.GetClientResponse)
	require.NoError(t, adm.Call(t.Context(), "GET", "/v1/"+name, nil, got))
	return got.GetClient()
}

// detailed: what the listings leave out follows by itself.
func detailed(t *testing.T, adm *story.Person) {
	t.Helper()
	story.Eventually(t, "details of clients are read", func() bool {
		for _, c := range adm.Clients(t, "") {
			if c.GetDetailsTime() != nil {
				return true
			}
		}
		return false
	})
}
