package messages

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/idem"
	"github.com/concord-suite/concord/platform/names"
	"github.com/concord-suite/concord/platform/rpcerr"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/delivery"
	"github.com/concord-suite/concord/services/auth/internal/store"
	"github.com/concord-suite/concord/services/auth/internal/store/messages"
)

// Server answers DeliveryService, and what FirmService has about messages.
type Server struct {
	authv1.UnsafeDeliveryServiceServer
	Desk   *Desk
	Memory *idem.Memory
}

var (
	errSignature = rpcerr.New(codes.PermissionDenied, authv1.ErrorReason_ERROR_REASON_SIGNATURE_INVALID,
		"the report is not signed by the provider")
	errProvider = rpcerr.New(codes.NotFound, authv1.ErrorReason_ERROR_REASON_NOT_FOUND, "there is no such provider here")
	errFirm     = rpcerr.New(codes.NotFound, authv1.ErrorReason_ERROR_REASON_NOT_FOUND, "not found")
	errETag     = rpcerr.New(codes.Aborted, authv1.ErrorReason_ERROR_REASON_ETAG_MISMATCH, "somebody else changed it; read it again")
)

// ReceiveDeliveryReport implements authv1.DeliveryServiceServer.
func (s *Server) ReceiveDeliveryReport(ctx context.Context, req *authv1.ReceiveDeliveryReportRequest) (*authv1.ReceiveDeliveryReportResponse, error) {
	err := s.Desk.Receive(ctx, req.GetProvider(), delivery.Report{
		URL: req.GetUrl(), Signature: req.GetSignature(), Body: req.GetBody(), Now: s.Desk.Now(),
	})
	switch {
	case errors.Is(err, delivery.ErrProvider):
		return nil, errProvider
	case errors.Is(err, delivery.ErrSignature):
		s.Desk.Logger.WarnContext(ctx, "a report about a text message was not signed by its provider", "provider", req.GetProvider())
		return nil, errSignature
	case errors.Is(err, delivery.ErrReport):
		return nil, rpcerr.Default(codes.InvalidArgument).Field("body", "report", "must be a report of the provider about a message")
	case err != nil:
		return nil, err
	}
	return &authv1.ReceiveDeliveryReportResponse{}, nil
}

// GetMessageSettings answers the RPC of FirmService.
func (s *Server) GetMessageSettings(ctx context.Context, req *authv1.GetMessageSettingsRequest) (*authv1.GetMessageSettingsResponse, error) {
	resp := &authv1.GetMessageSettingsResponse{}
	err := s.Desk.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		resp.Settings, err = s.settings(tx, firmOf(req.GetName()))
		return err
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// UpdateMessageSettings answers the RPC of FirmService.
func (s *Server) UpdateMessageSettings(ctx context.Context, req *authv1.UpdateMessageSettingsRequest) (*authv1.UpdateMessageSettingsResponse, error) {
	wanted, err := s.wanted(req.GetSettings())
	if err != nil {
		return nil, err
	}
	return idem.Do(ctx, s.Memory, req, func(tx *sqldb.Tx) (*authv1.UpdateMessageSettingsResponse, error) {
		current, err := s.settings(tx, wanted.Firm)
		if err != nil {
			return nil, err
		}
		if current.GetEtag() != req.GetSettings().GetEtag() {
			return nil, errETag
		}
		if wanted.Revision, err = strconv.ParseInt(current.GetEtag(), 10, 64); err != nil {
			return nil, err
		}
		ok, err := messages.Put(tx, wanted)
		if err == nil && !ok {
			err = errETag
		}
		if err != nil {
			return nil, err
		}
		changed, err := s.settings(tx, wanted.Firm)
		return &authv1.UpdateMessageSettingsResponse{Settings: changed}, err
	})
}

// firmOf reads the firm of a name whose pattern the contract has checked.
func firmOf(name string) string {
	firm, _ := names.Firm(name)
	return firm
}

// settings are those of a firm as they are told.
func (s *Server) settings(tx *sqldb.Tx, firm string) (*authv1.MessageSettings, error) {
	if _, err := store.Firm(tx, firm); err != nil {
		if errors.Is(err, sqldb.ErrNotFound) {
			err = errFirm
		}
		return nil, err
	}
	set, err := messages.SettingsOf(tx, firm)
	if err != nil {
		return nil, err
	}
	sent, err := messages.DayCount(tx, firm, s.Desk.Now())
	return &authv1.MessageSettings{
		Name: names.Format(SettingsName, firm), SmsSender: set.SMSSender, SmsPerDay: int32(set.SMSPerDay), SmsCountries: set.SMSCountries,
		MailSenderName: set.MailSenderName, MailReplyTo: set.MailReplyTo, MailSignature: set.MailSignature,
		Etag: strconv.FormatInt(set.Revision, 10), SmsToday: int32(sent),
	}, err
}

// wanted holds settings to the rules, beyond those of the contract.
func (s *Server) wanted(in *authv1.MessageSettings) (messages.Settings, error) {
	out := messages.Settings{
		Firm: firmOf(in.GetName()), SMSSender: in.GetSmsSender(), SMSPerDay: int(in.GetSmsPerDay()), SMSCountries: in.GetSmsCountries(),
		MailSenderName: strings.TrimSpace(in.GetMailSenderName()), MailReplyTo: strings.TrimSpace(in.GetMailReplyTo()),
	}
	wrong := rpcerr.Default(codes.InvalidArgument)
	for i, c := range out.SMSCountries {
		if !slices.Contains(s.Desk.Limits.Countries, c) {
			wrong = wrong.Field("settings.sms_countries["+strconv.Itoa(i)+"]", "country",
				"is none of the countries this installation sends text messages to: "+strings.Join(s.Desk.Limits.Countries, ", "))
		}
	}
	if out.SMSPerDay > s.Desk.Limits.PerDay {
		wrong = wrong.Field("settings.sms_per_day", "bound", "must be at most the installation's bound of "+strconv.Itoa(s.Desk.Limits.PerDay))
	}
	if out.SMSSender != "" && !strings.HasPrefix(out.SMSSender, "+") && !strings.ContainsFunc(out.SMSSender, unicode.IsLetter) {
		wrong = wrong.Field("settings.sms_sender", "sender", "must be a number in international form, or a name with a letter in it")
	}
	if strings.ContainsFunc(out.MailSenderName, account.Unseen) || strings.ContainsAny(out.MailSenderName, "<>@") {
		wrong = wrong.Field("settings.mail_sender_name", "name", "must be a name on one line, of characters that can be seen, and no address")
	}
	if out.MailReplyTo != "" {
		address, err := account.NormalizeEmail(out.MailReplyTo)
		if err != nil {
			wrong = wrong.Field("settings.mail_reply_to", "email", "must be an e-mail address")
		}
		out.MailReplyTo = address
	}
	out.MailSignature = strings.Trim(strings.ReplaceAll(in.GetMailSignature(), "\r\n", "\n"), "\n")
	if strings.ContainsFunc(out.MailSignature, func(r rune) bool { return r != '\n' && account.Unseen(r) }) {
		wrong = wrong.Field("settings.mail_signature", "text", "must be lines of characters that can be seen")
	}
	if len(wrong.Violations()) > 0 {
		return out, wrong
	}
	return out, nil
}
