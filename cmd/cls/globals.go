package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/cls-backend/cls-backend/client"
)

// globals are the flags that every command has: whom to call, as whom, and for how long.
type globals struct {
	context string
	url     string
	as      string
	timeout time.Duration
}

func (g *globals) addFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&g.context, "context", "", "context of the configuration to use (CLS_CONTEXT)")
	f.StringVar(&g.url, "url", "", "address of the service (CLS_URL)")
	f.StringVar(&g.as, "as", "", "e-mail address to call as, where no gateway says who calls (CLS_IDENTITY)")
	f.DurationVar(&g.timeout, "request-timeout", 30*time.Second, "how long one request may take; 0 for ever")
	_ = root.RegisterFlagCompletionFunc("context", completeContexts)
}

// clusterName is the value of --cluster, which says where a node pool is. What is given and empty would be everywhere.
type clusterName string

// String implements pflag.Value.
func (c *clusterName) String() string { return string(*c) }

// Type implements pflag.Value.
func (*clusterName) Type() string { return "cluster" }

// Set implements pflag.Value.
func (c *clusterName) Set(text string) error {
	if *c = clusterName(text); text == "" {
		return errors.New("it names no cluster")
	}
	return nil
}

// clusterFlag adds --cluster.
func (g *globals) clusterFlag(cmd *cobra.Command, cluster *string) {
	cmd.Flags().Var((*clusterName)(cluster), "cluster", "cluster that the node pools are in, by name or id")
	_ = cmd.RegisterFlagCompletionFunc("cluster", func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return g.completeNames(cmd, "clusters", nil, typed)
	})
}

// session is one run of a command: the service that it calls, and its streams.
type session struct {
	api *client.Client
	// self is the address that the caller is known by; "" while only the service knows.
	self string
	// names are those of clusters, by id, as far as they are known.
	names map[string]string
	// separate says that a document of YAML has been printed.
	separate bool

	in  io.Reader
	out io.Writer
	err io.Writer
	// colour says that out is a terminal on which colours are welcome, terminal that err is one.
	colour   bool
	terminal bool
}

// connect makes the session of a command. It calls nobody yet.
func (g *globals) connect(cmd *cobra.Command, tries int) (*session, error) {
	file, err := loadConfig()
	if err != nil {
		return nil, err
	}
	to, err := file.resolve(g, os.Getenv)
	if err != nil {
		return nil, err
	}
	o := client.Options{
		Identity: to.Identity, UserAgent: "cls/" + version, Retry: client.Retry{Attempts: tries},
		HTTP: &http.Client{Timeout: g.timeout, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // Another host is not to learn who calls.
		}},
	}
	s := &session{
		in: cmd.InOrStdin(), out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), names: map[string]string{},
		colour:   os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isatty.IsTerminal(os.Stdout.Fd()),
		terminal: os.Getenv("TERM") != "dumb" && isatty.IsTerminal(os.Stderr.Fd()),
	}
	o.HTTP.Transport = &impatient{tell: func() {
		fmt.Fprintf(s.err, "%sthe service at %s has not answered yet\n", mark(s.terminal, anew), to.URL)
	}}
	if s.self = to.Identity; to.Token != "" {
		s.self = "" // The gateway says whom a token stands for.
		o.Token = func(context.Context) (string, error) { return to.Token, nil }
	}
	s.api, err = client.New(to.URL, o)
	return s, err
}

// impatient tells once that an answer is late. It is nobody's who does not look at standard error.
type impatient struct {
	once sync.Once
	tell func()
}

// late is how long an answer takes when one begins to wonder.
const late = 3 * time.Second

// RoundTrip implements [http.RoundTripper].
func (i *impatient) RoundTrip(r *http.Request) (*http.Response, error) {
	timer := time.AfterFunc(late, func() { i.once.Do(i.tell) })
	defer timer.Stop()
	return http.DefaultTransport.RoundTrip(r)
}

// CloseIdleConnections is what [http.Client] asks of a transport that keeps some.
func (*impatient) CloseIdleConnections() { http.DefaultClient.CloseIdleConnections() }

// tries is how often a call that may be repeated is made: a service that is away is said to be so within a second.
const tries = 3

// with makes the work of a command of what needs a session.
func (g *globals) with(work func(ctx context.Context, s *session, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		s, err := g.connect(cmd, tries)
		if err != nil {
			return err
		}
		defer s.api.Close()
		return work(cmd.Context(), s, args)
	}
}

// aboutOne completes a command that is about one cluster or node pool.
func (g *globals) aboutOne(cmd *cobra.Command, work func(ctx context.Context, s *session, r resource) error) *cobra.Command {
	var cluster string
	g.clusterFlag(cmd, &cluster)
	cmd.ValidArgsFunction = g.completeTargets
	cmd.RunE = g.with(func(ctx context.Context, s *session, args []string) error {
		r, err := s.one(ctx, args, cluster)
		if err != nil {
			return err
		}
		return work(ctx, s, r)
	})
	return cmd
}

// unfit returns the failure for flags that were given where they have no effect.
func unfit(cmd *cobra.Command, what string, names ...string) error {
	for _, name := range names {
		if cmd.Flags().Changed(name) {
			return usage(cmd.CommandPath()+" --help says what it is for", "--%s has no effect on %s", name, what)
		}
	}
	return nil
}
