package filing_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/documents/internal/filing"
)

func TestDeceptiveNames(t *testing.T) {
	for _, r := range []rune{0, '\t', '\n', 0x1B, 0x7F, 0x85, 0x61C, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2028, 0x2029, 0x202A, 0x202B,
		0x202C, 0x202D, 0x202E, 0x2060, 0x2066, 0x2067, 0x2068, 0x2069, 0xFEFF} {
		name := "invoice" + string(r) + "fdp.exe"
		found, ok := filing.Deceptive(name)
		require.True(t, ok, "%U", r)
		require.Equal(t, r, found)
		require.Equal(t, "invoicefdp.exe", filing.Honest(name))
	}
	for _, name := range []string{"", "Müller & Söhne (2026).pdf", "שלום.pdf", "مرحبا.pdf", "税務.pdf", "a\u00a0b", "👍.pdf"} {
		_, ok := filing.Deceptive(name)
		require.False(t, ok, name)
		require.Equal(t, name, filing.Honest(name))
	}
	require.Empty(t, filing.Honest("\u200b \u202e"))
}
