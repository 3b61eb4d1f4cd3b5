"use strict";
(() => {
  // A fixed locale, so that a page sorts the same everywhere; numbers in names sort as numbers.
  const order = new Intl.Collator("en", { numeric: true });

  const keyOf = (cell) => {
    if (cell.dataset.none !== undefined) return null;
    return cell.dataset.number !== undefined ? Number(cell.dataset.number) : cell.textContent;
  };
  // Numbers come before texts; missing values are last in both directions.
  const compare = (a, b, sign) => {
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    if (typeof a === "number") return a === b ? 0 : sign * (a < b ? -1 : 1);
    return sign * order.compare(a, b);
  };

  const prepare = (grid) => {
    const table = grid.querySelector("table");
    const body = table.tBodies[0];
    const headers = Array.from(table.tHead.rows[0].cells);
    const rows = Array.from(body.rows);
    headers.forEach((header, column) => {
      const button = header.querySelector("button");
      const first = header.classList.contains("number") ? "descending" : "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      button.disabled = false;
      button.addEventListener("click", () => {
        const direction = header.getAttribute("aria-sort") === first ? other : first;
        for (const each of headers) each.removeAttribute("aria-sort");
        header.setAttribute("aria-sort", direction);
        const sign = direction === "ascending" ? 1 : -1;
        // Always sort from the initial order, so that ties keep it.
        const keyed = rows.map((row) => [keyOf(row.cells[column]), row]);
        body.append(...keyed.sort((a, b) => compare(a[0], b[0], sign)).map((pair) => pair[1]));
      });
    });
    if (rows.length < 8) return;
    const controls = grid.querySelector(".controls");
    const status = controls.querySelector("[role=status]");
    const texts = rows.map((row) => row.textContent.toLowerCase());
    controls.hidden = false;
    controls.querySelector("input").addEventListener("input", (event) => {
      const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row, number) => {
        row.hidden = !words.every((word) => texts[number].includes(word));
        shown += !row.hidden;
      });
      status.textContent = words.length ? `${shown} of ${rows.length} rows shown.` : "";
    });
  };

  const colorOf = (style) => (name) => style.getPropertyValue(`--${name}`).trim();

  // "$ink" is the page's color of that name.
  const colored = (value, color) => {
    if (typeof value === "string" && value.startsWith("$")) return color(value.slice(1));
    if (Array.isArray(value)) return value.map((each) => colored(each, color));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, colored(each, color)]));
  };

  const rowsOf = ({ columns, rows }) => {
    const names = Object.keys(columns);
    return Array.from({ length: rows }, (_, number) => {
      const row = {};
      for (const name of names) {
        const column = columns[name];
        const at = column.codes ? column.codes[number] : number;
        row[name] = column.codes ? (at < 0 ? null : column.levels[at]) : column[at];
      }
      return row;
    });
  };

  const theme = (color) => ({
    background: null,
    font: "system-ui, sans-serif",
    axis: { labelColor: color("ink"), titleColor: color("ink"), gridColor: color("line"), domainColor: color("aside"), tickColor: color("aside"), titleFontWeight: "normal", labelFontSize: 12, titleFontSize: 12 },
    legend: { labelColor: color("ink"), titleColor: color("ink"), titleFontWeight: "normal", labelFontSize: 12 },
    header: { labelColor: color("ink"), labelFontSize: 12 },
    title: { color: color("ink"), fontSize: 12, fontWeight: "normal" },
    view: { stroke: color("line") },
    range: { category: Array.from({ length: 9 }, (_, number) => color(`c${number}`)) },
  });

  const draw = async (place) => {
    const data = JSON.parse(document.getElementById(`${place.dataset.chart}-data`).textContent);
    const color = colorOf(getComputedStyle(document.documentElement));
    const spec = { ...colored(data.spec, color), data: { values: rowsOf(data) } };
    place.classList.toggle("fixed", spec.width !== "container");
    if (place.view) {
      // Keep the choices of the reader when the colors change.
      for (const param of spec.params ?? []) param.value = place.view.signal(param.name);
      place.view.finalize();
    }
    const result = await vegaEmbed(place, spec, {
      actions: false,
      // Without eval, which the page's policy forbids.
      ast: true,
      config: theme(color),
      defaultStyle: false,
      loader: { target: "_self" },
      renderer: data.canvas ? "canvas" : "svg",
      tooltip: { disableDefaultStyle: true },
    });
    place.view = result.view;
    // Hidden from screen readers, which would read hundreds of marks; heading, summary and table describe the chart.
    for (const drawn of place.querySelectorAll("canvas, svg")) drawn.setAttribute("aria-hidden", "true");
    const scrolls = place.parentElement;
    // A chart that is wider than the page can be scrolled by keyboard.
    scrolls.tabIndex = scrolls.scrollWidth > scrolls.clientWidth ? 0 : -1;
  };

  for (const grid of document.querySelectorAll(".grid")) prepare(grid);
  const charts = Array.from(document.querySelectorAll(".chart"));
  const drawAll = () => {
    for (const place of charts) {
      draw(place).catch((error) => {
        place.textContent = `The chart cannot be drawn (${error.message}); the table has its numbers.`;
      });
    }
  };
  drawAll();
  if (charts.length) matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
})();
