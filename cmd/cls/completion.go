package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
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

// noArgs is a check for no argument, with a hint for whoever gives one.
func noArgs(hint string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return usage(hint, "%s takes no argument, such as %q", cmd.CommandPath(), args[0])
	}
}

// completeNoFiles has a shell offer no files where a command has nothing else to offer. The flags that name files say so.
func completeNoFiles(cmd *cobra.Command) {
	if cmd.HasParent() && !cmd.HasSubCommands() && cmd.ValidArgs == nil && cmd.ValidArgsFunction == nil {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	quiet := func(f *pflag.Flag) {
		if _, offers := cmd.GetFlagCompletionFunc(f.Name); !offers && f.Annotations[cobra.BashCompFilenameExt] == nil {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions)
		}
	}
	cmd.LocalNonPersistentFlags().VisitAll(quiet)
	cmd.PersistentFlags().VisitAll(quiet)
	for _, sub := range cmd.Commands() {
		completeNoFiles(sub)
	}
}

// namesFile has a shell offer the files that a flag may name.
func namesFile(cmd *cobra.Command, flag string) {
	_ = cmd.MarkFlagFilename(flag, "yaml", "yml", "json")
}

// What completes is asked at every press of a key: it is quick, or finds nothing, and it is silent when it fails.

// completionLimit bounds how long somebody who has pressed Tab waits.
const completionLimit = time.Second

// completeTargets completes KIND NAME.
func (g *globals) completeTargets(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		if kind := canonical(args[0]); kind != "" {
			return g.completeNames(cmd, kind, args[1:], typed)
		}
		return g.completeNames(cmd, "clusters", args, typed)
	}
	var found []string
	for _, k := range []string{"cluster", "nodepool", "controller"} {
		if strings.HasPrefix(k, typed) {
			found = append(found, k)
		}
	}
	if strings.Contains(cmd.Use, " [KIND] ") { // It may be left out, and means clusters then.
		names, _ := g.completeNames(cmd, "clusters", nil, typed)
		found = append(found, names...)
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

// completeNamesOf completes NAME.
func (g *globals) completeNamesOf(plural string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		return g.completeNames(cmd, plural, args, typed)
	}
}

// completeNames finds the names of a kind that begin with what was typed, without those that are on the line already.
func (g *globals) completeNames(cmd *cobra.Command, plural string, taken []string, typed string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionLimit)
	defer cancel()
	s, err := g.connect(cmd, 1)
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
	for p, err := range s.kindOf(plural).pages(ctx, o) {
		if err != nil {
			break // It has come as far as it can.
		}
		for _, r := range p.resources {
			offer(r.Name, string(r.Status.Phase))
		}
	}
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
