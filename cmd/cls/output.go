package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// format is the value of --output.
type format struct {
	kind string // table, wide, json, yaml, name, jsonpath
	path *template
}

// formats are those that a shell completes.
func formats() []string { return []string{"table", "wide", "json", "yaml", "name", "jsonpath="} }

// String implements pflag.Value.
func (f *format) String() string { return f.kind }

// Type implements pflag.Value.
func (*format) Type() string { return "format" }

// Set implements pflag.Value.
func (f *format) Set(text string) error {
	kind, path, _ := strings.Cut(text, "=")
	switch kind {
	case "table", "wide", "json", "yaml", "name":
		if kind != text {
			return fmt.Errorf("%s takes no value", kind)
		}
	case "jsonpath":
		t, err := parseTemplate(path)
		if err != nil {
			return err
		}
		f.path = t
	default:
		return fmt.Errorf("it is one of %s", strings.Join(formats(), ", "))
	}
	f.kind = kind
	return nil
}

func (f *format) addFlag(cmd *cobra.Command) {
	cmd.Flags().VarP(f, "output", "o", "table, wide, json, yaml, name, or jsonpath={.status.phase}")
	_ = cmd.RegisterFlagCompletionFunc("output",
		cobra.FixedCompletions(formats(), cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace))
}

// view is one answer in all its forms.
type view struct {
	// answer is the service's, for json, yaml and jsonpath.
	answer any
	names  []string
	// text is the form for people.
	text func(wide bool) error
}

// show prints an answer in the format that was asked for.
func (s *session) show(f format, v view) error {
	switch f.kind {
	case "json", "yaml", "jsonpath":
		return s.encode(f, v.answer)
	case "name":
		for _, n := range v.names {
			fmt.Fprintln(s.out, oneLine(n))
		}
		return nil
	}
	return v.text(f.kind == "wide")
}

// encode prints an answer as data. YAML documents are parted, and JSON values part themselves.
func (s *session) encode(f format, answer any) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(answer); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	out := text.Bytes()
	var err error
	switch f.kind {
	case "yaml":
		if out, err = toYAML(out); s.separate {
			out = append([]byte("---\n"), out...)
		}
		s.separate = true
	case "jsonpath":
		out, err = f.path.execute(out)
	}
	if err != nil {
		return err
	}
	_, err = s.out.Write(out)
	return err
}
