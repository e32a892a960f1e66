"use strict";
// Sorts, filters and finds rows of the table of all replays. Only those that are shown are in the
// document: thousands of them would make every change slow.
(() => {
  const table = document.getElementById("rows");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const heads = Array.from(table.tHead.rows[0].cells).filter((head) => head.dataset.kind);
  const text = document.getElementById("text");
  const boxes = Array.from(document.querySelectorAll("#filter [name=verdict]"));
  const count = document.getElementById("count");
  const more = document.getElementById("more");
  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
  const step = Number(table.dataset.shown);
  const further = 1000;
  let order = rows;
  let most = step;
  let words;

  const shown = () => {
    // Words, and "several in a row".
    const asked = (text.value.toLowerCase().match(/"[^"]+"|[^\s"]+/g) || [])
      .map((word) => word.replaceAll('"', ""));
    const verdicts = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    if (asked.length && !words) {
      words = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
    }
    return order.filter((row) =>
      verdicts.has(row.dataset.v) && asked.every((word) => words.get(row).includes(word)));
  };

  const show = () => {
    const found = shown();
    const first = found.slice(0, most);
    body.replaceChildren(...first);
    count.textContent = `${first.length} of ${rows.length} replays shown` +
      (found.length > first.length ? `, ${found.length} found` : "");
    const left = found.length - first.length;
    more.hidden = !left;
    more.textContent = `Show ${Math.min(left, further)} more`;
  };

  const changed = () => {
    most = step;
    show();
  };

  const keys = (column, kind) => rows.map((row) => {
    if (kind === "verdict") return boxes.findIndex((box) => box.value === row.dataset.v);
    // What was said of a row stands below its recording's name.
    const said = row.cells[column].firstChild.textContent;
    if (kind === "text") return said;
    const value = parseFloat(said);
    return kind === "size" ? Math.abs(value) : value;
  });

  const sort = (head) => {
    const kind = head.dataset.kind;
    const was = head.getAttribute("aria-sort");
    const up = was === "none" ? kind === "text" : was === "descending";
    for (const other of heads) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const by = keys(head.cellIndex, kind);
    const sign = up ? 1 : -1;
    const compare = kind === "text"
      ? (a, b) => sign * collator.compare(by[a], by[b])
      // What has no number is last, either way.
      : (a, b) => (isNaN(by[a]) - isNaN(by[b])) || (isNaN(by[a]) ? 0 : sign * (by[a] - by[b]));
    order = rows.map((_, k) => k).sort((a, b) => compare(a, b) || a - b).map((k) => rows[k]);
    changed();
  };

  const reset = (value) => {
    text.value = value;
    for (const box of boxes) box.checked = true;
  };

  // A link to a row that is not shown asks for its recording.
  const find = () => {
    const row = rows.find((one) => `#${one.id}` === location.hash);
    for (const other of rows) other.classList.toggle("found", other === row);
    if (!row) return;
    if (!row.isConnected) {
      reset(`"${row.cells[1].firstChild.textContent.replaceAll('"', '" "')}"`);
      most = rows.length;
      show();
    }
    row.scrollIntoView({ block: "center" });
    row.focus({ preventScroll: true });
  };

  heads.forEach((head) => head.firstElementChild.addEventListener("click", () => sort(head)));
  text.addEventListener("input", changed);
  boxes.forEach((box) => box.addEventListener("change", changed));
  more.addEventListener("click", () => {
    most += further;
    show();
    if (more.hidden) count.focus();
  });
  document.getElementById("filter").addEventListener("submit", (event) => event.preventDefault());
  document.querySelectorAll("[data-only]").forEach((link) => link.addEventListener("click", () => {
    reset("");
    for (const box of boxes) box.checked = box.value === link.dataset.only;
    changed();
  }));
  // A second click on the same link changes no address.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    const to = link && (link.getAttribute("href") || link.getAttribute("xlink:href"));
    if (to === location.hash) find();
  });
  addEventListener("hashchange", find);
  for (const row of rows) row.hidden = false;
  show();
  find();
})();
