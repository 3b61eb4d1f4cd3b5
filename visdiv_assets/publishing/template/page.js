
"use strict";
(() => {
  const list = document.getElementById("pair-list");
  const controls = document.getElementById("controls");
  const filter = document.getElementById("filter");
  const least = document.getElementById("least");
  const leastValue = document.getElementById("least-value");
  const sortBy = document.getElementById("sort");
  const direction = document.getElementById("direction");
  const count = document.getElementById("count");
  // A fixed locale, so that a page sorts the same everywhere; numbers in names sort as numbers.
  const order = new Intl.Collator("en", { numeric: true });

  const valueOf = (cell) => {
    if (cell.dataset.none !== undefined) return null;
    return cell.dataset.number !== undefined ? Number(cell.dataset.number) : cell.textContent;
  };
  const pairs = Array.from(list.children, (card) => {
    // The meaning of a badge is not searched, since it is the same for many pairs.
    const titles = Array.from(card.querySelectorAll("[title]:not(.badge)"), (element) => element.title);
    const badge = card.querySelector(".badge");
    return {
      card,
      verdict: card.dataset.verdict,
      // In the order of the options: number, left and right image, evidence, values.
      keys: [
        Number(card.dataset.number), card.dataset.left, card.dataset.right, badge ? badge.textContent : null,
        ...Array.from(card.querySelectorAll("dd.value"), valueOf),
      ],
      similarity: card.dataset.similarity === undefined ? null : Number(card.dataset.similarity),
      text: [card.textContent, ...titles].join(" ").toLowerCase(),
    };
  });

  // Numbers come before texts; missing values are last in both directions.
  const compare = (a, b, sign) => {
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    if (typeof a === "number") return a === b ? 0 : sign * (a < b ? -1 : 1);
    return sign * order.compare(a, b);
  };

  const initial = Array.from(sortBy.options).findIndex((option) => option.defaultSelected);
  let descending = sortBy.options[initial].dataset.first === "descending";
  const sort = () => {
    direction.textContent = descending ? "▼" : "▲";
    direction.title = descending ? "Descending" : "Ascending";
    const column = Number(sortBy.value);
    // Always sort from the initial order, so that ties keep it.
    const sorted = pairs.slice().sort((a, b) => compare(a.keys[column], b.keys[column], descending ? -1 : 1));
    list.append(...sorted.map((pair) => pair.card));
  };

  let sortedFor = "all";
  const show = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const bound = least && least.value !== least.min ? Number(least.value) : null;
    if (least) leastValue.textContent = Number(least.value).toFixed(3);
    const verdict = controls.elements.verdict ? controls.elements.verdict.value : "all";
    if (verdict !== sortedFor) {
      // First the confirmed pairs that a threshold misses, or the others that it wrongly accepts.
      sortedFor = verdict;
      sortBy.selectedIndex = initial;
      descending = sortBy.options[initial].dataset.first === "descending" && verdict !== "confirmed";
      sort();
    }
    let shown = 0;
    for (const pair of pairs) {
      const close = bound === null || (pair.similarity !== null && pair.similarity >= bound);
      const visible = close && (verdict === "all" || pair.verdict === verdict) && words.every((word) => pair.text.includes(word));
      pair.card.hidden = !visible;
      shown += visible;
    }
    count.textContent = `${shown} of ${pairs.length} ${pairs.length === 1 ? "pair" : "pairs"} shown.`;
  };

  sortBy.addEventListener("change", () => {
    descending = sortBy.selectedOptions[0].dataset.first === "descending";
    sort();
  });
  direction.addEventListener("click", () => {
    descending = !descending;
    sort();
  });
  controls.addEventListener("input", (event) => {
    if (event.target !== sortBy) show();
  });
  // The fields keep their old values until the event is over.
  controls.addEventListener("reset", () => setTimeout(() => {
    descending = sortBy.options[initial].dataset.first === "descending";
    sortedFor = "all";
    sort();
    show();
  }));
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.hidden = false;
  show();
})();
