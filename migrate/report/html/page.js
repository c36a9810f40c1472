
"use strict";
// Filter and sort. Without this the page shows everything, in its own order.
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const told = document.getElementById("told");
const words = document.getElementById("words");
const order = new Intl.Collator("en", {numeric: true});

// What stands for an item when it is searched: its own words, and what is said of the finding that it is one of.
const items = all("[data-item]").map((element) => {
  const part = element.closest("article[data-part]");
  const severity = element.closest("section[data-part]");
  const about = part ? [part.querySelector("h4"), part.querySelector("p"), severity.querySelector("h3")] : [];
  const text = [element, ...about].map((from) => from.textContent).join(" ").toLowerCase();
  return {element, kind: element.dataset.item, text};
});

function filter() {
  const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  const counts = new Map();
  for (const {element, kind, text} of items) {
    element.hidden = !wanted.every((word) => text.includes(word));
    const [shown, whole] = counts.get(kind) ?? [0, 0];
    counts.set(kind, [shown + !element.hidden, whole + 1]);
  }
  for (const part of all("[data-part]").reverse()) {
    part.hidden = !part.querySelector("[data-item]:not([hidden])");
  }
  const numbers = [...counts].map(([kind, [shown, whole]]) => `${shown} of ${whole} ${kind}${whole === 1 ? "" : "s"}`);
  told.textContent = wanted.length ? `Shown: ${numbers.join(", ")}` : "Shown: everything";
  words.form.classList.toggle("narrowed", wanted.length > 0);
}

// A link leads to what the filter hides as well.
document.addEventListener("click", ({target}) => {
  const link = target.closest?.("a[href^='#']");
  if (link && document.getElementById(link.hash.slice(1))?.closest("[hidden]")) {
    words.value = "";
    filter();
  }
});

const value = (row, column) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();

function sort(table, header) {
  const up = header.getAttribute("aria-sort") !== "ascending";
  const column = header.cellIndex;
  const body = table.tBodies[0];
  const rows = [...body.rows].sort((a, b) => (up ? 1 : -1) * order.compare(value(a, column), value(b, column)));
  const sorted = document.createDocumentFragment();
  for (const row of rows) sorted.append(row);
  body.append(sorted);
  for (const other of all("th[aria-sort]", table)) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", up ? "ascending" : "descending");
}

// On a narrow screen rows are laid out as grids; some readers then need to be told what is a table.
const roles = {
  "table": "table", "thead, tbody": "rowgroup", "tr": "row", "thead th": "columnheader", "tbody th": "rowheader",
  "td": "cell",
};
for (const [selector, role] of Object.entries(roles)) {
  for (const element of all(selector)) element.setAttribute("role", role);
}

for (const table of all("table.sortable")) {
  if (table.tBodies[0].rows.length < 2) continue;
  for (const header of all("thead th", table)) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => sort(table, header));
  }
}

document.body.classList.toggle("many", items.length > 500);
if (items.length > 1) document.getElementById("filter").hidden = false;
words.addEventListener("input", filter);
words.form.addEventListener("submit", (event) => event.preventDefault());
filter();

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
