package service

import (
	"cmp"
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/models"
)

// Settings are the rules of an installation.
type Settings struct {
	Secrets  models.Secrets
	Defaults models.Defaults
	// Schema is what is asked of specs besides; nil for nothing.
	Schema models.SpecCheck
	// Cadence is when controllers are woken.
	Cadence models.Cadence
	// ProgressDeadline is how long a cluster may be under way before it counts as failed.
	ProgressDeadline time.Duration
}

// Observer is told how long statuses took to calculate; n is their number.
type Observer interface {
	AggregationDone(elapsed time.Duration, n int)
}

// Resources are the use cases of the resources of one kind. It is safe for concurrent use.
type Resources struct {
	kind     models.Kind
	db       *database.Resources
	rules    models.Rules
	settings Settings
	relay    Relay // nil where nothing that is done will last
	observer Observer
	registry *registry
	// tokenKey is the database's, once a list has read it.
	tokenKey *atomic.Pointer[models.TokenKey]
}

// Relay takes events from the database to Pub/Sub. Its methods are safe for concurrent use and do not block.
type Relay interface {
	// Lease is what it offers to the event of a creation that is about to be committed; it may be none.
	Lease() models.Lease
	// Hand gives it an event that was born under its lease, once that is committed.
	Hand(event models.QueuedEvent)
	// Nudge tells it that an event has been committed which is to be claimed.
	Nudge()
}

// NewResources returns the use cases of a kind over a database. The relay is told of each event that was
// committed; with nil, events wait until one finds them.
func NewResources(kind models.Kind, db *database.DB, s Settings, relay Relay, o Observer) *Resources {
	return &Resources{
		kind: kind, db: db.Resources(kind), rules: s.rules(kind), settings: s, relay: relay, observer: o,
		registry: &registry{db: db}, tokenKey: &atomic.Pointer[models.TokenKey]{},
	}
}

// rules returns the rules for a kind. A node pool has its default from its cluster.
func (s Settings) rules(kind models.Kind) models.Rules {
	r := models.Rules{Kind: kind, Secrets: s.Secrets, Schema: s.Schema}
	if kind == models.KindCluster {
		r.Defaults = s.Defaults
	}
	return r
}

// Rehearse makes a call on the same use cases, and takes back whatever it has done: a dry run. The
// call gets the answer that it would get.
func (s *Resources) Rehearse(ctx context.Context, call func(ctx context.Context, rehearsed *Resources) error) error {
	return s.db.Rehearse(ctx, func(ctx context.Context, db *database.DB) error {
		rehearsed := *s
		rehearsed.db, rehearsed.relay, rehearsed.registry = db.Resources(s.kind), nil, s.registry.within(db)
		return call(ctx, &rehearsed)
	})
}

// newID returns a UUID of version 7, so that ids grow with time and indexes stay dense.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// draw returns a random number in [0, 1), for jitter.
func draw() float64 { return rand.Float64() } //nolint:gosec // nobody gains by guessing it

// pull draws how long a cluster that moves into the attention lane may wait.
func (s *Resources) pull() time.Duration { return s.settings.Cadence.Pull(draw()) }

// Create declares a resource for the actor. A node pool belongs to whom its cluster belongs to:
// NOT_FOUND when the actor may not see that, CLUSTER_DELETING when it does not live on.
func (s *Resources) Create(ctx context.Context, by models.Actor, in models.Draft) (*models.Resource, error) {
	if err := by.MayWrite(); err != nil {
		return nil, err
	}
	rules, err := s.forNew(ctx, by, in)
	next, faults := rules.New(in, by.Email)
	if err := cmp.Or(faults, err); err != nil { // What is wrong with the request comes first.
		return nil, err
	}
	if s.kind == models.KindNodePool {
		next.CreatedBy = by.Owner()
	}
	next.ID = newID()
	event := models.UserEvent(newID(), s.kind.Event(models.Created), v1.ReasonCreated, by)
	if s.relay != nil {
		event.Lease = s.relay.Lease()
	}
	snap, err := s.db.Insert(ctx, next, s.pull(), event)
	if err != nil {
		return nil, err
	}
	s.send(snap.Event)
	return s.shown(ctx, snap, by), nil
}

// CreateOnce is Create for a call with an Idempotency-Key. The answer, which the caller forms of what
// was created, is kept with it; a call that repeats the key gets the kept one.
func (s *Resources) CreateOnce(
	ctx context.Context, by models.Actor, in models.Draft, key models.Key, form func(*models.Resource) models.Answer,
) (models.Answer, error) {
	answer, err := s.db.Once(ctx, key, func(ctx context.Context, db *database.Resources) (models.Answer, error) {
		within := *s
		within.db, within.relay, within.registry = db, nil, s.registry.within(db.DB)
		created, err := within.Create(ctx, by, in)
		if err != nil {
			return models.Answer{}, err
		}
		return form(created), nil
	})
	if err == nil {
		s.send(nil)
	}
	return answer, err
}

