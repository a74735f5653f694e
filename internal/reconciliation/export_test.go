package reconciliation

import "time"

// The bounds of a pass.
const (
	Batch      = batch
	MaxBatches = maxBatches
)

// SetOffset puts the scheduler's clock off that of the database from the next pass on.
func (s *Scheduler) SetOffset(d time.Duration) { s.offset = d }
