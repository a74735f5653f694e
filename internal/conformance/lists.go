package conformance

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	v1 "github.com/cls-backend/cls-backend/api/v1"
)

func listChecks() []Check {
	return ofBoth([]promise{
		{"api/empty-list-is-a-list", "A list of nothing is [], with total, limit and offset.", ofClusters, emptyListIsAList},
		{
			"api/pages-cover-everything-once", "Pages by token show each match once, the newest first, with the same total.",
			ofClusters, pagesCoverEverything,
		},
		{
			"api/pages-stand-while-things-change", "What is created or deleted meanwhile hides and repeats nothing on pages by token.",
			ofClusters, pagesStand,
		},
		{"api/page-token-is-signed", "A page token that was tampered with, or is of another list, is a 400.", ofClusters, pageTokenIsSigned},
		{"api/offset-skips", "offset skips so many matches; a negative one is a 400 that names it.", ofClusters, offsetSkips},
		{"api/total-counts", "total counts all matches, total=exact too; total of anything else is a 400.", ofClusters, totalCounts},
		{"api/limit-is-bounded", "A limit that is not between 1 and 100 is a 400 that names it.", ofClusters, limitIsBounded},
		{
			"api/lists-are-ordered", "order_by orders by name from the least, with a - from the greatest; another order is a 400.",
			ofClusters, listsAreOrdered,
		},
		{"api/lists-are-ordered-by-times", "order_by orders by created_at and updated_at, both ways.", ofClusters, listsAreOrderedByTimes},
		{"api/filters-filter", "name, platform (whatever its case), status and created_by filter.", ofClusters, filtersFilter},
		{
			"api/label-selectors-select", "label_selector has the syntax of Kubernetes; what it cannot read is a 400.",
			ofClusters, selectorsSelect,
		},
		{"api/unknown-parameters-are-refused", "A parameter that is not known is a 400 that names it.", ofClusters, unknownParameters},
		{"api/parameters-are-given-once", "A parameter that is given twice is a 400 that names it.", ofClusters, parametersAreGivenOnce},
	})
}

// group makes resources with a label in common and returns the selector of it.
func (p *probe) group(ctx context.Context, labels ...fields) (selector string, made []resource) {
	of := p.name()
	for _, l := range labels {
		l["group"] = of
		made = append(made, p.declare(ctx, fields{"labels": l}))
	}
	return "group=" + of, made
}

// names are those of resources.
func names(list []resource) (all []string) {
	for _, r := range list {
		all = append(all, r.Name)
	}
	return all
}

// page is what a list shows.
type page struct {
	resources []resource
	total     int64
	next      string
}

// page reads the page of a list.
func (p *probe) page(ctx context.Context, query ...string) page {
	r := p.user.list(ctx, query...).is(http.StatusOK)
	all := into[map[string]json.RawMessage](r)
	l := into[struct {
		Total int64  `json:"total"`
		Next  string `json:"next_page_token"`
	}](r)
	return page{into[[]resource](reply{p: p, body: all[p.kind.list]}), l.Total, l.Next}
}

// lists expects a list to be of just these resources, in any order.
func (p *probe) lists(ctx context.Context, want []resource, query ...string) {
	seen := names(p.page(ctx, query...).resources)
	expected := slices.Sorted(slices.Values(names(want)))
	slices.Sort(seen)
	p.expect(slices.Equal(seen, expected), "those of the names "+text(expected), seen)
}

// ordered expects a list to be of just these resources, in this order.
func (p *probe) ordered(ctx context.Context, want []resource, query ...string) {
	seen := names(p.page(ctx, query...).resources)
	p.expect(slices.Equal(seen, names(want)), "in this order "+text(names(want)), seen)
}

func emptyListIsAList(ctx context.Context, p *probe) {
	p.user.list(ctx, "name", p.name()).is(http.StatusOK).
		shape("", p.kind.list+":list").shows(p.kind.list, []int{}).shows("total", 0).shows("limit", 50).shows("offset", 0)
}

func pagesCoverEverything(ctx context.Context, p *probe) {
	selector, made := p.group(ctx, fields{}, fields{}, fields{}, fields{}, fields{})
	slices.Reverse(made)
	var seen []resource
	for token, pages := "", 0; pages == 0 || token != ""; pages++ {
		query := []string{"label_selector", selector, "limit", "2"}
		if token != "" {
			query = append(query, "page_token", token)
		}
		l := p.page(ctx, query...)
		p.expect(len(l.resources) <= 2 && l.total == int64(len(made)) && pages < 5, "at most 2 of a total of 5 on each of 3 pages",
			names(l.resources))
		seen, token = append(seen, l.resources...), l.next
	}
	p.expect(slices.Equal(names(seen), names(made)), "each once, the newest first: "+text(names(made)), names(seen))
}

func pagesStand(ctx context.Context, p *probe) {
	selector, made := p.group(ctx, fields{}, fields{}, fields{}, fields{})
	slices.Reverse(made)
	first := p.page(ctx, "label_selector", selector, "limit", "2")
	p.expect(slices.Equal(names(first.resources), names(made[:2])), "the newest two: "+text(names(made[:2])), names(first.resources))
	p.declare(ctx, fields{"labels": fields{"group": strings.TrimPrefix(selector, "group=")}})
	p.ordered(ctx, made[2:], "label_selector", selector, "limit", "2", "page_token", first.next)
	p.remove(ctx, made[0].ID, "")
	p.remove(ctx, made[1].ID, "")
	p.ordered(ctx, made[2:], "label_selector", selector, "limit", "2", "page_token", first.next)
}

