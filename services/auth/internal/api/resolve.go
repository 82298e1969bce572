package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"github.com/concord-suite/concord/platform/access"
	"github.com/concord-suite/concord/platform/sqldb"
	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	"github.com/concord-suite/concord/services/auth/internal/account"
	"github.com/concord-suite/concord/services/auth/internal/api/who"
	"github.com/concord-suite/concord/services/auth/internal/session"
	"github.com/concord-suite/concord/services/auth/internal/store"
)

// ResolveSession implements authv1.SessionServiceServer. It is on the way of every request of the suite: one read, one
// signature, and once a minute per session one write.
func (s sessionServer) ResolveSession(ctx context.Context, req *authv1.ResolveSessionRequest) (*authv1.ResolveSessionResponse, error) {
	p, described, err := s.resolve(ctx, req.GetSessionToken(), req.GetAddress())
	if err != nil {
		return nil, err
	}
	signer, err := s.Issuer.Signer()
	if err != nil {
		return nil, err
	}
	expires := s.Now().Add(access.MaxTokenLife)
	if end := described.GetExpireTime(); end != nil && end.AsTime().Before(expires) {
		expires = end.AsTime()
	}
	// Tokens carry whole seconds. Rounded up, the last one of a session outlives it by less than one.
	ttl := expires.Sub(s.Now())
	if ttl < time.Second {
		ttl = time.Second
	}
	internal, err := signer.Mint(p, req.GetAudience(), ttl)
	if err != nil {
		return nil, err
	}
	return &authv1.ResolveSessionResponse{InternalToken: internal, ExpireTime: stamp(expires), Session: described}, nil
}

// resolve finds out who a token belongs to, as a principal and in words.
func (s *Server) resolve(ctx context.Context, token, address string) (access.Principal, *authv1.Session, error) {
	if session.ForAgent.Is(token) {
		return s.resolveAgent(ctx, token, address)
	}
	if !session.ForPerson.Is(token) && !session.ForAddIn.Is(token) {
		return access.Principal{}, nil, errSessionEnded
	}
	check := s.Check
	if session.ForAddIn.Is(token) {
		check = s.AddIns.Check
	}
	found, holder, err := check(ctx, token)
	if err != nil {
		return access.Principal{}, nil, err
	}
	if holder.Kind == account.Contact {
		if err := s.contactThere(ctx, found.Firm); err != nil {
			return access.Principal{}, nil, err
		}
	}
	p := access.Principal{
		Kind: who.Kind(holder.Kind, holder.Role), ID: who.ID(holder.Kind, found.Account, holder.Contact), Firm: found.Firm,
		Session: found.ID, Strength: strengths[found.Strength], StepUpUntil: found.StepUpUntil, Address: address,
		Limited: found.MustEnrol,
	}
	if found.Kind == session.AddIn {
		p.ActsFor = &access.StaffMember{Account: found.Account, Role: p.Kind}
		p.Kind, p.StepUpUntil = access.AddIn, time.Time{}
		if p.Limited {
			return access.Principal{}, nil, errSessionEnded // no Add-In works for somebody who may only enrol
		}
	}
	return p, sessionMessage(found, holder), nil
}

// contactThere refuses to vouch for the contacts of a firm while nobody knows which of them were removed since.
func (s *Server) contactThere(ctx context.Context, firm string) error {
	if s.ContactsKnown == nil {
		return nil
	}
	known, err := s.ContactsKnown(ctx, firm)
	if err == nil && !known {
		err = errUnconfirmed
	}
	return err
}

var strengths = map[session.Strength]access.Strength{
	session.Single: access.StrengthNone, session.Weak: access.StrengthWeak, session.Strong: access.StrengthStrong,
}

// Check finds the live session of a token and whose it is, and notes its use. The error is SESSION_ENDED for a token that
// is unknown, over, or of somebody who may not sign in any more, and SESSION_LOCKED for one whose session was not used for
// long.
//
// What never changes about a session is remembered here; what does, its use and its end, is read each time. Whatever
// changes who an account is or what it may do ends its sessions, and so changes that.
func (s *Server) Check(ctx context.Context, token string) (session.Session, store.Holder, error) {
	hash := session.Hash(token)
	found, ok := s.known.recall([sha256.Size]byte(hash))
	var err error
	if ok {
		found.session.Used, found.session.Ended, err = store.SessionUse(ctx, s.DB, hash)
	} else {
		found.session, found.holder, err = store.SessionByToken(ctx, s.DB, hash)
	}
	if errors.Is(err, sqldb.ErrNotFound) {
		err = errSessionEnded
	}
	if err != nil {
		return session.Session{}, store.Holder{}, err
	}
	now := s.Now()
	if found.holder.State == account.Active && found.session.Locked(now) {
		return session.Session{}, store.Holder{}, errLocked
	}
	if !found.session.Live(now) || found.holder.State != account.Active {
		return session.Session{}, store.Holder{}, errSessionEnded
	}
	if !ok {
		s.known.remember([sha256.Size]byte(hash), found)
	}
	if found.session.NeedsTouch(now) {
		err = s.DB.Tx(ctx, func(tx *sqldb.Tx) error { return store.TouchSession(tx, found.session.ID, now) }, sqldb.ReadCommitted)
	}
	return found.session, found.holder, err
}

func (s *Server) resolveAgent(ctx context.Context, token, address string) (access.Principal, *authv1.Session, error) {
	var agent store.Agent
	err := s.DB.Read(ctx, func(tx *sqldb.Tx) (err error) {
		agent, err = store.AgentByCredential(tx, session.Hash(token))
		return err
	})
	if errors.Is(err, sqldb.ErrNotFound) {
		return access.Principal{}, nil, errSessionEnded
	}
	if err != nil {
		return access.Principal{}, nil, err
	}
	p := access.Principal{Kind: access.Agent, ID: agent.ID, Firm: agent.Firm, Session: agent.ID, Address: address}
	return p, agentSession(agent), nil
}

// knownMax bounds the memory of known sessions: two generations of this many, about half a kilobyte each.
const knownMax = 8192

// known is a session and its holder as they were when the session was looked up first.
type known struct {
	session session.Session
	holder  store.Holder
}

// knownSessions remembers sessions by the hash of their tokens. The zero value is ready and safe for concurrent use.
type knownSessions struct {
	mu         sync.RWMutex
	young, old map[[sha256.Size]byte]known
}

func (k *knownSessions) recall(hash [sha256.Size]byte) (known, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if found, ok := k.young[hash]; ok {
		return found, true
	}
	found, ok := k.old[hash]
	return found, ok
}

func (k *knownSessions) remember(hash [sha256.Size]byte, found known) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.young == nil || len(k.young) >= knownMax {
		k.old, k.young = k.young, make(map[[sha256.Size]byte]known, knownMax/8)
	}
	k.young[hash] = found
}
