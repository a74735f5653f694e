package pubsub

import (
	"context"
	"fmt"
	"sync"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cls-backend/cls-backend/internal/models"
)

const (
	// The pause between two tries to create a topic doubles from first to last.
	firstPause = time.Second
	lastPause  = 8 * time.Second
)

// topic is one topic of the service.
type topic struct {
	id   string // the label of metrics
	name string // projects/p/topics/id
	// wanted asks Run to create it; one request is as good as many.
	wanted chan struct{}
}

func newTopic(project, id string) *topic {
	t := &topic{id: id, name: "projects/" + project + "/topics/" + id, wanted: make(chan struct{}, 1)}
	t.want()
	return t
}

func (t *topic) want() {
	select {
	case t.wanted <- struct{}{}:
	default:
	}
}

// Topic is the topic of a kind of resource, "" when it has none.
func (s *Service) Topic(kind models.Kind) string {
	if t := s.topics[kind]; t != nil {
		return t.id
	}
	return ""
}

// Run creates the topics that do not exist, now and whenever a publish finds one
// missing, until ctx ends; it returns nil then. Where the permission to create is
// denied it says so once and takes the topic to exist: whoever set up the project has
// made it, or will.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, t := range s.topics {
		wg.Go(func() {
			denied := false
			for s.awaitWanted(ctx, t) {
				if denied = s.create(ctx, t, denied); !rest(ctx, firstPause) {
					return
				}
			}
		})
	}
	wg.Wait()
	return nil
}

func (*Service) awaitWanted(ctx context.Context, t *topic) bool {
	select {
	case <-t.wanted:
		return true
	case <-ctx.Done():
		return false
	}
}

// create tries until the topic exists or creating it is denied, which it returns. It
// logs the first failure, the success after one, and a denial that is new.
func (s *Service) create(ctx context.Context, t *topic, wasDenied bool) (denied bool) {
	for pause, tries := firstPause, 0; ; tries++ {
		created, err := s.tryCreate(ctx, t)
		s.health.creation(t.id, err)
		switch code := status.Code(err); {
		case err == nil:
			if created || tries > 0 {
				s.log.InfoContext(ctx, "topic is there", "topic", t.id, "created", created)
			}
			return false
		case code == codes.PermissionDenied:
			s.health.creation(t.id, nil)
			if !wasDenied {
				s.log.WarnContext(ctx, "topic may not be created; it is taken to exist", "topic", t.id, "error", err)
			}
			return true
		case tries == 0 && ctx.Err() == nil:
			s.log.WarnContext(ctx, "topic cannot be created; trying on", "topic", t.id, "error", err)
		}
		if !rest(ctx, pause) {
			return wasDenied
		}
		pause = min(2*pause, lastPause)
	}
}

// tryCreate reports whether it made the topic; one that exists is no error.
func (s *Service) tryCreate(ctx context.Context, t *topic) (created bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err = s.client.TopicAdminClient.CreateTopic(ctx, &pb.Topic{Name: t.name})
	if status.Code(err) == codes.AlreadyExists {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("create topic %s: %w", t.id, err)
	}
	return true, nil
}

// rest waits, and reports whether ctx still stands.
func rest(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
