package conformance

import (
	"bytes"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/client"
	"github.com/cls-backend/cls-backend/clstest"
	"github.com/cls-backend/cls-backend/internal/models"
)

// The calls that mutants change.
const (
	all    = "/api/v1/(clusters|nodepools)"
	one    = all + "/[^/]+"
	status = one + "/status"
)

// mutants breaks every promise that is checked, at least once. What breaks one that is made of both kinds is two mutants, of
// which one breaks node pools alone.
func mutants() []mutant {
	list := slices.Concat(mutantsOfAnswers(), mutantsOfChanges(), mutantsOfTrying(), mutantsOfLists(), mutantsOfPast(), mutantsOfIdentity(),
		mutantsOfErrors(), mutantsOfStatus(), mutantsOfReports(), mutantsOfDeletion(), mutantsOfRegistry(), mutantsOfEvents())
	for _, m := range list {
		if m = m.ofNodePools(); len(m.breaks) > 0 {
			list = append(list, m)
		}
	}
	return list
}

// ofNodePools breaks node pools as m breaks clusters; it breaks nothing where m is of clusters alone.
func (m mutant) ofNodePools() mutant {
	var twins []string
	for _, c := range Checks() {
		if c.kind == models.KindNodePool && slices.ContainsFunc(m.breaks, func(name string) bool { return ofNodePool(name) == c.Name }) {
			twins = append(twins, c.Name)
		}
	}
	m.name, m.breaks, m.kind = m.name+", of node pools", twins, models.KindNodePool
	m.misses = strings.Replace(m.misses, "cluster.", "nodepool.", 1)
	return m
}

func mutantsOfAnswers() []mutant {
	return []mutant{
		{name: "info says no commit", breaks: []string{"api/info-is-for-anybody"}, on: "GET /api/v1/info", answers: without("git_commit")},
		{name: "health without Pub/Sub", breaks: []string{"api/health-names-its-components"}, on: "GET /health", answers: without("components.pubsub")},
		{name: "a probe that is never ready", breaks: []string{"api/probes-are-for-anybody"}, on: "GET /readyz", answers: ofStatusCode(200, 503)},
		{
			name: "a document without a path", breaks: []string{"api/document-is-served"}, on: "GET /openapi.yaml",
			answers: func(_ int, a *answer) {
				a.text = bytes.ReplaceAll(a.text, []byte("nodepools/{id}/reconcile:"), []byte("nodepools/{id}/wake:"))
			},
		},
		{name: "docs from anywhere", breaks: []string{"api/docs-load-from-here-only"}, on: "GET /docs", answers: withoutHeader("Content-Security-Policy")},
		{
			name: "empty fields are left out", breaks: []string{"api/create-answers-the-whole-cluster"},
			on: "POST /api/v1/clusters", answers: without("target_project_id"),
		},
		{
			name: "random ids", breaks: []string{"api/id-is-a-uuid-of-version-7"}, on: "POST " + all,
			answers: func(_ int, a *answer) { a.body["id"] = "0192b5a0-0000-4000-8000-000000000001" },
		},
		{
			name: "times are cut when they are read", breaks: []string{"api/times-are-the-same-everywhere"}, on: "GET " + one,
			answers: func(_ int, a *answer) {
				if at, there := a.body["created_at"].(string); there {
					a.body["created_at"] = at[:19] + "Z"
				}
			},
		},
		{name: "a fixed structure for the spec", breaks: []string{"api/spec-comes-back"}, on: "GET " + one, answers: without("spec.of-nobody")},
		{name: "no ETag", breaks: []string{"api/etag-is-the-resource-version"}, on: "GET " + one, answers: withoutHeader("ETag")},
		{name: "cached answers", breaks: []string{"api/nothing-is-cached"}, on: "GET .*", answers: withoutHeader("Cache-Control")},
		{name: "request ids of its own", breaks: []string{"api/request-id-comes-back"}, on: "GET .*", asks: ignoring("X-Request-ID")},
		{name: "a wake-up is 200", breaks: []string{"api/reconcile-is-accepted"}, on: "POST .*/reconcile", answers: ofStatusCode(202, 200)},
		{name: "405 without Allow", breaks: []string{"api/method-not-allowed-names-those-that-are"}, on: "PUT .*", answers: withoutHeader("Allow")},
		{name: "bodies of any size", breaks: []string{"api/large-body-is-refused"}, on: "POST .*", asks: forgetting("spec.text")},
		{
			name: "any media type", breaks: []string{"api/other-media-types-are-refused"}, on: "POST .*",
			asks: func(_ int, c *call) { c.Header.Set("Content-Type", "application/json") },
		},
		{
			name: "node pools without their cluster", breaks: []string{"api/create-answers-the-whole-node-pool"},
			on: "POST /api/v1/nodepools", answers: without("cluster_id"),
		},
	}
}

