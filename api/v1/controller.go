package v1

import "time"

// RegisterController is the body of PUT /controllers/{name}: what a controller says of itself.
type RegisterController struct {
	// Platforms and Kinds (cluster, nodepool) are what it works on; absent or empty for all.
	Platforms []string `json:"platforms,omitempty"`
	Kinds     []string `json:"kinds,omitempty"`
	// Finalizes says that it takes something down when a resource is deleted: the deletion waits
	// for its condition Finalized=True.
	Finalizes bool `json:"finalizes,omitempty"`
	// Required says that nothing it works on is Ready before it has reported.
	Required bool `json:"required,omitempty"`
}

// Controller is an entry of the registry of controllers.
type Controller struct {
	Name string `json:"name"`
	// Registered is false for a controller that is known by its reports alone.
	Registered bool     `json:"registered"`
	Platforms  []string `json:"platforms"`
	Kinds      []string `json:"kinds"`
	Finalizes  bool     `json:"finalizes"`
	Required   bool     `json:"required"`
	// FirstSeenAt is the time of its registration or first report, whichever came first.
	FirstSeenAt time.Time `json:"first_seen_at"`
	// RetiredAt is when it was retired: its reports count nowhere until it registers again.
	RetiredAt *time.Time `json:"retired_at,omitempty"`
	// LastHeartbeat is the database's time of its last report or registration, to within 30 seconds.
	LastHeartbeat *time.Time `json:"last_heartbeat,omitempty"`
	// Clusters and NodePools count the living ones that it has reported on.
	Clusters  int64 `json:"clusters"`
	NodePools int64 `json:"nodepools"`
	// Lag counts those of them on whose current generation it has not reported yet.
	Lag int64 `json:"lag"`
}

// ControllerList is the registry, in the order of the names.
type ControllerList struct {
	Controllers []Controller `json:"controllers"`
}
