package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cls-backend/cls-backend/client"
)

func configCommand(g *globals) *cobra.Command {
	root := &cobra.Command{
		Use:   "config",
		Short: "Keep the services that you call, and as whom, under names",
		Long: "Contexts are kept in ~/.config/cls/config.yaml, or in the file that CLS_CONFIG names, readable by you alone.\n" +
			"CLS_CONTEXT, CLS_URL, CLS_IDENTITY and CLS_TOKEN go before them, and the flags before those. The token of a context\n" +
			"is sent to its own address only.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(
		getContextsCommand(), currentContextCommand(g), useContextCommand(), setContextCommand(g), deleteContextCommand(), viewCommand(),
	)
	return root
}

func getContextsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "get-contexts", Short: "List the contexts", Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
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
		Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
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

func useContextCommand() *cobra.Command {
	return &cobra.Command{
		Use: "use-context NAME", Short: "Call the service of a context from now on", Args: exactly("the name of a context"),
		ValidArgsFunction: completeContexts,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := loadConfig()
			if err != nil {
				return err
			}
			if _, ok := c.find(args[0]); !ok {
				return noContext(args[0])
			}
			c.Current = args[0]
			if err := c.save(); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "switched to context %q\n", args[0])
			return err
		},
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
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := loadConfig()
			if err != nil {
				return err
			}
			i := c.index(args[0])
			verb := "changed"
			if i < 0 {
				c.Contexts, i, verb = append(c.Contexts, place{Name: args[0]}), len(c.Contexts), "created"
			}
			if err := c.Contexts[i].change(cmd, g, secret); err != nil {
				return err
			}
			if len(c.Contexts) == 1 {
				c.Current = args[0]
			}
			if err := c.save(); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "context %q %s\n", args[0], verb)
			return err
		},
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
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := loadConfig()
			if err != nil {
				return err
			}
			i := c.index(args[0])
			if i < 0 {
				return noContext(args[0])
			}
			c.Contexts = append(c.Contexts[:i:i], c.Contexts[i+1:]...)
			if c.Current == args[0] {
				c.Current = ""
			}
			if err := c.save(); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "context %q deleted\n", args[0])
			return err
		},
	}
}

func viewCommand() *cobra.Command {
	return &cobra.Command{
		Use: "view", Short: "Print the configuration, without its tokens", Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
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