func mutantsOfChanges() []mutant {
	return []mutant{
		{
			name: "every PUT is a new spec", breaks: []string{"api/generation-moves-with-the-spec-only", "api/equal-put-changes-nothing"},
			on: "PUT " + one, asks: func(n int, c *call) {
				if spec, ok := c.body["spec"].(map[string]any); ok {
					spec["mutant"] = n
				}
			},
		},
		{
			name: "generations that are read, added to and written", breaks: []string{"api/parallel-puts-have-a-generation-each"},
			on: "PUT " + one, answers: showing("generation", 2),
		},
		{name: "If-Match is ignored", breaks: []string{"api/if-match-refuses-after-any-change"}, on: ".*", asks: ignoring("If-Match")},
		{
			name: "the generation of a body is ignored", breaks: []string{"api/generation-refuses-after-a-new-spec"},
			on: ".*", asks: forgetting("generation"),
		},
		{name: "a PUT needs no spec", breaks: []string{"api/put-needs-a-spec"}, on: "PUT .*", asks: func(_ int, c *call) {
			if c.body["spec"] == nil {
				c.body["spec"] = map[string]any{}
			}
		}},
		{name: "a PUT replaces everything", breaks: []string{"api/put-keeps-what-it-leaves-out"}, on: "PUT .*", asks: func(_ int, c *call) {
			c.body["labels"], c.body["description"] = map[string]any{}, ""
		}},
		{name: "output is no input", breaks: []string{"api/what-was-read-can-be-written"}, on: "PUT .*", asks: func(_ int, c *call) {
			if c.body["created_at"] != nil {
				c.body["created"] = true
			}
		}},
		{name: "another name is ignored", breaks: []string{"api/name-and-id-are-for-life"}, on: "PUT .*", asks: forgetting("name", "id")},
		{name: "unknown fields are ignored", breaks: []string{"api/unknown-fields-are-refused"}, on: ".*", asks: forgetting("colour")},
		{
			name: "a PATCH that adds only", breaks: []string{"api/patch-merges"}, on: "PATCH .*",
			asks: forgetting("labels.a", "spec.drop", "spec.keep.y"),
		},
		{
			name:   "names are made up",
			breaks: []string{"api/names-are-labels", "api/name-is-taken-once"},
			on:     "POST /api/v1/(clusters|nodepools)", asks: func(_ int, c *call) { c.body["name"] = newName() },
		},
		{
			name: "a name is one in all clusters", breaks: []string{"api/node-pool-name-is-its-clusters"}, on: "POST /api/v1/nodepools",
			answers: func(n int, a *answer) {
				if n > 1 {
					a.StatusCode = http.StatusConflict
				}
			},
		},
		{name: "a version of its own", breaks: []string{"api/node-pool-takes-a-version"}, on: "GET /api/v1/nodepools/.*", answers: without("spec.release")},
		{name: "labels of any form", breaks: []string{"api/labels-are-checked"}, on: "POST .*", asks: forgetting("labels.tier")},
		{
			name: "any platform", breaks: []string{"api/platform-is-checked"}, on: "POST .*",
			asks: forgetting("spec.platform"),
		},
		{
			name: "what is checked in a POST alone", breaks: []string{"api/changes-are-checked"}, on: "(PUT|PATCH) .*",
			asks: forgetting("labels.tier", "spec.platform"),
		},
		{
			name: "a name is one for all", breaks: []string{"api/name-is-free-for-others"}, on: "POST .*",
			asks: believing("others", clstest.User),
		},
	}
}

func mutantsOfTrying() []mutant {
	first := map[string]map[string]any{}
	return []mutant{
		{
			name: "keys are ignored", on: "POST .*", asks: ignoring(keyHeader), breaks: []string{
				"api/idempotency-key-repeats-the-answer", "api/idempotency-key-is-for-one-body", "api/idempotency-key-waits",
			},
		},
		{
			name: "refusals are kept", breaks: []string{"api/idempotency-key-keeps-a-201-only"}, on: "POST " + all,
			asks: func(_ int, c *call) {
				if key := c.Header.Get(keyHeader); key != "" && first[key] == nil {
					first[key] = maps.Clone(c.body)
				} else if key != "" {
					maps.Copy(c.body, first[key])
				}
			},
		},
		{
			name: "dry runs have keys", breaks: []string{"api/idempotency-key-is-not-for-dry-runs"}, on: "POST .*",
			asks: func(_ int, c *call) {
				if c.Header.Get(keyHeader) != "" {
					deaf("dry_run")(0, c)
				}
			},
		},
		{
			name: "a key is one for all", breaks: []string{"api/idempotency-key-is-the-callers-own"}, on: "POST .*",
			asks: believing("others", clstest.User),
		},
		{name: "dry runs are real", breaks: []string{"api/dry-run-does-nothing"}, on: ".*", asks: deaf("dry_run")},
	}
}

