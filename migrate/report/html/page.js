"use strict";
// Filter, sort, and the rows of a long report. Without this the page shows its first rows, in its own order.
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const told = document.getElementById("told");
const words = document.getElementById("words");
const order = new Intl.Collator("en", {numeric: true});
const {format} = new Intl.NumberFormat("en");

// --- rows that are made when they are looked at ------------------------------------------------------------
// `data` has all rows of a long report, as rows.py wrote them. Each is filled into its layout, which is a template
// of the page: texts become text, never markup.
const data = JSON.parse(document.getElementById("rows")?.textContent ?? "null");
const shapes = new Map(all("template[data-shape]").map((shape) => [shape.dataset.shape, shape.content]));
const HOLE = /\ue010(\w+)\ue011/;

// A layout with a text, an element or several in each of its holes; in attributes a text.
function build(shape, values = {}) {
  const made = document.importNode(shapes.get(shape), true);
  const walker = document.createTreeWalker(made, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT | NodeFilter.SHOW_COMMENT);
  const texts = [];
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (node.nodeType !== Node.ELEMENT_NODE) {
      if (HOLE.test(node.data)) texts.push(node);
      continue;
    }
    for (const attribute of node.attributes) {
      if (HOLE.test(attribute.value)) attribute.value = attribute.value.replace(HOLE, (_, key) => values[key]);
    }
  }
  for (const text of texts) {
    text.replaceWith(...text.data.split(HOLE).map((part, at) => (at % 2 ? values[part] : part)).flat().filter((part) => part !== ""));
  }
  return made;
}

const text = (at) => data.texts[at];
const value = (at) => build(text(at).startsWith("(") ? "unset" : "value", {text: text(at)});
const placeWords = (at) => (at < 0 ? "the account" : `${data.places[at][1]} ${data.places[at][0]}`);
const pushWords = (at) => (at < 0 ? "" : [data.pushes[at][0]].flat().map((piece) => [piece].flat()[0]).join(""));

function place(at) {
  if (at < 0) return build("account");
  const [sid, name, isLinked] = data.places[at];
  return build(isLinked ? "linked" : "named", {sid, name});
}

function phone(at) {
  if (at < 0) return "";
  const [shown, isCut] = data.pushes[at];
  if (typeof shown === "string") return build("nopush", {text: shown});
  const pieces = shown.map(([piece, isKept]) => (isKept ? build("mark", {text: piece}) : piece));
  return build("own", {pieces, end: isCut ? build("cut") : ""});
}

// Of each kind of row: what it is sorted by, column by column; the words that it is found by; and how it is made.
const KINDS = {
  services: ([at, state, fields, devices, reached, order, findings]) => ({
    keys: [placeWords(at), text(state), String(fields), String(devices), text(order)],
    words: [placeWords(at), text(state), format(fields), text(reached), text(findings)],
    make: () => build("service", {
      service: place(at), state: text(state), fields, number: format(fields), devices, reached: text(reached),
      order: text(order), findings: text(findings),
    }),
  }),
  changes: ([at, settings, pushes]) => ({
    id: data.places[at][0],
    words: [
      placeWords(at), ...settings.flat().map(text),
      ...pushes.flatMap(([label, before, after]) => [text(label), pushWords(before), pushWords(after)]),
    ],
    make: () => {
      const [sid, name] = data.places[at];
      const setting = ([path, old, desired]) =>
        build("setting", {path: build(text(path)), old: value(old), new: value(desired)});
      const push = ([label, before, after]) =>
        build("push", {label: text(label), before: phone(before), after: phone(after)});
      return build("change", {
        sid, name, rows: settings.map(setting),
        pushes: pushes.length ? build("pushes", {name, rows: pushes.map(push)}) : "",
      });
    },
  }),
  waiting: ([at, path, now, then, push, bindings, evidence]) => {
    const keys = [placeWords(at), text(path), text(now), text(then), pushWords(push), String(bindings), text(evidence)];
    return {
      keys,
      words: [...keys, format(bindings)],
      make: () => build("waiting", {
        service: place(at), path: build(text(path)), now: value(now), then: value(then), push: phone(push),
        bindings, number: format(bindings), evidence: text(evidence),
      }),
    };
  },
  findings: ([at, subject, count, summary, ...examples]) => {
    const about = [subject, ...(examples.length ? [summary, ...examples] : [])].map(text).join(" ");
    return {
      keys: [placeWords(at), about, String(count)],
      words: [placeWords(at), about, format(count)],
      make: () => build("finding", {
        service: place(at), count, number: format(count),
        subject: text(subject) ? build("value", {text: text(subject)}) : "",
        examples: examples.length
          ? build("examples", {summary: text(summary), sids: examples.map((sid) => build("example", {sid: text(sid)}))})
          : "",
      }),
    };
  },
};

