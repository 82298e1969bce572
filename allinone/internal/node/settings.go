package node

import (
	"errors"
	"slices"
	"strings"

	"github.com/concord-suite/concord/gateway"
	"github.com/concord-suite/concord/platform/config"
	"github.com/concord-suite/concord/services/auth"
	"github.com/concord-suite/concord/services/connector"
	"github.com/concord-suite/concord/services/documents"
	syncsvc "github.com/concord-suite/concord/services/sync"
)

// settings are those of all services.
type settings struct {
	auth      auth.Config
	connector connector.Config
	sync      syncsvc.Config
	documents documents.Config
	gateway   gateway.Config
}

// of pairs each service's settings with its name: the prefix of its variables and its section in the file.
func (s *settings) of() map[string]any {
	return map[string]any{
		"auth": &s.auth, "connector": &s.connector, "sync": &s.sync, "documents": &s.documents, "gateway": &s.gateway,
	}
}

// loadSettings reads the settings of every service, and names all mistakes in all of them.
func loadSettings(environ []string, file string) (settings, error) {
	var s settings
	var mistakes config.Mistakes
	if err := config.CheckParts(environ, order...); !errors.As(err, &mistakes) && err != nil {
		return s, err
	}
	if file != "" {
		var sections config.Mistakes
		if err := config.CheckSections(file, order...); !errors.As(err, &sections) && err != nil {
			return s, append(mistakes, config.Mistake{Key: "--config", Rule: err.Error()})
		}
		mistakes = append(mistakes, sections...)
	}
	for name, cfg := range s.of() {
		src := config.Source{Service: name, Environ: environ}
		if file != "" {
			src.File, src.Section = file, name
		}
		err := config.Load(src, cfg)
		var m config.Mistakes
		switch {
		case errors.As(err, &m):
			mistakes = append(mistakes, m...)
		case err != nil:
			return s, err
		}
	}
	if len(mistakes) > 0 {
		slices.SortFunc(mistakes, func(a, b config.Mistake) int { return strings.Compare(a.Variable, b.Variable) })
		return s, mistakes
	}
	return s, nil
}

// ConnectorSettings reads the settings of the connector alone. They are those of a suite that listens anywhere.
func ConnectorSettings(environ []string, file string) (connector.Config, error) {
	s, err := loadSettings(withPlaces(environ, onOneMachine, "blobs"), file)
	return s.connector, err
}

// AuthSettings reads the settings of auth alone. They are those of a suite that listens anywhere.
func AuthSettings(environ []string, file string) (auth.Config, error) {
	s, err := loadSettings(withPlaces(environ, onOneMachine, "blobs"), file)
	return s.auth, err
}

// undeliverable names what is missing when there is no way to send a PIN: then nobody could ever sign in.
func (s *settings) undeliverable() config.Mistakes {
	if s.auth.SMS.AccountSID != "" || s.auth.SMS.WebhookURL != nil || s.auth.Mail.Host != "" {
		return nil
	}
	return config.Mistakes{{
		Rule: "sms.account_sid (CONCORD_AUTH_SMS_ACCOUNT_SID) or mail.host (CONCORD_AUTH_MAIL_HOST) is required, both are unset: " +
			"nobody could receive a PIN, and so nobody could sign in",
	}}
}

// withDefault adds a setting unless somebody has set it.
func withDefault(environ []string, name, value string) []string {
	for _, pair := range environ {
		if strings.HasPrefix(pair, name+"=") {
			return environ
		}
	}
	return append(slices.Clip(environ), name+"="+value)
}