func mutantsOfLists() []mutant {
	const lists = "GET " + all
	return []mutant{
		{name: "an empty list is null", breaks: []string{"api/empty-list-is-a-list"}, on: lists, answers: func(_ int, a *answer) {
			showing("clusters", nil)(0, a)
			showing("nodepools", nil)(0, a)
		}},
		{name: "one page and no more", breaks: []string{"api/pages-cover-everything-once"}, on: lists, answers: without("next_page_token")},
		{name: "any page token", breaks: []string{"api/page-token-is-signed"}, on: lists, asks: deaf("page_token")},
		{name: "limits are bent", breaks: []string{"api/limit-is-bounded"}, on: lists, asks: deaf("limit")},
		{
			name: "pages by numbers", breaks: []string{"api/pages-stand-while-things-change"}, on: lists, asks: func(_ int, c *call) {
				if c.URL.Query().Has("page_token") {
					deaf("page_token")(0, c)
					asking("offset", "2")(0, c)
				}
			},
		},
		{name: "one order", breaks: []string{"api/lists-are-ordered"}, on: lists, asks: deaf("order_by")},
		{name: "one time", breaks: []string{"api/lists-are-ordered-by-times"}, on: lists, asks: func(_ int, c *call) {
			asking("order_by", strings.Replace(c.URL.Query().Get("order_by"), "updated", "created", 1))(0, c)
		}},
		{name: "always from the first", breaks: []string{"api/offset-skips"}, on: lists, asks: deaf("offset")},
		{name: "any total", breaks: []string{"api/total-counts"}, on: lists, asks: deaf("total")},
		{
			name: "filters that do nothing", breaks: []string{"api/filters-filter", "api/node-pools-are-listed-by-cluster"},
			on: lists, asks: deaf("platform", "status", "name", "created_by", "clusterId"),
		},
		{name: "selectors that do nothing", breaks: []string{"api/label-selectors-select"}, on: lists, asks: deaf("label_selector")},
		{name: "unknown parameters are ignored", breaks: []string{"api/unknown-parameters-are-refused"}, on: lists, asks: deaf("colour")},
		{name: "the last of two parameters", breaks: []string{"api/parameters-are-given-once"}, on: lists, asks: asking("name", "b")},
	}
}

func mutantsOfPast() []mutant {
	each := func(list string, change func(map[string]any)) func(int, *answer) {
		return func(_ int, a *answer) {
			entries, _ := a.body[list].([]any)
			for _, e := range entries {
				change(e.(map[string]any))
			}
		}
	}
	return []mutant{
		{
			name: "revisions of nobody", breaks: []string{"api/revisions-are-the-specs"}, on: "GET .*/revisions",
			answers: each("revisions", func(r map[string]any) { r["created_by"] = "" }),
		},
		{
			name: "the whole spec as a diff", breaks: []string{"api/revisions-are-the-specs"}, on: "GET .*/revisions",
			answers: each("revisions", func(r map[string]any) { r["diff"] = []any{map[string]any{"op": "replace", "path": "", "value": 1}} }),
		},
		{
			name: "a rollback to the present", breaks: []string{"api/rollback-brings-a-spec-back"}, on: "POST .*/rollback",
			asks: asking("to", "2"),
		},
		{
			name: "changes of nobody", breaks: []string{"api/timeline-tells-changes"}, on: "GET .*/events",
			answers: each("events", func(e map[string]any) { delete(e, "user_email") }),
		},
		{
			name: "a past without publications", breaks: []string{"api/timeline-tells-changes"}, on: "GET .*/events",
			answers: each("events", func(e map[string]any) { e["what"] = v1.TimelineChange }), misses: "of the past, the publication",
		},
		{
			name: "reports of nothing", breaks: []string{"api/timeline-tells-reports"}, on: "GET .*/events",
			answers: each("events", func(e map[string]any) { delete(e, "conditions") }),
		},
	}
}

