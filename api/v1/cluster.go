package v1

import "time"

// Cluster is one declared cluster, as the API answers it.
type Cluster struct {
	// ID is a UUID of version 7 (RFC 9562).
	ID string `json:"id"`
	// Name is a label by RFC 1123, unique among its creator's living clusters.
	Name string `json:"name"`
	// TargetProjectID is the cloud project that the cluster is to live in; "" when none.
	TargetProjectID string `json:"target_project_id"`
	// Description is free text for people.
	Description string `json:"description"`
	// Paused stops the periodic and reactive reconcile events.
	Paused bool `json:"paused"`
	// DeletionProtection makes DELETE answer 409 until it is lifted by a PUT or PATCH.
	DeletionProtection bool `json:"deletion_protection"`
	// CreatedBy is the e-mail address of the creator, who owns the cluster.
	CreatedBy string `json:"created_by"`
	// Generation counts the specs that the cluster has had, from 1. It moves when the
	// spec changes (or the deletion begins) and at no other time.
	Generation int64 `json:"generation"`
	// ResourceVersion moves with every change, reports included. It is opaque: compare
	// it for equality only. In quotes it is the ETag.
	ResourceVersion string `json:"resource_version"`
	// Labels are Kubernetes labels, for selection.
	Labels map[string]string `json:"labels"`
	// Spec is what the user asked for: a free object of any platform.
	Spec Object `json:"spec"`
	// Status is what the controllers made of it.
	Status Status `json:"status"`
	// CreatedAt is the time of the creation, by the database's clock.
	CreatedAt time.Time `json:"created_at"`
	// UpdatedAt is the time of the last change by a user; reports do not move it.
	UpdatedAt time.Time `json:"updated_at"`
	// DeletionTimestamp is the time at which the deletion was asked for.
	DeletionTimestamp *time.Time `json:"deletion_timestamp,omitempty"`
}

// CreateCluster is the body of POST /clusters. Output-only fields of a [Cluster] may
// be present and are ignored (AIP-203).
type CreateCluster struct {
	Name               string            `json:"name"`
	TargetProjectID    string            `json:"target_project_id,omitempty"`
	Description        string            `json:"description,omitempty"`
	Paused             bool              `json:"paused,omitempty"`
	DeletionProtection bool              `json:"deletion_protection,omitempty"`
	Labels             map[string]string `json:"labels,omitempty"`
	Spec               Object            `json:"spec,omitempty"`
}

// UpdateCluster is the body of PUT /clusters/{id}. Spec replaces the stored one and
// must be present; the other fields keep their stored value when absent.
type UpdateCluster struct {
	// ID and Name may repeat the cluster's own; any other value is refused.
	ID   *string `json:"id,omitempty"`
	Name *string `json:"name,omitempty"`
	// TargetProjectID is fixed at creation; a different value is refused.
	TargetProjectID    *string `json:"target_project_id,omitempty"`
	Description        *string `json:"description,omitempty"`
	Paused             *bool   `json:"paused,omitempty"`
	DeletionProtection *bool   `json:"deletion_protection,omitempty"`
	// Labels are the new ones: an empty map removes all, and nil keeps them.
	Labels map[string]string `json:"labels,omitzero"`
	Spec   Object            `json:"spec"`
	// Generation is a precondition: the generation that the author of this change has
	// read. The change is refused with GENERATION_CONFLICT when the spec moved on.
	Generation *int64 `json:"generation,omitempty"`
}

// PatchCluster is the body of PATCH /clusters/{id}, a JSON Merge Patch (RFC 7396) on what an
// [UpdateCluster] may change: a field that is absent keeps its value, and a null removes it.
type PatchCluster struct {
	// ID, Name and TargetProjectID may repeat the cluster's own; any other value is refused.
	ID              *string `json:"id,omitempty"`
	Name            *string `json:"name,omitempty"`
	TargetProjectID *string `json:"target_project_id,omitempty"`
	// Description is "" after a null; Paused and DeletionProtection are false.
	Description        *string `json:"description,omitempty"`
	Paused             *bool   `json:"paused,omitempty"`
	DeletionProtection *bool   `json:"deletion_protection,omitempty"`
	// Labels and Spec are merged into the stored ones, key by key, and a null in them removes a
	// key. A null for all labels removes them all; one for the spec is refused.
	Labels Object `json:"labels,omitempty"`
	Spec   Object `json:"spec,omitempty"`
	// Generation is a precondition, as that of an [UpdateCluster].
	Generation *int64 `json:"generation,omitempty"`
}

// ClusterList is one page of clusters, in the order that was asked for.
type ClusterList struct {
	Clusters []Cluster `json:"clusters"`
	// Total counts the matches of the whole query: exactly up to 1,000, beyond that
	// only with ?total=exact.
	Total int64 `json:"total"`
	// TotalIsLowerBound says that there are more matches than Total.
	TotalIsLowerBound bool `json:"total_is_lower_bound,omitempty"`
	Limit             int  `json:"limit"`
	// Offset is how many matches were skipped by ?offset; 0 for a page by token.
	Offset int `json:"offset"`
	// NextPageToken is the page_token of the next page; absent on the last one. A page may be empty
	// and not the last.
	NextPageToken string `json:"next_page_token,omitempty"`
}

// Deletion is the answer to DELETE /clusters/{id} and /nodepools/{id}.
type Deletion struct {
	ClusterID string `json:"cluster_id"`
	// NodePoolID is the node pool that is deleted; absent when it is the cluster.
	NodePoolID string `json:"nodepool_id,omitempty"`
	Message    string `json:"message"`
	Generation int64  `json:"generation"`
	// DeletionTimestamp is the time at which the deletion was asked for.
	DeletionTimestamp time.Time `json:"deletion_timestamp"`
	// WaitingFor names the controllers that are to let go first; absent when it waits for none.
	WaitingFor []string `json:"waiting_for,omitempty"`
}

// Reconciliation is the answer to POST /clusters/{id}/reconcile and /nodepools/{id}/reconcile.
type Reconciliation struct {
	ClusterID string `json:"cluster_id"`
	// NodePoolID is the node pool that is woken; absent when it is the cluster.
	NodePoolID string `json:"nodepool_id,omitempty"`
	Message    string `json:"message"`
	// EventID is the id of the reconcile event that will be published.
	EventID string `json:"event_id"`
}
