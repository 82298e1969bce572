package syncsvc

import "time"

// Config is what sync can be told. Package config of the platform fills it from CONCORD_SYNC_... and a file.
type Config struct {
	// Runs is how many runs one process works on at a time.
	Runs int `config:"runs" default:"4" min:"1" max:"64" doc:"How many syncs one process works on at a time. More connections wait their turn."`
	// Offboardings is how many off-boardings one process works on at a time.
	Offboardings int `config:"offboardings" default:"8" min:"1" max:"64" doc:"How many clients one process off-boards at a time."`
	// Lease is how long work stays with a process that died.
	Lease time.Duration `config:"lease" default:"10s" min:"1s" max:"5m" doc:"After how long the work of a process that died is taken over by another."`
	// Batch is how many contacts or removals one transaction handles.
	Batch int `config:"batch" default:"500" min:"1" max:"5000" doc:"How many contacts or removals one transaction handles."`
	// Attempts is how often in a row a run meets an error of a provider before it ends FAILED.
	Attempts int `config:"attempts" default:"40" min:"1" max:"1000" doc:"How many errors of a provider in a row a sync lives with before it ends as failed. With the waits between them, the default outlasts an outage of two and a half hours, so that a nightly sync survives maintenance."`
	// MaxBackoff bounds the wait after an error, which begins with a second and doubles.
	MaxBackoff time.Duration `config:"max_backoff" default:"5m" min:"1s" max:"1h" doc:"The longest wait after an error of a provider before the next attempt; the first is a second, and each is twice the one before."`
	// Poll is how often to look for work that another process wrote down.
	Poll time.Duration `config:"poll" default:"1s" min:"10ms" max:"1m" doc:"How often to look for work that another process wrote down; one's own is seen at once."`
	// ScheduleEvery is how often to look for connections whose full sync is due.
	ScheduleEvery time.Duration `config:"schedule_every" default:"30s" min:"10ms" max:"1h" doc:"How often to look for connections whose full sync is due."`
	// NewsEvery is the least time between syncs that news of a provider start.
	NewsEvery time.Duration `config:"news_every" default:"30s" min:"100ms" max:"1h" doc:"The least time from one sync to the next that a provider's news of changed records start. News come in bursts, one for each field that a person saves, and each sync costs a call at least."`
	// DetailsShare is the part of what is left of a provider's day that details may use.
	DetailsShare int `config:"details_share" default:"30" min:"0" max:"90" doc:"The share, in hundredths, of the calls left of a provider's day, and of the pace that its limits allow, that may go to what listings leave out of clients: groups, relationships and the practice's own fields, read one by one when nothing else is to be done. The default leaves a manual sync every few minutes, and a second full sync, the room they need. 0 reads none."`
	// DetailsDays is after how many days details are read again although nothing else of their client changed.
	DetailsDays int `config:"details_days" default:"30" min:"0" max:"3650" doc:"After how many days groups, relationships and the practice's own fields of a client are read again, those first that were read longest ago, within details_share: what a listing has of a client does not tell that they changed. At two calls each, 5,000 clients in 30 days are 333 calls a day, a fifteenth of the day of the providers with the least. 0 reads them again only when something else of their client changes."`
}