func mutantsOfIdentity() []mutant {
	return []mutant{
		{name: "anybody is somebody", breaks: []string{"api/identity-is-needed"}, on: "GET .*", asks: believing("", clstest.User)},
		{name: "any name is somebody", breaks: []string{"api/identity-is-an-address"}, on: "GET .*", asks: believing("nobody", clstest.User)},
		{name: "roles of one's own", breaks: []string{"api/roles-are-not-believed"}, on: "GET .*", asks: func(_ int, c *call) {
			if c.Header.Get("X-User-Roles") != "" {
				c.Header.Set("X-User-Email", clstest.Admin)
			}
		}},
		{name: "the first of two users", breaks: []string{"api/look-alike-headers-are-refused"}, on: "GET .*", asks: func(_ int, c *call) {
			c.Header.Set("X-User-Email", c.Header.Get("X-User-Email"))
		}},
		{name: "look-alikes are ignored", breaks: []string{"api/look-alike-headers-are-refused"}, on: "GET .*", asks: ignoring("X_User_Email")},
		{
			name: "tenants see each other", breaks: []string{"api/not-yours-is-not-found", "api/node-pool-needs-a-cluster-of-yours"},
			on: "(GET|POST) .*", asks: believing("others", clstest.Admin),
		},
		{name: "users report", breaks: []string{"api/users-do-not-report"}, on: "PUT " + status, asks: believing(clstest.User, clstest.Controller)},
		{
			name: "controllers declare", breaks: []string{"api/controllers-do-not-declare"}, on: "PATCH .*",
			asks: believing(clstest.Controller, clstest.Admin),
		},
		{
			name: "administrators are users", breaks: []string{"api/administrators-change-everything"}, on: "PATCH .*",
			asks: believing(clstest.Admin, "nobody@example.com"),
		},
		{
			name: "secrets in every read", breaks: []string{"api/secrets-are-for-controllers"}, on: "GET " + one,
			asks: believing(clstest.User, clstest.Controller),
		},
		{name: "a PUT loses secrets", breaks: []string{"api/secrets-survive-a-put"}, on: "PUT .*", asks: func(_ int, c *call) {
			if spec, ok := c.body["spec"].(map[string]any); ok {
				spec["serviceAccountSigningKey"] = nil
			}
		}},
		{name: "a rollback loses secrets", breaks: []string{"api/secrets-survive-a-rollback"}, on: "POST .*/rollback", asks: asking("to", "2")},
	}
}

func mutantsOfErrors() []mutant {
	return []mutant{
		{name: "errors without message", breaks: []string{"errors/have-one-shape"}, on: "(GET|PUT) .*", answers: without("message")},
		{name: "one fault at a time", breaks: []string{"errors/name-all-faults"}, on: "POST .*", answers: func(_ int, a *answer) {
			details, _ := at(a.body, "details.errors")
			if list, ok := details["errors"].([]any); ok {
				details["errors"] = list[:1]
			}
		}},
		{name: "fields of ours", breaks: []string{"errors/name-the-path"}, on: "POST .*", answers: showing("details.field", "Platform.Type")},
		{name: "Accept is ignored", breaks: []string{"errors/are-problems-if-asked"}, on: "POST .*", asks: ignoring("Accept")},
		{
			name: "a router's own 404", breaks: []string{"errors/unknown-route"}, on: "GET .*/nothing",
			answers: func(_ int, a *answer) { a.text, a.body = []byte("404 page not found"), nil },
		},
		{name: "nothing is deleted with success", breaks: []string{"errors/unknown-id"}, on: "DELETE .*", answers: ofStatusCode(404, 202)},
		{name: "an id of any form", breaks: []string{"errors/invalid-id"}, on: "GET .*", answers: ofStatusCode(400, 404)},
		{name: "what is no JSON is {}", breaks: []string{"errors/invalid-json"}, on: "POST .*", asks: func(_ int, c *call) {
			if c.body == nil {
				c.text = []byte("{}")
			}
		}},
		{
			name: "characters are dropped in silence", breaks: []string{"errors/text-that-cannot-be-kept"}, on: "POST .*",
			asks: func(_ int, c *call) { c.text = bytes.ReplaceAll(c.text, []byte(`\u0000`), nil); c.body = nil },
		},
		{
			name: "keys are made fit in silence", breaks: []string{"errors/keys-that-cannot-be-kept"}, on: "POST .*",
			asks: func(_ int, c *call) { c.text = bytes.ReplaceAll(c.text, []byte(`a\u0000`), []byte("a")); c.body = nil },
		},
		{
			name: "errors with all that was sent", breaks: []string{"errors/values-are-short"}, on: "POST .*",
			answers: func(_ int, a *answer) {
				object, _ := at(a.body, "details.value")
				object["value"] = strings.Repeat("A", 101)
			},
		},
		{
			name: "errors with secrets", breaks: []string{"errors/do-not-repeat-secrets"}, on: "POST .*",
			answers: func(_ int, a *answer) { object, _ := at(a.body, "details.value"); object["value"] = secret },
		},
	}
}

// phased answers another phase and reason.
func phased(from, to, reason string) func(int, *answer) {
	return func(_ int, a *answer) {
		if object, _ := at(a.body, "status.phase"); object["phase"] == from || object["reason"] == from {
			object["phase"], object["reason"] = to, reason
		}
	}
}

