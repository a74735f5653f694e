package dev

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	testTopic        = "projects/p/topics/t"
	testSubscription = "projects/p/subscriptions/s"
)

// servePubSub starts a server with a record of at most limit messages, a topic
// and a client that reaches it over TCP, as an outside program does.
func servePubSub(t *testing.T, limit int) (*PubSub, *pubsub.Client) {
	t.Helper()
	p, err := StartPubSub(t.Context(), "127.0.0.1:0")
	must(t, err)
	t.Cleanup(p.Close)
	p.limit = limit
	conn, err := grpc.NewClient(p.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(t, err)
	client, err := pubsub.NewClient(t.Context(), "p", option.WithGRPCConn(conn))
	must(t, err)
	t.Cleanup(func() { _ = client.Close() })
	_, err = client.TopicAdminClient.CreateTopic(t.Context(), &pb.Topic{Name: testTopic})
	must(t, err)
	return p, client
}

func subscribe(t *testing.T, client *pubsub.Client, name string) {
	t.Helper()
	_, err := client.SubscriptionAdminClient.CreateSubscription(t.Context(), &pb.Subscription{
		Name: name, Topic: testTopic, EnableMessageOrdering: true,
	})
	must(t, err)
}

// publish sends n messages of one ordering key, numbered from first, in order.
func publish(t *testing.T, client *pubsub.Client, first, n int) {
	t.Helper()
	pub := client.Publisher(testTopic)
	pub.EnableMessageOrdering = true
	defer pub.Stop()
	for i := first; i < first+n; i++ {
		r := pub.Publish(t.Context(), &pubsub.Message{
			Data: fmt.Appendf(nil, "%04d", i), Attributes: map[string]string{"a": "v"}, OrderingKey: "k",
		})
		_, err := r.Get(t.Context())
		must(t, err)
	}
}

// receive takes messages until the one numbered last, and returns their data in
// the order of their first delivery.
func receive(t *testing.T, client *pubsub.Client, last int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var got []string
	sub := client.Subscriber(testSubscription)
	sub.ReceiveSettings.NumGoroutines = 1
	must(t, sub.Receive(ctx, func(_ context.Context, m *pubsub.Message) {
		if m.OrderingKey != "k" || m.Attributes["a"] != "v" {
			t.Errorf("message %s has key %q and attributes %v", m.Data, m.OrderingKey, m.Attributes)
		}
		if !slices.Contains(got, string(m.Data)) {
			got = append(got, string(m.Data))
		}
		m.Ack()
		if string(m.Data) == fmt.Sprintf("%04d", last) {
			cancel()
		}
	}))
	return got
}

func TestPubSubFromOutside(t *testing.T) {
	t.Parallel()
	p, client := servePubSub(t, maxRecorded)
	subscribe(t, client, testSubscription)
	publish(t, client, 0, 3)
	if got := receive(t, client, 2); len(got) != 3 || !slices.IsSorted(got) {
		t.Errorf("got %v", got)
	}
	if n := len(p.Server().Messages()); n != 3 {
		t.Errorf("%d messages on record, want 3", n)
	}
}

func TestPubSubOnATakenPort(t *testing.T) {
	t.Parallel()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	if p, err := StartPubSub(t.Context(), l.Addr().String()); err == nil {
		p.Close()
		t.Error("a taken port gave no error")
	}
}

func TestPubSubCloseFreesThePort(t *testing.T) {
	t.Parallel()
	p, err := StartPubSub(t.Context(), "127.0.0.1:0")
	must(t, err)
	p.Close()
	p.Close() // twice is harmless
	again, err := StartPubSub(t.Context(), p.Addr())
	must(t, err)
	again.Close()
}

// Whoever waits for messages gets all of them, in order, however often the record
// was cut between.
func TestRecordIsBoundedAndNothingIsLost(t *testing.T) {
	t.Parallel()
	const limit, all = 6, 24 // an ordered message takes its reader 0.1 s
	p, client := servePubSub(t, limit)
	subscribe(t, client, testSubscription)
	for first := 0; first < all; first += limit / 2 {
		publish(t, client, first, limit/2)
		if n := len(p.Server().Messages()); n > limit {
			t.Errorf("%d messages on record, the limit is %d", n, limit)
		}
		got := receive(t, client, first+limit/2-1)
		if !slices.IsSorted(got) || !slices.Contains(got, fmt.Sprintf("%04d", first)) || len(got) < limit/2 {
			t.Errorf("from %d on: received %v", first, got)
		}
	}
}

// What a reader was not given yet is published anew when the record is cut.
func TestPendingMessagesOutliveTheRecord(t *testing.T) {
	t.Parallel()
	const limit = 20
	p, client := servePubSub(t, limit)
	publish(t, client, 0, limit-5) // before anybody subscribes
	subscribe(t, client, testSubscription)
	subscribe(t, client, testSubscription+"-second")
	publish(t, client, 50, 5) // pending
	publish(t, client, 60, 1) // one too many: the record is cut
	if n := len(p.Server().Messages()); n > limit/2+1 {
		t.Errorf("%d messages on record after it was cut", n)
	}
	got := receive(t, client, 60)
	if want := []string{"0050", "0051", "0052", "0053", "0054", "0060"}; !slices.Equal(dropBefore(got, "0050"), want) {
		t.Errorf("received %v, want %v", got, want)
	}
}

// dropBefore is the part of sorted data that does not come before first: the
// messages from before the subscription, which may be delivered or not.
func dropBefore(data []string, first string) []string {
	i, _ := slices.BinarySearch(data, first)
	return data[i:]
}

// A reader that is gone for good must not make the record grow.
func TestDeadSubscriptionIsBounded(t *testing.T) {
	t.Parallel()
	const limit = 6
	p, client := servePubSub(t, limit)
	subscribe(t, client, testSubscription)
	publish(t, client, 0, 5*limit)
	if n := len(p.Server().Messages()); n > limit {
		t.Errorf("%d messages on record, the limit is %d", n, limit)
	}
	// The newest are still there for it.
	if got := receive(t, client, 5*limit-1); len(got) < limit/2 {
		t.Errorf("received %v", got)
	}
}

func TestExpiredMessagesAreSettled(t *testing.T) {
	t.Parallel()
	p, client := servePubSub(t, maxRecorded)
	subscribe(t, client, testSubscription)
	p.Server().SetTimeNowFunc(func() time.Time { return time.Now().Add(-2 * pubsubRetention) })
	publish(t, client, 0, 3)
	if pending, err := p.pending(t.Context()); err != nil || len(pending) != 0 {
		t.Errorf("%d messages beyond retention are pending, %v", len(pending), err)
	}
}

func TestDeletedTopicIsForgotten(t *testing.T) {
	t.Parallel()
	const limit = 4
	p, client := servePubSub(t, limit)
	subscribe(t, client, testSubscription)
	publish(t, client, 0, limit)
	must(t, client.TopicAdminClient.DeleteTopic(t.Context(), &pb.DeleteTopicRequest{Topic: testTopic}))
	_, err := client.TopicAdminClient.CreateTopic(t.Context(), &pb.Topic{Name: testTopic + "2"})
	must(t, err)
	pub := client.Publisher(testTopic + "2")
	defer pub.Stop()
	_, err = pub.Publish(t.Context(), &pubsub.Message{Data: []byte("x")}).Get(t.Context())
	must(t, err)
	if n := len(p.Server().Messages()); n != 1 {
		t.Errorf("%d messages on record, want the new one", n)
	}
}

// What everybody has acknowledged is not delivered again when the record is cut.
func TestAcknowledgedMessagesAreForgotten(t *testing.T) {
	t.Parallel()
	const limit = 4
	p, client := servePubSub(t, limit)
	subscribe(t, client, testSubscription)
	publish(t, client, 0, limit)
	receive(t, client, limit-1)
	publish(t, client, limit, 1)
	for _, m := range p.Server().Messages() {
		if string(m.Data) != fmt.Sprintf("%04d", limit) {
			t.Errorf("message %s is still on record", m.Data)
		}
	}
}
