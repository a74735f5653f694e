package outbox_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/database"
	"github.com/cls-backend/cls-backend/internal/dbtest"
	"github.com/cls-backend/cls-backend/internal/models"
	"github.com/cls-backend/cls-backend/internal/outbox"
	"github.com/cls-backend/cls-backend/internal/pubsub"
)

const (
	project = "p"
	topic   = "cluster-events"
	// poolTopic is that of node pools.
	poolTopic = "nodepool-events"
	// limit is when a test that waits for something gives up.
	limit = time.Minute
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// server is a Pub/Sub server that keeps a record, can be taken away and brought back on
// the same address, and can be told to misbehave for some of the messages.
type server struct {
	fake *pstest.Server
	addr string
	grpc *grpc.Server
	done chan struct{}

	mu        sync.Mutex
	misbehave func(context.Context, *pb.PubsubMessage) error // runs before a message is taken
}

func startServer(t *testing.T) *server {
	t.Helper()
	s := &server{fake: pstest.NewServerWithAddress("127.0.0.1:0")}
	s.addr = "127.0.0.1:0"
	s.up(t)
	t.Cleanup(func() {
		s.down()
		_ = s.fake.Close()
	})
	for _, name := range []string{topic, poolTopic} {
		_, err := s.fake.GServer.CreateTopic(t.Context(), &pb.Topic{Name: topicName(name)})
		must(t, err)
	}
	return s
}

func topicName(topic string) string { return "projects/" + project + "/topics/" + topic }

func (s *server) up(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", s.addr)
	must(t, err)
	s.addr = l.Addr().String()
	s.grpc = grpc.NewServer(grpc.UnaryInterceptor(s.intercept))
	pb.RegisterPublisherServer(s.grpc, &s.fake.GServer)
	pb.RegisterSubscriberServer(s.grpc, &s.fake.GServer)
	s.done = make(chan struct{})
	go func(g *grpc.Server, done chan struct{}) {
		defer close(done)
		_ = g.Serve(l)
	}(s.grpc, s.done)
}

func (s *server) down() {
	s.grpc.Stop()
	<-s.done
}

// when makes the server run f before it takes a message; nil ends that.
func (s *server) when(f func(context.Context, *pb.PubsubMessage) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.misbehave = f
}

func (s *server) intercept(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	s.mu.Lock()
	f := s.misbehave
	s.mu.Unlock()
	if publish, ok := req.(*pb.PublishRequest); ok && f != nil {
		for _, m := range publish.GetMessages() {
			if err := f(ctx, m); err != nil {
				return nil, err
			}
		}
	}
	return handle(ctx, req)
}

// published lists the ids of the events on record, as often as each was published.
func (s *server) published() []string {
	var ids []string
	for _, m := range s.fake.Messages() {
		ids = append(ids, m.Attributes["ce-id"])
	}
	return ids
}

// world is a database and a Pub/Sub server for one test.
type world struct {
	url    string
	db     *database.Resources
	server *server
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{url: dbtest.New(t), server: startServer(t)}
	w.db = openDB(t, w.url)
	return w
}

func openDB(t *testing.T, url string) *database.Resources {
	t.Helper()
	db, err := database.Open(t.Context(), database.Options{URL: url, MaxOpenConns: 10})
	must(t, err)
	t.Cleanup(db.Close)
	return db.Resources(models.KindCluster)
}

func openPubSub(t *testing.T, addr string) *pubsub.Service {
	t.Helper()
	s, err := pubsub.Open(t.Context(), pubsub.Options{
		ProjectID: project, EmulatorHost: addr, Topics: map[models.Kind]string{models.KindCluster: topic, models.KindNodePool: poolTopic},
	})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// relay returns a relay with connections of its own, as a replica has.
func (w *world) relay(t *testing.T, o outbox.Options) *outbox.Relay {
	t.Helper()
	return outbox.New(openDB(t, w.url), openPubSub(t, w.server.addr), &counter{}, quiet(), o)
}

// run runs a relay in the background, and stops it at the end of the test or before.
func run(t *testing.T, r *outbox.Relay) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return stop
}

// atOnce tries again without a pause.
var atOnce = outbox.Options{FirstRetry: time.Nanosecond, LastRetry: time.Nanosecond}

// drive makes passes until no event waits.
func (w *world) drive(t *testing.T, r *outbox.Relay) {
	t.Helper()
	await(t, "the outbox to be empty", func() bool {
		_, err := r.RunOnce(t.Context())
		must(t, err)
		return w.backlog(t).Unpublished == 0
	})
}

func (w *world) create(t *testing.T) *models.Resource {
	t.Helper()
	c, _ := w.createWith(t, change(v1.ClusterCreated))
	return c
}

func (w *world) createWith(t *testing.T, e models.NewEvent) (c *models.Resource, born *models.QueuedEvent) {
	t.Helper()
	c = newCluster()
	snap, err := w.db.Insert(t.Context(), c, time.Minute, e)
	must(t, err)
	return c, snap.Event
}

func newCluster() *models.Resource {
	id := uuid.NewString()
	return &models.Resource{ID: id, Name: "c-" + id, CreatedBy: "a@example.com", Spec: v1.Object(`{"platform":{"type":"GCP"}}`)}
}

func change(kind string) models.NewEvent {
	return models.UserEvent(uuid.NewString(), kind, v1.ReasonSpecChanged, models.Actor{Email: "a@example.com"})
}

func wake() models.NewEvent {
	return models.ManualWake(uuid.NewString(), models.KindCluster, models.Actor{Email: "a@example.com"})
}

// update changes the spec of a cluster, and returns the id of the event. before runs in
// the transaction after all is written.
func (w *world) update(ctx context.Context, id string, before ...func()) (string, error) {
	e := change(v1.ClusterUpdated)
	return e.ID, w.db.InTx(ctx, func(ctx context.Context, tx *database.Tx) error {
		c, err := tx.Lock(ctx, id, "")
		if err != nil {
			return err
		}
		c.Spec = v1.Object(fmt.Sprintf(`{"n":%d}`, c.Generation))
		_, err = tx.Update(ctx, c, models.Change{Spec: true}, time.Minute, e)
		for _, f := range before {
			f()
		}
		return err
	})
}

func (w *world) mustUpdate(t *testing.T, id string) string {
	t.Helper()
	event, err := w.update(t.Context(), id)
	must(t, err)
	return event
}

func (w *world) remove(ctx context.Context, id string) error {
	return w.db.InTx(ctx, func(ctx context.Context, tx *database.Tx) error {
		if _, err := tx.Lock(ctx, id, ""); err != nil {
			return err
		}
		if _, err := tx.Delete(ctx, id, time.Minute, change(v1.ClusterDeleted)); err != nil {
			return err
		}
		_, err := tx.Bury(ctx, id)
		return err
	})
}

func (w *world) backlog(t *testing.T) models.Backlog {
	t.Helper()
	b, err := w.db.Backlog(t.Context())
	must(t, err)
	return b
}

// awaitDrained waits until no event waits in the outbox.
func (w *world) awaitDrained(t *testing.T) {
	t.Helper()
	await(t, "the outbox to be empty", func() bool { return w.backlog(t).Unpublished == 0 })
}

// row is an event as the outbox keeps it.
type row struct {
	Seq       int64
	ID        string
	Resource  string
	Wake      bool
	Published bool
	SetAside  bool
	Attempts  int
	LastError string
}

func (w *world) rows(t *testing.T) []row {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), w.url)
	must(t, err)
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), `SELECT seq, id::text, resource_id::text AS resource, wake,
		published_at IS NOT NULL AS published, set_aside_at IS NOT NULL AS set_aside, attempts, last_error FROM outbox ORDER BY seq`)
	must(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
	must(t, err)
	return list
}