func mutantsOfStatus() []mutant {
	return []mutant{
		{name: "Progressing from the first", breaks: []string{"status/nobody-is-pending"}, on: "GET .*", answers: phased("Pending", "Progressing", "NoControllers")},
		{name: "never Ready", breaks: []string{"status/one-reporter-makes-ready"}, on: "GET .*", answers: phased("Ready", "Progressing", "Late")},
		{
			name:   "Ready with the first",
			breaks: []string{"status/every-reporter-is-waited-for", "registry/required-keeps-ready-false", "registry/counts-from-the-next-generation"},
			on:     "GET .*", answers: phased("PartialProgress", "Ready", "AllControllersReady"),
		},
		{name: "a new spec leaves Ready", breaks: []string{"status/new-spec-is-not-ready"}, on: "GET " + one, answers: func(_ int, a *answer) {
			conditions(a, func(c map[string]any) {
				if c["type"] == "Ready" {
					c["status"] = "True"
				}
			})
		}},
		{name: "every error passes", breaks: []string{"status/terminal-error-fails"}, on: "PUT " + status, asks: func(_ int, c *call) {
			object, _ := at(c.body, "last_error.error_type")
			object["error_type"] = v1.ErrorTransient
		}},
		{
			name: "nobody is something", breaks: []string{"status/nobody-available-is-provisioning"}, on: "GET .*",
			answers: phased("ControllersProvisioning", "Progressing", "PartialProgress"),
		},
		{
			name: "failed for ever", breaks: []string{"status/failure-is-of-its-generation"}, on: "GET .*",
			answers: phased("Progressing", "Failed", "ControllerFailed"),
		},
		{
			name: "nobody knows why", breaks: []string{"status/explain-says-why"}, on: "GET .*/explain",
			answers: func(_ int, a *answer) { a.body["waiting_for"] = []any{} },
		},
		{
			name: "a next event of what is paused", breaks: []string{"status/explain-says-why"}, on: "PATCH .*",
			asks: forgetting("paused"),
		},
		{
			name: "a version of the reading", breaks: []string{"status/reading-moves-nothing"}, on: "GET .*",
			answers: func(n int, a *answer) { showing("resource_version", strconv.Itoa(n))(n, a) },
		},
		{name: "Failed is ignored", breaks: []string{"status/failed-condition-fails"}, on: "PUT " + status, asks: func(_ int, c *call) {
			c.body["conditions"] = c.body["conditions"].([]any)[:1]
		}},
		{
			name:   "every error is for ever",
			breaks: []string{"status/passing-error-is-progressing", "status/unknown-error-type-is-transient"},
			on:     "PUT " + status, asks: func(_ int, c *call) {
				object, _ := at(c.body, "last_error.error_type")
				object["error_type"] = v1.ErrorFatal
			},
		},
		{
			name: "conditions of another generation", breaks: []string{"status/conditions-name-their-generation"}, on: "GET .*",
			answers: func(_ int, a *answer) { conditions(a, func(c map[string]any) { c["observedGeneration"] = 1 }) },
		},
		{
			name: "transition times of the reading", breaks: []string{"status/transition-time-moves-with-the-status-only"}, on: "GET .*",
			answers: func(_ int, a *answer) {
				conditions(a, func(c map[string]any) { c["lastTransitionTime"] = time.Now().UTC().Format(time.RFC3339Nano) })
			},
		},
		{name: "no reports are null", breaks: []string{"status/shows-each-report"}, on: "GET .*", answers: showing("controller_status", nil)},
		{
			name: "dropped reports stay", breaks: []string{"status/dropped-report-is-not-waited-for"}, on: "DELETE .*/status/.*",
			asks: asking("dry_run", "true"),
		},
		{
			name: "node pools are never Ready", breaks: []string{"status/node-pools-have-their-own"}, on: "GET /api/v1/nodepools/.*",
			answers: phased("Ready", "Pending", "NoControllers"),
		},
	}
}

