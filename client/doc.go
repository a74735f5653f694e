// Package client calls the API of CLS Backend: one typed method for each of its calls, named after the
// operation in the OpenAPI document, with the wire types of [github.com/cls-backend/cls-backend/api/v1].
//
//	c, err := client.New("https://cls.example.com", client.Options{Token: source})
//	cluster, err := c.CreateCluster(ctx, v1.CreateCluster{Name: "hello"}, client.IdempotencyKey(key))
//	cluster, err = c.WaitFor(ctx, cluster.ID, client.Condition{Type: v1.ConditionReady})
//
// # Errors
//
// What the service refuses comes back as an [*Error], and [errors.Is] knows its code:
//
//	if errors.Is(err, client.ErrNotFound) { ... }
//
// Everything else is what the network or the context says, wrapped.
//
// # Retries
//
// A call that may be repeated without doing anything twice is: reads, reports, and creations with an
// [IdempotencyKey]. It is tried again after a failure of the network and after an answer that says so (429, 502, 503,
// 504, and 409 REQUEST_IN_FLIGHT), with a pause that doubles and is never shorter than its Retry-After. See [Retry]. All
// other calls are made once.
//
// # Pages
//
// ListClusters is one page; Clusters walks through all of them:
//
//	for cluster, err := range c.Clusters(ctx, client.ListOptions{Status: v1.PhaseFailed}) { ... }
//
// A [Client] is safe for concurrent use.
package client
