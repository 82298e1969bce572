package topology

import (
	"net"
	"strconv"
	"time"

	"github.com/concord-suite/concord/sim"
)

// clockFactor is how much faster the simulated limits pass than real ones.
const clockFactor = 60

// longestWait is the longest a run waits after an error: as long as the first time, since outages here are over at once.
const longestWait = time.Second

func itoa(n int) string { return strconv.Itoa(n) }

// upstream are the settings that point every service at the simulated world.
func upstream(http, smtp string) []string {
	host, port, _ := net.SplitHostPort(smtp)
	url := "http://" + http
	return []string{
		"CONCORD_AUTH_SMS_URL=" + url,
		"CONCORD_AUTH_SMS_ACCOUNT_SID=" + sim.SMSAccount,
		"CONCORD_AUTH_SMS_TOKEN=" + sim.SMSToken,
		"CONCORD_AUTH_SMS_FROM=+61491570110",
		"CONCORD_AUTH_SMS_PER_HOUR=1000",
		"CONCORD_AUTH_MAIL_HOST=" + host,
		"CONCORD_AUTH_MAIL_PORT=" + port,
		"CONCORD_AUTH_MAIL_SECURITY=plain",
		"CONCORD_DOCUMENTS_MAIL_HOST=" + host,
		"CONCORD_DOCUMENTS_MAIL_PORT=" + port,
		"CONCORD_DOCUMENTS_MAIL_SECURITY=plain",
		"CONCORD_CONNECTOR_XERO_CLIENT_ID=" + sim.ClientID,
		"CONCORD_CONNECTOR_XERO_CLIENT_SECRET=" + sim.ClientSecret,
		"CONCORD_CONNECTOR_XERO_AUTHORIZE_URL=" + url + "/identity/connect/authorize",
		"CONCORD_CONNECTOR_XERO_IDENTITY_URL=" + url,
		"CONCORD_CONNECTOR_XERO_API_URL=" + url,
		"CONCORD_CONNECTOR_XERO_ISSUER=" + url,
		"CONCORD_CONNECTOR_XERO_ACCOUNTING_API_URL=" + url + "/api.xro/2.0/",
		"CONCORD_CONNECTOR_XPM_API_URL=" + url + "/practicemanager/3.1/",
		"CONCORD_CONNECTOR_XPM_LEGACY_API_URL=" + url + "/practicemanager/3.0/",
		"CONCORD_CONNECTOR_BUDGET_MINUTE_WINDOW=" + (time.Minute / clockFactor).String(),
		"CONCORD_CONNECTOR_BUDGET_DAY_WINDOW=" + (24 * time.Hour / clockFactor).String(),
		"CONCORD_SYNC_MAX_BACKOFF=" + longestWait.String(),
	}
}
