package main

import (
	"context"
	"io"
	"net/http"
	"os"
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
	for _, name := range []string{"url", "as", "request-timeout"} {
		_ = root.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
}

// session is one run of a command: the service that it calls, and its streams.
type session struct {
	api *client.Client
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
	if to.Token != "" {
		o.Token = func(context.Context) (string, error) { return to.Token, nil }
	}
	api, err := client.New(to.URL, o)
	if err != nil {
		return nil, err
	}
	return &session{
		api: api, in: cmd.InOrStdin(), out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(),
		colour:   os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isatty.IsTerminal(os.Stdout.Fd()),
		terminal: os.Getenv("TERM") != "dumb" && isatty.IsTerminal(os.Stderr.Fd()),
	}, nil
}

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
