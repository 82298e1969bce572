package connection

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDiffers(t *testing.T) {
	c := Connection{TenantID: "t", TenantName: "Smith & Co"}
	require.False(t, c.Differs(Tenant{ID: "t", Name: "Renamed"}), "the id decides")
	require.True(t, c.Differs(Tenant{ID: "u", Name: "Smith & Co"}))
	c.State, c.TenantID = Legacy, ""
	require.False(t, c.Differs(Tenant{ID: "t", Name: " smith  & CO"}), "of a legacy connection only the name is known")
	require.True(t, c.Differs(Tenant{ID: "t", Name: "Smith and Co"}))
}

func TestWarningsOfUpgrades(t *testing.T) {
	a := Attempt{Subject: "anna", Preselected: "t", Tenants: []Tenant{{ID: "t", Name: "Now"}}, Upgrade: "c"}
	before := &Connection{State: Legacy, TenantName: "now"}
	require.Empty(t, a.Warnings(before, nil))
	before.TenantName = "Then"
	w := a.Warnings(before, nil)
	require.Len(t, w, 1)
	require.Contains(t, w[0], `"Then"`)
	require.Contains(t, w[0], `"Now"`)
	require.Contains(t, LegacyWarning(*before), `"Then"`)
	require.True(t, before.Live())
	require.False(t, before.Usable())
}
