package documents

import (
	"errors"
	"net/mail"
	"net/netip"
	"net/url"
	"time"
)

// Config is what documents can be told. Package config of the platform fills it from CONCORD_DOCUMENTS_... and a file.
type Config struct {
	// BlobDir or S3 is where the bytes are.
	BlobDir string `config:"blob_dir" doc:"The folder of the documents' bytes, on a disk that is backed up. It must exist. Needed, or s3.bucket."`
	S3      S3     `config:"s3"`
	// PublicURL is where people reach the suite.
	PublicURL *url.URL `config:"public_url" default:"http://localhost:8080" doc:"Where people reach the suite; e-mails to contacts lead there."`
	// TicketLife is how long an address for bytes is good.
	TicketLife time.Duration `config:"ticket_life" default:"15m" min:"10s" max:"24h" doc:"How long an address for sending or fetching bytes is good; a transfer that began may last longer."`
	// TransferIdle is how long a sender of bytes may say nothing.
	TransferIdle time.Duration `config:"transfer_idle" default:"30s" min:"1s" max:"10m" doc:"How long somebody who sends bytes may say nothing before the upload is cut; it can be sent again."`
	// Recoverable is how long a deleted folder can be restored.
	Recoverable time.Duration `config:"recoverable" default:"720h" min:"24h" max:"8760h" doc:"How long a folder that was deleted without the document archive can be restored; then its documents are destroyed."`
	// ScopeLag is how old the knowledge of what contacts may see can be.
	ScopeLag time.Duration `config:"scope_lag" default:"5s" min:"2s" max:"1m" doc:"How far the knowledge of who is related to which client may lag behind; beyond, contacts see nothing. Up to half as long again is waited for."`
	// SweepEvery and BlobGrace are about what nobody needs any more.
	SweepEvery time.Duration `config:"sweep_every" default:"10m" min:"1s" max:"24h" doc:"How often expired folders, tickets and unused bytes are taken away."`
	BlobGrace  time.Duration `config:"blob_grace" default:"336h" min:"25h" max:"8760h" doc:"How long bytes are kept that no document refers to: at least one cycle of backups."`
	// Mail is the server that takes e-mails; without a host there are none.
	Mail Mail `config:"mail"`
}

// Mail says how e-mails are sent: by SMTP.
type Mail struct {
	Host     string        `config:"host" doc:"The SMTP server. Unset: no e-mails; email jobs say so."`
	Port     int           `config:"port" default:"587" min:"1" max:"65535" doc:"Its port."`
	Security string        `config:"security" default:"starttls" oneof:"starttls tls plain" doc:"How the connection is protected; plain is for a server on the same machine."`
	Username string        `config:"username" doc:"Who signs in at the server; unset: nobody."`
	Password string        `config:"password" secret:"true" doc:"The password for it."`
	From     string        `config:"from" default:"Concord <concord@localhost>" doc:"The sender of e-mails."`
	Timeout  time.Duration `config:"timeout" default:"15s" min:"100ms" max:"60s" doc:"How long handing over one e-mail may take."`
}

// Validate checks what one setting says about another.
func (c *Config) Validate() error {
	switch {
	case c.BlobDir == "" && c.S3.Bucket == "":
		return errors.New("blob_dir or s3.bucket is required: the documents' bytes need a place")
	case c.BlobDir != "" && c.S3.Bucket != "":
		return errors.New("blob_dir and s3.bucket exclude each other: the documents' bytes have one place")
	}
	if c.PublicURL == nil || c.PublicURL.Hostname() == "" || (c.PublicURL.Scheme != "http" && c.PublicURL.Scheme != "https") {
		return errors.New("public_url is http:// or https:// and a host")
	}
	return nil
}

// Validate checks what one setting says about another.
func (m *Mail) Validate() error {
	if m.Host == "" {
		return nil
	}
	var errs []error
	if m.Security == "plain" && !loopback(m.Host) {
		errs = append(errs, errors.New("mail.security plain is for a server on the same machine"))
	}
	if _, err := mail.ParseAddress(m.From); err != nil {
		errs = append(errs, errors.New("mail.from is an e-mail address, with or without a name"))
	}
	return errors.Join(errs...)
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && ip.IsLoopback())
}