func pageTokenIsSigned(ctx context.Context, p *probe) {
	selector, _ := p.group(ctx, fields{}, fields{})
	token := p.page(ctx, "label_selector", selector, "limit", "1").next
	p.expect(len(token) > 1, "a next_page_token", token)
	forged := []byte(token)
	forged[len(forged)/2] ^= 1
	p.user.list(ctx, "label_selector", selector, "page_token", string(forged)).refused(v1.CodeInvalidPageToken, "page_token")
	p.user.list(ctx, "label_selector", selector+",other", "page_token", token).refused(v1.CodeInvalidPageToken, "page_token")
	p.user.list(ctx, "label_selector", selector, "order_by", "name", "page_token", token).refused(v1.CodeInvalidPageToken, "page_token")
	p.other.list(ctx, "label_selector", selector, "page_token", token).refused(v1.CodeInvalidPageToken, "page_token")
}

func offsetSkips(ctx context.Context, p *probe) {
	selector, made := p.group(ctx, fields{}, fields{}, fields{})
	slices.Reverse(made)
	p.ordered(ctx, made[1:], "label_selector", selector, "offset", "1")
	p.ordered(ctx, made[2:], "label_selector", selector, "offset", "2", "limit", "1")
	p.user.list(ctx, "label_selector", selector, "offset", "3").is(http.StatusOK).
		shows(p.kind.list, []int{}).shows("offset", 3).shows("total", 3)
	p.user.list(ctx, "offset", "-1").refused(v1.CodeInvalidQuery, "offset")
}

func totalCounts(ctx context.Context, p *probe) {
	selector, _ := p.group(ctx, fields{}, fields{}, fields{})
	r := p.user.list(ctx, "label_selector", selector, "limit", "1").is(http.StatusOK).shows("total", 3)
	p.expect(r.at("total_is_lower_bound") != true, "a total that is exact", r.String())
	p.user.list(ctx, "label_selector", selector, "limit", "1", "total", "exact").is(http.StatusOK).shows("total", 3)
	p.user.list(ctx, "total", "about").refused(v1.CodeInvalidQuery, "total")
}

func limitIsBounded(ctx context.Context, p *probe) {
	for _, bad := range []string{"0", "101", "-1", "ten"} {
		p.user.list(ctx, "limit", bad).refused(v1.CodeInvalidQuery, "limit")
	}
	p.user.list(ctx, "limit", "100").is(http.StatusOK).shows("limit", 100)
}

func listsAreOrdered(ctx context.Context, p *probe) {
	selector, made := p.group(ctx, fields{}, fields{}, fields{})
	slices.SortFunc(made, func(a, b resource) int { return cmp.Compare(a.Name, b.Name) })
	p.ordered(ctx, made, "label_selector", selector, "order_by", "name")
	slices.Reverse(made)
	p.ordered(ctx, made, "label_selector", selector, "order_by", "-name")
	p.user.list(ctx, "order_by", "colour").refused(v1.CodeInvalidQuery, "order_by")
}

func listsAreOrderedByTimes(ctx context.Context, p *probe) {
	selector, made := p.group(ctx, fields{}, fields{}, fields{})
	p.change(ctx, made[0].ID, `{"description":"changed last"}`)
	for order, want := range map[string][]int{
		"created_at": {0, 1, 2}, "-created_at": {2, 1, 0}, "updated_at": {1, 2, 0}, "-updated_at": {0, 2, 1},
	} {
		p.ordered(ctx, []resource{made[want[0]], made[want[1]], made[want[2]]}, "label_selector", selector, "order_by", order)
	}
}

func filtersFilter(ctx context.Context, p *probe) {
	selector, made := p.group(ctx, fields{}, fields{})
	p.change(ctx, made[1].ID, `{"spec":{"platform":{"type":"`+p.platform+`-other"}}}`)
	p.report(ctx, made[0].ID, says(p.controller("a"), 0, v1.ConditionTrue))
	of := []string{"label_selector", selector}
	p.lists(ctx, made[1:], append(of, "platform", strings.ToUpper(p.platform+"-other"))...)
	p.lists(ctx, made[:1], append(of, "name", made[0].Name)...)
	p.lists(ctx, made[:1], append(of, "status", "Ready")...)
	p.lists(ctx, made[1:], append(of, "status", "Pending")...)
	p.lists(ctx, made, append(of, "created_by", p.User)...)
	p.user.list(ctx, "created_by", p.Other).refused(v1.CodeForbidden, "created_by")
	p.user.list(ctx, "status", "Lost").refused(v1.CodeInvalidQuery, "status")
}

func selectorsSelect(ctx context.Context, p *probe) {
	of, made := p.group(ctx, fields{"tier": "web"}, fields{"tier": "db"}, fields{})
	for selector, want := range map[string][]resource{
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
