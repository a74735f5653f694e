// Package controller is what a controller of CLS Backend is written with. Its author says how one cluster is brought to
// what its spec says, and this package does the rest:
//
//	func main() {
//		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
//		defer stop()
//		err := controller.Run(ctx, controller.Func(reconcile), controller.Options{Name: "dns", Platforms: []string{"gcp"}})
//		...
//	}
//
//	func reconcile(ctx context.Context, req controller.Request) (controller.Result, error) {
//		// Look, compare, act. Return nil once the zone is as req.Cluster.Spec says.
//	}
//
// # What an author can rely on
//
//   - The cluster in a [Request] has been read after the event came, and so has what other controllers say of it.
//   - No two reconciles of one cluster, or of one node pool, run at once in a process. A burst of events is one reconcile.
//   - What a reconcile returns is reported, with the generation that was read. An event is acknowledged once that report is
//     stored and not before, so that a process that dies loses nothing: whoever runs next starts over.
//   - Whatever has not come to its end is tried again: by this process after a pause, and by the service's wake-ups.
//
// # Several processes
//
// Processes of one name share the work. Each event goes to one of them, and Pub/Sub's ordering key gives the events of one
// cluster, its node pools' included, to one process at a time, for as long as that has some of them in hand. Beyond that two
// may be at work on one cluster at once:
//
//   - A pause, of RequeueAfter or after a failure, is its process's own. It may run out while another has an event in hand.
//   - A process that stands still for longer than 10 seconds, or is cut off from Pub/Sub, loses its events to another and may
//     go on with what it had in hand.
//
// What it reports then is kept in order by the service: a report of an older generation is not stored over one of a newer.
// What it builds is for the author to see to: name things after the cluster's id, so that a second creation finds the first;
// change them on the condition that they are as they were read; read their state from where they are and not from memory.
// Where that cannot be had, run one process.
//
// # What it relies on
//
// Reconcile must bear to be called again for what is done already: events are delivered at least once, and the service
// wakes controllers every few minutes, so that they notice what has drifted. It should return when its context ends.
//
// # Deletion
//
// A [Reconciler] that also is a [Finalizer] is waited for when a cluster is deleted. Without that, a deletion ends the
// work on a cluster, quietly. One that has left the controller's platforms is taken down all the same when it is deleted.
//
// # New specs
//
// Available stays True while a new spec rolls out on what was available with the one before: until its reconcile comes to its
// end, the report stays that of the older generation, with a condition Progressing=True that says what goes on.
//
// # Dependencies
//
// Options.Needs names what other controllers must have reported first. Until they have, this one reports that it waits for
// them, and the author's code is not called.
package controller
