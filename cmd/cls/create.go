package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
)

// creation is what create is told.
type creation struct {
	document

	spec        string
	platform    string
	project     string
	description string
	paused      bool
	protected   bool
	dryRun      dryRun
	format      format
}

func createCommand(g *globals) *cobra.Command {
	root := &cobra.Command{
		Use:   "create",
		Short: "Declare a cluster or a node pool",
		Args:  kindToCreate,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(
		createOne(g, "cluster", "  cls create cluster hello --platform gcp --labels env=prod\n"+
			"  cls create cluster hello --spec spec.yaml\n"+
			"  cls create cluster hello --spec '{\"platform\":{\"type\":\"gcp\"},\"nodes\":3}'"),
		createOne(g, "nodepool", "  cls create nodepool workers --cluster hello --spec '{\"nodes\":3}'"),
	)
	return root
}

// kindToCreate refuses what cannot be created, and takes what comes first and is no kind, or nearly one, for the name.
func kindToCreate(cmd *cobra.Command, args []string) error {
	err := oneOfIts(cmd, args)
	if err == nil || len(cmd.SuggestionsFor(args[0])) > 0 {
		return err
	}
	const as = "cls create cluster %[1]s, or cls create nodepool %[1]s --cluster CLUSTER"
	name := args[len(args)-1]
	if canonical(name) != "" {
		name = "NAME"
	}
	return usage("a kind goes first: "+fmt.Sprintf(as, name), "%q is nothing that can be created", args[0])
}

func createOne(g *globals, name, example string) *cobra.Command {
	c := &creation{}
	cmd := &cobra.Command{
		Use: name + " NAME", Short: "Declare a " + name, Example: example,
		Args: exactly("a name"),
		RunE: g.with(func(ctx context.Context, s *session, args []string) error {
			c.Name = args[0]
			return s.create(ctx, s.kindOf(name), c)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&c.spec, "spec", "", "what is asked for: a file of YAML or JSON, - for standard input, or JSON itself")
	namesFile(cmd, "spec")
	f.StringVar(&c.platform, "platform", "", "spec.platform.type, such as gcp")
	f.StringToStringVar(&c.Labels, "labels", nil, "labels: env=prod,team=core")
	f.StringVar(&c.description, "description", "", "text for people")
	f.BoolVar(&c.paused, "paused", false, "wake no controllers for it")
	f.BoolVar(&c.protected, "deletion-protection", false, "refuse its deletion until this is lifted")
	if name == "cluster" {
		f.StringVar(&c.project, "project", "", "cloud project that it is to live in")
	} else {
		g.clusterFlag(cmd, &c.Cluster)
		_ = cmd.MarkFlagRequired("cluster")
	}
	c.dryRun.addFlag(cmd)
	c.format.addFlag(cmd)
	return cmd
}

func (s *session) create(ctx context.Context, k *kind, c *creation) (err error) {
	c.Spec = v1.Object("{}")
	if c.spec != "" {
		if c.Spec, err = readObject("a spec", c.spec, s.in, `{"platform":{"type":"gcp"}}`); err != nil {
			return err
		}
	}
	if c.Spec, err = withPlatform(c.Spec, c.platform); err != nil {
		return err
	}
	if c.ClusterID, err = s.within(ctx, c.Cluster); err != nil {
		return err
	}
	c.TargetProjectID, c.Description, c.Paused, c.DeletionProtection = &c.project, &c.description, &c.paused, &c.protected
	r, err := k.create(ctx, c.document, c.dryRun.options(client.IdempotencyKey(rand.Text()))...)
	if err != nil {
		return err
	}
	return s.tell(c.format, r, "created", c.dryRun)
}

// tell says what has been done with a resource, or prints it in the format that was asked for.
func (s *session) tell(f format, r resource, done string, d dryRun) error {
	return s.show(f, view{r.answer, []string{r.title()}, func(bool) error {
		_, err := fmt.Fprintln(s.out, r.title(), done+d.suffix())
		return err
	}})
}

// dryRun is the value of --dry-run. kubectl's "client" is not among them: only the service knows its rules.
type dryRun string

// String implements pflag.Value.
func (d *dryRun) String() string { return string(*d) }

// Type implements pflag.Value.
func (*dryRun) Type() string { return "where" }

// Set implements pflag.Value.
func (d *dryRun) Set(text string) error {
	if text != "server" && text != "none" {
		return errors.New("it is none or server")
	}
	*d = dryRun(strings.TrimPrefix(text, "none"))
	return nil
}

func (d *dryRun) addFlag(cmd *cobra.Command) {
	cmd.Flags().Var(d, "dry-run", "server: have the service check it, and do nothing")
	_ = cmd.RegisterFlagCompletionFunc("dry-run", cobra.FixedCompletions([]string{"server", "none"}, cobra.ShellCompDirectiveNoFileComp))
}

func (d *dryRun) options(o ...client.Option) []client.Option {
	if *d != "" {
		o = append(o, client.DryRun())
	}
	return o
}

func (d *dryRun) suffix() string { return mark(*d != "", " (dry run)") }

// readObject reads one object of YAML or JSON from a file, standard input or the text itself.
func readObject(what, from string, in io.Reader, example string) (v1.Object, error) {
	text, err := readText(from, in)
	if err != nil {
		return nil, err
	}
	values, err := parseValues(text)
	if err != nil {
		return nil, about(what, err)
	}
	var spec v1.Object
	if len(values) != 1 || json.Unmarshal(values[0], &spec) != nil || spec.IsEmpty() {
		return nil, usage("such as '"+example+"'", "%s is one object", what)
	}
	return spec, nil
}

// readText is what a flag names: - for standard input, JSON itself, or a file.
func readText(from string, in io.Reader) (text []byte, err error) {
	switch {
	case from == "-":
		text, err = io.ReadAll(in)
	case strings.HasPrefix(strings.TrimSpace(from), "{"):
		return []byte(from), nil
	default:
		text, err = os.ReadFile(from) //nolint:gosec // the file is the one that its user names
	}
	if err != nil {
		return nil, &failure{message: fmt.Sprintf("%s cannot be read: %v", from, err), err: err}
	}
	return text, nil
}

// withPlatform sets the platform of a spec. One that names another is refused.
func withPlatform(spec v1.Object, platform string) (v1.Object, error) {
	if platform == "" {
		return spec, nil
	}
	fields, of := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(spec), &fields); err != nil {
		return nil, fmt.Errorf("read the spec: %w", err)
	}
	if p, ok := fields["platform"]; ok && json.Unmarshal(p, &of) != nil {
		return nil, usage("", "spec.platform must be a JSON object")
	}
	if of == nil { // It was null.
		of = map[string]json.RawMessage{}
	}
	var other string
	if t, ok := of["type"]; ok && (json.Unmarshal(t, &other) != nil || !strings.EqualFold(other, platform)) {
		return nil, usage("leave --platform out", "spec.platform.type is %s, and --platform is %s", t, platform)
	}
	var err error
	if of["type"], err = json.Marshal(platform); err != nil {
		return nil, fmt.Errorf("write the spec: %w", err)
	}
	if fields["platform"], err = json.Marshal(of); err != nil {
		return nil, fmt.Errorf("write the spec: %w", err)
	}
	text, err := json.Marshal(fields)
	return v1.Object(text), err
}
