"use strict";
(() => {
  const STEP = 60;
  const { byId, asJson, fail } = visdivServer;
  const ask = visdivServer.asker("visdiv search --serve");

  const make = (tag, attributes = {}, ...inside) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "onClick") made.addEventListener("click", value);
      else if (name in made) made[name] = value;
      else made.setAttribute(name, value);
    }
    made.append(...inside);
    return made;
  };
  const button = (text, onClick, more = {}) => make("button", { type: "button", onClick, ...more }, text);

  let start = null;
  let queries = [];
  let conditions = [];
  let count = STEP;
  let request = 0;

  const key = (query) => `${query.subset}\n${query.image_id}`;
  const chosenModel = () => byId("by").value
    || (queries.some((query) => query.text) || !start.models.sscd ? "clip" : "sscd");

  const draw = () => {
    byId("queries").replaceChildren(...queries.map((query) => {
      const name = query.text ? `“${query.text}”` : query.name;
      const weight = make("input", { type: "number", step: "0.1", value: query.weight, "aria-label": `Weight of ${name}` });
      weight.addEventListener("change", () => {
        const value = Number(weight.value);
        if (!Number.isFinite(value) || weight.value === "") weight.value = query.weight;
        else { query.weight = value; again(); }
      });
      const item = make("li", { className: query.weight < 0 ? "away" : "" });
      if (query.shown) item.append(make("img", { src: query.shown, alt: "" }));
      if (query.weight < 0) item.append(make("span", { className: "away-word" }, "not"));
      item.append(make("bdi", { className: "what", title: name }, name), weight,
        button("Remove", () => { queries = queries.filter((other) => other !== query); again(); }, { "aria-label": `Remove ${name}` }));
      return item;
    }));
    byId("conditions").replaceChildren(...conditions.map((condition) => {
      const said = condition.map((part) => (part === true ? "yes" : part === false ? "no" : part)).join(" ");
      return make("li", {}, make("bdi", {}, said),
        button("Remove", () => { conditions = conditions.filter((other) => other !== condition); again(); }, { "aria-label": `Remove ${said}` }));
    }));
    byId("active").textContent = conditions.length ? `(${conditions.length})` : "";
    const liked = new Map(queries.filter((query) => query.image_id).map((query) => [key(query), query.weight > 0]));
    for (const each of document.querySelectorAll("#results li")) {
      const said = liked.get(each.dataset.key);
      each.querySelector(".more").setAttribute("aria-pressed", said === true);
      each.querySelector(".less").setAttribute("aria-pressed", said === false);
    }
  };

  const choose = (match, weight) => {
    const old = queries.find((query) => query.image_id && key(query) === key(match));
    queries = queries.filter((query) => query !== old);
    if (!old || Math.sign(old.weight) !== Math.sign(weight)) {
      queries.push({ weight, subset: match.subset, image_id: match.image_id, name: `${match.subset}, ${match.position}`,
        shown: match.webp ? `data:image/webp;base64,${match.webp}` : "" });
    }
    again();
  };

  const card = (match, rank) => {
    const where = `${match.subset}, ${match.position}`;
    const picture = match.webp
      ? make("img", { src: `data:image/webp;base64,${match.webp}`, alt: `Image ${rank + 1}: ${where}`, className: match.tiny ? "tiny" : "" })
      : make("span", { className: "unreadable" }, `unreadable: ${match.about}`);
    const item = make("li", {}, picture,
      make("p", {}, make("strong", {}, match.score.toFixed(3)), " ", make("bdi", {}, match.subset)),
      make("p", { className: "aside" }, match.position));
    if (match.text) item.append(make("p", { className: "text", title: match.text }, make("bdi", {}, match.text)));
    item.append(make("div", { className: "choose" },
      button("More like this", () => choose(match, 1), { className: "more", "aria-pressed": "false", "aria-label": `More like this: image ${rank + 1}` }),
      button("Not this", () => choose(match, -0.5), { className: "less", "aria-pressed": "false", "aria-label": `Not this: image ${rank + 1}` })));
    item.dataset.key = key(match);
    return item;
  };

  const search = async () => {
    const mine = ++request;
    byId("error").hidden = true;
    if (!queries.length) {
      byId("results").replaceChildren();
      byId("status").textContent = "Enter words, choose an image file, or both.";
      byId("longer").hidden = true;
      return;
    }
    byId("found").setAttribute("aria-busy", "true");
    byId("status").textContent = "Searching …";
    const by = chosenModel();
    try {
      const answer = await ask("/api/search", asJson({
        by, count, conditions,
        subsets: byId("subset").value ? [byId("subset").value] : [],
        queries: queries.map(({ weight, text, image, subset, image_id }) => (
          text ? { weight, text } : image ? { weight, image } : { weight, subset, image_id })),
      }));
      const { matches } = await answer.json();
      if (mine !== request) return;
      byId("results").replaceChildren(...matches.map(card));
      byId("status").textContent = `${matches.length} ${matches.length === 1 ? "image" : "images"}, best first, by ${by === "clip" ? "CLIP" : "SSCD"}`;
      byId("longer").hidden = matches.length < count || count >= start.most;
      draw();
    } catch (error) {
      if (mine !== request) return;
      byId("status").textContent = "";
      fail(error);
    } finally {
      if (mine === request) byId("found").removeAttribute("aria-busy");
    }
  };
  const again = () => { count = STEP; draw(); search(); };

  const addWords = (weight) => {
    const text = byId("words").value.trim();
    if (!text) return;
    queries.push({ weight, text });
    byId("words").value = "";
    again();
  };
  byId("ask").addEventListener("submit", (event) => { event.preventDefault(); addWords(1); });
  byId("add-not").addEventListener("click", () => addWords(-0.5));
  byId("file").addEventListener("change", async () => {
    for (const file of byId("file").files) {
      const url = await new Promise((done) => {
        const reader = new FileReader();
        reader.onload = () => done(reader.result);
        reader.readAsDataURL(file);
      });
      queries.push({ weight: 1, image: url.slice(url.indexOf(",") + 1), name: file.name, shown: url });
    }
    byId("file").value = "";
    again();
  });
  byId("by").addEventListener("change", again);
  byId("subset").addEventListener("change", again);
  byId("clear").addEventListener("click", () => {
    queries = [];
    conditions = [];
    byId("by").value = byId("subset").value = "";
    again();
    byId("words").focus();
  });
  byId("longer").addEventListener("click", () => { count = Math.min(count + STEP, start.most); search(); });

  const options = (values) => values.map((value) => make("option", { value }, value));
  const field = () => start.fields.find((each) => each.name === byId("field").value);
  const showField = () => {
    const { kind, operators, values, meaning } = field();
    byId("operator").replaceChildren(...options(operators));
    byId("meaning").textContent = meaning;
    const input = kind === "number" ? make("input", { type: "number", step: "any", required: true })
      : kind === "text" ? make("input", { type: "text", required: true })
        : make("select", {}, ...options(kind === "choice" ? values : ["yes", "no"]));
    input.id = "value";
    input.setAttribute("aria-label", "Value");
    byId("value-place").replaceChildren(input);
  };
  byId("field").addEventListener("change", showField);
  byId("condition").addEventListener("submit", (event) => {
    event.preventDefault();
    const raw = byId("value").value, { kind, name } = field();
    conditions.push([name, byId("operator").value, kind === "number" ? Number(raw) : kind === "yes or no" ? raw === "yes" : raw]);
    again();
  });

  ask("/api/start").then((answer) => answer.json()).then((found) => {
    start = found;
    document.title = `Search in ${found.title}`;
    byId("title").textContent = found.title;
    byId("subset").append(...options(found.subsets));
    for (const model of ["clip", "sscd"]) byId("by").querySelector(`[value=${model}]`).disabled = !found.models[model];
    if (found.no_words) {
      byId("no-words").textContent = found.no_words;
      byId("no-words").hidden = false;
      for (const id of ["words", "add", "add-not"]) byId(id).disabled = true;
    }
    byId("no-file").hidden = found.fields.length > 0;
    byId("condition").hidden = !found.fields.length;
    byId("field").append(...options(found.fields.map((each) => each.name)));
    if (found.fields.length) showField();
    search();
  }).catch(fail);
})();
