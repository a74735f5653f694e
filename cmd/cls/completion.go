package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print what a shell needs to complete commands, flags and the names of what you have",
		Example: "  source <(cls completion bash)                                  # in ~/.bashrc\n" +
			"  source <(cls completion zsh)                                   # in ~/.zshrc\n" +
			"  cls completion fish > ~/.config/fish/completions/cls.fish      # once",
		Args: exactly("bash, zsh or fish"), ValidArgs: []string{"bash", "zsh", "fish"}, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				return cmd.Root().GenBashCompletionV2(cmd.OutOrStdout(), true)
			case "zsh":
				return cmd.Root().GenZshCompletion(cmd.OutOrStdout())
			case "fish":
				return cmd.Root().GenFishCompletion(cmd.OutOrStdout(), true)
			}
			return usage("it is for bash, zsh and fish", "there is no completion for %q", args[0])
		},
	}
}

// exactly is a check for one argument, that says which one is missing.
func exactly(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			return nil
		}
		return usage(cmd.CommandPath()+" --help shows examples", "%s needs %s, and nothing else", cmd.CommandPath(), what)
	}
}

// completer finds what a shell can complete. It is asked at every press of a key: it is quick, or finds nothing, and it is
// silent when it fails.
type completer struct{ g *globals }

// completionLimit bounds how long somebody who has pressed Tab waits.
const completionLimit = time.Second

// targets completes KIND NAME.
func (c completer) targets(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		if kind := canonical(args[0]); kind != "" {
			return c.names(cmd, kind, args[1:], typed)
		}
		return c.names(cmd, "clusters", args, typed)
	}
	var found []string
	for _, k := range []string{"cluster", "nodepool", "controller"} {
		if strings.HasPrefix(k, typed) {
			found = append(found, k)
		}
	}
	if strings.Contains(cmd.Use, " [KIND] ") { // It may be left out, and means clusters then.
		names, _ := c.names(cmd, "clusters", nil, typed)
		found = append(found, names...)
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

// namesOf completes NAME.
func (c completer) namesOf(plural string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		return c.names(cmd, plural, args, typed)
	}
}

// clusters completes the value of --cluster.
func (c completer) clusters(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	return c.names(cmd, "clusters", nil, typed)
}

// names finds the names of a kind that begin with what was typed, without those that are on the line already.
func (c completer) names(cmd *cobra.Command, plural string, taken []string, typed string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionLimit)
	defer cancel()
	s, err := c.g.connect(cmd, 1)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer s.api.Close()
	var found []string
	offer := func(name, about string) {
		if strings.HasPrefix(name, typed) && !slices.Contains(taken, name) {
			found = append(found, cobra.CompletionWithDesc(name, about))
		}
	}
	if plural == "controllers" {
		l, _ := s.api.ListControllers(ctx) // What fails has none.
		for _, e := range l.Controllers {
			offer(e.Name, fmt.Sprintf("%d clusters, %d node pools", e.Clusters, e.NodePools))
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
	var o filter
	if name := cmd.Flags().Lookup("cluster"); plural == "nodepools" && name != nil {
		if o.ClusterID, err = s.within(ctx, name.Value.String()); err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
	}
	_ = s.kindOf(plural).walk(ctx, o, func(r resource) bool { // As far as it comes.
		offer(r.Name, string(r.Status.Phase))
		return false
	})
	return found, cobra.ShellCompDirectiveNoFileComp
}

// completeContexts completes the name of a context.
func completeContexts(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	c, err := loadConfig()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var found []string
	for _, p := range c.Contexts {
		if strings.HasPrefix(p.Name, typed) {
			found = append(found, cobra.CompletionWithDesc(p.Name, p.URL))
		}
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}
