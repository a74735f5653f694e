package v1

import "time"

// NodePool is one declared node pool of a cluster, as the API answers it. What it has in common
// with a [Cluster] means the same.
type NodePool struct {
	// ID is a UUID of version 7 (RFC 9562).
	ID string `json:"id"`
	// ClusterID is the cluster that the node pool belongs to.
	ClusterID string `json:"cluster_id"`
	// Name is a label by RFC 1123, unique among the living node pools of the cluster.
	Name        string `json:"name"`
	Description string `json:"description"`
	// Paused stops the periodic and reactive reconcile events.
	Paused bool `json:"paused"`
	// DeletionProtection makes DELETE answer 409 until it is lifted by a PUT or PATCH.
	DeletionProtection bool `json:"deletion_protection"`
	// CreatedBy is the owner of the cluster, who owns its node pools.
	CreatedBy       string            `json:"created_by"`
	Generation      int64             `json:"generation"`
	ResourceVersion string            `json:"resource_version"`
	Labels          map[string]string `json:"labels"`
	// Spec is what the user asked for: a free object. Its release.version is the cluster's when
	// the node pool was created without one.
	Spec              Object     `json:"spec"`
	Status            Status     `json:"status"`
	CreatedAt         time.Time  `json:"created_at"`
	UpdatedAt         time.Time  `json:"updated_at"`
	DeletionTimestamp *time.Time `json:"deletion_timestamp,omitempty"`
}

// CreateNodePool is the body of POST /nodepools. Output-only fields of a [NodePool] may be
// present and are ignored (AIP-203).
type CreateNodePool struct {
	// ClusterID is a cluster of the caller's that is not being deleted.
	ClusterID          string            `json:"cluster_id"`
	Name               string            `json:"name"`
	Description        string            `json:"description,omitempty"`
	Paused             bool              `json:"paused,omitempty"`
	DeletionProtection bool              `json:"deletion_protection,omitempty"`
	Labels             map[string]string `json:"labels,omitempty"`
	Spec               Object            `json:"spec,omitempty"`
}

// UpdateNodePool is the body of PUT /nodepools/{id}, as an [UpdateCluster] is that of a cluster's.
type UpdateNodePool struct {
	// ID, Name and ClusterID may repeat the node pool's own; any other value is refused.
	ID        *string `json:"id,omitempty"`
	Name      *string `json:"name,omitempty"`
	ClusterID *string `json:"cluster_id,omitempty"`

	Description        *string `json:"description,omitempty"`
	Paused             *bool   `json:"paused,omitempty"`
	DeletionProtection *bool   `json:"deletion_protection,omitempty"`
	// Labels are as those of an [UpdateCluster].
	Labels map[string]string `json:"labels,omitzero"`
	Spec   Object            `json:"spec"`
	// Generation is a precondition, as that of an [UpdateCluster].
	Generation *int64 `json:"generation,omitempty"`
}

// PatchNodePool is the body of PATCH /nodepools/{id}, as a [PatchCluster] is that of a cluster's.
type PatchNodePool struct {
	// ID, Name and ClusterID may repeat the node pool's own; any other value is refused.
	ID        *string `json:"id,omitempty"`
	Name      *string `json:"name,omitempty"`
	ClusterID *string `json:"cluster_id,omitempty"`

	Description        *string `json:"description,omitempty"`
	Paused             *bool   `json:"paused,omitempty"`
	DeletionProtection *bool   `json:"deletion_protection,omitempty"`
	// Labels and Spec are merged into the stored ones.
	Labels Object `json:"labels,omitempty"`
	Spec   Object `json:"spec,omitempty"`
	// Generation is a precondition, as that of an [UpdateCluster].
	Generation *int64 `json:"generation,omitempty"`
}

// NodePoolList is one page of node pools, in the order that was asked for.
type NodePoolList struct {
	NodePools []NodePool `json:"nodepools"`
	// Total and TotalIsLowerBound count as those of a [ClusterList].
	Total             int64 `json:"total"`
	TotalIsLowerBound bool  `json:"total_is_lower_bound,omitempty"`
	Limit             int   `json:"limit"`
	Offset            int   `json:"offset"`
	// NextPageToken is that of a [ClusterList].
	NextPageToken string `json:"next_page_token,omitempty"`
}

// NodePoolStatus is the answer to GET /nodepools/{id}/status.
type NodePoolStatus struct {
	NodePoolID       string             `json:"nodepool_id"`
	ClusterID        string             `json:"cluster_id"`
	Generation       int64              `json:"generation"`
	Status           Status             `json:"status"`
	ControllerStatus []ControllerStatus `json:"controller_status"`
}
