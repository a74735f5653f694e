package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/cls-backend/cls-backend/client"
)

// ref is what an argument names, before anybody has looked for it.
type ref struct {
	kind string // plural
	name string
}

// refs reads arguments: KIND NAME..., KIND/NAME..., and NAME... of clusters where loose says that this is enough.
func refs(args []string, loose bool) ([]ref, error) {
	kind := ""
	if len(args) > 0 {
		if kind = canonical(args[0]); kind != "" {
			args = args[1:]
		}
	}
	if len(args) == 0 {
		return nil, usage("cls get clusters lists yours", "name one, such as cluster hello")
	}
	var all []ref
	for _, a := range args {
		word, name, slash := strings.Cut(a, "/")
		switch {
		case slash && canonical(word) == "":
			return nil, usage(kindsHint, "%q is no kind of resource", word)
		case slash && kind != "" && kind != canonical(word):
			return nil, usage("one KIND, or KIND/NAME for each", "%q is not one of the %s", a, kind)
		case slash:
			all = append(all, ref{canonical(word), name})
		case kind == "" && !loose:
			return nil, usage(kindsHint, "%q is no kind of resource", a)
		case kind == "":
			all = append(all, ref{"clusters", a})
		default:
			all = append(all, ref{kind, a})
		}
	}
	return all, nil
}

const kindsHint = "kinds are clusters, nodepools and controllers"

// locate looks for the clusters and node pools that arguments name, node pools in a cluster where one is given.
func (s *session) locate(ctx context.Context, args []string, loose bool, cluster string) ([]resource, error) {
	named, err := refs(args, loose)
	if err != nil {
		return nil, err
	}
	within, err := s.within(ctx, cluster)
	if err != nil {
		return nil, err
	}
	var found []resource
	for _, n := range named {
		r, err := s.findRef(ctx, n, within)
		if err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	return found, nil
}

func (s *session) findRef(ctx context.Context, n ref, clusterID string) (resource, error) {
	k := s.kindOf(n.kind)
	if k == nil {
		return resource{}, usage("it can with clusters and nodepools", "that cannot be done with controllers")
	}
	return k.find(ctx, n.name, clusterID)
}

// one is locate for a command that is about a single one.
func (s *session) one(ctx context.Context, args []string, cluster string) (resource, error) {
	found, err := s.locate(ctx, args, true, cluster)
	if err != nil {
		return resource{}, err
	}
	if len(found) > 1 {
		return resource{}, usage("say it once for each", "this is about one at a time, not %d", len(found))
	}
	return found[0], nil
}

// within returns the id of the cluster that --cluster names; "" when it names none.
func (s *session) within(ctx context.Context, cluster string) (string, error) {
	if cluster == "" {
		return "", nil
	}
	r, err := s.clusters().find(ctx, strings.TrimPrefix(cluster, "cluster/"), "")
	return r.ID, err
}

// The forms that the id of a resource and its beginning have.
var (
	wholeID   = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	partialID = regexp.MustCompile(`^[0-9a-f][0-9a-f-]{0,35}$`)
)

// find returns the resource of a name, an id or the beginning of an id. A name goes before the beginning of an id.
// Node pools are looked for in the cluster of an id, or everywhere when it is "".
func (k *kind) find(ctx context.Context, name, clusterID string) (resource, error) {
	if wholeID.MatchString(name) {
		r, err := k.get(ctx, name)
		if err == nil || !errors.Is(err, client.ErrNotFound) {
			return r, err
		}
	}
	o := filter{ClusterID: clusterID}
	o.Name = name
	found, err := k.all(ctx, o)
	if err != nil {
		return resource{}, err
	}
	candidates := found.resources
	if len(candidates) == 0 && partialID.MatchString(name) {
		o.Name = ""
		err = k.walk(ctx, o, func(r resource) bool {
			if strings.HasPrefix(r.ID, name) {
				candidates = append(candidates, r)
			}
			return len(candidates) > manyCandidates
		})
		if err != nil {
			return resource{}, err
		}
	}
	switch len(candidates) {
	case 0:
		return resource{}, missing(k.name, name)
	case 1:
		return candidates[0], nil
	}
	return resource{}, ambiguous(k, name, candidates)
}

// missing is the failure for a name of nothing.
func missing(kind, name string) error {
	return &failure{
		message: fmt.Sprintf("%s %q does not exist", kind, name), hint: "cls get " + kind + "s lists yours", err: client.ErrNotFound,
	}
}

// manyCandidates is how many an error lists.
const manyCandidates = 10

func ambiguous(k *kind, name string, candidates []resource) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s %q may be any of", k.name, name)
	for i, c := range candidates {
		if i == manyCandidates {
			text.WriteString(" and more")
			break
		}
		of := c.CreatedBy
		if c.ClusterID != "" {
			of = "cluster " + c.ClusterID
		}
		fmt.Fprintf(&text, "\n  %s  %s (%s)", c.ID, c.Name, of)
	}
	hint := "a longer beginning of the id names one"
	if k.name == "nodepool" {
		hint = "--cluster says in which cluster, and the id names one anywhere"
	}
	return usage(hint, "%s", text.String())
}
