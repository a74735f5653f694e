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
	// cluster is where a node pool is looked for; "" for everywhere.
	cluster string
}

// title is how commands speak of it: cluster/hello.
func (r ref) title() string { return strings.TrimSuffix(r.kind, "s") + "/" + r.name }

// refs reads arguments: KIND NAME..., KIND/NAME..., and NAME... of clusters where that is enough. Where it is not, strict is the name
// of the command. Node pools are those of a cluster, if one is given.
func refs(strict string, args []string, cluster string) ([]ref, error) {
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
		of := canonical(word)
		switch {
		case slash && of != "" && kind != "" && kind != of:
			return nil, usage("one KIND, or KIND/NAME for each", "%q is not one of the %s", a, kind)
		case slash && of != "":
			all = append(all, ref{of, name, cluster})
		case kind != "": // The name of a controller may have a slash.
			all = append(all, ref{kind, a, cluster})
		case slash:
			return nil, usage(kindsHint, "%q is no kind of resource", word)
		case strict != "":
			hint := fmt.Sprintf("a KIND goes first, as in cls %s cluster %s; %s", strict, args[len(args)-1], kindsHint)
			return nil, usage(hint, "%q is no kind of resource", word)
		default:
			all = append(all, ref{"clusters", a, cluster})
		}
	}
	if cluster != "" && !ofKind(all, "nodepools") {
		return nil, usage("it says of which cluster node pools are", "--cluster has no effect on %s", all[0].kind)
	}
	return all, nil
}

const kindsHint = "kinds are clusters, nodepools and controllers"

// ofKind reports whether there is one of a kind among them.
func ofKind(all []ref, plural string) bool {
	for _, r := range all {
		if r.kind == plural {
			return true
		}
	}
	return false
}

// locate looks for the clusters and node pools that arguments name, node pools in a cluster where one is given.
func (s *session) locate(ctx context.Context, strict string, args []string, cluster string) ([]resource, error) {
	named, err := refs(strict, args, cluster)
	if err != nil {
		return nil, err
	}
	var found []resource
	for _, n := range named {
		r, err := s.find(ctx, n)
		if err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	return found, nil
}

// find returns the cluster or node pool that an argument names.
func (s *session) find(ctx context.Context, n ref) (resource, error) {
	k := s.kindOf(n.kind)
	if k == nil {
		return resource{}, usage("it can with clusters and nodepools", "that cannot be done with controllers")
	}
	in, err := "", error(nil)
	if n.kind == "nodepools" {
		in, err = s.within(ctx, n.cluster)
	}
	if err != nil {
		return resource{}, err
	}
	return k.find(ctx, n.name, in)
}

// one is locate for a command that is about a single one.
func (s *session) one(ctx context.Context, args []string, cluster string) (resource, error) {
	found, err := s.locate(ctx, "", args, cluster)
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

// isID reports whether a text has the form of an id.
func isID(text string) bool {
	return regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(text)
}

// beginsID reports whether a text may be the beginning of an id. Fewer than four characters are none: they are more
// likely to be a name that does not exist.
func beginsID(text string) bool {
	return regexp.MustCompile(`^[0-9a-f][0-9a-f-]{3,34}$`).MatchString(text)
}

// find returns the resource of an id, a name or the beginning of an id, in this order. Node pools are looked for in the cluster
// of an id, or everywhere when it is "".
func (k *kind) find(ctx context.Context, name, clusterID string) (resource, error) {
	if name == "" { // To the service no name is any.
		return resource{}, usage("is a variable empty?", "the name of a %s is empty", k.name)
	}
	if r, err := k.ofID(ctx, name, clusterID); !errors.Is(err, client.ErrNotFound) {
		return r, err
	}
	o := filter{ClusterID: clusterID}
	o.Name = name
	found, err := k.all(ctx, o)
	if errors.Is(err, client.ErrInvalidQuery) { // Nothing can have such a name.
		err = missing(k.name, name)
	}
	if err != nil {
		return resource{}, err
	}
	candidates := found.resources
	if len(candidates) == 0 && beginsID(name) {
		if candidates, err = k.beginning(ctx, name, clusterID); err != nil {
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

// ofID returns the resource of a whole id, in a cluster if one is given. What is no id does not exist.
func (k *kind) ofID(ctx context.Context, id, clusterID string) (resource, error) {
	if !isID(id) {
		return resource{}, missing(k.name, id)
	}
	r, err := k.get(ctx, id)
	if err == nil && clusterID != "" && r.ClusterID != clusterID {
		err = missing(k.name, id)
	}
	return r, err
}

// beginning returns the resources whose ids begin with a text, or enough of them to say that they are many.
func (k *kind) beginning(ctx context.Context, text, clusterID string) (found []resource, err error) {
	for p, err := range k.pages(ctx, filter{ClusterID: clusterID}) {
		if err != nil {
			return nil, err
		}
		for _, r := range p.resources {
			if strings.HasPrefix(r.ID, text) {
				found = append(found, r)
			}
		}
		if len(found) > manyCandidates {
			break
		}
	}
	return found, nil
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
