
"use strict";
// Two images that are zoomed and moved together: side by side, or one over the other.
const visdivViewer = (() => {
  const FLIP_MS = 500;
  const MAX_ZOOM = 64;
  const SVG = "http://www.w3.org/2000/svg";

  // A map of the plane as a row-major 3 x 3 matrix, from the 6 or 9 numbers that are stored.
  const matrixOf = (numbers) => [...numbers, 0, 0, 1].slice(0, 9);
  const apply = (m, [x, y]) => {
    const w = m[6] * x + m[7] * y + m[8];
    return [(m[0] * x + m[1] * y + m[2]) / w, (m[3] * x + m[4] * y + m[5]) / w];
  };
  const inverse = ([a, b, c, d, e, f, g, h, i]) => [
    e * i - f * h, c * h - b * i, b * f - c * e, f * g - d * i, a * i - c * g, c * d - a * f, d * h - e * g, b * g - a * h,
    a * e - b * d,
  ];
  const CORNERS = [[0, 0], [1, 0], [1, 1], [0, 1]];

  const create = (element, loadImage) => {
    let views = [];
    let mode = "side";
    let pair = null;
    let zoom = 1;
    let center = [0.5, 0.5];
    let outlined = true;
    let flipped = false;
    let timer = null;
    let turn = 0;

    const place = () => {
      for (const { pane, layers } of views) {
        const [first] = layers;
        if (!first || !first.image.naturalWidth) continue;
        const width = first.image.naturalWidth;
        const height = first.image.naturalHeight;
        const fit = Math.min(pane.clientWidth / width, pane.clientHeight / height);
        const scale = fit * zoom;
        for (const { image, outline } of layers) {
          for (const part of [image, outline].filter(Boolean)) {
            part.style.width = `${width * scale}px`;
            part.style.height = `${height * scale}px`;
            part.style.left = `${pane.clientWidth / 2 - center[0] * width * scale}px`;
            part.style.top = `${pane.clientHeight / 2 - center[1] * height * scale}px`;
          }
          image.classList.toggle("squares", scale >= 3);
          if (outline) outline.toggleAttribute("hidden", !outlined);
        }
      }
    };

    const zoomTo = (value, at = center) => {
      const next = Math.min(MAX_ZOOM, Math.max(1, value));
      const kept = zoom / next;
      center = next === 1 ? [0.5, 0.5] : center.map((each, axis) => at[axis] + (each - at[axis]) * kept);
      center = center.map((each) => Math.min(1, Math.max(0, each)));
      zoom = next;
      place();
    };

    const pointed = (pane, event) => {
      const box = (pane.querySelector("img") || pane).getBoundingClientRect();
      return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    };

    const listen = (pane) => {
      let from = null;
      pane.addEventListener("wheel", (event) => {
        event.preventDefault();
        zoomTo(zoom * Math.exp(-event.deltaY / 400), pointed(pane, event));
      }, { passive: false });
      pane.addEventListener("pointerdown", (event) => {
        from = pointed(pane, event);
        pane.setPointerCapture(event.pointerId);
      });
      pane.addEventListener("pointermove", (event) => {
        if (!from || zoom === 1) return;
        const now = pointed(pane, event);
        center = center.map((each, axis) => Math.min(1, Math.max(0, each - (now[axis] - from[axis]))));
        place();
      });
      for (const end of ["pointerup", "pointercancel"]) pane.addEventListener(end, () => (from = null));
    };

    const outlineOf = (matrix) => {
      const svg = document.createElementNS(SVG, "svg");
      svg.setAttribute("viewBox", "0 0 1 1");
      svg.setAttribute("preserveAspectRatio", "none");
      svg.setAttribute("aria-hidden", "true");
      for (const name of ["under", "over"]) {
        const polygon = document.createElementNS(SVG, "polygon");
        polygon.setAttribute("points", CORNERS.map((corner) => apply(matrix, corner).join(",")).join(" "));
        polygon.setAttribute("class", name);
        svg.append(polygon);
      }
      return svg;
    };

    const layer = async (pane, view, text, matrix) => {
      const image = document.createElement("img");
      image.alt = text;
      image.draggable = false;
      const address = await loadImage(pair.number, view);
      image.src = address;
      await image.decode();
      return { image, outline: matrix ? outlineOf(matrix) : null };
    };

    const make = (heading, className) => {
      const figure = document.createElement("figure");
      const caption = document.createElement("figcaption");
      caption.textContent = heading;
      const pane = document.createElement("div");
      pane.className = `pane ${className || ""}`;
      listen(pane);
      figure.append(caption, pane);
      return { figure, caption, pane, layers: [] };
    };

    const fill = async (view, parts) => {
      const loaded = await Promise.allSettled(parts.map((part) => part()));
      const failed = loaded.find((each) => each.status === "rejected");
      view.layers = loaded.filter((each) => each.status === "fulfilled").map((each) => each.value);
      view.pane.replaceChildren(...view.layers.flatMap(({ image, outline }) => (outline ? [image, outline] : [image])));
      if (failed) {
        const said = document.createElement("p");
        said.className = "nothing";
        said.textContent = failed.reason.message;
        view.pane.append(said);
      }
    };

    const flip = (to = !flipped) => {
      flipped = to;
      const [view] = views;
      if (mode !== "flicker" || !view || view.layers.length < 2) return;
      view.layers[1].image.classList.toggle("away", !flipped);
      view.caption.textContent = flipped ? view.names[1] : view.names[0];
    };

    const stop = () => {
      clearInterval(timer);
      timer = null;
    };

    const draw = async () => {
      const mine = ++turn;
      stop();
      if (!pair) return element.replaceChildren();
      const { left, right, transform } = pair;
      const aligned = transform.length > 0;
      const over = aligned ? "aligned" : "right";
      const matrix = aligned ? matrixOf(transform) : null;
      let made;
      const names = [`${left.role}: ${left.name}, row ${left.row}`, `${right.role}: ${right.name}, row ${right.row}`];
      const overName = aligned ? `${names[1]}, aligned` : `${names[1]}, stretched: no alignment was found`;
      if (mode === "side") {
        made = [make(names[0]), make(names[1])];
        await Promise.all([
          fill(made[0], [() => layer(made[0].pane, "left", names[0], matrix)]),
          fill(made[1], [() => layer(made[1].pane, "right", names[1], matrix && inverse(matrix))]),
        ]);
      } else if (mode === "marked") {
        made = [make("Regions that disagree, in magenta, on the left image")];
        await fill(made[0], [() => layer(made[0].pane, "marked", "The left image, dark, with regions that disagree marked")]);
      } else {
        const heading = mode === "difference" ? `Difference, three times as bright. ${overName}` : names[0];
        made = [{ ...make(heading, mode), names: [names[0], overName] }];
        await fill(made[0], [
          () => layer(made[0].pane, "left", names[0]),
          () => layer(made[0].pane, over, overName),
        ]);
      }
      if (mine !== turn) return;
      views = made;
      element.replaceChildren(...views.map((view) => view.figure));
      element.dataset.mode = mode;
      place();
      if (mode === "flicker") {
        flip(false);
        if (!matchMedia("(prefers-reduced-motion: reduce)").matches) timer = setInterval(flip, FLIP_MS);
      }
    };

    new ResizeObserver(place).observe(element);
    return {
      show: (next) => {
        if (!pair || !next || pair.number !== next.number) {
          zoom = 1;
          center = [0.5, 0.5];
        }
        pair = next;
        return draw();
      },
      setMode: (next) => {
        mode = next;
        return draw();
      },
      mode: () => mode,
      flip: () => {
        stop();
        flip();
      },
      zoomBy: (factor) => zoomTo(zoom * factor),
      // Switch between the whole image and its own pixels, or 4 times if it is smaller than the pane.
      toggleZoom: () => {
        const [view] = views;
        if (!view || !view.layers.length) return;
        const { naturalWidth: width, naturalHeight: height } = view.layers[0].image;
        const fit = Math.min(view.pane.clientWidth / width, view.pane.clientHeight / height);
        zoomTo(zoom > 1 ? 1 : fit < 0.95 ? 1 / fit : 4);
      },
      pan: (x, y) => {
        center = [center[0] + x / zoom, center[1] + y / zoom].map((each) => Math.min(1, Math.max(0, each)));
        place();
      },
      toggleOutline: () => {
        outlined = !outlined;
        place();
        return outlined;
      },
    };
  };

  return { create };
})();
