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
	"os/signal"
	"reflect"
	"syscall"

	"github.com/spf13/cobra"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
)

func editCommand(g *globals) *cobra.Command {
	return g.aboutOne(&cobra.Command{
		Use:   "edit [KIND] NAME",
		Short: "Change something in your editor",
		Long: "Edit opens what you may change, as YAML, in the editor that VISUAL or EDITOR names, and sends what you have changed when\n" +
			"you save it. When it is refused, or when somebody else has changed the spec meanwhile, the editor opens again and says so.",
		Example: "  EDITOR=nano cls edit cluster hello",
	}, func(ctx context.Context, s *session, r resource) error { return s.edit(ctx, r) })
}

// draft is a text that is being edited.
type draft struct {
	// base is what the text was made of, and text what the editor opens with.
	base resource
	text []byte
	// note is what stands above it: two lines, so that errors name the same lines in each round.
	note [2]string
	// pending says that the text is to be applied even as it is.
	pending bool
	// failed is why the text was refused.
	failed error
}

// edit has a resource edited until the service takes it, or its editor leaves it as it is. Ctrl-C may have been meant for
// the editor: what fails is told all the same.
func (s *session) edit(ctx context.Context, r resource) error {
	err := s.rounds(ctx, r)
	if err != nil && ctx.Err() != nil {
		f := *advise(err)
		f.code, err = exitInterrupted, &f
	}
	return err
}

// rounds opens the editor again and again.
func (s *session) rounds(ctx context.Context, r resource) error {
	d := &draft{base: r, note: [2]string{"Change " + r.title() + " and save it.", "Leave it as it is, or empty, to change nothing."}}
	var err error
	if d.text, err = editable(r); err != nil {
		return err
	}
	for {
		text, err := s.inEditor(ctx, d)
		if err != nil {
			return d.keep(err, text)
		}
		if len(text) == 0 || bytes.Equal(text, d.text) && !d.pending {
			return s.leave(d)
		}
		d.text = text
		if done, err := s.send(ctx, d); done || err != nil {
			return err
		}
	}
}

// send applies a draft, and reports whether the edit is over. Ctrl-C in the editor ends no call; during one it does.
func (s *session) send(ctx context.Context, d *draft) (over bool, err error) {
	ctx, stop := signal.NotifyContext(context.WithoutCancel(ctx), os.Interrupt, syscall.SIGTERM)
	defer stop()
	changed, err := d.apply(ctx)
	if err != nil && ctx.Err() != nil {
		return false, d.keep(&failure{message: "interrupted", code: exitInterrupted, err: err}, d.text)
	}
	if err != nil {
		return false, d.reopen(ctx, err)
	}
	done := "edited"
	if d.base.same(changed) {
		done = "unchanged"
	}
	return true, s.tell(format{}, changed, done, "")
}

// leave ends an edit that changes nothing. One that was refused is kept for whoever wants to go on with it.
func (s *session) leave(d *draft) error {
	if d.failed == nil {
		_, err := fmt.Fprintln(s.out, d.base.title(), "left as it is")
		return err
	}
	return d.keep(d.failed, d.text)
}

// keep is the failure of an edit, and says where its text is kept. What nobody has written is not.
func (d *draft) keep(failed error, text []byte) error {
	if len(text) == 0 || d.failed == nil && bytes.Equal(text, d.text) {
		return failed
	}
	kept, err := os.CreateTemp("", "cls-edit-*.yaml")
	if err != nil {
		return failed
	}
	_, err = kept.Write(text)
	if errors.Join(err, kept.Close()) != nil {
		return failed
	}
	f := *advise(failed)
	f.hint, f.err = "your text is kept in "+kept.Name(), failed
	return &f
}

// header is how many lines stand above a text.
const header = 3

// sides are what an edit began with and what it has made of it.
func (d *draft) sides() (before, after map[string]any, err error) {
	text, err := editable(d.base)
	if err != nil {
		return nil, nil, err
	}
	if before, err = asObject(text); err != nil {
		return nil, nil, err
	}
	after, err = asObject(append(bytes.Repeat([]byte("\n"), header), d.text...))
	if err != nil {
		return nil, nil, err
	}
	for name, none := range map[string]any{"description": "", "paused": false, "deletion_protection": false, "labels": map[string]any{}} {
		if after[name] == nil { // Who takes the line out wants none.
			after[name] = none
		}
	}
	return before, after, nil
}

// asObject reads the one document of a text.
func asObject(text []byte) (object map[string]any, err error) {
	docs, err := parseDocuments(text) // It refuses what is no document.
	if err != nil {
		return nil, err
	}
	values, err := parseValues(text)
	if err != nil {
		return nil, err
	}
	if len(docs) != 1 || len(values) != 1 {
		return nil, usage("", "it must be one document, not %d", len(docs))
	}
	err = json.Unmarshal(values[0], &object)
	return object, err
}

// apply sends what has been changed and nothing else, for the generation that it was read at where that is the spec.
func (d *draft) apply(ctx context.Context) (resource, error) {
	before, after, err := d.sides()
	if err != nil {
		return resource{}, err
	}
	generation := cmp.Or(after["generation"], any(d.base.Generation))
	delete(before, "generation")
	delete(after, "generation")
	patch := mergePatch(before, after)
	if _, changed := patch["spec"]; changed {
		patch["generation"] = generation
		if hasNull(after["spec"]) {
			return d.replace(ctx, patch, after)
		}
	}
	text, err := json.Marshal(patch)
	if err != nil {
		return resource{}, fmt.Errorf("write JSON: %w", err)
	}
	return d.base.kind.patch(ctx, d.base.ID, v1.Object(text))
}

