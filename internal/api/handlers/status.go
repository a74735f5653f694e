package handlers

import (
	"context"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/api/types"
	"github.com/cls-backend/cls-backend/internal/service"
)

// StatusOutput is the status of a resource, with the reports behind it.
type StatusOutput[S any] struct {
	Body types.Rendered[S]
}

// Status returns the status of a resource and the reports that it is made of.
func (c *collection[R, L, S]) Status(ctx context.Context, in *GetInput) (*StatusOutput[S], error) {
	id, err := in.resourceID()
	if err != nil {
		return nil, err
	}
	r, reports, err := c.use.Status(ctx, c.ActorOf(ctx), id)
	if err != nil {
		return nil, err
	}
	body, err := appendStatus(r, reports)
	if err != nil {
		return nil, err
	}
	return &StatusOutput[S]{Body: body}, nil
}

// ReportInput is the PUT of a status.
type ReportInput struct {
	Resource
	Mutation
	Payload
}

// DropInput is the DELETE of a report.
type DropInput struct {
	Resource
	Mutation
	ControllerName string `path:"controller_name"`
}

// Drop forgets what a controller has reported on a resource.
func (c *collection[R, L, S]) Drop(ctx context.Context, in *DropInput) (*struct{}, error) {
	id, err := in.resourceID()
	if err != nil {
		return nil, err
	}
	return perform(ctx, c.use, in.dryRun, func(ctx context.Context, use *service.Resources) (*struct{}, error) {
		return nil, use.DropReport(ctx, c.ActorOf(ctx), id, in.ControllerName)
	})
}

// ReportOutput says what became of a report.
type ReportOutput struct{ Body v1.ReportResult }

// Report stores what a controller says of a resource.
func (c *collection[R, L, S]) Report(ctx context.Context, in *ReportInput) (*ReportOutput, error) {
	id, err := in.resourceID()
	if err != nil {
		return nil, err
	}
	r, err := report(in.text)
	if err != nil {
		return nil, err
	}
	result, err := perform(ctx, c.use, in.dryRun, func(ctx context.Context, use *service.Resources) (v1.ReportResult, error) {
		return use.Report(ctx, c.ActorOf(ctx), id, r)
	})
	if err != nil {
		return nil, err
	}
	return &ReportOutput{Body: result}, nil
}
