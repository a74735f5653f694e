package handlers

import (
	"context"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/api/types"
)

// StatusOutput is the status of a cluster, with the reports behind it.
type StatusOutput struct {
	Body types.Rendered[v1.ClusterStatus]
}

// Status returns the status of a cluster and the reports that it is made of.
func (h *Handlers) Status(ctx context.Context, in *GetInput) (*StatusOutput, error) {
	id, err := in.clusterID()
	if err != nil {
		return nil, err
	}
	c, reports, err := h.Clusters.Status(ctx, h.ActorOf(ctx), id)
	if err != nil {
		return nil, err
	}
	body, err := appendStatus(c, reports)
	if err != nil {
		return nil, err
	}
	return &StatusOutput{Body: body}, nil
}

// ReportInput is PUT /clusters/{id}/status.
type ReportInput struct {
	Resource
	Plain
	Payload
}

// DropInput is DELETE /clusters/{id}/status/{controller_name}.
type DropInput struct {
	Resource
	Plain
	ControllerName string `path:"controller_name"`
}

// Drop forgets what a controller has reported on a cluster.
func (h *Handlers) Drop(ctx context.Context, in *DropInput) (*struct{}, error) {
	id, err := in.clusterID()
	if err != nil {
		return nil, err
	}
	return nil, h.Clusters.DropReport(ctx, h.ActorOf(ctx), id, in.ControllerName)
}

// ReportOutput says what became of a report.
type ReportOutput struct{ Body v1.ReportResult }

// Report stores what a controller says of a cluster.
func (h *Handlers) Report(ctx context.Context, in *ReportInput) (*ReportOutput, error) {
	id, err := in.clusterID()
	if err != nil {
		return nil, err
	}
	r, err := report(in.text)
	if err != nil {
		return nil, err
	}
	result, err := h.Clusters.Report(ctx, h.ActorOf(ctx), id, r)
	if err != nil {
		return nil, err
	}
	return &ReportOutput{Body: result}, nil
}
