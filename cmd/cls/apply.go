package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cls-backend/cls-backend/client"
)

// application is what apply is told.
type application struct {
	files  []string
	dryRun dryRun
	format format
}

func applyCommand(g *globals) *cobra.Command {
	a := &application{}
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Create what does not exist, and change what is different",
		Long: "Apply reads documents of kind Cluster and NodePool, several a file, and makes what they describe so. A document that says\n" +
			"its generation is for that one alone: when the spec has changed since, nothing is done. A document is about what has its id\n" +
			"and its name, and otherwise about your own of its name.",
		Example: "  cls apply -f clusters/ --dry-run=server\n" +
			"  cls get cluster hello -o yaml | sed s/nodes:.*/nodes:\\ 5/ | cls apply -f -\n\n" +
			"  kind: Cluster\n" +
			"  name: hello\n" +
			"  labels: {env: prod}\n" +
			"  spec: {platform: {type: gcp}}\n" +
			"  ---\n" +
			"  kind: NodePool\n" +
			"  cluster: hello\n" +
			"  name: workers\n" +
			"  spec: {nodes: 3}",
		Args: noArgs("-f says which file"),
		RunE: g.with(func(ctx context.Context, s *session, _ []string) error { return s.apply(ctx, a) }),
	}
	cmd.Flags().StringArrayVarP(&a.files, "filename", "f", nil, "file of YAML or JSON, folder of such, or - for standard input")
	_ = cmd.MarkFlagRequired("filename")
	namesFile(cmd, "filename")
	a.dryRun.addFlag(cmd)
	a.format.addFlag(cmd)
	return cmd
}

// sourced is a document, and where it comes from.
type sourced struct {
	document

	plural string
	from   string
}

// apply reads all documents before it changes anything. Clusters come first, so that a node pool may be of one in the
// same files. One that fails does not hold up the others.
func (s *session) apply(ctx context.Context, a *application) error {
	var all []sourced
	for _, f := range a.files {
		docs, err := readDocuments(f, s.in)
		if err != nil {
			return err
		}
		all = append(all, docs...)
	}
	if len(all) == 0 {
		return usage("cls apply --help shows one", "no document in %s", strings.Join(a.files, ", "))
	}
	slices.SortStableFunc(all, func(x, y sourced) int { return strings.Compare(x.plural, y.plural) })
	return forEach(all, func(d sourced) error {
		err := s.applyOne(ctx, a, d, all)
		if err != nil {
			err = about(fmt.Sprintf("%s: %s/%s", d.from, strings.TrimSuffix(d.plural, "s"), d.Name), err)
		}
		return err
	})
}

// readDocuments reads a file, a folder's files of the first level in the order of their names, or standard input.
func readDocuments(path string, in io.Reader) ([]sourced, error) {
	info, err := os.Stat(path)
	if path == "-" || err != nil || !info.IsDir() {
		return readFile(path, in)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("read a folder: %w", err)
	}
	var all []sourced
	for _, e := range entries {
		if e.IsDir() || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(e.Name())) {
			continue
		}
		docs, err := readFile(filepath.Join(path, e.Name()), in)
		if err != nil {
			return nil, err
		}
		all = append(all, docs...)
	}
	return all, nil
}

func readFile(path string, in io.Reader) ([]sourced, error) {
	text, err := readText(path, in)
	if err != nil {
		return nil, err
	}
	docs, err := parseDocuments(text)
	if err != nil {
		return nil, about(path, err)
	}
	var all []sourced
	for _, d := range docs {
		plural, err := d.plural()
		if err != nil {
			return nil, about(path, err)
		}
		all = append(all, sourced{d, plural, path})
	}
	return all, nil
}

func (s *session) applyOne(ctx context.Context, a *application, d sourced, all []sourced) error {
	k := s.kindOf(d.plural)
	if k.name == "nodepool" {
		c, err := s.clusterOf(ctx, d.document)
		if errors.Is(err, client.ErrNotFound) && a.dryRun != "" && declared(all, d.Cluster) {
			return s.show(a.format, view{d.newNodePool(), []string{"nodepool/" + d.Name}, func(bool) error {
				_, err := fmt.Fprintf(s.out, "nodepool/%s created (dry run, unchecked: cluster/%s does not exist yet)\n", d.Name, d.Cluster)
				return err
			}})
		}
		if err != nil {
			return err
		}
		d.ClusterID = c.ID
	}
	old, err := s.own(ctx, k, d.document)
	if errors.Is(err, client.ErrNotFound) {
		r, err := k.create(ctx, d.document, a.dryRun.options(client.IdempotencyKey(rand.Text()))...)
		if err != nil {
			return err
		}
		return s.tell(a.format, r, "created", a.dryRun)
	}
	if err != nil {
		return err
	}
	r, done, err := old.change(ctx, d.document, a.dryRun.options()...)
	if err != nil {
		return err
	}
	return s.tell(a.format, r, done, a.dryRun)
}

// clusterOf returns the cluster of a node pool's document. The beginning of an id names none: it could be anybody's.
func (s *session) clusterOf(ctx context.Context, d document) (resource, error) {
	k := s.clusters()
	for _, id := range []string{d.Cluster, d.ClusterID} {
		if c, err := k.ofID(ctx, id, ""); !errors.Is(err, client.ErrNotFound) {
			return c, err
		}
	}
	if d.Cluster == "" {
		return resource{}, missing(k.name, d.ClusterID)
	}
	return s.own(ctx, k, document{Name: d.Cluster})
}

// own returns what a document is about: what has its id and its name, or else the caller's own of its name.
func (s *session) own(ctx context.Context, k *kind, d document) (resource, error) {
	r, err := k.ofID(ctx, d.ID, d.ClusterID)
	if err == nil && r.Name == d.Name || err != nil && !errors.Is(err, client.ErrNotFound) {
		return r, err
	}
	o := filter{ClusterID: d.ClusterID}
	o.Name = d.Name
	if k.name == "cluster" {
		if o.CreatedBy, err = s.owner(ctx); err != nil {
			return resource{}, err
		}
	}
	found, err := k.all(ctx, o)
	if err == nil && len(found.resources) == 0 {
		err = missing(k.name, d.Name)
	}
	if err != nil {
		return resource{}, err
	}
	return found.resources[0], nil
}

// owner is the address that what the caller creates is under. Whom a token stands for the service says, of a creation
// that does nothing.
func (s *session) owner(ctx context.Context) (string, error) {
	if s.self != "" {
		return s.self, nil
	}
	r, err := s.clusters().create(ctx, document{Name: strings.ToLower(rand.Text())}, client.DryRun())
	s.self = r.CreatedBy
	return s.self, err
}

// declared reports whether the documents have a cluster of a name.
func declared(all []sourced, name string) bool {
	return slices.ContainsFunc(all, func(d sourced) bool { return d.plural == "clusters" && d.Name == name })
}

// change makes a resource what a document says, and says whether that was anything else than it was. The document is for the
// generation that it names, and for the one that was read when it names none.
func (r resource) change(ctx context.Context, d document, o ...client.Option) (made resource, done string, err error) {
	if d.Generation == nil {
		d.Generation = &r.Generation
	}
	if d.Spec.IsEmpty() {
		d.Spec = r.Spec
	}
	made, err = r.kind.update(ctx, r.ID, d, o...)
	if done = "configured"; r.same(made) {
		done = "unchanged"
	}
	return made, done, err
}

// same reports whether nobody has changed a resource: what controllers report does not count.
func (r resource) same(now resource) bool {
	return now.UpdatedAt.Equal(r.UpdatedAt) && now.Generation == r.Generation
}