// replace is for a spec with a null, which a merge patch cannot set. Labels are replaced as a whole with it, so it is
// refused when anything has happened since they were read.
func (d *draft) replace(ctx context.Context, patch, after map[string]any) (resource, error) {
	patch["spec"] = after["spec"]
	var o []client.Option
	if _, changed := patch["labels"]; changed {
		patch["labels"] = after["labels"]
		o = append(o, client.IfMatch(d.base.ResourceVersion))
	}
	text, err := json.Marshal(patch)
	if err != nil {
		return resource{}, fmt.Errorf("write JSON: %w", err)
	}
	var doc document
	if err := strictly(text, &doc); err != nil {
		return resource{}, err
	}
	doc.Name = cmp.Or(doc.Name, d.base.Name)
	return d.base.kind.update(ctx, d.base.ID, doc, o...)
}

// reopen prepares the next round of an edit that was refused, or returns the error that ends it. After a conflict the text is
// what somebody else has made of it meanwhile with the changes of this edit in it.
func (d *draft) reopen(ctx context.Context, refusal error) error {
	d.failed, d.pending = refusal, false
	e, answered := errors.AsType[*client.Error](refusal)
	_, unread := errors.AsType[*failure](refusal)
	if !unread && (!answered || e.Status/100 != 4 || errors.Is(refusal, client.ErrNotFound)) {
		return d.keep(refusal, d.text) // The editor cannot mend it.
	}
	d.note = [2]string{"It was refused: " + advise(refusal).message, "Mend it, or leave it as it is to give up."}
	if !errors.Is(refusal, client.ErrGenerationConflict) && !errors.Is(refusal, client.ErrPreconditionFailed) {
		return nil
	}
	now, err := d.base.kind.get(ctx, d.base.ID)
	if err != nil {
		return d.keep(err, d.text)
	}
	before, after, err := d.sides()
	if err != nil {
		return err
	}
	text, err := editable(now)
	if err != nil {
		return err
	}
	theirs, err := asObject(text)
	if err != nil {
		return err
	}
	delete(after, "generation")
	delete(before, "generation")
	rebase(theirs, before, after)
	d.note = [2]string{
		fmt.Sprintf("Conflict: it has changed meanwhile, from generation %d to %d. Below is what it is now, with your changes.",
			d.base.Generation, now.Generation),
		"Close the editor to apply it, or empty the file to leave it as it is.",
	}
	d.base, d.pending = now, true
	d.text, err = inOrder(theirs)
	return err
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

// hasNull reports whether an object has a null in it, or in an object in it. In a list a patch can set one.
func hasNull(value any) bool {
	object, _ := value.(map[string]any)
	for _, v := range object {
		if v == nil || hasNull(v) {
			return true
		}
	}
	return false
}

// rebase makes in an object the changes that turn one object into another.
func rebase(object, from, to map[string]any) {
	for key := range from {
		if _, ok := to[key]; !ok {
			delete(object, key)
		}
	}
	for key, value := range to {
		old, ok := from[key]
		if ok && reflect.DeepEqual(old, value) {
			continue
		}
		theirs, isObject := object[key].(map[string]any)
		before, wasObject := old.(map[string]any)
		after, staysObject := value.(map[string]any)
		if isObject && wasObject && staysObject {
			rebase(theirs, before, after)
			continue
		}
		object[key] = value
	}
}

// editable is what a user may change of a resource, as YAML, with the generation that it is for.
func editable(r resource) ([]byte, error) {
	return inOrder(map[string]any{
		"name": r.Name, "description": r.Description, "paused": r.Paused, "deletion_protection": r.DeletionProtection,
		"labels": r.Labels, "spec": r.Spec, "generation": r.Generation,
	})
}

// inOrder writes what a user may change as YAML, in the order in which one reads it.
func inOrder(fields map[string]any) ([]byte, error) {
	var text bytes.Buffer
	for _, name := range []string{"name", "description", "paused", "deletion_protection", "labels", "spec", "generation"} {
		value, err := json.Marshal(fields[name])
		if err != nil {
			return nil, fmt.Errorf("write JSON: %w", err)
		}
		line, err := toYAML([]byte(`{"` + name + `":` + string(value) + `}`))
		if err != nil {
			return nil, err
		}
		text.Write(line)
	}
	return text.Bytes(), nil
}

// inEditor opens a draft in the user's editor, and returns what has become of it, without the comments above it: also when
// the editor fails.
func (s *session) inEditor(ctx context.Context, d *draft) ([]byte, error) {
	file, err := os.CreateTemp("", "cls-edit-*.yaml")
	if err != nil {
		return nil, fmt.Errorf("edit: %w", err)
	}
	defer os.Remove(file.Name())
	_, err = file.WriteString("# " + oneLine(d.note[0]) + "\n# " + oneLine(d.note[1]) + "\n#\n" + string(d.text))
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("edit: %w", err)
	}
	editor := cmp.Or(os.Getenv("VISUAL"), os.Getenv("EDITOR"), "vi")
	// A shell reads the setting, as it does for git: it may have arguments. Ctrl-C is the editor's.
	line := editor + ` "$1"`
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "sh", "-c", line, editor, file.Name()) //nolint:gosec // it is its user's own
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.in, s.out, s.err
	failed := cmd.Run()
	text, err := os.ReadFile(file.Name())
	if err != nil {
		return nil, fmt.Errorf("edit: %w", err)
	}
	if failed != nil {
		return withoutComments(text), usage("EDITOR names another", "the editor %q has failed: %v", editor, failed)
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
