// Shows /openapi.json as a page: every call with its parameters, bodies and answers.
// Text from the document only ever becomes text nodes.
"use strict";

const methods = ["get", "post", "put", "patch", "delete"];

// el makes an element; children are nodes or texts.
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== undefined && child !== ""));
  return node;
}

// resolve follows a reference within the document.
function resolve(api, value) {
  if (!value || !value.$ref) return value;
  return value.$ref.slice(2).split("/").reduce((at, key) => at[key], api);
}

const refName = (ref) => ref.split("/").pop();

// typeOf names the type of a schema; a named one becomes a link to its description.
function typeOf(schema) {
  if (!schema) return "any";
  if (schema.$ref) return el("a", { href: "#schema-" + refName(schema.$ref) }, refName(schema.$ref));
  if (schema.allOf) return typeOf(schema.allOf[0]);
  if (schema.type === "array") return el("span", {}, "list of ", typeOf(schema.items));
  const type = [].concat(schema.type || "any").join(" or ");
  return schema.format ? `${type} (${schema.format})` : type;
}

// limits says what narrows a schema down.
function limits(schema) {
  const said = [];
  if (schema.enum) said.push("one of " + schema.enum.join(", "));
  if (schema.minimum !== undefined) said.push("at least " + schema.minimum);
  if (schema.maximum !== undefined) said.push("at most " + schema.maximum);
  if (schema.maxLength !== undefined) said.push("at most " + schema.maxLength + " characters");
  if (schema.pattern) said.push("matches " + schema.pattern);
  if (schema.default !== undefined) said.push("default " + schema.default);
  return said.join("; ");
}

function row(name, required, schema, description) {
  const about = [description, limits(schema)].filter(Boolean).join(". ");
  return el("tr", {}, el("td", {}, el("code", {}, name), required ? el("em", {}, " required") : ""),
    el("td", {}, typeOf(schema)), el("td", {}, about));
}

function table(caption, rows) {
  if (rows.length === 0) return "";
  const head = el("tr", {}, ...["Name", "Type", "Meaning"].map((text) => el("th", { scope: "col" }, text)));
  return el("table", {}, el("caption", {}, caption), el("thead", {}, head), el("tbody", {}, ...rows));
}

function example(title, value) {
  return el("details", {}, el("summary", {}, title), el("pre", {}, JSON.stringify(value, null, 2)));
}

// content shows the schema and the examples of a body in each media type.
function content(api, bodies) {
  return Object.entries(bodies || {}).map(([media, body]) => {
    const examples = Object.entries(body.examples || {}).map(([name, e]) => example(name, resolve(api, e).value));
    if (body.example !== undefined) examples.push(example("example", body.example));
    return el("div", { class: "body" }, el("code", {}, media), " ", typeOf(body.schema), ...examples);
  });
}

function answer(api, status, response) {
  const headers = Object.entries(response.headers || {}).map(([name, h]) => row(name, false, h.schema, h.description));
  return el("details", { class: "answer" },
    el("summary", {}, el("strong", { class: "s" + status[0] }, status), " " + response.description),
    table("Headers", headers), ...content(api, response.content));
}

function operation(api, path, method, op) {
  const parameters = (op.parameters || []).map((p) => row(`${p.name} (${p.in})`, p.required, p.schema, p.description));
  const section = el("section", { id: op.operationId },
    el("h2", {}, el("span", { class: "method " + method }, method.toUpperCase()), " ", el("code", {}, path)),
    el("p", {}, el("strong", {}, op.summary + ". "), op.description),
    el("p", { class: "note" }, (op.security || []).length ? "Needs an identity." : "Needs no identity."),
    table("Parameters", parameters));
  if (op.requestBody) section.append(el("h3", {}, "Body"), ...content(api, op.requestBody.content));
  section.append(el("h3", {}, "Answers"));
  for (const [status, response] of Object.entries(op.responses)) section.append(answer(api, status, response));
  return section;
}

function schema(name, s) {
  const required = new Set(s.required || []);
  const rows = Object.entries(s.properties || {}).map(([field, p]) => row(field, required.has(field), p, p.description));
  return el("section", { id: "schema-" + name }, el("h2", {}, name), el("p", {}, s.description || ""), table("Fields", rows));
}

function show(api) {
  const nav = document.getElementById("nav");
  const main = document.getElementById("main");
  nav.replaceChildren(el("h1", {}, api.info.title));
  main.replaceChildren(...api.info.description.split("\n\n").map((text) => el("p", {}, text)),
    el("p", {}, "The same for programs: ", el("a", { href: "/openapi.yaml" }, "openapi.yaml"), ", ", el("a", { href: "/openapi.json" }, "openapi.json")));
  for (const tag of api.tags) {
    const links = el("ul", {});
    for (const [path, item] of Object.entries(api.paths)) {
      for (const method of methods.filter((m) => item[m] && item[m].tags.includes(tag.name))) {
        links.append(el("li", {}, el("a", { href: "#" + item[method].operationId }, item[method].summary)));
        main.append(operation(api, path, method, item[method]));
      }
    }
    nav.append(el("h2", {}, tag.name), el("p", {}, tag.description), links);
  }
  const names = Object.keys(api.components.schemas).sort();
  nav.append(el("h2", {}, "schemas"), el("ul", {}, ...names.map((n) => el("li", {}, el("a", { href: "#schema-" + n }, n)))));
  main.append(...names.map((n) => schema(n, api.components.schemas[n])));
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

fetch("/openapi.json")
  .then((response) => (response.ok ? response.json() : Promise.reject(new Error("status " + response.status))))
  .then(show)
  .catch((error) => document.getElementById("main").append(el("p", { role: "alert" }, "The document could not be shown: " + error.message)));
