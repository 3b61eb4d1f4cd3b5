"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const canvas = document.getElementById("map"), stage = document.getElementById("stage");
  const card = document.getElementById("card"), frame = document.getElementById("image");
  const words = document.getElementById("words"), kinds = document.getElementById("kinds");
  const drawing = canvas.getContext("2d");
  const layouts = document.getElementById("layouts");
  let kind = data.maps[0].kind, layout = data.maps[0].layouts[0].name, alone = null, view = null, dragged = null;
  const map = () => data.maps.find((each) => each.kind === kind);
  const places = () => map().layouts.find((each) => each.name === layout);
  const color = (cluster) => cluster < 0 ? "#9998" : `hsl(${(cluster * 137.5) % 360} 65% 50%)`;

  const fit = () => {
    const { x, y } = places();
    let left = Infinity, right = -Infinity, top = Infinity, bottom = -Infinity;
    for (let i = 0; i < x.length; i++) {
      left = Math.min(left, x[i]); right = Math.max(right, x[i]);
      top = Math.min(top, y[i]); bottom = Math.max(bottom, y[i]);
    }
    const width = stage.clientWidth, height = stage.clientHeight;
    const scale = 0.92 * Math.min(width / (right - left || 1), height / (bottom - top || 1));
    view = { scale, x: width / 2 - scale * (left + right) / 2, y: height / 2 - scale * (top + bottom) / 2 };
  };

  const draw = () => {
    const ratio = window.devicePixelRatio || 1, { x, y } = places(), { cluster } = map();
    canvas.width = stage.clientWidth * ratio;
    canvas.height = stage.clientHeight * ratio;
    drawing.setTransform(ratio, 0, 0, ratio, 0, 0);
    const size = x.length > 5000 ? 2 : 4;
    for (let i = 0; i < x.length; i++) {
      drawing.globalAlpha = alone === null || alone === cluster[i] ? 1 : 0.08;
      drawing.fillStyle = color(cluster[i]);
      drawing.fillRect(x[i] * view.scale + view.x - size / 2, y[i] * view.scale + view.y - size / 2, size, size);
    }
    for (const row of document.querySelectorAll("tbody tr")) {
      row.hidden = row.dataset.kind !== kind;
      const chosen = alone !== null && Number(row.dataset.cluster) === alone;
      row.classList.toggle("chosen", chosen);
      row.querySelector("button").setAttribute("aria-pressed", chosen);
    }
  };

  const nearest = (px, py) => {
    const { x, y } = places(), { cluster } = map();
    let best = -1, least = 144;
    for (let i = 0; i < x.length; i++) {
      if (alone !== null && cluster[i] !== alone) continue;
      const distance = (x[i] * view.scale + view.x - px) ** 2 + (y[i] * view.scale + view.y - py) ** 2;
      if (distance < least) { least = distance; best = i; }
    }
    return best;
  };

  const show = (event) => {
    const box = canvas.getBoundingClientRect(), px = event.clientX - box.left, py = event.clientY - box.top;
    if (dragged) {
      view.x += px - dragged[0]; view.y += py - dragged[1];
      dragged = [px, py];
      card.hidden = true;
      draw();
      return;
    }
    const i = nearest(px, py), { row, image, text, name, cluster } = map();
    card.hidden = i < 0;
    if (i < 0) return;
    frame.replaceChildren();
    const encoded = image[i] >= 0 ? data.images[image[i]] : "";
    if (encoded) {
      const drawn = document.createElement("img");
      drawn.src = `data:image/webp;base64,${encoded}`;
      drawn.alt = `Image of row ${row[i]}`;
      frame.append(drawn);
    }
    words.textContent = [`row ${row[i]}`, cluster[i] < 0 ? "in no cluster" : name[cluster[i]] || `cluster ${cluster[i]}`,
      data.texts[text[i]]].filter(Boolean).join("\n");
    card.style.left = `${Math.min(px + 14, stage.clientWidth - 270)}px`;
    card.style.top = `${Math.min(py + 14, stage.clientHeight - 190)}px`;
  };

  const tabs = (group, entries, chosen, choose) => {
    group.replaceChildren(...entries.map(([value, title]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = title;
      button.setAttribute("aria-pressed", value === chosen());
      button.addEventListener("click", () => {
        choose(value);
        for (const other of group.children) other.setAttribute("aria-pressed", other === button);
        fit(); draw();
      });
      return button;
    }));
    group.hidden = entries.length < 2;
  };
  const chooseLayouts = () => tabs(layouts, map().layouts.map((each) => [each.name, each.title]), () => layout,
    (value) => { layout = value; });
  tabs(kinds, data.maps.map((each) => [each.kind, `${each.title} (${each.row.length.toLocaleString("en-US")})`]), () => kind,
    (value) => {
      kind = value; alone = null;
      if (!places()) layout = map().layouts[0].name;
      chooseLayouts();
    });
  chooseLayouts();
  for (const row of document.querySelectorAll("tbody tr")) {
    // A click on the button of the row counts as one on the row.
    row.addEventListener("click", () => {
      const cluster = Number(row.dataset.cluster);
      alone = alone === cluster ? null : cluster;
      draw();
    });
  }
  canvas.addEventListener("pointerdown", (event) => {
    const box = canvas.getBoundingClientRect();
    dragged = [event.clientX - box.left, event.clientY - box.top];
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointerup", () => { dragged = null; });
  canvas.addEventListener("pointermove", show);
  canvas.addEventListener("pointerleave", () => { card.hidden = true; });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = canvas.getBoundingClientRect(), px = event.clientX - box.left, py = event.clientY - box.top;
    const factor = Math.exp(-event.deltaY / 400);
    view.x = px - (px - view.x) * factor; view.y = py - (py - view.y) * factor; view.scale *= factor;
    draw();
  }, { passive: false });
  window.addEventListener("resize", () => { fit(); draw(); });
  stage.hidden = false;
  fit();
  draw();
})();
