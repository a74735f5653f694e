package conformance

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

func listChecks() []Check {
	return []Check{
		{"api/empty-list-is-a-list", "A list of nothing is [], with total, limit and offset.", ofClusters, emptyListIsAList},
		{
			"api/pages-cover-everything-once", "Pages by token show each match once, the newest first, with the same total.",
			ofClusters, pagesCoverEverything,
		},
		{"api/page-token-is-signed", "A page token that was tampered with, or is of another list, is a 400.", ofClusters, pageTokenIsSigned},
		{"api/limit-is-bounded", "A limit that is not between 1 and 100 is a 400 that names it.", ofClusters, limitIsBounded},
		{
			"api/lists-are-ordered", "order_by orders by name from the least, with a - from the greatest; another order is a 400.",
			ofClusters, listsAreOrdered,
		},
		{"api/filters-filter", "name, platform (whatever its case), status and created_by filter.", ofClusters, filtersFilter},
		{"api/label-selectors-select", "label_selector has the syntax of Kubernetes; what it cannot read is a 400.", ofClusters, selectorsSelect},
		{"api/unknown-parameters-are-refused", "A parameter that is not known is a 400 that names it.", ofClusters, unknownParameters},
		{"api/parameters-are-given-once", "A parameter that is given twice is a 400 that names it.", ofClusters, parametersAreGivenOnce},
	}
}

// group makes clusters with a label in common and returns the selector of it.
func (p *probe) group(ctx context.Context, labels ...map[string]string) (selector string, made []v1.Cluster) {
	of := p.name()
	for _, l := range labels {
		l["group"] = of
		made = append(made, got[v1.Cluster](p)(p.user.CreateCluster(ctx, v1.CreateCluster{Name: p.name(), Labels: l, Spec: p.spec()})))
	}
	return "group=" + of, made
}

// names are those of a list of clusters.
func names(list []v1.Cluster) (all []string) {
	for _, c := range list {
		all = append(all, c.Name)
	}
	return all
}

// lists expects a list to be of just these clusters, in any order.
func (p *probe) lists(ctx context.Context, want []v1.Cluster, query ...string) {
	seen := names(into[v1.ClusterList](p.user.list(ctx, query...).is(http.StatusOK)).Clusters)
	expected := slices.Sorted(slices.Values(names(want)))
	slices.Sort(seen)
	p.expect(slices.Equal(seen, expected), "the clusters "+text(expected), seen)
}

func emptyListIsAList(ctx context.Context, p *probe) {
	p.user.list(ctx, "name", p.name()).is(http.StatusOK).
		shape("", "clusters:list").shows("clusters", []int{}).shows("total", 0).shows("limit", 50).shows("offset", 0)
}

func pagesCoverEverything(ctx context.Context, p *probe) {
	selector, made := p.group(ctx, map[string]string{}, map[string]string{}, map[string]string{}, map[string]string{}, map[string]string{})
	slices.Reverse(made)
	var seen []v1.Cluster
	for token, pages := "", 0; pages == 0 || token != ""; pages++ {
		query := []string{"label_selector", selector, "limit", "2"}
		if token != "" {
			query = append(query, "page_token", token)
		}
		page := into[v1.ClusterList](p.user.list(ctx, query...).is(http.StatusOK))
		p.expect(len(page.Clusters) <= 2 && page.Total == int64(len(made)) && pages < 5, "at most 2 of a total of 5 on each of 3 pages", page)
		seen, token = append(seen, page.Clusters...), page.NextPageToken
	}
	p.expect(slices.Equal(names(seen), names(made)), "each once, the newest first: "+text(names(made)), names(seen))
}

func pageTokenIsSigned(ctx context.Context, p *probe) {
	selector, _ := p.group(ctx, map[string]string{}, map[string]string{})
	token := into[v1.ClusterList](p.user.list(ctx, "label_selector", selector, "limit", "1").is(http.StatusOK)).NextPageToken
	p.expect(len(token) > 1, "a next_page_token", token)
	forged := []byte(token)
	forged[len(forged)/2] ^= 1
	p.user.list(ctx, "label_selector", selector, "page_token", string(forged)).refused(v1.CodeInvalidPageToken, "page_token")
	p.user.list(ctx, "label_selector", selector+",other", "page_token", token).refused(v1.CodeInvalidPageToken, "page_token")
	p.other.list(ctx, "label_selector", selector, "page_token", token).refused(v1.CodeInvalidPageToken, "page_token")
}

func limitIsBounded(ctx context.Context, p *probe) {
	for _, bad := range []string{"0", "101", "-1", "ten"} {
		p.user.list(ctx, "limit", bad).refused(v1.CodeInvalidQuery, "limit")
	}
	p.user.list(ctx, "limit", "100").is(http.StatusOK).shows("limit", 100)
}

func listsAreOrdered(ctx context.Context, p *probe) {
	selector, made := p.group(ctx, map[string]string{}, map[string]string{}, map[string]string{})
	slices.SortFunc(made, func(a, b v1.Cluster) int { return cmp.Compare(a.Name, b.Name) })
	for _, order := range []string{"name", "-name"} {
		seen := names(into[v1.ClusterList](p.user.list(ctx, "label_selector", selector, "order_by", order).is(http.StatusOK)).Clusters)
		p.expect(slices.Equal(seen, names(made)), text(names(made)), seen)
		slices.Reverse(made)
	}
	p.user.list(ctx, "order_by", "colour").refused(v1.CodeInvalidQuery, "order_by")
}

func filtersFilter(ctx context.Context, p *probe) {
	selector, made := p.group(ctx, map[string]string{}, map[string]string{})
	elsewhere := got[v1.Cluster](p)(p.user.PatchCluster(ctx, made[1].ID, v1.Object(`{"spec":{"platform":{"type":"`+p.platform+`-other"}}}`)))
	p.report(ctx, made[0].ID, says(p.controller("a"), 0, v1.ConditionTrue))
	of := []string{"label_selector", selector}
	p.lists(ctx, made[1:], append(of, "platform", strings.ToUpper(p.platform+"-other"))...)
	p.lists(ctx, made[:1], append(of, "name", made[0].Name)...)
	p.lists(ctx, made[:1], append(of, "status", "Ready")...)
	p.lists(ctx, []v1.Cluster{elsewhere}, append(of, "status", "Pending")...)
	p.lists(ctx, made, append(of, "created_by", p.User)...)
	p.user.list(ctx, "created_by", p.other.as).refused(v1.CodeForbidden, "created_by")
	p.user.list(ctx, "status", "Lost").refused(v1.CodeInvalidQuery, "status")
}

func selectorsSelect(ctx context.Context, p *probe) {
	of, made := p.group(ctx, map[string]string{"tier": "web"}, map[string]string{"tier": "db"}, map[string]string{})
	for selector, want := range map[string][]v1.Cluster{
		"tier=web": made[:1], "tier in (web, db)": made[:2], "tier": made[:2],
		"tier!=web": made[1:], "tier notin (web,db)": made[2:], "!tier": made[2:],
	} {
		p.lists(ctx, want, "label_selector", of+","+selector)
	}
	p.user.list(ctx, "label_selector", "tier in (").refused(v1.CodeInvalidQuery, "label_selector")
}

func unknownParameters(ctx context.Context, p *probe) {
	p.user.list(ctx, "colour", "red").refused(v1.CodeInvalidQuery, "colour")
}

func parametersAreGivenOnce(ctx context.Context, p *probe) {
	p.user.list(ctx, "name", "a", "name", "b").refused(v1.CodeInvalidQuery, "name")
}
