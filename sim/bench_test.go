package sim_test

import (
	"testing"

	"github.com/concord-suite/concord/sim"
)

// BenchmarkSaveInALargePractice saves one of 20,000 clients, which is on disk before it is answered.
func BenchmarkSaveInALargePractice(b *testing.B) {
	w, err := sim.Start(b.Context(), sim.Config{Dir: b.TempDir(), Clients: 20_000, Now: clock})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	list, err := w.Remote().Clients(b.Context(), "", "", 1)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := w.Remote().Update(b.Context(), list[0].UUID, map[string]string{"Phone": "1"}); err != nil {
			b.Fatal(err)
		}
	}
}
