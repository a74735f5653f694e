package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// document is a cluster or a node pool as people write it. What the service only answers may stand in it, and is not
// looked at but for its id, so that the output of cls get -o yaml is one.
type document struct {
	APIVersion         string            `json:"apiVersion,omitempty"`
	Kind               string            `json:"kind,omitempty"`
	ID                 string            `json:"id,omitempty"`
	Name               string            `json:"name"`
	Cluster            string            `json:"cluster,omitempty"`
	ClusterID          string            `json:"cluster_id,omitempty"`
	TargetProjectID    *string           `json:"target_project_id,omitempty"`
	Description        *string           `json:"description,omitempty"`
	Paused             *bool             `json:"paused,omitempty"`
	DeletionProtection *bool             `json:"deletion_protection,omitempty"`
	Labels             map[string]string `json:"labels,omitempty"`
	Generation         *int64            `json:"generation,omitempty"`
	Spec               v1.Object         `json:"spec"`

	answered
}

// answered are the fields that the service writes.
type answered struct {
	CreatedBy         json.RawMessage `json:"created_by,omitempty"`
	ResourceVersion   json.RawMessage `json:"resource_version,omitempty"`
	Status            json.RawMessage `json:"status,omitempty"`
	CreatedAt         json.RawMessage `json:"created_at,omitempty"`
	UpdatedAt         json.RawMessage `json:"updated_at,omitempty"`
	DeletionTimestamp json.RawMessage `json:"deletion_timestamp,omitempty"`
}

func (d document) newCluster() v1.CreateCluster {
	return v1.CreateCluster{
		Name: d.Name, TargetProjectID: value(d.TargetProjectID), Description: value(d.Description), Paused: value(d.Paused),
		DeletionProtection: value(d.DeletionProtection), Labels: d.Labels, Spec: d.Spec,
	}
}

func (d document) cluster() v1.UpdateCluster {
	return v1.UpdateCluster{
		Name: &d.Name, TargetProjectID: d.TargetProjectID, Description: d.Description, Paused: d.Paused,
		DeletionProtection: d.DeletionProtection, Labels: d.Labels, Spec: d.Spec, Generation: d.Generation,
	}
}

func (d document) newNodePool() v1.CreateNodePool {
	return v1.CreateNodePool{
		ClusterID: d.ClusterID, Name: d.Name, Description: value(d.Description), Paused: value(d.Paused),
		DeletionProtection: value(d.DeletionProtection), Labels: d.Labels, Spec: d.Spec,
	}
}

func (d document) nodePool() v1.UpdateNodePool {
	return v1.UpdateNodePool{
		Name: &d.Name, Description: d.Description, Paused: d.Paused, DeletionProtection: d.DeletionProtection,
		Labels: d.Labels, Spec: d.Spec, Generation: d.Generation,
	}
}

// value is what a pointer points to, and zero for none.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// plural is the kind of a document. One that does not say is a node pool when it names a cluster.
func (d document) plural() (string, error) {
	kind := d.Kind
	if kind == "" {
		kind = "cluster"
		if d.Cluster != "" || d.ClusterID != "" {
			kind = "nodepool"
		}
	}
	switch plural := canonical(kind); {
	case plural == "" || plural == "controllers":
		return "", usage("kind is Cluster or NodePool", "kind %q cannot be applied", d.Kind)
	case d.Name == "":
		return "", usage("name, labels and spec stand at the top: cls get cluster NAME -o yaml shows one", "a %s without a name", kind)
	case plural == "nodepools" && d.Cluster == "" && d.ClusterID == "":
		return "", usage("cluster: NAME says to which it belongs", "node pool %q without a cluster", d.Name)
	default:
		return plural, nil
	}
}

// parseDocuments reads documents of YAML or JSON, one after the other, and the lists that cls get answers.
func parseDocuments(text []byte) ([]document, error) {
	values, err := parseValues(text)
	if err != nil {
		return nil, err
	}
	var all []document
	for _, v := range values {
		var list struct {
			Clusters  []json.RawMessage `json:"clusters"`
			NodePools []json.RawMessage `json:"nodepools"`
		}
		entries := []json.RawMessage{v}
		if err := json.Unmarshal(v, &list); err == nil && (list.Clusters != nil || list.NodePools != nil) {
			entries = slices.Concat(list.Clusters, list.NodePools)
		}
		for _, e := range entries {
			var d document
			if err := strictly(e, &d); err != nil {
				return nil, err
			}
			all = append(all, d)
		}
	}
	return all, nil
}

// strictly decodes a value that may have no other fields than those of what it is decoded into.
func strictly(text []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return usage("", "%s may not be a %s", cmp.Or(e.Field, "a document"), e.Value)
	}
	if errors.Is(err, v1.ErrNotObject) {
		return usage("", "spec %v", v1.ErrNotObject)
	}
	message := strings.TrimPrefix(err.Error(), "json: ")
	return usage("name, labels and spec stand at the top: cls get cluster NAME -o yaml shows one", "%s", message)
}
