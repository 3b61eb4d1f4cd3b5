
"use strict";
// What a person says of pairs: buttons, keys, and a store in the browser for pages without a server.
const visdivMarks = (() => {
  const sayings = [
    { decision: "right", key: "r", label: "Right" },
    { decision: "wrong", key: "w", label: "Wrong" },
    { decision: "unsure", key: "u", label: "Unsure" },
  ];

  // A group of buttons, one of which may be pressed; `show(decision)` presses it.
  const buttons = (onMark) => {
    const group = document.createElement("div");
    group.className = "sayings";
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", "Are the images copies?");
    const made = sayings.map(({ decision, key, label }) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = `saying ${decision}`;
      button.setAttribute("aria-keyshortcuts", key);
      const hint = document.createElement("kbd");
      hint.textContent = key;
      button.append(label, hint);
      button.addEventListener("click", () => onMark(decision));
      group.append(button);
      return button;
    });
    const show = (decision) =>
      made.forEach((button, index) => button.setAttribute("aria-pressed", String(sayings[index].decision === decision)));
    show(null);
    return { element: group, show };
  };

  // Call a function of the pressed key, unless the key belongs to a field or a shortcut of the browser.
  const onKey = (handlers, isOn = () => true) =>
    document.addEventListener("keydown", (event) => {
      if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey || !isOn()) return;
      const field = event.target.closest("input, select, textarea, [contenteditable]");
      if (field && !["checkbox", "radio", "button"].includes(field.type)) return;
      if (document.querySelector("dialog[open]")) return;
      const handler = handlers[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!handler) return;
      // A held key must not mark pairs that nobody saw.
      if (event.repeat && !event.key.startsWith("Arrow")) return event.preventDefault();
      if (handler(event) === false) return;
      event.preventDefault();
    });

  // Decisions in the browser's storage, as lines of the file that VISDIV_DECISIONS names.
  const localStore = (name) => {
    const where = `visdiv decisions ${name}`;
    let held = {};
    try {
      held = JSON.parse(localStorage.getItem(where)) || {};
    } catch {
      // Without storage, decisions last as long as the page.
    }
    const keyOf = (pair) => `${pair.image_id_a} ${pair.image_id_b}`;
    const save = () => {
      try {
        localStorage.setItem(where, JSON.stringify(held));
        return true;
      } catch {
        return false;
      }
    };
    return {
      get: (pair) => (held[keyOf(pair)] || { decision: null }).decision,
      // Return whether it is saved; no decision takes an earlier one back.
      set: (pair, decision, by) => {
        if (decision) held[keyOf(pair)] = { ...pair, decision, decided_at: new Date().toISOString(), decided_by: by || null };
        else delete held[keyOf(pair)];
        return save();
      },
      count: () => Object.keys(held).length,
      lines: () => Object.values(held).map((line) => JSON.stringify(line) + "\n").join(""),
    };
  };

  const download = (name, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/jsonl" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  return { sayings, buttons, onKey, localStore, download };
})();
