package control

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/sinks"
	"github.com/concord-suite/concord/sim/world"
)

func (a *API) addFault(f world.Fault) (any, error) {
	if err := faults.Check(f); err != nil {
		return nil, bad("%v", err)
	}
	f.ID, f.Seen, f.Done = world.NewID(), 0, 0
	err := a.store.Update(func(tx *world.Tx) error {
		for _, other := range tx.Faults.All() {
			f.Seq = max(f.Seq, other.Seq+1)
		}
		tx.Faults.Put(tx, f.ID, &f)
		return nil
	})
	return f, err
}

func (a *API) listFaults(*http.Request) (any, error) {
	list := []*world.Fault{}
	a.store.View(func(s *world.State) { list = append(list, faults.Ordered(s)...) })
	return map[string]any{"faults": list}, nil
}

// removeFaults takes one fault away, or all. Frozen requests of a removed fault go on.
func (a *API) removeFaults(r *http.Request) (any, error) {
	return nil, a.store.Update(func(tx *world.Tx) error { return remove(tx, tx.Faults, r.PathValue("id")) })
}

func remove[T any](tx *world.Tx, t *world.Table[T], id string) error {
	if id != "" && t.Get(id) == nil {
		return missing("no such id")
	}
	for each := range t.All() {
		if id == "" || id == each {
			t.Delete(tx, each)
		}
	}
	return nil
}

func (a *API) addDelivery(d world.DeliveryRule) (any, error) {
	results := map[string][]string{sinks.SMS: {"delivered", "undelivered", "failed", "reject"}, sinks.Mail: {"reject"}}
	switch {
	case results[d.Channel] == nil:
		return nil, bad("channel is sms or mail")
	case !slices.Contains(results[d.Channel], d.Result):
		return nil, bad("result for %s is one of %s", d.Channel, strings.Join(results[d.Channel], ", "))
	case d.Delay < 0 || d.Channel == sinks.Mail && (d.Delay > 0 || d.Silent || d.Forged):
		return nil, bad("delay, silent and forged are for sms, and no delay is below zero")
	case d.To == "":
		return nil, bad("to is missing; * means everybody")
	case d.Channel == sinks.Mail && d.Code != 0 && (d.Code < 400 || d.Code > 599):
		return nil, bad("code for mail is an SMTP reply of 400 to 599")
	}
	d.ID, d.Hits = world.NewID(), 0
	err := a.store.Update(func(tx *world.Tx) error {
		tx.Deliveries.Put(tx, d.ID, &d)
		return nil
	})
	return d, err
}

// wantedReport says what to report about a text message.
type wantedReport struct {
	Message string `json:"message"` // its id in the inbox
	Status  string `json:"status"`
	Code    int    `json:"code"`
	Forged  bool   `json:"forged"`
}

// report tells the callback of a text message a status, whatever became of the message: once more, out of order, or with
// a signature that is wrong. It answers with what the callback answered.
func (a *API) report(in wantedReport) (any, error) {
	var found *world.Message
	a.store.View(func(s *world.State) { found = s.Messages.Get(in.Message) })
	if found == nil || found.Channel != sinks.SMS {
		return nil, missing("no such text message")
	}
	if in.Status == "" {
		return nil, bad("status is missing")
	}
	told := *found
	told.Status, told.Error = in.Status, in.Code
	answer, err := a.texts.Tell(context.Background(), &told, in.Forged)
	if err != nil {
		return nil, bad("%v", err)
	}
	return map[string]int{"answer": answer}, nil
}

func (a *API) listDeliveries(*http.Request) (any, error) {
	var list []*world.DeliveryRule
	a.store.View(func(s *world.State) { list = rows(s.Deliveries) })
	return map[string]any{"deliveries": list}, nil
}

func (a *API) removeDeliveries(r *http.Request) (any, error) {
	return nil, a.store.Update(func(tx *world.Tx) error { return remove(tx, tx.Deliveries, r.PathValue("id")) })
}

// callState is what one tenant was asked.
type callState struct {
	Calls     int                         `json:"calls"`
	Refused   int                         `json:"refused"` // answered 429 by a limit
	Peak      int                         `json:"peak_concurrency"`
	Endpoints map[string]*world.CallCount `json:"endpoints"`
}

// calls answers with the API calls counted so far, per tenant and endpoint.
func (a *API) calls(*http.Request) (any, error) {
	tenants := map[string]*callState{}
	a.store.View(func(s *world.State) {
		for _, row := range s.Calls.All() {
			t := tenants[row.Tenant]
			if t == nil {
				t = &callState{Endpoints: map[string]*world.CallCount{}}
				tenants[row.Tenant] = t
			}
			t.Calls += row.Calls
			t.Refused += row.Refused
			t.Endpoints[row.Endpoint] = row
		}
	})
	for id, peak := range a.gateway.Peaks() {
		if t := tenants[id]; t != nil {
			t.Peak = peak
		}
	}
	return map[string]any{"tenants": tenants}, nil
}

// resetCalls forgets the counts and peaks, not the limit windows.
func (a *API) resetCalls(*http.Request) (any, error) {
	a.gateway.ResetPeaks()
	return nil, a.store.Update(func(tx *world.Tx) error { return remove(tx, tx.Calls, "") })
}
