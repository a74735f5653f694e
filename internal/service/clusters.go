package service

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/models"
)

// Settings are the rules of an installation.
type Settings struct {
	Rules models.ClusterRules
	// Cadence is when controllers are woken.
	Cadence models.Cadence
	// ProgressDeadline is how long a cluster may be under way before it counts as failed.
	ProgressDeadline time.Duration
}

// Observer is told how long statuses took to calculate; n is their number.
type Observer interface {
	AggregationDone(elapsed time.Duration, n int)
}

// Clusters are the use cases of clusters. It is safe for concurrent use.
type Clusters struct {
	db       *database.DB
	settings Settings
	// nudge tells the relay that an event is there.
	nudge    func()
	observer Observer
}

// NewClusters returns the use cases over a database. nudge is called after each commit
// that left an event; it must not block.
func NewClusters(db *database.DB, s Settings, nudge func(), o Observer) *Clusters {
	return &Clusters{db: db, settings: s, nudge: nudge, observer: o}
}

// newID returns a UUID of version 7, so that ids grow with time and indexes stay dense.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// draw returns a random number in [0, 1), for jitter.
func draw() float64 { return rand.Float64() } //nolint:gosec // nobody gains by guessing it

// pull draws how long a cluster that moves into the attention lane may wait.
func (s *Clusters) pull() time.Duration { return s.settings.Cadence.Pull(draw()) }

// Create declares a cluster for the actor.
func (s *Clusters) Create(ctx context.Context, by models.Actor, in v1.CreateCluster) (*models.Cluster, error) {
	if err := by.MayWrite(); err != nil {
		return nil, err
	}
	cluster, err := s.settings.Rules.New(in, by)
	if err != nil {
		return nil, err
	}
	cluster.ID = newID()
	event := models.UserEvent(newID(), v1.ClusterCreated, v1.ReasonCreated, by)
	snap, err := s.db.InsertCluster(ctx, cluster, s.pull(), event)
	if err != nil {
		return nil, err
	}
	s.nudge()
	return s.shown(snap, by), nil
}

// Get returns a cluster that the actor may see, with its status as of now.
func (s *Clusters) Get(ctx context.Context, by models.Actor, id string) (*models.Cluster, error) {
	snap, err := s.db.GetCluster(ctx, id, by.Owner())
	if err != nil {
		return nil, err
	}
	s.answer(ctx, snap)
	return s.redacted(snap.Cluster, by), nil
}

// Update replaces the spec of a cluster, and what else is given. ifMatch is the If-Match
// header; "" for none. A change that changes nothing leaves no trace.
func (s *Clusters) Update(ctx context.Context, by models.Actor, id string, in v1.UpdateCluster, ifMatch string) (*models.Cluster, error) {
	return s.change(ctx, by, id, func(stored *models.Cluster) (*models.Cluster, models.Change, error) {
		if err := models.CheckPreconditions(stored, ifMatch, in.Generation); err != nil {
			return nil, models.Change{}, err
		}
		return s.settings.Rules.Update(stored, in)
	})
}

// Patch merges changes into a cluster, as Update does.
func (s *Clusters) Patch(ctx context.Context, by models.Actor, id string, in v1.PatchCluster, ifMatch string) (*models.Cluster, error) {
	return s.change(ctx, by, id, func(stored *models.Cluster) (*models.Cluster, models.Change, error) {
		if err := models.CheckPreconditions(stored, ifMatch, in.Generation); err != nil {
			return nil, models.Change{}, err
		}
		return s.settings.Rules.Patch(stored, in)
	})
}

// change stores what a rule makes of a cluster, with its event, while nobody else changes it.
func (s *Clusters) change(
	ctx context.Context, by models.Actor, id string, rule func(stored *models.Cluster) (*models.Cluster, models.Change, error),
) (*models.Cluster, error) {
	if err := by.MayWrite(); err != nil {
		return nil, err
	}
	var snap *database.Snapshot
	err := s.db.InTx(ctx, func(ctx context.Context, tx *database.Tx) error {
		stored, err := tx.LockCluster(ctx, id, by.Owner())
		if err != nil {
			return err
		}
		next, change, err := rule(stored)
		if err != nil || !change.Any() {
			return err
		}
		event := models.UserEvent(newID(), v1.ClusterUpdated, change.Reason(), by)
		snap, err = tx.UpdateCluster(ctx, next, change, s.pull(), event)
		return err
	})
	if err != nil {
		return nil, err
	}
	if snap == nil {
		return s.Get(ctx, by, id)
	}
	s.nudge()
	return s.shown(snap, by), nil
}

// Delete makes a tombstone of a cluster: it is gone for everybody, its name is free, and
// reports on it are still answered.
func (s *Clusters) Delete(ctx context.Context, by models.Actor, id, ifMatch string) (v1.Deletion, error) {
	if err := by.MayWrite(); err != nil {
		return v1.Deletion{}, err
	}
	var gone *models.Cluster
	err := s.db.InTx(ctx, func(ctx context.Context, tx *database.Tx) error {
		stored, err := tx.LockCluster(ctx, id, by.Owner())
		if err != nil {
			return err
		}
		if err := models.CheckDeletion(stored, ifMatch); err != nil {
			return err
		}
		event := models.UserEvent(newID(), v1.ClusterDeleted, v1.ReasonDeletionRequested, by)
		gone, err = tx.DeleteCluster(ctx, id, event)
		return err
	})
	if err != nil {
		return v1.Deletion{}, err
	}
	s.nudge()
	return v1.Deletion{
		ClusterID: id, Message: "the cluster is deleted", Generation: gone.Generation, DeletionTimestamp: *gone.DeletionTimestamp,
	}, nil
}

// Reconcile wakes the controllers of a cluster now, a paused one too: somebody asked.
func (s *Clusters) Reconcile(ctx context.Context, by models.Actor, id string) (v1.Reconciliation, error) {
	event := models.ManualWake(newID(), by)
	if err := s.db.WakeCluster(ctx, id, by.Owner(), event); err != nil {
		return v1.Reconciliation{}, err
	}
	s.nudge()
	return v1.Reconciliation{ClusterID: id, Message: "the controllers are being woken", EventID: event.ID}, nil
}

// redacted takes the secrets out of a cluster for all but controllers.
func (s *Clusters) redacted(c *models.Cluster, by models.Actor) *models.Cluster {
	if !by.SeesSecrets() {
		c.Spec = s.settings.Rules.Secrets.Redact(c.Spec)
	}
	return c
}
