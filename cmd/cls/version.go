package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func versionCommand(g *globals) *cobra.Command {
	var server bool
	cmd := &cobra.Command{
		Use: "version", Short: "Print the version, with --server the service's too",
		Args: noArgs("cls version --help lists the flags"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			fmt.Fprintf(cmd.OutOrStdout(), "cls %s (commit %s, built %s)\n", version, commit, buildTime)
			if !server {
				return nil
			}
			s, err := g.connect(cmd, tries)
			if err != nil {
				return err
			}
			defer s.api.Close()
			i, err := s.api.GetInfo(cmd.Context())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(s.out, "%s %s (commit %s, built %s, API %s) at %s\n",
				oneLine(i.Service), oneLine(i.Version), oneLine(i.GitCommit), oneLine(i.BuildTime), oneLine(i.APIVersion), s.api.Address())
			return err
		},
	}
	cmd.Flags().BoolVar(&server, "server", false, "ask the service too")
	return cmd
}