func mutantsOfReports() []mutant {
	reports := func(breaks string, asks func(int, *call)) mutant {
		return mutant{breaks: []string{breaks}, on: "PUT " + status, asks: asks}
	}
	named := func(name string, m mutant) mutant {
		m.name = name
		return m
	}
	return []mutant{
		{
			name: "every report is of the current generation", on: "PUT " + status, asks: forgetting("observed_generation"),
			breaks: []string{
				"status/stale-report-is-not-applied", "status/generation-to-come-is-refused", "deletion/older-generation-does-not-let-go",
			},
		},
		named("no generation is the first", reports("status/generation-0-is-the-current-one", func(_ int, c *call) { c.body["observed_generation"] = 1 })),
		named("nobody may report", reports("status/only-four-things-are-refused", func(_ int, c *call) {
			if c.body != nil {
				c.body["controller_name"] = "mutant"
			}
		})),
		named("reports are judged strictly", reports("status/unknown-fields-pass", func(_ int, c *call) {
			if c.body["colour"] != nil {
				c.body["controller_name"] = ""
			}
		})),
		named("the first of two conditions", reports("status/last-of-two-conditions-stands", func(_ int, c *call) {
			slices.Reverse(c.body["conditions"].([]any))
		})),
		named("metadata is dropped", reports("status/metadata-comes-back", forgetting("metadata"))),
		named("details are dropped", reports("status/error-comes-back", forgetting("last_error.details"))),
		named("text is cut in silence", reports("status/text-that-cannot-be-kept-passes", func(_ int, c *call) {
			c.text, c.body = bytes.ReplaceAll(c.text, []byte(`\u0000`), nil), nil
		})),
		named("every report is news", reports("status/equal-report-changes-nothing", func(n int, c *call) {
			c.body["metadata"] = map[string]any{"n": n}
		})),
		{
			name: "a version that only users move", on: "GET .*", answers: showing("resource_version", "1"),
			breaks: []string{"status/report-moves-the-version", "status/report-of-a-new-message-is-stored"},
		},
	}
}

func mutantsOfDeletion() []mutant {
	return []mutant{
		{name: "deleted but there", breaks: []string{"deletion/unheld-is-gone-at-once"}, on: "DELETE .*", asks: asking("dry_run", "true")},
		{name: "a wait for nobody knows whom", breaks: []string{"deletion/names-whom-it-waits-for"}, on: "DELETE .*", answers: without("waiting_for")},
		{name: "changes of what is Deleting", breaks: []string{"deletion/refuses-changes"}, on: "PATCH .*", answers: ofStatusCode(409, 200)},
		{
			name:   "nobody lets go",
			breaks: []string{"deletion/ends-when-the-last-lets-go", "deletion/node-pools-go-first", "registry/finalizer-holds"},
			on:     "PUT " + status, asks: func(_ int, c *call) {
				c.body["conditions"].([]any)[0].(map[string]any)["status"] = "False"
			},
		},
		{
			name: "the latest of two Finalized counts", breaks: []string{"deletion/once-let-go-stands"}, on: "PUT " + status,
			asks: func(n int, c *call) {
				if n == 3 { // The two before make a and b hold it, the next would take this back.
					c.body["conditions"].([]any)[0].(map[string]any)["status"] = "False"
				}
			},
		},
		{
			name: "node pools of what is Deleting", breaks: []string{"deletion/refuses-node-pools"}, on: "POST /api/v1/nodepools",
			answers: ofStatusCode(409, 201),
		},
		{
			name: "force is for clusters alone", breaks: []string{"deletion/force-takes-node-pools"}, on: "GET /api/v1/nodepools/.*",
			answers: ofStatusCode(404, 200),
		},
		{
			name: "a node pool's protection holds its cluster", breaks: []string{"deletion/node-pool-protection-is-its-own"},
			on: "DELETE /api/v1/clusters/.*", answers: ofStatusCode(202, 409),
		},
		{
			name: "each DELETE begins anew", breaks: []string{"deletion/again-is-the-same"}, on: "DELETE .*",
			answers: func(n int, a *answer) { a.body["generation"] = n + 1 },
		},
		{name: "force is ignored", breaks: []string{"deletion/force-is-for-the-second-time"}, on: "DELETE .*", asks: deaf("force", "reason")},
		{
			name: "a report on what is gone is a 404", breaks: []string{"deletion/reports-are-answered-afterwards"}, on: "PUT " + status,
			answers: ofStatusCode(200, 404),
		},
		{name: "no protection", breaks: []string{"deletion/protection-refuses"}, on: "POST .*", asks: forgetting("deletion_protection")},
	}
}

func mutantsOfRegistry() []mutant {
	const entry = "/api/v1/controllers/.*"
	return []mutant{
		{name: "nobody finalizes", breaks: []string{"registry/entry-comes-back", "registry/finalizer-holds"}, on: "PUT " + entry, asks: forgetting("finalizes")},
		{name: "users register", breaks: []string{"registry/users-do-not-register"}, on: "PUT " + entry, asks: believing(clstest.User, clstest.Controller)},
		{name: "nobody is required", breaks: []string{"registry/required-keeps-ready-false"}, on: "PUT " + entry, asks: forgetting("required")},
		{name: "registered for all", breaks: []string{"registry/other-platforms-are-not-waited-for"}, on: "PUT " + entry, asks: func(_ int, c *call) {
			own := c.body["platforms"].([]any)
			own[0], _, _ = strings.Cut(text(own[0]), "-elsewhere")
		}},
		{name: "registered for both kinds", breaks: []string{"registry/other-kinds-are-not-waited-for"}, on: "PUT " + entry, asks: forgetting("kinds")},
		{name: "nobody retires", breaks: []string{"registry/retired-counts-nowhere", "registry/retired-holds-nothing"}, on: "DELETE " + entry, asks: asking("dry_run", "true")},
	}
}

