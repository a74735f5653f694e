package service

import (
	"context"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/models"
)

// Delete begins the deletion of a resource, and that of a cluster's node pools before its own, each
// with its event. What nobody holds is gone at once: its name is free, and reports on it are still
// answered. What is held is Deleting until its holders let go; a second call changes nothing,
// unless it is forced, which ends the waiting.
func (s *Resources) Delete(ctx context.Context, by models.Actor, id string, in models.DeleteRequest) (v1.Deletion, error) {
	if err := by.MayWrite(); err != nil {
		return v1.Deletion{}, err
	}
	var (
		ended              *models.Resource
		again, pools, gone bool
	)
	err := s.db.InTx(ctx, func(ctx context.Context, tx *database.Tx) error {
		stored, err := tx.Lock(ctx, id, by.Owner())
		if err != nil {
			return err
		}
		if err := models.CheckDeletion(stored, in.IfMatch); err != nil {
			return err
		}
		again = stored.DeletionTimestamp != nil
		in.Force = in.Force && again // The first call is an ordinary one.
		if pools, err = s.endPools(ctx, tx, stored, by, in); err != nil {
			return err
		}
		ended, gone, err = s.end(ctx, tx, stored, by, in)
		return err
	})
	if err != nil {
		return v1.Deletion{}, err
	}
	s.send(nil)
	switch {
	case gone:
		s.buryCluster(ctx, ended)
	case again:
		ended, gone = s.heldStill(ctx, ended)
	}
	return models.DeletionAnswer(ended, pools, gone), nil
}

// heldStill returns a resource that is being deleted with those who hold it now: controllers may
// have been retired since it was looked at last. It reports whether it is gone.
func (s *Resources) heldStill(ctx context.Context, ended *models.Resource) (*models.Resource, bool) {
	snap, err := s.db.Get(ctx, ended.ID, "")
	if err != nil || s.answer(ctx, snap) != nil {
		return ended, models.CodeOf(err) == v1.CodeNotFound
	}
	return snap.Resource, len(snap.Resource.Holders) == 0 && s.letGo(ctx, ended.ID)
}

// endPools ends the node pools of a cluster, which the transaction has locked, and reports whether any
// is still waited for.
func (s *Resources) endPools(
	ctx context.Context, tx *database.Tx, cluster *models.Resource, by models.Actor, in models.DeleteRequest,
) (waits bool, err error) {
	if s.kind != models.KindCluster {
		return false, nil
	}
	of := tx.Of(models.KindNodePool)
	pools, err := of.LockWithin(ctx, cluster.ID)
	if err != nil {
		return false, err
	}
	for _, pool := range pools {
		_, gone, err := s.end(ctx, of, pool, by, in)
		if err != nil {
			return false, err
		}
		waits = waits || !gone
	}
	return waits, nil
}

// end takes a deletion as far as it goes at this time, and reports whether the resource is gone.
func (s *Resources) end(
	ctx context.Context, tx *database.Tx, stored *models.Resource, by models.Actor, in models.DeleteRequest,
) (ended *models.Resource, gone bool, err error) {
	event := models.UserEvent(newID(), tx.Kind().Event(models.Deleted), v1.ReasonDeletionRequested, by)
	ended = stored
	switch {
	case stored.DeletionTimestamp == nil:
		ended, err = tx.Delete(ctx, stored.ID, s.pull(), event)
	case in.Force:
		event.Metadata.ForceDelete, event.Metadata.ForceReason = true, in.Reason
		ended, err = tx.ForceDeletion(ctx, stored.ID, by.Email, in.Reason, event)
	}
	if err != nil {
		return nil, false, err
	}
	buried, err := tx.Bury(ctx, ended.ID)
	return ended, buried > 0, err
}

// letGo ends the deletion of a resource that a holder has just let go of, if it was the last one,
// and reports whether it did. What goes wrong here the next pass puts right.
func (s *Resources) letGo(ctx context.Context, id string) bool {
	var gone *models.Resource
	_ = s.db.InTx(ctx, func(ctx context.Context, tx *database.Tx) error {
		stored, err := tx.Lock(ctx, id, "")
		if err != nil {
			return err
		}
		if buried, err := tx.Bury(ctx, id); err != nil || buried == 0 {
			return err
		}
		gone = stored
		return nil
	})
	if gone == nil {
		return false
	}
	s.buryCluster(ctx, gone)
	return true
}

// buryCluster ends the deletion of the cluster of a node pool that is gone, if it has waited for
// nothing else. It is a transaction of its own: whoever locks both locks the cluster first.
func (s *Resources) buryCluster(ctx context.Context, gone *models.Resource) {
	if gone.Kind != models.KindNodePool {
		return
	}
	_ = s.db.InTx(ctx, func(ctx context.Context, tx *database.Tx) error {
		_, err := tx.Of(models.KindCluster).Bury(ctx, gone.ClusterID)
		return err
	})
}
