package topology

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// askWait bounds one question to the bus. A server that refuses a subject does not answer at all, and neither do servers
	// that are choosing a leader: whoever asks again after a short wait has the answer sooner than one who waits for it.
	askWait = 2 * time.Second
	// makeWait bounds a change of the bus, which several servers agree on.
	makeWait = 5 * time.Second
	// copyWait is how long Prepare waits until the other servers have what they were given to hold, copyPoll how often it
	// looks. Weeks of events are copied in seconds; whoever has more is told that it goes on.
	copyWait, copyPoll = 10 * time.Second, 250 * time.Millisecond
)

// MissingError says that a stream is not there.
type MissingError struct{ Stream Stream }

// Error says which stream, and who makes it.
func (e *MissingError) Error() string {
	return fmt.Sprintf("events: the stream %s is missing: run `concord-%s migrate`, which makes it", e.Stream.Name, e.Stream.Maker)
}

// Open returns the stream, which must be there; it makes and changes nothing. Without it the error is a *MissingError.
func Open(ctx context.Context, js jetstream.JetStream, s Stream) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	stream, err := js.Stream(ctx, s.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, &MissingError{s}
	}
	if err != nil {
		return nil, fmt.Errorf("events: stream %s: %w", s.Name, err)
	}
	return stream, nil
}

// Ensure returns the stream, made or adapted as needed, and in words what it did, which is nothing when it is empty.
// replicas is how many servers of a NATS cluster hold a message; a stream that is there keeps what it has unless raise is
// set, which lets it have more.
func Ensure(ctx context.Context, js jetstream.JetStream, s Stream, replicas int, raise bool) (stream jetstream.Stream, did string, err error) {
	stream, err = Open(ctx, js, s)
	ctx, cancel := context.WithTimeout(ctx, makeWait)
	defer cancel()
	if missing := (*MissingError)(nil); errors.As(err, &missing) {
		cfg := jetstream.StreamConfig{Name: s.Name, Replicas: max(1, replicas)}
		shape(&cfg, s)
		stream, err = js.CreateStream(ctx, cfg)
		if err == nil {
			return stream, fmt.Sprintf("made, each event on %d of the servers", cfg.Replicas), nil
		}
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // somebody else was faster
			stream, err = js.Stream(ctx, s.Name)
		}
		if err != nil {
			err = fmt.Errorf("events: make stream %s: %w", s.Name, err)
		}
	}
	if err != nil {
		return nil, "", err
	}
	cfg := stream.CachedInfo().Config
	changes := shape(&cfg, s)
	if raise && replicas > cfg.Replicas {
		changes = append(changes, fmt.Sprintf("each event on %d of the servers instead of %d", replicas, cfg.Replicas))
		cfg.Replicas = replicas
	}
	if len(changes) == 0 {
		return stream, "", nil
	}
	if stream, err = js.UpdateStream(ctx, cfg); err != nil {
		return nil, "", fmt.Errorf("events: change stream %s (%s): %w", s.Name, strings.Join(changes, ", "), err)
	}
	return stream, strings.Join(changes, ", "), nil
}

// Prepare makes what the part is declared to make and brings it to what this release expects, more replicas included. It
// returns a line about each stream. It is what migrate does. A program that is none of the suite's, and so may do on the
// bus what its user may, makes all streams.
//
// When a stream is given more replicas it waits until they have everything, the places of consumers included: those follow
// after the stream, and a consumer whose only server is sent away before that stands still until it comes back.
func Prepare(ctx context.Context, js jetstream.JetStream, part string, replicas int) (lines []string, err error) {
	makes := Streams()
	if p, known := PartNamed(part); known {
		makes = p.Makes()
	}
	for _, s := range makes {
		stream, did, err := Ensure(ctx, js, s, replicas, true)
		if err != nil {
			return lines, err
		}
		switch has := stream.CachedInfo().Config.Replicas; {
		case did != "" && has > 1 && !copied(ctx, js, s):
			did += "; not all of them have everything yet: send no server away before they do (nats stream report, nats consumer report)"
		case did != "":
		case has > max(1, replicas):
			did = fmt.Sprintf("unchanged: each event stays on %d of the servers, though nats_replicas is %d", has, max(1, replicas))
		default:
			did = "unchanged"
		}
		lines = append(lines, "stream "+s.Name+": "+did)
	}
	return lines, nil
}

// copied waits until every replica of the stream, and of the durable consumers that parts have of it, has been up to date.
// A replica under load is behind for moments, which is no matter.
func copied(ctx context.Context, js jetstream.JetStream, s Stream) bool {
	ctx, cancel := context.WithTimeout(ctx, copyWait)
	defer cancel()
	tick := time.NewTicker(copyPoll)
	defer tick.Stop()
	seen := map[string]bool{}
	for !copiedNow(ctx, js, s, seen) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func copiedNow(ctx context.Context, js jetstream.JetStream, s Stream, seen map[string]bool) bool {
	ctx, cancel := context.WithTimeout(ctx, makeWait)
	defer cancel()
	stream, err := Open(ctx, js, s)
	if err != nil {
		return false
	}
	replicas := stream.CachedInfo().Config.Replicas
	if !everywhere(stream.CachedInfo().Cluster, replicas, "", seen) {
		return false
	}
	for _, p := range Parts() {
		if !slices.Contains(p.Follows, s.Name) {
			continue
		}
		cons, err := stream.Consumer(ctx, p.Name)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			continue
		}
		if err != nil || !everywhere(cons.CachedInfo().Cluster, replicas, p.Name, seen) {
			return false
		}
	}
	return true
}

