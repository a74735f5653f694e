// Package clstest gives a test a backend of its own: the real service on a real PostgreSQL, with a Pub/Sub in the test's
// process, so that a controller can be tested without anything installed but PostgreSQL's programs.
//
//	func TestHello(t *testing.T) {
//		b := clstest.NewBackend(t)
//		b.Run(controller.Func(reconcile), controller.Options{Name: "hello", Platforms: []string{"gcp"}})
//		c := b.Create("one", `{"platform":{"type":"gcp"}}`)
//		b.WaitReady(c.ID)
//	}
//
// A backend starts in about two seconds. A package with several tests shares the PostgreSQL among them, each test with a
// database of its own:
//
//	func TestMain(m *testing.M) { clstest.Main(m) }
//
// What goes wrong in a fleet can be had on purpose: events twice, late or in another order ([Backend.Inject]), and a
// service that fails ([Backend.FailReports], [Backend.FailShare]).
package clstest
