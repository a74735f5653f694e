package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// kit is the program that cls conformance becomes. It knows Pub/Sub, and cls does not: each start would pay for it.
const kit = "cls-conformance"

func conformanceCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "conformance [FLAGS]", Short: "Hold a service to its contract, from outside",
		Long: "conformance runs " + kit + ", a program beside cls, on the service that cls would call. It makes clusters, plays their\n" +
			"controllers, and removes all of it again. It says of each promise of the contract whether the service keeps it, and ends with 1\n" +
			"when it does not keep one. Events are judged too where --pubsub or --project says where they are published.\n\n" +
			"With " + kit + " beside it, cls conformance --help lists all flags; make build makes it, and so does\n" +
			"go install github.com/cls-backend/cls-backend/cmd/" + kit + "@latest. docs/conformance.md has the flags and the checks.",
		Example:               "  cls conformance --url http://localhost:8080 --pubsub localhost:8085",
		DisableFlagParsing:    true,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := findKit(); err != nil && asksForHelp(args) {
				return cmd.Help() // The kit's own would be better.
			}
			return g.become(cmd.Root().PersistentFlags(), args)
		},
	}
}

func asksForHelp(args []string) bool {
	return slices.Contains(args, "--help") || slices.Contains(args, "-h")
}

// become has the kit take over this process, with the arguments that are its own.
func (g *globals) become(flags *pflag.FlagSet, args []string) error {
	args, err := split(flags, args)
	if err != nil {
		return err
	}
	file, err := loadConfig()
	if err != nil {
		return err
	}
	to, err := file.resolve(g, os.Getenv)
	if err != nil {
		return err
	}
	program, err := findKit()
	if err != nil {
		return err
	}
	for name, value := range map[string]string{
		"CLS_URL": to.URL, "CLS_IDENTITY": to.Identity, "CLS_TOKEN": to.Token, "CLS_REQUEST_TIMEOUT": g.timeout.String(),
	} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return syscall.Exec(program, append([]string{kit}, args...), os.Environ())
}

// split sets the flags among arguments that every command has, and returns the other arguments.
func split(flags *pflag.FlagSet, args []string) (others []string, err error) {
	for i := 0; i < len(args); i++ {
		name, value, given := strings.Cut(strings.TrimPrefix(args[i], "--"), "=")
		if !strings.HasPrefix(args[i], "--") || flags.Lookup(name) == nil {
			others = append(others, args[i])
			continue
		}
		if !given {
			if i++; i == len(args) {
				return nil, usage("", "--%s needs a value", name)
			}
			value = args[i]
		}
		if err := flags.Set(name, value); err != nil {
			return nil, usage("", "%v", err)
		}
	}
	return others, nil
}

// findKit looks for the kit beside this program, and where programs are.
func findKit() (string, error) {
	if self, err := os.Executable(); err == nil {
		if path, err := exec.LookPath(filepath.Join(filepath.Dir(self), kit)); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath(kit)
	if err == nil {
		return path, nil
	}
	wanted := "latest"
	if regexp.MustCompile(`^v\d+\.\d+\.\d+$`).MatchString(version) { // A release can be asked for.
		wanted = version
	}
	return "", usage("go install github.com/cls-backend/cls-backend/cmd/"+kit+"@"+wanted, "%s is neither beside cls nor on PATH", kit)
}
