package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

// A list read page by page is the list, in every order, whatever the limit of each page.
func TestPages_AreTheList(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		ids := map[string]string{}
		for _, name := range []string{"c", "a", "d", "b"} {
			ids[name] = of.declare(ada, `{"name":"`+name+`","labels":{"env":"prod"}}`).ID
		}
		of.collection(of.kind, bob).declare(bob, `{"name":"e","labels":{"env":"prod"}}`)
		of.do(call{method: "PUT", path: of.path + "/" + ids["a"], as: ada, body: `{"spec":{"n":1}}`}).is(http.StatusOK)
		for query, want := range map[string]string{
			"limit=3":                                   "b d a, c",
			"limit=3&offset=2":                          "a c",
			"limit=1&offset=2":                          "a, c",
			"limit=2&order_by=created_at":               "c a, d b",
			"limit=3&order_by=-created_at":              "b d a, c",
			"limit=1&order_by=name":                     "a, b, c, d",
			"limit=4&order_by=-name":                    "d c b a",
			"limit=2&order_by=updated_at":               "c d, b a",
			"limit=3&order_by=-updated_at&total=exact":  "a b d, c",
			"limit=3&label_selector=env%3Dprod":         "b d a, c",
			"limit=3&status=Pending&order_by=name":      "a b c, d",
			"limit=3&created_by=ADA@example.com&name=a": "a",
		} {
			var pages []string
			rest := ""
			for {
				list := of.list(ada, query+rest)
				pages = append(pages, list.names())
				if list.NextPageToken == "" {
					break
				}
				query, _, _ = strings.Cut(query, "&offset")
				rest = "&page_token=" + list.NextPageToken
			}
			if got := strings.Join(pages, ", "); got != want {
				of.t.Errorf("?%s: %s, want %s", query, got, want)
			}
		}
		if r := of.get(ada, of.path+"?limit=4"); strings.Contains(r.body, "next_page_token") {
			of.t.Errorf("the last page has a next one: %s", r.body)
		}
	})
}

// The node pools of a cluster go on where they ended, by either way to them.
func TestPages_OfNodePools(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	const pools = "/api/v1/nodepools"
	var of [2]string
	for i := range of {
		of[i] = b.create(ada, fmt.Sprintf(`{"name":"c%d"}`, i)).ID
		for _, name := range []string{"y", "x", "z"} {
			b.do(call{method: "POST", path: pools, as: ada, body: `{"cluster_id":"` + of[i] + `","name":"` + name + `"}`}).is(http.StatusCreated)
		}
	}
	within := clusters + "/" + of[0] + "/nodepools?"
	for _, path := range []string{within, pools + "?clusterId=" + of[0] + "&", pools + "?cluster_id=" + strings.ToUpper(of[0]) + "&"} {
		for order, want := range map[string]string{"name": "xyz", "-name": "zyx", "created_at": "yxz", "-updated_at": "zxy"} {
			first := into[v1.NodePoolList](b.get(ada, within+"limit=1&order_by="+order).is(http.StatusOK))
			rest := into[v1.NodePoolList](b.get(ada, path+"order_by="+order+"&page_token="+first.NextPageToken).is(http.StatusOK))
			var names []string
			for _, p := range append(first.NodePools, rest.NodePools...) {
				names = append(names, p.Name)
			}
			if got := strings.Join(names, ""); got != want || rest.Total != 3 || rest.NextPageToken != "" {
				t.Errorf("%s by %s: %s of %d, want %s; then %q", path, order, got, rest.Total, want, rest.NextPageToken)
			}
		}
	}
	token := into[v1.NodePoolList](b.get(ada, within+"limit=1").is(http.StatusOK)).NextPageToken
	for _, path := range []string{pools + "?", clusters + "/" + of[1] + "/nodepools?", clusters + "?"} {
		b.get(ada, path+"page_token="+token).failsAt(v1.CodeInvalidPageToken, "page_token")
	}
}

// A token is for its caller and its list, and nobody else's to make.
func TestPages_RefuseATokenOfAnotherList(t *testing.T) {
	t.Parallel()
	eachKind(t, func(of collection) {
		for who, theirs := range map[string]collection{ada: of, bob: of.collection(of.kind, bob)} {
			theirs.declare(who, `{"name":"a"}`)
			theirs.declare(who, `{"name":"b"}`)
		}
		token := of.list(ada, "limit=1").NextPageToken
		for _, as := range []string{bob, admin, controller} {
			of.get(as, of.path+"?page_token="+token).failsAt(v1.CodeInvalidPageToken, "page_token")
		}
		changed := []byte(token)
		changed[len(changed)/2] ^= 1
		for why, query := range map[string]string{
			"changed": "page_token=" + url.QueryEscape(string(changed)), "cut": "page_token=" + token[:len(token)-1], "padded": "page_token=" + token + "%3D",
			"with a line break": "page_token=" + token + "%0A", "another filter": "status=Pending&page_token=" + token,
			"another order": "order_by=created_at&page_token=" + token, "a selector": "label_selector=!a&page_token=" + token,
		} {
			if body := of.get(ada, of.path+"?"+query).failsAt(v1.CodeInvalidPageToken, "page_token"); body.Details.Value != nil {
				of.t.Errorf("%s: repeats the token", why)
			}
		}
		of.get(ada, of.path+"?limit=100&order_by=-created_at&created_by="+ada+"&page_token="+token).is(http.StatusOK)
	})
}
