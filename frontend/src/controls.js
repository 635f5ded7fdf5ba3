// Buttons, legend and notes around the maps. All texts of tokens and categories are set as text.

const TOOLS = { lasso: "Lasso", box: "Box", pan: "Move" };
const COMBINE = { replace: "new selection", add: "add to it", remove: "take away", keep: "keep common" };

export function element(tag, properties = {}, ...children) {
  const { style, data, aria, ...rest } = properties;
  const made = Object.assign(document.createElement(tag), rest);
  for (const [name, value] of Object.entries(aria ?? {})) made.setAttribute(name === "role" ? "role" : `aria-${name}`, value);
  Object.assign(made.style, style);
  Object.assign(made.dataset, data);
  made.append(...children);
  return made;
}

function button(label, title, onclick) {
  return element("button", { type: "button", title, textContent: label, onclick });
}

export class Controls {
  constructor(on) {
    this.tool = "lasso";
    this.combine = "replace";
    this.on = on;
    this.tools = Object.entries(TOOLS).map(([name, label]) => {
      const made = button(label, `${label}: what dragging on a map does`, () => this.use(name));
      made.dataset.tool = name;
      return made;
    });
    this.how = element("select", { title: "What a lasso, box or click does with the selection", onchange: () => (this.combine = this.how.value) },
      ...Object.entries(COMBINE).map(([value, textContent]) => element("option", { value, textContent })));
    this.how.setAttribute("aria-label", "Selecting makes");
    this.clear = button("Clear", "Select nothing (Escape)", () => on.clear());
    this.names = this.check("Labels", true, () => on.redraw());
    this.density = this.check("Density", false, () => on.redraw());
    this.way = element("input", { type: "range", min: 0, max: 100, value: 0, oninput: () => on.way(this.way.value / 100) });
    this.play = button("Play", "Move all points from the first to the second map", () => on.play());
    this.ends = [element("span"), element("span")];
    this.animation = element("span", { className: "group animation" }, this.play, this.ends[0], this.way, this.ends[1]);
    this.bar = this.toolbar();
    this.legend = element("div", { className: "legend", aria: { role: "group", label: "Legend" } });
    this.note = element("p", { className: "note", aria: { role: "status" } });
    this.use(window.matchMedia("(pointer: coarse)").matches ? "pan" : "lasso");
  }

  toolbar() {
    const { on } = this;
    const bar = element("div", { className: "bar", aria: { role: "toolbar", label: "Tools of the maps" } });
    bar.append(
      element("span", { className: "group joined" }, ...this.tools),
      element("span", { className: "group joined" },
        button("−", "Zoom out (-)", () => on.zoom(null, 1 / 1.6)), button("+", "Zoom in (+)", () => on.zoom(null, 1.6)),
        button("Reset view", "All points in view (0, or a double click)", () => on.reset())),
      element("span", { className: "group" }, this.how, button("Select view", "Select every token in view", () => on.selectView()), this.clear),
      element("span", { className: "group" }, this.names.label, this.density.label),
      this.animation,
    );
    return bar;
  }

  check(text, checked, onchange) {
    const input = element("input", { type: "checkbox", checked, onchange });
    return { input, label: element("label", {}, input, ` ${text}`) };
  }

  setEnds(names) {
    this.ends.forEach((end, i) => (end.textContent = names[i]));
    this.way.setAttribute("aria-label", `From ${names[0]} (0) to ${names[1]} (100)`);
  }

  use(tool) {
    this.tool = tool;
    for (const made of this.tools) made.setAttribute("aria-pressed", String(made.dataset.tool === tool));
    this.on.tool?.(tool);
  }

  showLegend(scene) {
    const { legend, scale, explanation } = scene.state;
    const rows = legend.map((line, i) => {
      const chip = element("button", { type: "button", title: "Show or hide", className: "chip", onclick: () => this.on.toggle(i) },
        element("span", { className: `dot ${line.shape}`, style: scale && i === 0 ? { display: "none" } : { background: line.colour } }),
        `${line.name} · ${line.rows.toLocaleString("en")}`);
      return chip;
    });
    this.chips = [...rows];
    this.pressLegend(scene.hidden);
    if (scale && legend.length && legend[0].name !== scale.none) rows.splice(1, 0, this.scaleBar(scale));
    this.legend.replaceChildren(...rows, element("span", { className: "explanation", textContent: explanation }));
  }

  pressLegend(hidden) {
    this.chips.forEach((chip, i) => chip.setAttribute("aria-pressed", String(!hidden.has(i))));
  }

  scaleBar({ low, high, hues, note }) {
    const number = (value) => String(Number(value.toPrecision(3)));
    return element("span", { className: "scale", title: note }, number(low),
      element("span", { className: "hues", style: { background: `linear-gradient(90deg, ${hues.join(",")})` } }), number(high));
  }
}
