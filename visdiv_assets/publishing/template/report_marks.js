
"use strict";
// What a person says of the pairs of a report: kept in the browser, and downloaded as lines of the file of decisions.
(() => {
  const list = document.getElementById("pair-list");
  const store = visdivMarks.localStore(document.title);

  // An image as a line names it: its image_id, and where the card says it is.
  const sideOf = (id, where) => {
    const words = where.split(" ");
    const [row, index] = words.splice(-2).map(Number);
    return { id, subset: words.join(" "), row, index };
  };
  const pairOf = ({ leftId, rightId, left, right, verdict, similarity }) => {
    const [a, b] = [sideOf(leftId, left), sideOf(rightId, right)].sort((x, y) => (x.id < y.id ? -1 : x.id > y.id ? 1 : 0));
    return {
      image_id_a: a.id, image_id_b: b.id, kind: list.dataset.kind,
      subset_a: a.subset, row_a: a.row, image_index_a: a.index,
      subset_b: b.subset, row_b: b.row, image_index_b: b.index,
      verdict: verdict || null, similarity: similarity === undefined ? null : Number(similarity), sampled: false,
    };
  };

  let kept = true;
  const count = () => {
    const marks = store.count();
    const warning = kept ? "" : " This browser does not keep them: download them before you leave the page.";
    document.getElementById("marked").textContent = `${marks} ${marks === 1 ? "pair" : "pairs"} marked.${warning}`;
    document.getElementById("download").disabled = marks === 0;
  };

  const markers = new Map();
  for (const card of list.children) {
    const pair = pairOf(card.dataset);
    const mark = (decision) => {
      // The same mark again takes it back.
      kept = store.set(pair, store.get(pair) === decision ? null : decision);
      show(store.get(pair));
      count();
    };
    const { element, show } = visdivMarks.buttons(mark);
    show(store.get(pair));
    card.querySelector(".sides").after(element);
    card.tabIndex = 0;
    markers.set(card, mark);
  }

  const focused = () => document.activeElement.closest(".pair");
  const markFocused = (decision) => () => {
    const card = focused();
    markers.get(card)(decision);
    let next = card.nextElementSibling;
    while (next && next.hidden) next = next.nextElementSibling;
    if (next) next.focus();
  };
  visdivMarks.onKey(
    Object.fromEntries(visdivMarks.sayings.map(({ decision, key }) => [key, markFocused(decision)])),
    () => focused() !== null,
  );
  document.getElementById("download").addEventListener("click", () => visdivMarks.download("decisions.jsonl", store.lines()));
  document.getElementById("marking").hidden = false;
  count();
})();
