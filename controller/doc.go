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
//   - No two reconciles of one cluster, or of one node pool, run at once. A burst of events is one reconcile.
//   - What a reconcile returns is reported, with the generation that was read. An event is acknowledged once that report is
//     stored and not before, so that a process that dies loses nothing: whoever runs next starts over.
//   - Whatever has not come to its end is tried again: by this process after a pause, and by the service's wake-ups.
//
// # What it relies on
//
// Reconcile must bear to be called again for what is done already: events are delivered at least once, and the service
// wakes controllers every few minutes, so that they notice what has drifted. It should return when its context ends.
//
// # Deletion
//
// A [Reconciler] that also is a [Finalizer] is waited for when a cluster is deleted. Without that, a deletion ends the
// work on a cluster, quietly.
//
// # Dependencies
//
// Options.Needs names what other controllers must have reported first. Until they have, this one reports that it waits for
// them, and the author's code is not called.
package controller