func mutantsOfEvents() []mutant {
	var late []message
	return []mutant{
		{name: "events of nobody", breaks: []string{"events/created"}, tells: each(func(m *message) { m.event.Metadata.UserEmail = "" })},
		{
			name: "one reason for all", breaks: []string{"events/updated-says-why"}, misses: "cluster.updated (metadata_changed)",
			tells: each(func(m *message) {
				if m.event.Reason == v1.ReasonMetadataChanged {
					m.event.Reason = v1.ReasonSpecChanged
				}
			}),
		},
		{
			name: "a deletion that is not told", breaks: []string{"events/deleted"}, misses: "cluster.deleted (deletion_requested)",
			tells: only(func(m message) bool { return m.event.Reason != v1.ReasonDeletionRequested }),
		},
		{name: "another id", breaks: []string{"events/reconcile-on-demand"}, tells: each(func(m *message) { m.event.ID = unknown })},
		{name: "no CloudEvents", breaks: []string{"events/carry-attributes"}, tells: each(func(m *message) { delete(m.Attributes, "ce-type") })},
		{name: "no ordering key", breaks: []string{"events/are-ordered-by-cluster"}, tells: each(func(m *message) { m.OrderingKey = "" })},
		{name: "an event that is late", breaks: []string{"events/come-in-order"}, tells: func(m message) []message {
			if m.event.Generation == 3 {
				late = append(late, m)
				return nil
			}
			if m.event.Generation < 5 {
				return []message{m}
			}
			told := append([]message{m}, late...)
			late = nil
			return told
		}},
		{
			name: "duplicates that are told anew", breaks: []string{"events/keep-their-id", "events/need-a-change"},
			tells: again(func(message) bool { return true }),
		},
		{
			name: "reports wake nobody", breaks: []string{"events/report-wakes-everybody"}, misses: "cluster.reconcile (reactive)",
			tells: only(func(m message) bool { return m.event.Reason != v1.ReasonReactive }),
		},
		{
			name: "every report wakes everybody", breaks: []string{"events/report-of-nothing-new-wakes-nobody"},
			tells: again(func(m message) bool { return m.event.Reason == v1.ReasonReactive }),
		},
		{
			name: "nothing is paused", breaks: []string{"events/paused-is-not-woken"}, on: "POST " + all, asks: forgetting("paused"),
		},
		{name: "wake-ups of what is deleted", breaks: []string{"events/deletion-is-repeated"}, tells: each(func(m *message) {
			if m.event.Reason == v1.ReasonDeletionPending {
				m.event.Type, m.event.Reason = v1.ClusterReconcile, v1.ReasonManual
			}
		})},
		{
			name: "force is kept secret", breaks: []string{"events/force-is-told"}, misses: "cluster.deleted with force_delete",
			tells: each(func(m *message) { m.event.Metadata.ForceDelete = false }),
		},
		{
			name: "force is told without a reason", breaks: []string{"events/force-is-told", "events/force-reaches-node-pools"},
			tells: each(func(m *message) { m.event.Metadata.ForceReason = "" }),
		},
		{
			name: "no platform is no attribute", breaks: []string{"events/no-platform-is-empty"},
			tells: each(func(m *message) { delete(m.Attributes, "platform") }),
		},
		{
			name: "node pools without a name", breaks: []string{"events/node-pools-have-a-topic"},
			tells: each(func(m *message) { delete(m.Attributes, "nodepool_id") }),
		},
		{name: "a trace that ends", breaks: []string{"events/trace-goes-on"}, tells: each(func(m *message) { delete(m.Attributes, "traceparent") })},
		{
			name: "nobody is woken by itself", breaks: []string{"events/young-is-woken-by-itself"}, misses: "cluster.reconcile (attention) by itself",
			tells: only(func(m message) bool { return m.event.Metadata.TriggeredBy != v1.TriggeredByScheduler }),
		},
		{
			name: "wake-ups of nobody's", breaks: []string{"events/young-is-woken-by-itself", "events/deletion-is-repeated-by-itself"},
			tells: each(func(m *message) { m.event.Metadata.TriggeredBy = v1.TriggeredByUser }),
		},
	}
}

// again tells some events once more, as others.
func again(which func(message) bool) func(message) []message {
	return func(m message) []message {
		if !which(m) {
			return []message{m}
		}
		other := m
		other.event.ID = newID()
		return []message{m, other}
	}
}

