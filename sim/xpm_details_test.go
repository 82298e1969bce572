package sim_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/sim/world"
)

func TestSomeClientsHaveNoIntegerID(t *testing.T) {
	s := practice(t, sim.Config{Clients: 100})
	gone, err := s.w.Remote().DropIDs(t.Context(), remote.Selector{N: 4, Seed: 2})
	if err != nil || len(gone) != 4 || gone[0].ID != 0 {
		t.Fatal(gone, err)
	}
	_, body := send(t, s.request(http.MethodGet, "/practicemanager/3.0/client.api/list", ""))
	clients, without := strings.Count(string(body), "<Client>"), strings.Count(string(body), "<Client><Name>")
	if clients != 100+6+2 || without != 4 {
		t.Errorf("%d clients, %d without an ID; archived and deleted ones belong to them", clients, without)
	}
	_, one := send(t, s.request(http.MethodGet, "/practicemanager/3.0/client.api/get/"+gone[0].UUID, ""))
	if strings.Contains(string(one), "<Client><ID>") || !strings.Contains(string(one), "<UUID>"+gone[0].UUID+"</UUID></Client>") {
		t.Errorf("one without an ID: %s", one)
	}
	if _, zero := send(t, s.request(http.MethodGet, "/practicemanager/3.0/client.api/get/0", "")); !strings.Contains(string(zero), "Invalid client identifier") {
		t.Errorf("ID 0 is %s", zero)
	}
}

func TestCustomFieldsAreMadeAndTakenAway(t *testing.T) {
	s := practice(t, sim.Config{})
	uuid := s.ask(http.MethodGet, "client.api/list", "").Clients[0].UUID
	_, made := s.call(http.MethodPost, "customfield.api/add", `<CustomFieldDefinition><Name>Region code</Name><Type>Number</Type><UseClient>true</UseClient></CustomFieldDefinition>`)
	id := regexp.MustCompile(`<UUID>([-0-9a-f]{36})</UUID>`).FindSubmatch(made)
	if id == nil || !strings.Contains(string(made), "<ValueElement>Number</ValueElement>") {
		t.Fatalf("made %s", made)
	}
	s.ask(http.MethodPut, "client.api/update/"+uuid+"/customfield", "<CustomFields><CustomField><UUID>"+string(id[1])+"</UUID><Number>7</Number></CustomField></CustomFields>")
	if text := s.refused(http.MethodPut, "client.api/update/"+uuid+"/customfield",
		"<CustomFields><CustomField><UUID>"+string(id[1])+"</UUID><Number>seven</Number></CustomField></CustomFields>"); text != "Invalid value for Region code" {
		t.Error(text)
	}
	named := "<CustomFieldDefinition><UUID>" + string(id[1]) + "</UUID>"
	s.ask(http.MethodPut, "customfield.api/update", named+"<Name>Area code</Name></CustomFieldDefinition>")
	if _, body := s.call(http.MethodGet, "client.api/get/"+uuid+"/customfield", ""); !strings.Contains(string(body), "<Name>Area code</Name><Number>7</Number>") {
		t.Errorf("renamed: %s", body)
	}
	empty := inject(t, s.w, world.Fault{Kind: faults.Empty, Path: "*/customfield*"})
	for _, path := range []string{"client.api/get/" + uuid + "/customfield", "customfield.api/definition"} {
		if _, body := s.call(http.MethodGet, path, ""); strings.Contains(string(body), "Area code") {
			t.Errorf("emptied %s: %s", path, body)
		}
	}
	if err := s.w.Remote().RemoveFault(t.Context(), empty); err != nil {
		t.Fatal(err)
	}
	s.ask(http.MethodPost, "customfield.api/delete", named+"</CustomFieldDefinition>")
	if _, body := s.call(http.MethodGet, "client.api/get/"+uuid+"/customfield", ""); strings.Contains(string(body), "Area code") {
		t.Errorf("after the field is gone: %s", body)
	}
	for body, want := range map[string]string{"<C><Name>N</Name><Type>Colour</Type></C>": "Invalid custom field type", "<C><Type>Text</Type></C>": "The custom field name is required"} {
		if text := s.refused(http.MethodPost, "customfield.api/add", body); text != want {
			t.Errorf("%s: %s", body, text)
		}
	}
	s.refused(http.MethodPost, "customfield.api/delete", named+"</CustomFieldDefinition>")
}

func TestStaffSetCustomFields(t *testing.T) {
	s := practice(t, sim.Config{})
	uuid := s.ask(http.MethodGet, "client.api/list", "").Clients[0].UUID
	if _, err := s.w.Remote().SetFields(t.Context(), uuid, map[string]string{"Service level": "Gold", "Portal": ""}); err != nil {
		t.Fatal(err)
	}
	if _, body := s.call(http.MethodGet, "client.api/get/"+uuid+"/customfield", ""); !strings.Contains(string(body), "<Text>Gold</Text>") || strings.Contains(string(body), "Portal") {
		t.Errorf("%s", body)
	}
	for want, values := range map[string]map[string]string{"no custom field": {"Nonsense": "x"}, "no value of": {"Service level": "Tin"}} {
		if _, err := s.w.Remote().SetFields(t.Context(), uuid, values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", values, err)
		}
	}
}