// send has what was committed published: an event that was born under a lease, or, nil, what is to be claimed.
func (s *Resources) send(event *models.QueuedEvent) {
	switch {
	case s.relay == nil:
	case event != nil:
		s.relay.Hand(*event)
	default:
		s.relay.Nudge()
	}
}

// forNew returns the rules for a draft. What a node pool takes from its cluster it gets as it is stored,
// but for a release that has to be known before: to hold a schema against the whole spec, or to measure one
// that may be too large.
func (s *Resources) forNew(ctx context.Context, by models.Actor, in models.Draft) (models.Rules, error) {
	ahead := s.rules.Schema != nil || models.MayBeTooLarge(in.Spec)
	if s.kind == models.KindCluster || !ahead || !models.IsID(in.ClusterID) {
		return s.rules, nil
	}
	release, err := s.db.Release(ctx, in.ClusterID, by.Owner())
	return s.rules.In(release), err
}

// Get returns a resource that the actor may see, with its status as of now.
func (s *Resources) Get(ctx context.Context, by models.Actor, id string) (*models.Resource, error) {
	snap, err := s.db.Get(ctx, id, by.Owner())
	if err != nil {
		return nil, err
	}
	if err := s.answer(ctx, snap); err != nil {
		return nil, err
	}
	return s.redacted(snap.Resource, by), nil
}

// See checks that the actor may see a resource: NOT_FOUND when not.
func (s *Resources) See(ctx context.Context, by models.Actor, id string) error {
	return s.db.See(ctx, id, by.Owner())
}

// Update replaces the spec of a resource, and what else is given. ifMatch is the If-Match
// header; "" for none. A change that changes nothing leaves no trace.
func (s *Resources) Update(ctx context.Context, by models.Actor, id string, in models.Edit, ifMatch string) (*models.Resource, error) {
	return s.change(ctx, by, id, func(stored *models.Resource) (*models.Resource, models.Change, error) {
		if err := models.CheckPreconditions(stored, ifMatch, in.Generation); err != nil {
			return nil, models.Change{}, err
		}
		return s.rules.Update(stored, in)
	})
}

// Patch merges changes into a resource, as Update does.
func (s *Resources) Patch(ctx context.Context, by models.Actor, id string, in models.Patch, ifMatch string) (*models.Resource, error) {
	return s.change(ctx, by, id, func(stored *models.Resource) (*models.Resource, models.Change, error) {
		if err := models.CheckPreconditions(stored, ifMatch, in.Generation); err != nil {
			return nil, models.Change{}, err
		}
		return s.rules.Patch(stored, in)
	})
}

// change stores what a rule makes of a resource, with its event, while nobody else changes it.
func (s *Resources) change(
	ctx context.Context, by models.Actor, id string, rule func(stored *models.Resource) (*models.Resource, models.Change, error),
) (*models.Resource, error) {
	if err := by.MayWrite(); err != nil {
		return nil, err
	}
	var snap *database.Snapshot
	err := s.db.InTx(ctx, func(ctx context.Context, tx *database.Tx) error {
		stored, err := tx.Lock(ctx, id, by.Owner())
		if err != nil {
			return err
		}
		if stored.DeletionTimestamp != nil {
			return models.Deleting(s.kind)
		}
		next, change, err := rule(stored)
		if err != nil || !change.Any() {
			return err
		}
		event := models.UserEvent(newID(), s.kind.Event(models.Updated), change.Reason(), by)
		snap, err = tx.Update(ctx, next, change, s.pull(), event)
		return err
	})
	if err != nil {
		return nil, err
	}
	if snap == nil {
		return s.Get(ctx, by, id)
	}
	s.send(nil)
	return s.shown(ctx, snap, by), nil
}

// Reconcile wakes the controllers of a resource now, of a paused one too: somebody asked.
func (s *Resources) Reconcile(ctx context.Context, by models.Actor, id string) (v1.Reconciliation, error) {
	event := models.ManualWake(newID(), s.kind, by)
	woken, err := s.db.WakeNow(ctx, id, by.Owner(), event)
	if err != nil {
		return v1.Reconciliation{}, err
	}
	s.send(nil)
	return v1.Reconciliation{
		ClusterID: woken.ClusterID, NodePoolID: woken.NodePoolID(), Message: "the controllers are being woken", EventID: event.ID,
	}, nil
}

// redacted takes the secrets out of a resource for all but controllers.
func (s *Resources) redacted(c *models.Resource, by models.Actor) *models.Resource {
	if !by.SeesSecrets() {
		c.Spec = s.rules.Secrets.Redact(c.Spec)
	}
	return c
}