class Item {
  constructor(record, element) {
    this.record = record;
    this.made = element;
    this.isFound = true;
  }
  get element() {
    return this.made ??= this.record.make().firstElementChild;
  }
  get text() {
    return this.lower ??= (this.record ? this.record.words.join(" ") : this.made.textContent).toLowerCase();
  }
  key(column) {
    if (this.record) return this.record.keys[column];
    const cell = this.made.cells[column];
    return cell.dataset.sort ?? cell.textContent.trim();
  }
}

// --- lists -------------------------------------------------------------------------------------------------
// A list of rows: those that are found, as many as there is room for, and the one that a link has led to.
class List {
  constructor(container) {
    const name = container.dataset.list;
    const elements = [...container.children].filter((element) => element.dataset.item);
    this.container = container;
    this.note = document.querySelector(`[data-rest="${name}"]`);
    this.kind = elements[0]?.dataset.item;
    const read = KINDS[name] ?? KINDS.findings;
    const rows = data?.[name] ?? data?.findings[name];  // what is laid out already has no links to what is not
    this.items = rows ? rows.map((row) => new Item(read(row))) : elements.map((one) => new Item(undefined, one));
    this.step = this.limit = this.note ? elements.length : Infinity;
    // What a finding is found by is also what is said of all of its kind.
    const part = container.closest("article[data-part]");
    const severity = container.closest("section[data-part]");
    const about = part ? [part.querySelector("h4 code"), part.querySelector("p"), severity.querySelector("h3")] : [];
    this.about = about.map((from) => from.textContent).join(" ").toLowerCase();
    this.end = this.note?.parentElement === container ? this.note : null;
    if (this.note) this.prepareNote();
  }

  prepareNote() {
    this.more = document.createElement("button");
    this.more.type = "button";
    this.note.append(" ", this.more);
    this.more.addEventListener("click", () => {
      const before = this.limit;
      this.limit += this.step;
      this.show();
      const first = this.found[before]?.element;  // who goes by keys or listens goes on where the new rows begin
      first?.setAttribute("tabindex", "-1");
      first?.focus({preventScroll: true});
      tell();
    });
  }

  filter(wanted) {
    for (const item of this.items) {
      item.isFound = wanted.every((word) => item.text.includes(word) || this.about.includes(word));
    }
    this.limit = this.step;
    this.pinned = undefined;
    this.show();
  }

  show() {
    this.found = this.items.filter((item) => item.isFound);
    const shown = this.found.filter((item, at) => at < this.limit || item === this.pinned);
    for (const element of [...this.container.children]) if (element.dataset.item) element.remove();
    const rows = document.createDocumentFragment();
    rows.append(...shown.map((item) => item.element));
    this.container.insertBefore(rows, this.end);
    setRoles(this.container);
    if (!this.note) return;
    const left = this.found.length - this.limit;
    this.note.hidden = left <= 0;
    this.note.firstElementChild.textContent = `The first ${format(this.limit)} of ${format(this.found.length)} are shown; the plan has all.`;
    const next = Math.min(left, this.step);
    this.more.textContent = `Show ${format(next)} more ${this.kind}${next === 1 ? "" : "s"}`;
  }

