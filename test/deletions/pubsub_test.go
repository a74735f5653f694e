package deletions_test

import (
	"context"
	"encoding/json"
	"net"
	"sync"
	"testing"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/grpc"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// record is a Pub/Sub server that writes down what it has taken, in order.
type record struct {
	addr string

	mu     sync.Mutex
	events []v1.Event
}

func startPubSub(t *testing.T) *record {
	t.Helper()
	fake := pstest.NewServerWithAddress("127.0.0.1:0")
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	r := &record{addr: l.Addr().String()}
	server := grpc.NewServer(grpc.UnaryInterceptor(r.write), grpc.MaxRecvMsgSize(16<<20))
	pb.RegisterPublisherServer(server, &fake.GServer)
	pb.RegisterSubscriberServer(server, &fake.GServer)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		server.Stop()
		<-done
		_ = fake.Close()
	})
	return r
}

// write writes down what was taken before it is acknowledged.
func (r *record) write(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	publish, ok := req.(*pb.PublishRequest)
	if !ok {
		return handle(ctx, req)
	}
	r.mu.Lock() // The order of the record is that of the server.
	defer r.mu.Unlock()
	answer, err := handle(ctx, req)
	if err != nil {
		return nil, err
	}
	for _, m := range publish.GetMessages() {
		var e v1.Event
		if err := json.Unmarshal(m.GetData(), &e); err != nil {
			return nil, err
		}
		r.events = append(r.events, e)
	}
	return answer, nil
}

func (r *record) all() []v1.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.events
}