// verify judges by the server's record: every event that was committed is there, under
// its id, and the first publications of the changes of each resource are in the order of
// their commits. It returns how many duplicates there are.
func (w *world) verify(t *testing.T) (duplicates int) {
	t.Helper()
	first := map[string]int{} // the place of the first publication, by event
	published := w.server.published()
	for i, id := range published {
		if _, again := first[id]; !again {
			first[id] = i
		}
	}
	newest := map[string]int{} // the place of the newest change so far, by resource
	known := map[string]bool{}
	for _, r := range w.rows(t) {
		known[r.ID] = true
		place, ok := first[r.ID]
		if !ok || !r.Published {
			t.Errorf("event %d of %s: on record %v, marked %v", r.Seq, r.Resource, ok, r.Published)
			continue
		}
		if before, some := newest[r.Resource]; some && !r.Wake && place < before {
			t.Errorf("event %d of %s was published before its predecessor", r.Seq, r.Resource)
		}
		if !r.Wake {
			newest[r.Resource] = place
		}
	}
	for _, id := range published {
		if !known[id] {
			t.Errorf("event %s was published, but never committed", id)
		}
	}
	return len(published) - len(first)
}

// counter is an observer that remembers.
type counter struct {
	mu       sync.Mutex
	results  map[string]int
	setAside int
}

func (c *counter) PublishDone(_, result string, _ time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.results == nil {
		c.results = map[string]int{}
	}
	c.results[result]++
}

func (c *counter) EventSetAside(string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setAside++
}

func (c *counter) count(result string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.results[result]
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// await asks until the answer is yes. What is waited for happens in another process or
// at its own time, and gives no signal.
func await(t *testing.T, what string, yes func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(limit)
	for !yes() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
