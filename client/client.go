package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options say who calls, and how. The zero value of each field has a default.
type Options struct {
	// Identity is an e-mail address to send as X-User-Email. A service behind a gateway takes it from the
	// gateway alone; it is for a service on the same machine, and for programs beside it.
	Identity string
	// Token returns the bearer token of a request (RFC 6750), for a gateway to judge. It is asked before each
	// try and must be safe for concurrent use. Default none.
	Token func(context.Context) (string, error)
	// Header is sent with every request, what is above and the client's own set over it.
	Header http.Header
	// UserAgent names the program that calls; default cls-backend-client.
	UserAgent string
	// HTTP carries the requests. Default is a client that gives a try up after 30 seconds, and follows no redirect, since it
	// would take the caller's identity along. One of the caller's own has the time that it says: without any, a service
	// that never answers is waited for until the context ends.
	HTTP *http.Client
	// Retry says how often what may be repeated is repeated.
	Retry Retry
}

// Retry bounds the repetition of a call. The zero value of each field has a default.
type Retry struct {
	// Attempts is how often a call is tried at most; default 5. 1 is no repetition.
	Attempts int
	// FirstPause is the pause after the first try, drawn from the upper half of it, as all are; it doubles up to
	// LongestPause. Defaults 100ms and 5s. A Retry-After that is longer is kept to.
	FirstPause   time.Duration
	LongestPause time.Duration
}

// patience is how long a try may take: longer than any the service is meant to take.
const patience = 30 * time.Second

// Client calls one service. It is safe for concurrent use.
type Client struct {
	root    string // without a slash at its end
	options Options
}

// New returns a client of the service at an address such as https://cls.example.com; what follows the host
// comes before the path of each call. It connects to nothing. It fails when the address is none.
func New(address string, o Options) (*Client, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("the service's address %q must begin with http:// or https:// and a host", address)
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return nil, errors.New("the service's address must have no query, fragment or user")
	}
	o.UserAgent = cmp.Or(o.UserAgent, "cls-backend-client")
	o.Retry.Attempts = cmp.Or(o.Retry.Attempts, 5)
	o.Retry.FirstPause = cmp.Or(o.Retry.FirstPause, 100*time.Millisecond)
	o.Retry.LongestPause = cmp.Or(o.Retry.LongestPause, 5*time.Second)
	if o.HTTP == nil {
		transport, _ := http.DefaultTransport.(*http.Transport) // It is one, by its documentation.
		transport = transport.Clone()
		transport.MaxIdleConnsPerHost = 32 // They are all to one host.
		o.HTTP = &http.Client{Transport: transport, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}}
	}
	return &Client{root: strings.TrimRight(u.String(), "/"), options: o}, nil
}

// Address is where the service is.
func (c *Client) Address() string { return c.root }

// Close lets go of connections that are not in use.
func (c *Client) Close() { c.options.HTTP.CloseIdleConnections() }
