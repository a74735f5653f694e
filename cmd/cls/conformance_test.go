package main

import (
	"bytes"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/cls-backend/cls-backend/clstest"
)

// TestConformance judges our backend, which is as it should be, and one that forgets its ETags, which is an error; in both forms.
func TestConformance(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	to, err := url.Parse(b.URL())
	must(t, err)
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ModifyResponse = func(r *http.Response) error {
		r.Header.Del("ETag")
		return nil
	}
	broken := httptest.NewServer(proxy)
	t.Cleanup(broken.Close)
	for _, row := range []struct {
		why  string
		args []string
		want string // the error; "" for none
		says string
	}{
		{
			"all is kept, events too", []string{
				"--url", b.URL(), "--only", "api/etag*,events/created", "--project", b.PubSub().ProjectID, "--pubsub", b.PubSub().EmulatorHost,
			}, "", "2 passed, 0 failed, 0 skipped",
		},
		{"a promise is broken", []string{"--url", broken.URL, "--only", "api/etag*"}, "1 of 1 promises are not kept", "FAIL  api/etag"},
		{"for a machine", []string{"--url", broken.URL, "--only", "api/etag*", "-o", "junit"}, "1 of 1 promises are not kept", `failures="1"`},
		{"a form that there is not", []string{"--url", b.URL(), "-o", "yaml"}, `a report has no form "yaml"`, ""},
		{"nothing of the name", []string{"--url", b.URL(), "--only", "nothing"}, `no check is called "nothing"`, ""},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			g := &globals{}
			root := &cobra.Command{Use: "cls", SilenceUsage: true, SilenceErrors: true}
			g.addFlags(root)
			root.AddCommand(conformanceCommand(g))
			root.SetOut(&out)
			root.SetArgs(append([]string{"conformance", "--as", clstest.User}, row.args...))
			err := root.ExecuteContext(t.Context())
			if row.want == "" != (err == nil) || err != nil && err.Error() != row.want {
				t.Errorf("ended with %v, want %q", err, row.want)
			}
			if !strings.Contains(out.String(), row.says) {
				t.Errorf("says %s, want %s", out.String(), row.says)
			}
			if row.says == `failures="1"` {
				must(t, xml.Unmarshal(out.Bytes(), new(struct{})))
			}
		})
	}
}