// everywhere reports whether each of the replicas is there, and was up to date now or, according to seen, before.
func everywhere(c *jetstream.ClusterInfo, replicas int, consumer string, seen map[string]bool) bool {
	if c == nil || c.Leader == "" || len(c.Replicas) != replicas-1 {
		return false
	}
	all := true
	for _, peer := range c.Replicas {
		key := consumer + "/" + peer.Name
		seen[key] = seen[key] || peer.Current && !peer.Pending
		all = all && seen[key] && !peer.Pending && !peer.Offline
	}
	return all
}

// shape sets what the suite decides about a stream and returns in words what that changed. The rest (replicas, placement)
// belongs to who runs the servers.
func shape(cfg *jetstream.StreamConfig, s Stream) (changes []string) {
	set := func(name string, same bool) {
		if !same {
			changes = append(changes, name)
		}
	}
	set("subjects "+strings.Join(s.Subjects(), " "), slices.Equal(cfg.Subjects, s.Subjects()))
	set(fmt.Sprintf("max_age %.0fh", Retention.Hours()), cfg.MaxAge == Retention)
	set(fmt.Sprintf("duplicate_window %.0fm", DuplicateWindow.Minutes()), cfg.Duplicates == DuplicateWindow)
	set("deny_delete", cfg.DenyDelete)
	set("deny_purge", cfg.DenyPurge)
	set("allow_direct", cfg.AllowDirect)
	cfg.Subjects, cfg.MaxAge, cfg.Duplicates = s.Subjects(), Retention, DuplicateWindow
	cfg.DenyDelete, cfg.DenyPurge = true, true // nobody takes back what others may have acted on
	cfg.AllowDirect = true                     // the relay looks single messages up cheaply
	return changes
}

// Difference is something about the bus that is not as declared.
type Difference struct {
	// Text says what and what to do about it, in one line.
	Text string
	// Stops is set when the part cannot do its work so. A stream in another shape may be that of a newer release.
	Stops bool
}

// Compare looks whether the servers have what the part needs, as declared. It changes nothing. An error says that the
// servers could not be asked.
func Compare(ctx context.Context, js jetstream.JetStream, part string) (all []Difference, err error) {
	p, known := PartNamed(part)
	if !known {
		return nil, nil
	}
	for _, name := range p.Needs() {
		s, _ := StreamNamed(name)
		stream, err := Open(ctx, js, s)
		if missing := (*MissingError)(nil); errors.As(err, &missing) {
			all = append(all, Difference{strings.TrimPrefix(err.Error(), "events: "), true})
			continue
		}
		if err != nil {
			return all, err
		}
		all = append(all, compare(ctx, stream, p, s)...)
	}
	return all, nil
}

func compare(ctx context.Context, stream jetstream.Stream, p Part, s Stream) (all []Difference) {
	cfg := stream.CachedInfo().Config
	taken := slices.Equal(cfg.Subjects, s.Subjects())
	if changes := shape(&cfg, s); len(changes) > 0 {
		all = append(all, Difference{fmt.Sprintf("the stream %s lacks %s: run `concord-%s migrate` of this release",
			s.Name, strings.Join(changes, ", "), s.Maker), !taken})
	}
	if !slices.Contains(p.Follows, s.Name) {
		return all
	}
	// A consumer that is not there yet will be made by the part itself.
	cons, err := stream.Consumer(ctx, p.Name)
	if err != nil {
		return all
	}
	if wrong := misshapen(cons.CachedInfo().Config); wrong != "" {
		all = append(all, Difference{fmt.Sprintf(
			"the consumer %s of the stream %s has %s: remove it (nats consumer rm %s %s), the part makes it again and loses nothing",
			p.Name, s.Name, wrong, s.Name, p.Name), true})
	}
	return all
}

// misshapen says in what a durable consumer is not what a part makes, in what cannot be changed later.
func misshapen(cfg jetstream.ConsumerConfig) string {
	switch {
	case cfg.DeliverSubject != "":
		return "a deliver_subject, so it is a push consumer"
	case cfg.AckPolicy != jetstream.AckExplicitPolicy:
		return "another ack_policy than explicit"
	case cfg.DeliverPolicy != jetstream.DeliverAllPolicy:
		return "another deliver_policy than all"
	default:
		return ""
	}
}

// Explain says in plain words, with what to do, why the bus does not answer as it should, or "" for what it does not know.
func Explain(err error) string {
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount), errors.Is(err, jetstream.ErrJetStreamNotEnabled),
		errors.Is(err, nats.ErrNoResponders):
		return "JetStream does not answer: this user's account has no `jetstream: enabled` in the NATS servers, or too few of them run"
	case errors.Is(err, context.DeadlineExceeded):
		return "JetStream does not answer in time"
	case errors.Is(err, nats.ErrPermissionViolation):
		return "the NATS servers refuse a subject to this user: print its permissions with `bus permissions` and compare (" +
			strings.TrimPrefix(err.Error(), "nats: ") + ")"
	default:
		return ""
	}
}
