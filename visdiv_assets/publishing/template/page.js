
"use strict";
(() => {
  const table = document.getElementById("pair-table");
  const body = table.tBodies[0];
  const headers = Array.from(table.tHead.rows[0].cells);
  const controls = document.getElementById("controls");
  const filter = document.getElementById("filter");
  const least = document.getElementById("least");
  const leastValue = document.getElementById("least-value");
  const count = document.getElementById("count");
  // A fixed locale, so that a page sorts the same everywhere; numbers in names sort as numbers.
  const order = new Intl.Collator("en", { numeric: true });

  const keyOf = (cell) => {
    if (cell.dataset.none !== undefined) return null;
    if (cell.dataset.number !== undefined) return Number(cell.dataset.number);
    return cell.dataset.key !== undefined ? cell.dataset.key : cell.textContent;
  };
  const rows = Array.from(body.rows).filter((row) => !row.classList.contains("evidence"));
  const pairs = rows.map((row) => {
    // The meaning of a badge is not searched, since it is the same for many pairs.
    const titles = Array.from(row.querySelectorAll("[title]:not(.badge)"), (element) => element.title);
    return {
      // The row of the evidence moves with its pair.
      rows: row.classList.contains("drawn") ? [row, row.nextElementSibling] : [row],
      verdict: row.dataset.verdict,
      keys: Array.from(row.cells, keyOf),
      similarity: row.dataset.similarity === undefined ? null : Number(row.dataset.similarity),
      text: [row.textContent, ...titles].join(" ").toLowerCase(),
    };
  });

  // Numbers come before texts; missing values are last in both directions.
  const compare = (a, b, sign) => {
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    if (typeof a === "number") return a === b ? 0 : sign * (a < b ? -1 : 1);
    return sign * order.compare(a, b);
  };

  const sort = (column, direction) => {
    for (const each of headers) each.removeAttribute("aria-sort");
    headers[column].setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    // Always sort from the initial order, so that ties keep it.
    const sorted = pairs.slice().sort((a, b) => compare(a.keys[column], b.keys[column], sign));
    body.append(...sorted.flatMap((pair) => pair.rows));
  };

  const sortBy = (column) => {
    const header = headers[column];
    const first = header.dataset.kind === "number" ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    sort(column, header.getAttribute("aria-sort") === first ? other : first);
  };

  // The page is initially sorted by similarity, if there is one.
  const closeness = headers.findIndex((header) => header.getAttribute("aria-sort") === "descending");
  let sortedFor = "all";
  const show = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const bound = least && least.value !== least.min ? Number(least.value) : null;
    if (least) leastValue.textContent = Number(least.value).toFixed(3);
    const verdict = controls.elements.verdict ? controls.elements.verdict.value : "all";
    if (verdict !== sortedFor) {
      // First the confirmed pairs that a threshold misses, or the others that it wrongly accepts.
      sortedFor = verdict;
      if (closeness >= 0) sort(closeness, verdict === "confirmed" ? "ascending" : "descending");
    }
    let shown = 0;
    for (const pair of pairs) {
      const close = bound === null || (pair.similarity !== null && pair.similarity >= bound);
      const visible = close && (verdict === "all" || pair.verdict === verdict) && words.every((word) => pair.text.includes(word));
      for (const row of pair.rows) row.hidden = !visible;
      shown += visible;
    }
    count.textContent = `${shown} of ${pairs.length} ${pairs.length === 1 ? "pair" : "pairs"} shown.`;
  };

  headers.forEach((header, column) => {
    const button = header.querySelector("button");
    button.disabled = false;
    button.addEventListener("click", () => sortBy(column));
  });
  controls.addEventListener("input", show);
  // The fields keep their old values until the event is over.
  controls.addEventListener("reset", () => setTimeout(show));
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.hidden = false;
  show();
})();