// newName is one that nothing else has.
func newName() string { return "m-" + newID() }

// TestEveryCheckCanFail runs, against each mutant, the checks that must see it. That one has waited in vain shows nothing, but
// where the mutant takes away what it waits for.
func TestEveryCheckCanFail(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	list := mutants()
	t.Logf("%d mutants of %d checks", len(list), len(Checks()))
	for _, m := range list {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			o := optionsOf(b)
			o.Only, o.prefix = m.breaks, newName()
			if m.misses != "" {
				o.patience = 2 * time.Second
			}
			o.through = m.through
			o.URL = m.start(t, b.URL())
			report, err := Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range report.Results {
				m.seen(t, r)
			}
		})
	}
}

// seen fails the test unless a check has failed for what the mutant does.
func (m mutant) seen(t *testing.T, r Result) {
	t.Helper()
	f := r.Failure
	if f == nil {
		t.Errorf("%s does not see it", r.Check.Name)
		return
	}
	waited := strings.HasPrefix(f.Expected, awaited)
	switch {
	case f.Expected == "an answer" || f.Request == "" || f.Seen == "":
		t.Errorf("%s fails for another reason: %+v", r.Check.Name, f)
	case waited != (m.misses != "") || waited && !strings.HasPrefix(f.Expected, awaited+m.misses):
		t.Errorf("%s has not seen it, but waited in vain, or the other way round: %+v", r.Check.Name, f)
	default:
		t.Logf("%s: expected %s, seen %.300s", r.Check.Name, f.Expected, f.Seen)
	}
}

func TestEveryCheckHasAMutant(t *testing.T) {
	t.Parallel()
	var broken []string
	for _, m := range mutants() {
		broken = append(broken, m.breaks...)
	}
	for _, c := range Checks() {
		if !slices.Contains(broken, c.Name) {
			t.Errorf("nothing shows that %s can fail", c.Name)
		}
	}
}

// TestWhatIsLeftBehindIsNamed runs against backends that delete nothing, or let somebody make what they should not.
func TestWhatIsLeftBehindIsNamed(t *testing.T) {
	t.Parallel()
	b := clstest.NewBackend(t)
	var named []string
	const controllersDeclare, id = "api/controllers-do-not-declare", "api/id-is-a-uuid-of-version-7"
	for _, row := range []struct {
		why, check, admin string
		mutant            mutant
		left              string // a regular expression of all that is; "" for nothing
	}{
		{
			"nothing is deleted", id, clstest.Admin,
			mutant{on: "DELETE .*", asks: asking("dry_run", "true")},
			"/api/v1/clusters/[^ ]+ of user@example.com",
		},
		{
			"a controller has made it, and nobody else may remove it", controllersDeclare, "",
			mutant{on: "POST .*", asks: believing(clstest.Controller, clstest.Admin)},
			"/api/v1/clusters/[^ ]+ of controller@system.local",
		},
		{
			"a controller has made it, and an administrator removes it", controllersDeclare, clstest.Admin,
			mutant{on: "POST .*", asks: believing(clstest.Controller, clstest.Admin)},
			"",
		},
		{
			"another user has made it as the first", "api/name-is-free-for-others", "",
			mutant{on: "(POST|GET) .*", asks: func(_ int, c *call) {
				if believing("others", clstest.User)(0, c); c.Method == http.MethodPost && c.body != nil {
					c.body["name"] = newName()
				}
			}},
			"/api/v1/clusters/[^ ]+ of other.user@example.com",
		},
		{"a dry run has made it", "api/dry-run-does-nothing", "", mutant{on: "POST .*", asks: deaf("dry_run")}, ""},
		{
			"a user has registered", "registry/users-do-not-register", "",
			mutant{on: "PUT .*", asks: believing(clstest.User, clstest.Controller)},
			"",
		},
	} {
		o := optionsOf(b)
		o.Only, o.Admin, o.prefix = []string{row.check}, row.admin, newName()
		o.URL = row.mutant.start(t, o.URL)
		report, err := Run(t.Context(), o)
		if err != nil {
			t.Fatalf("%s: %v", row.why, err)
		}
		left := strings.Join(report.Results[0].Left, "\n")
		if !regexp.MustCompile("^(?:" + row.left + ")$").MatchString(left) {
			t.Errorf("%s: left behind: %s; want %s", row.why, left, row.left)
		}
		named = append(named, left)
	}
	for c, err := range b.Client(clstest.Admin).Clusters(t.Context(), client.ListOptions{}) {
		if err != nil || !strings.Contains(strings.Join(named, "\n"), c.ID) {
			t.Errorf("cluster %s of %s is left behind, and not named (%v)", c.ID, c.CreatedBy, err)
		}
	}
}
