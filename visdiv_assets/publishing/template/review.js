
"use strict";
(() => {
  const SLICE = 50;
  const KEPT_IMAGES = 24;
  const KINDS = { duplicates: "Duplicates", contamination: "Leaks" };
  const MARKS = { none: "Unmarked", right: "Right", wrong: "Wrong", unsure: "Unsure" };
  const MODES = { side: ["Side by side", "s"], flicker: ["Flicker", "f"], difference: ["Difference", "d"], marked: ["Marked regions", "m"] };
  const { byId, asJson, fail } = visdivServer;
  const ask = visdivServer.asker("visdiv review");
  const askJson = async (path, options) => (await ask(path, options)).json();

  const images = new Map();
  const loadImage = (number, view) => {
    const key = `${number}/${view}`;
    let found = images.get(key);
    if (found) images.delete(key);
    else {
      found = ask(`/api/pairs/${key}`).then((answer) => answer.blob()).then((blob) => URL.createObjectURL(blob));
      found.catch(() => images.delete(key));
    }
    images.set(key, found);
    if (images.size > KEPT_IMAGES) {
      const [oldest, address] = images.entries().next().value;
      images.delete(oldest);
      address.then((each) => URL.revokeObjectURL(each)).catch(() => {});
    }
    return found;
  };
  const details = new Map();
  const loadPair = (number) => {
    if (!details.has(number)) {
      const found = askJson(`/api/pairs/${number}`);
      found.catch(() => details.delete(number));
      details.set(number, found);
      if (details.size > KEPT_IMAGES) details.delete(details.keys().next().value);
    }
    return details.get(number);
  };

  const chosen = { kind: "duplicates", sample: false, mark: new Set(), verdict: new Set(), evidence: new Set(), subset: new Set(), benchmark: new Set() };
  const sampleSize = () => (chosen.sample ? Number(byId("sample-size").value) : 0);
  const parameters = (more = {}) => {
    const made = new URLSearchParams({ kind: chosen.kind, sample: sampleSize(), ...more });
    for (const name of ["mark", "verdict", "evidence", "subset", "benchmark"]) {
      for (const value of chosen[name]) made.append(name, value);
    }
    for (const name of ["least", "most"]) if (byId(name).value !== "") made.set(name, byId(name).value);
    return made;
  };

  let start = null;
  let listed = [];
  let at = 0;
  let first = 1;
  let total = 0;
  let current = null;
  let request = 0;
  const undoable = [];
  const viewer = visdivViewer.create(byId("viewer"), loadImage);

  const chip = (text, pressed, onClick, count) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "chip";
    button.setAttribute("aria-pressed", String(pressed));
    const shown = document.createElement("bdi");
    shown.textContent = text;
    button.append(shown);
    if (count !== undefined) {
      const number = document.createElement("span");
      number.className = "count";
      number.textContent = count.toLocaleString("en");
      button.append(number);
    }
    button.addEventListener("click", () => onClick(button));
    return button;
  };

  const drawChips = () => {
    byId("kinds").replaceChildren(
      ...Object.entries(KINDS).map(([kind, text]) =>
        chip(text, chosen.kind === kind, () => {
          chosen.kind = kind;
          for (const name of ["evidence", "subset", "benchmark", "verdict"]) chosen[name].clear();
          drawChips();
          restart().catch(fail);
        }, start.kinds[kind]),
      ),
    );
    const facets = { mark: Object.keys(MARKS).map((mark) => [mark]), ...start.facets[chosen.kind] };
    for (const [name, values] of Object.entries(facets)) {
      byId(name).replaceChildren(
        ...values.map(([value, count]) => {
          const text = name === "mark" ? MARKS[value] : name === "evidence" ? value.replaceAll("_", " ") : value;
          const made = chip(text, chosen[name].has(value), (button) => {
            if (!chosen[name].delete(value)) chosen[name].add(value);
            button.setAttribute("aria-pressed", String(chosen[name].has(value)));
            restart().catch(fail);
          }, count);
          made.disabled = chosen.sample && name !== "mark";
          return made;
        }),
      );
      // A long list of chips scrolls, so that keys must reach it.
      byId(name).tabIndex = values.length > 30 ? 0 : -1;
    }
    byId("benchmark-facet").hidden = chosen.kind !== "contamination";
    byId("sample").setAttribute("aria-pressed", String(chosen.sample));
    for (const name of ["least", "most"]) byId(name).disabled = chosen.sample;
  };

  const percent = (share) => `${(100 * share).toFixed(0)} %`;
  const showProgress = (progress) => {
    byId("progress").max = Math.max(progress.pairs, 1);
    byId("progress").value = progress.marked;
    let text = `${progress.marked.toLocaleString("en")} of ${progress.pairs.toLocaleString("en")}`;
    const judged = progress.right + progress.wrong;
    if (chosen.sample && judged) {
      text += `; ${progress.wrong} of ${judged} judged wrong: precision ${percent(progress.right / judged)}, `;
      text += `95 % interval ${percent(progress.low)} to ${percent(progress.high)}`;
      if (progress.unsure) text += `; ${progress.unsure} unsure not counted`;
    }
    byId("progress-text").textContent = text;
    const active = ["evidence", "subset", "benchmark"].flatMap((name) => [...chosen[name]]);
    byId("active").textContent = active.length && !chosen.sample ? `(${active.join(", ").replaceAll("_", " ")})` : "";
  };

  // Counts the lists that were asked for: an answer to an older question is dropped.
  let listing = 0;
  const restart = async () => {
    const mine = ++listing;
    // Nothing is marked before the new list is there.
    current = null;
    const found = await askJson(`/api/pairs?${parameters({ limit: SLICE, start: "unmarked" })}`);
    if (mine !== listing) return;
    byId("error").hidden = true;
    [listed, at, first, total] = [found.pairs, 0, found.first, found.listed];
    showProgress(found.progress);
    await show();
  };

  // Fetch the next or previous slice when the known pairs end.
  const more = async (step) => {
    if (!listed.length) return;
    const mine = listing;
    const end = step > 0 ? listed[listed.length - 1] : listed[0];
    const bound = step > 0 ? { after: end.place } : { before: end.place };
    const found = await askJson(`/api/pairs?${parameters({ limit: SLICE, ...bound })}`);
    if (mine !== listing || !found.pairs.length) return;
    if (step > 0) listed = listed.concat(found.pairs);
    else {
      listed = found.pairs.concat(listed);
      at += found.pairs.length;
      first = found.first;
    }
  };

  const move = async (step) => {
    if (at + step < 0 || at + step >= listed.length) await more(step);
    if (at + step < 0 || at + step >= listed.length) {
      say(step > 0 ? "This is the last pair of the list." : "This is the first pair of the list.");
      return false;
    }
    at += step;
    await show();
    return true;
  };

  const element = (name, text, className) => {
    const made = document.createElement(name);
    made.textContent = text;
    if (className) made.className = className;
    return made;
  };

  const drawSide = (side) => {
    const section = document.createElement("section");
    const heading = element("h3", "");
    heading.append(`${side.role}: `, element("bdi", side.name), `, row ${side.row}, image ${side.image_index}`);
    section.setAttribute("aria-label", side.role);
    const where = [
      side.file && side.file !== side.path ? `${side.file}, row ${side.row_in_file}` : null, side.path, side.about, `image_id ${side.image_id}`,
    ];
    section.append(heading, ...where.filter(Boolean).map((text) => element("p", text, "aside")));
    if (!side.texts.length) section.append(element("p", "The row has no texts.", "aside"));
    else {
      const turns = document.createElement("div");
      turns.className = "turns";
      turns.tabIndex = 0;
      turns.setAttribute("role", "region");
      turns.setAttribute("aria-label", `Texts of the ${side.role.toLowerCase()}`);
      const list = document.createElement("dl");
      for (const turn of side.texts) {
        for (const [name, text] of Object.entries(turn)) {
          const row = document.createElement("div");
          row.append(element("dt", name || "text"), element("dd", text));
          list.append(row);
        }
      }
      turns.append(list);
      section.append(turns);
    }
    return section;
  };

  const say = (text) => {
    byId("status").textContent = text;
  };

  const show = async () => {
    const summary = listed[at];
    byId("nothing").hidden = Boolean(summary);
    byId("pair").hidden = !summary;
    current = null;
    for (const button of [...byId("sayings").querySelectorAll("button"), byId("previous"), byId("next")]) button.disabled = !summary;
    if (!summary) {
      sayings.show(null);
      say("");
      return viewer.show(null);
    }
    const mine = ++request;
    const pair = await loadPair(summary.number);
    if (mine !== request) return;
    current = pair;
    const badge = byId("badge");
    badge.className = `badge ${pair.verdict}`;
    badge.textContent = `${pair.verdict}: ${pair.evidence}`;
    const numbers = [
      pair.confidence === null ? null : `confidence ${pair.confidence.toFixed(3)}`, `similarity ${pair.similarity.toFixed(3)}`,
      pair.overlap && `overlap ${pair.overlap}`, pair.agreement && `agreement ${pair.agreement}`,
    ];
    byId("numbers").textContent = numbers.filter(Boolean).join(", ");
    const holders = [...pair.subsets, ...pair.benchmarks];
    byId("meaning").textContent = pair.meaning + (holders.length > 2 ? ` Found in ${holders.join(", ")}.` : "");
    byId("sides").replaceChildren(drawSide(pair.left), drawSide(pair.right));
    sayings.show(summary.mark);
    say(`Pair ${(first + at).toLocaleString("en")} of ${Math.max(total, first + at).toLocaleString("en")}${summary.mark ? `, marked ${summary.mark}` : ""}`);
    await viewer.show(pair);
    // The next pair is there before it is asked for.
    const next = listed[at + 1];
    if (next) {
      loadPair(next.number).catch(() => {});
      for (const view of ["left", "right"]) loadImage(next.number, view).catch(() => {});
    }
  };

  const send = async (summary, decision, sample) => {
    const path = `/api/pairs/${summary.number}/mark?${parameters()}`;
    const saved = await askJson(path, asJson({ decision: decision || "withdrawn", sample }));
    byId("error").hidden = true;
    summary.mark = decision;
    showProgress(saved.progress);
    return saved;
  };

  let sending = false;
  const alone = (work) => async () => {
    if (sending) return;
    sending = true;
    try {
      await work();
    } catch (error) {
      fail(error);
    }
    sending = false;
  };

  const mark = (decision) =>
    alone(async () => {
      const summary = listed[at];
      if (!summary || !current) return;
      const [shown, sample] = [summary.mark, sampleSize()];
      const { before } = await send(summary, decision, sample);
      undoable.push({ summary, shown, before, sample });
      byId("undo").disabled = false;
      if (!(await move(1))) {
        sayings.show(decision);
        say(`Marked ${decision}. This was the last pair of the list.`);
      }
    })();

  const undo = alone(async () => {
    const last = undoable.at(-1);
    if (!last) return;
    const isOutside = last.before && !last.shown;
    // What was said outside the sample is no part of it again.
    if (isOutside) await send(last.summary, null, last.sample);
    await send(last.summary, last.before, isOutside ? 0 : last.sample);
    undoable.pop();
    byId("undo").disabled = !undoable.length;
    last.summary.mark = last.shown;
    const index = listed.findIndex((each) => each.number === last.summary.number);
    if (index >= 0) {
      at = index;
      listed[at].mark = last.shown;
      await show();
    }
    say(`Undone: pair ${last.summary.number} is ${last.before ? `marked ${last.before}` : "unmarked"} again.`);
  });

  const setMode = (mode) => {
    for (const button of byId("modes").children) button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    viewer.setMode(mode).catch(fail);
  };
  const modeKey = (mode) => () => setMode(viewer.mode() === mode ? "side" : mode);

  const sayings = visdivMarks.buttons(mark);
  byId("sayings").append(sayings.element);
  byId("modes").replaceChildren(
    ...Object.entries(MODES).map(([mode, [text, key]]) => {
      const button = chip(text, mode === "side", () => setMode(mode));
      button.dataset.mode = mode;
      button.setAttribute("aria-keyshortcuts", key);
      button.append(element("kbd", key));
      return button;
    }),
  );
  const go = (step) => alone(() => move(step));
  const outline = () => byId("outline").setAttribute("aria-pressed", String(viewer.toggleOutline()));
  const clicks = {
    previous: go(-1), next: go(1), undo, larger: () => viewer.zoomBy(1.5), smaller: () => viewer.zoomBy(1 / 1.5),
    pixels: viewer.toggleZoom, outline, "help-button": () => byId("help").showModal(),
    sample: () => {
      chosen.sample = !chosen.sample;
      drawChips();
      restart().catch(fail);
    },
    clear: () => {
      for (const name of ["mark", "verdict", "evidence", "subset", "benchmark"]) chosen[name].clear();
      for (const name of ["least", "most"]) byId(name).value = "";
      chosen.sample = false;
      drawChips();
      restart().catch(fail);
    },
  };
  for (const [id, onClick] of Object.entries(clicks)) byId(id).addEventListener("click", onClick);
  for (const id of ["least", "most", "sample-size"]) byId(id).addEventListener("change", () => restart().catch(fail));

  const arrow = (x, y, step) => (event) => {
    if (event.shiftKey) viewer.pan(x / 10, y / 10);
    else if (step && !event.target.closest(".turns, .chips[tabindex='0']")) go(step)();
    else return false;
  };
  visdivMarks.onKey(
    {
      ...Object.fromEntries(visdivMarks.sayings.map(({ decision, key }) => [key, () => mark(decision)])), Backspace: undo,
      ArrowLeft: arrow(-1, 0, -1), ArrowRight: arrow(1, 0, 1), ArrowUp: arrow(0, -1), ArrowDown: arrow(0, 1),
      s: () => setMode("side"), f: modeKey("flicker"), d: modeKey("difference"), m: modeKey("marked"),
      " ": (event) => (viewer.mode() === "flicker" && !event.target.closest("button, summary, input") ? viewer.flip() : false),
      z: viewer.toggleZoom, "+": () => viewer.zoomBy(1.5), "=": () => viewer.zoomBy(1.5), "-": () => viewer.zoomBy(1 / 1.5), o: outline,
      "?": () => byId("help").showModal(),
    },
    () => byId("keys").checked,
  );

  (async () => {
    start = await askJson("/api/start");
    byId("title").textContent = start.title;
    document.title = `Review of ${start.title}`;
    byId("decisions").textContent = start.decisions;
    if (!start.kinds.duplicates && start.kinds.contamination) chosen.kind = "contamination";
    drawChips();
    await restart();
  })().catch(fail);
})();
