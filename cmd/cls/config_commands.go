package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cls-backend/cls-backend/client"
)

func configCommand(g *globals) *cobra.Command {
	root := &cobra.Command{
		Use:   "config",
		Short: "Keep the services that you call, and as whom, under names",
		Long: "Contexts are kept in ~/.config/cls/config.yaml, or in the file that CLS_CONFIG names, readable by you alone.\n" +
			"CLS_CONTEXT, CLS_URL, CLS_IDENTITY and CLS_TOKEN go before them, and the flags before those; so does the context that\n" +
			"--context names. The token of a context is sent to its own address only.",
		Args: oneOfIts,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(
		getContextsCommand(), currentContextCommand(g), useContextCommand(), setContextCommand(g), deleteContextCommand(), viewCommand(),
	)
	return root
}

func getContextsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "get-contexts", Short: "List the contexts", Args: noArgs("cls config --help lists the commands"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig()
			if err != nil {
				return err
			}
			t := table{header: []string{"CURRENT", "NAME", "URL", "IDENTITY", "TOKEN"}}
			for _, p := range c.Contexts {
				t.add(mark(p.Name == c.Current, "*"), p.Name, p.URL, p.Identity, mark(p.Token != "", "yes"))
			}
			return t.write(cmd.OutOrStdout(), false)
		},
	}
}

// mark is a text where something holds.
func mark(holds bool, text string) string {
	if holds {
		return text
	}
	return ""
}

func currentContextCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "current-context", Short: "Say which service is called, and as whom",
		Args: noArgs("cls config --help lists the commands"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig()
			if err != nil {
				return err
			}
			to, err := c.resolve(g, os.Getenv)
			if err != nil {
				return err
			}
			who := []string{}
			if to.Identity != "" {
				who = append(who, "as "+to.Identity)
			}
			if to.Token != "" {
				who = append(who, "with a token")
			}
			if to.Name == "" {
				to.Name = "no context"
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s %s\n", to.Name, to.URL, strings.Join(who, " "))
			return err
		},
	}
}

// changeConfig makes the work of a command that changes the configuration, and says what it has done.
func changeConfig(
	change func(cmd *cobra.Command, c *configuration, name string) (done string, err error),
) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := loadConfig()
		if err != nil {
			return err
		}
		done, err := change(cmd, &c, args[0])
		if err != nil {
			return err
		}
		if err := c.save(); err != nil {
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), done)
		return err
	}
}

func useContextCommand() *cobra.Command {
	return &cobra.Command{
		Use: "use-context NAME", Short: "Call the service of a context from now on", Args: exactly("the name of a context"),
		ValidArgsFunction: completeContexts,
		RunE: changeConfig(func(_ *cobra.Command, c *configuration, name string) (string, error) {
			if c.index(name) < 0 {
				return "", noContext(name)
			}
			c.Current = name
			return fmt.Sprintf("switched to context %q", name), nil
		}),
	}
}

func setContextCommand(g *globals) *cobra.Command {
	var secret bool
	cmd := &cobra.Command{
		Use:   "set-context NAME",
		Short: "Make a context, or change it: --url, --as, --token-stdin",
		Example: "  cls config set-context prod --url https://cls.example.com --as you@example.com\n" +
			"  pass cls | cls config set-context prod --token-stdin",
		Args: exactly("the name of a context"), ValidArgsFunction: completeContexts,
		RunE: changeConfig(func(cmd *cobra.Command, c *configuration, name string) (string, error) {
			i, verb := c.index(name), "changed"
			if i < 0 {
				c.Contexts, i, verb = append(c.Contexts, place{Name: name}), len(c.Contexts), "created"
			}
			if len(c.Contexts) == 1 {
				c.Current = name
			}
			return fmt.Sprintf("context %q %s", name, verb), c.Contexts[i].change(cmd, g, secret)
		}),
	}
	cmd.Flags().BoolVar(&secret, "token-stdin", false, "read the bearer token from standard input; an empty one removes it")
	return cmd
}

// change takes over what the flags say of a context.
func (p *place) change(cmd *cobra.Command, g *globals, secret bool) error {
	if cmd.Flags().Changed("url") {
		if g.url != p.URL {
			p.Token = "" // It was for the other address.
		}
		p.URL = g.url
	}
	if p.URL != "" {
		if _, err := client.New(p.URL, client.Options{}); err != nil {
			return err
		}
	}
	if cmd.Flags().Changed("as") {
		p.Identity = g.as
	}
	if secret {
		text, err := io.ReadAll(cmd.InOrStdin())
		if err != nil {
			return fmt.Errorf("read the token: %w", err)
		}
		p.Token = strings.TrimSpace(string(text))
	}
	return nil
}

func deleteContextCommand() *cobra.Command {
	return &cobra.Command{
		Use: "delete-context NAME", Short: "Forget a context", Args: exactly("the name of a context"), ValidArgsFunction: completeContexts,
		RunE: changeConfig(func(_ *cobra.Command, c *configuration, name string) (string, error) {
			i := c.index(name)
			if i < 0 {
				return "", noContext(name)
			}
			c.Contexts = slices.Delete(c.Contexts, i, i+1)
			c.Current = mark(c.Current != name, c.Current)
			return fmt.Sprintf("context %q deleted", name), nil
		}),
	}
}

func viewCommand() *cobra.Command {
	return &cobra.Command{
		Use: "view", Short: "Print the configuration, without its tokens", Args: noArgs("cls config --help lists the commands"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig()
			if err != nil {
				return err
			}
			for i := range c.Contexts {
				c.Contexts[i].Token = mark(c.Contexts[i].Token != "", "REDACTED")
			}
			text, err := encodeYAML(c)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
}
