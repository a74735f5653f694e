package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
)

func editCommand(g *globals) *cobra.Command {
	var cluster string
	cmd := &cobra.Command{
		Use:   "edit KIND NAME",
		Short: "Change something in your editor",
		Long: "Edit opens what you may change, as YAML, in the editor that VISUAL or EDITOR names, and applies what you save. When it\n" +
			"is refused, or when somebody else has changed the spec meanwhile, the editor opens again and says so.",
		Example:           "  EDITOR=nano cls edit cluster hello",
		ValidArgsFunction: completer{g}.targets,
		RunE: g.with(func(ctx context.Context, s *session, args []string) error {
			r, err := s.one(ctx, args, cluster)
			if err != nil {
				return err
			}
			return s.edit(ctx, r)
		}),
	}
	clusterFlag(g, cmd, &cluster)
	return cmd
}

// draft is a text that is being edited.
type draft struct {
	// base is what the text was made of, and text what the editor opens with.
	base resource
	text []byte
	note string
	// pending says that the text is to be applied even as it is.
	pending bool
	// failed is why the text was refused.
	failed error
}

// edit has a resource edited until the service takes it, or its editor leaves it as it is.
func (s *session) edit(ctx context.Context, r resource) error {
	d := draft{base: r}
	var err error
	if d.text, err = editable(r); err != nil {
		return err
	}
	for {
		text, err := s.inEditor(ctx, d)
		if err != nil {
			return err
		}
		if len(text) == 0 || bytes.Equal(text, d.text) && !d.pending {
			return s.leave(d)
		}
		d.text = text
		changed, done, err := d.apply(ctx)
		if err == nil {
			return s.tell(format{}, changed, done, "")
		}
		if err := s.reopen(ctx, &d, err); err != nil {
			return err
		}
	}
}

// leave ends an edit that changes nothing. One that was refused is kept for whoever wants to go on with it.
func (s *session) leave(d draft) error {
	if d.failed == nil {
		_, err := fmt.Fprintln(s.out, d.base.title(), "left as it is")
		return err
	}
	kept, err := os.CreateTemp("", "cls-edit-*.yaml")
	if err != nil {
		return d.failed
	}
	defer kept.Close()
	if _, err := kept.Write(d.text); err != nil {
		return d.failed
	}
	f := *advise(d.failed)
	f.hint, f.err = "your text is kept in "+kept.Name(), d.failed
	return &f
}

func (d draft) apply(ctx context.Context) (resource, string, error) {
	docs, err := parseDocuments(d.text)
	if err != nil {
		return resource{}, "", err
	}
	if len(docs) != 1 {
		return resource{}, "", usage("", "it must be one document, not %d", len(docs))
	}
	if docs[0].Generation == nil {
		docs[0].Generation = &d.base.Generation
	}
	if docs[0].Labels == nil {
		docs[0].Labels = map[string]string{} // Who takes the line out wants none.
	}
	r, done, err := d.base.change(ctx, docs[0])
	return r, strings.Replace(done, "configured", "edited", 1), err
}

// reopen prepares the next round of an edit that was refused, or returns the error that ends it. After a conflict the text is
// what somebody else has made of the spec meanwhile with the changes of this edit in it.
func (s *session) reopen(ctx context.Context, d *draft, refusal error) error {
	d.failed, d.pending = refusal, false
	if e, ok := errors.AsType[*client.Error](refusal); ok && e.Status/100 != 4 || errors.Is(refusal, client.ErrNotFound) || ctx.Err() != nil {
		return s.leave(*d)
	}
	d.note = "It was refused: " + advise(refusal).message
	if !errors.Is(refusal, client.ErrGenerationConflict) {
		return nil
	}
	now, err := d.base.kind.get(ctx, d.base.ID)
	if err != nil {
		return s.leave(*d)
	}
	patch, err := d.patch()
	if err != nil {
		return err
	}
	merged, err := now.kind.patch(ctx, now.ID, patch, client.DryRun())
	if err != nil {
		return s.leave(*d)
	}
	from := d.base.Generation
	merged.Generation = now.Generation
	d.base, d.pending = now, true
	d.note = fmt.Sprintf("Conflict: the spec has changed meanwhile, from generation %d to %d. Below is what it is now, with your changes.\n"+
		"Close the editor to apply it, or empty the file to leave it as it is.", from, now.Generation)
	d.text, err = editable(merged)
	return err
}

// patch is what the edit has changed, as a JSON Merge Patch.
func (d draft) patch() (v1.Object, error) {
	before, err := editable(d.base)
	if err != nil {
		return nil, err
	}
	var sides [2]map[string]any
	for i, text := range [][]byte{before, d.text} {
		values, err := parseValues(text)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(values[0], &sides[i]); err != nil {
			return nil, fmt.Errorf("read the edit: %w", err)
		}
		delete(sides[i], "generation")
	}
	text, err := json.Marshal(mergePatch(sides[0], sides[1]))
	return v1.Object(text), err
}

// mergePatch is what turns one object into another (RFC 7396).
func mergePatch(from, to map[string]any) map[string]any {
	patch := map[string]any{}
	for key := range from {
		if _, ok := to[key]; !ok {
			patch[key] = nil
		}
	}
	for key, value := range to {
		old, ok := from[key]
		if ok && reflect.DeepEqual(old, value) {
			continue
		}
		before, wasObject := old.(map[string]any)
		after, isObject := value.(map[string]any)
		if wasObject && isObject {
			value = mergePatch(before, after)
		}
		patch[key] = value
	}
	return patch
}

// editable is what a user may change of a resource, as YAML, with the generation that it is for.
func editable(r resource) ([]byte, error) {
	d := struct {
		Name               string            `json:"name"`
		Description        string            `json:"description"`
		Paused             bool              `json:"paused"`
		DeletionProtection bool              `json:"deletion_protection"`
		Labels             map[string]string `json:"labels"`
		Spec               v1.Object         `json:"spec"`
		Generation         int64             `json:"generation"`
	}{r.Name, r.Description, r.Paused, r.DeletionProtection, r.Labels, r.Spec, r.Generation}
	text, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return toYAML(text)
}

// inEditor opens a draft in the user's editor, and returns what has become of it, without the comments above it.
func (s *session) inEditor(ctx context.Context, d draft) ([]byte, error) {
	file, err := os.CreateTemp("", "cls-edit-*.yaml")
	if err != nil {
		return nil, fmt.Errorf("edit: %w", err)
	}
	defer os.Remove(file.Name())
	note := cmp.Or(d.note, "Change "+d.base.title()+" and save it. Leave it as it is, or empty, to change nothing.")
	_, err = file.WriteString("# " + strings.ReplaceAll(clean(note), "\n", "\n# ") + "\n#\n" + string(d.text))
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("edit: %w", err)
	}
	editor := cmp.Or(os.Getenv("VISUAL"), os.Getenv("EDITOR"), "vi")
	// A shell reads the setting, as it does for git: it may have arguments. Ctrl-C is the editor's.
	line := editor + ` "$1"`
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "sh", "-c", line, editor, file.Name()) //nolint:gosec // it is its user's own
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.in, s.out, s.err
	if err := cmd.Run(); err != nil {
		return nil, usage("EDITOR names another", "the editor %q has failed: %v", editor, err)
	}
	text, err := os.ReadFile(file.Name())
	if err != nil {
		return nil, fmt.Errorf("edit: %w", err)
	}
	return withoutComments(text), nil
}

// withoutComments is a text without the comments above it. One of comments and nothing else is empty.
func withoutComments(text []byte) []byte {
	for len(text) > 0 {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			break
		}
		text = rest
	}
	return text
}