  get isCut() {
    return this.found.length > this.limit;
  }

  sort(table, header) {
    const up = header.getAttribute("aria-sort") !== "ascending";
    const column = header.cellIndex;
    const keys = new Map(this.items.map((item) => [item, item.key(column)]));
    this.items.sort((a, b) => (up ? 1 : -1) * order.compare(keys.get(a), keys.get(b)));
    this.show();
    for (const other of all("th[aria-sort]", table)) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", up ? "ascending" : "descending");
  }
}

// On a narrow screen rows are laid out as grids; some readers then need to be told what is a table.
const ROLES = {
  "table": "table", "thead, tbody": "rowgroup", "tr": "row", "thead th": "columnheader", "tbody th": "rowheader",
  "td": "cell",
};
function setRoles(within) {
  for (const [selector, role] of Object.entries(ROLES)) {
    for (const element of all(selector, within)) if (!element.hasAttribute("role")) element.setAttribute("role", role);
  }
}

const lists = all("[data-list]").map((container) => new List(container));
const size = lists.reduce((sum, list) => sum + list.items.length, 0);

function tell() {
  const counts = new Map();
  for (const {kind, items, found} of lists) {
    const [shown, whole] = counts.get(kind) ?? [0, 0];
    counts.set(kind, [shown + found.length, whole + items.length]);
  }
  const numbers = [...counts].filter(([kind]) => kind)
    .map(([kind, [shown, whole]]) => `${shown} of ${whole} ${kind}${whole === 1 ? "" : "s"}`);
  const cut = lists.find((list) => list.isCut);
  const narrowed = words.value.trim() !== "";
  const first = cut && `the first ${cut.step} rows of each long list`;
  if (narrowed) told.textContent = cut ? `Found: ${numbers.join(", ")}. Shown: ${first}` : `Shown: ${numbers.join(", ")}`;
  else told.textContent = `Shown: ${first ?? "everything"}`;
  words.form.classList.toggle("narrowed", narrowed || Boolean(cut));
}

function filter() {
  const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const list of lists) list.filter(wanted);
  for (const part of all("[data-part]").reverse()) part.hidden = !part.querySelector("[data-item]");
  tell();
}

// A link leads to what the filter hides as well, and to what has not been made yet.
function reveal(id) {
  if (!id) return;
  const target = document.getElementById(id);
  if (target && !target.closest("[hidden]")) return;
  const list = lists.find(({items}) => items.some((item) => (item.record ? item.record.id : item.made.id) === id));
  const item = list?.items.find(({record, made}) => (record ? record.id : made.id) === id);
  if (!target && !item) return;
  if (target ? target.closest("[hidden]") : !item.isFound) {
    words.value = "";
    filter();
  }
  if (item && !item.made?.isConnected) {
    list.pinned = item;
    list.show();
    tell();
  }
}
document.addEventListener("click", ({target}) => {
  const link = target.closest?.("a[href^='#']");
  if (link) reveal(link.hash.slice(1));
});
addEventListener("hashchange", () => {
  reveal(location.hash.slice(1));
  document.getElementById(location.hash.slice(1))?.scrollIntoView();
});

setRoles(document);
for (const list of lists) {
  const table = list.container.closest("table.sortable");
  if (!table || list.items.length < 2) continue;
  for (const header of all("thead th", table)) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => list.sort(table, header));
  }
}

document.body.classList.toggle("many", size > 500);
document.getElementById("without")?.remove();
if (size > 1) document.getElementById("filter").hidden = false;
words.addEventListener("input", filter);
words.form.addEventListener("submit", (event) => event.preventDefault());
filter();
if (data && location.hash) {
  reveal(location.hash.slice(1));
  document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

// On paper nothing can be opened.
addEventListener("beforeprint", () => {
  for (const details of all("details:not([open])")) {
    details.open = true;
    details.dataset.closed = "";
  }
});
addEventListener("afterprint", () => {
  for (const details of all("details[data-closed]")) {
    details.open = false;
    delete details.dataset.closed;
  }
});
