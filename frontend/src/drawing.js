// The pictures of the linked maps, and what they say in words; maps.js is what moves and chooses.

import { drawArrows, drawDensity, drawNames, drawPointer } from "./overlay.js";
import { paint } from "./paint.js";

const NEAR = 3; // magnification from which on any token may be named

export class Drawing {
  look() {
    const style = getComputedStyle(this.root);
    const read = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise;
    const context = (this.probe ??= document.createElement("canvas").getContext("2d", { willReadFrequently: true }));
    context.fillStyle = read("--st-background-color", "#fff");
    context.fillRect(0, 0, 1, 1);
    this.ground = [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
    this.theme = { ground: read("--st-background-color", "#fff"), colour: read("--st-text-color", "#222"), family: read("--st-font", "sans-serif") };
  }

  wayOf(map) {
    return map.fixed ?? (this.view === "arrows" ? 1 : this.way);
  }

  draw() {
    clearTimeout(this.resting);
    if (!this.frame) this.frame = requestAnimationFrame(() => { this.frame = 0; this.drawNow(); });
  }

  drawNow() {
    if (!this.scene || !this.size) return;
    const started = performance.now();
    const { scene, camera, size, ratio, ground, marks } = this;
    const markColour = [1, 3, 5].map((i) => parseInt(scene.state.marked.slice(i, i + 2), 16));
    this.maps.forEach((map, i) => {
      for (const canvas of map.canvases.slice(0, 2)) canvas.style.transform = "";
      paint(map.canvases[0], scene, camera, this.wayOf(map), { ratio, size, ground, marks, markColour, faint: this.view === "arrows" });
      this.drawOver(map, i);
      map.count.textContent = this.counted();
      map.box.setAttribute("aria-label", this.alternative(map, i));
    });
    this.drawn = { ...camera, k: camera.scale(size) };
    this.cost = performance.now() - started;
    this.drawTop();
    this.tell();
    this.root.setAttribute("data-drawn", `${scene.shown()} ${marks.length}`);
  }

  context(map, layer) {
    const context = map.canvases[layer].getContext("2d");
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, this.size.width, this.size.height);
    return context;
  }

  arrowRows() {
    return this.marks.length ? this.marks : [...this.scene.tokens.movers];
  }

  drawOver(map, i) {
    const { scene, camera, size, theme } = this;
    const way = this.wayOf(map);
    const context = this.context(map, 1);
    if (this.controls.density.input.checked) drawDensity(context, scene, camera, way, size, theme.colour);
    const areas = (scene.state.areas[map.fixed ?? (way < 0.5 ? 0 : 1)] ?? []).map(([x, y, text]) => ({ place: camera.toScreen(size, [x, y]), text }));
    const taken = []; // a token's label keeps clear of an area's
    drawNames(context, areas, size, { ...theme, font: `600 15px ${theme.family}`, gap: 0, most: 40, taken });
    if (this.view === "arrows") drawArrows(context, scene, camera, this.arrowRows(), size, scene.state.tables);
    if (this.controls.names.input.checked) map.labelled = drawNames(context, this.names(way), size, { ...this.labelLook(), taken });
    else map.labelled = 0;
    map.box.dataset.labels = map.labelled;
  }

  labelLook() {
    const most = Math.round(Math.min(45, Math.max(10, (this.size.width * this.size.height) / 6000)));
    return { ...this.theme, font: `12px ${this.theme.family}`, gap: 13, most };
  }

  // Selected tokens, the notable first; without a selection what moved most or is frequent.
  names(way) {
    const { scene, camera, size } = this;
    const notable = [...scene.tokens.notable];
    const chosen = new Set(this.marks);
    const arrows = this.view === "arrows" && !chosen.size ? [...scene.tokens.movers] : notable;
    // Near enough, any token in view may be named once the notable have their places.
    const near = camera.zoom > NEAR && !chosen.size ? this.rowsInView(way).slice(0, 5000) : [];
    const rows = chosen.size ? [...new Set([...notable.filter((row) => chosen.has(row)), ...this.marks.slice(0, 2000)])] : [...new Set([...arrows, ...near])];
    return rows.filter((row) => !scene.isHidden(row)).map((row) => ({ place: camera.toScreen(size, scene.at(row, way)), text: scene.text(row) }));
  }

  drawTop() {
    if (!this.scene || !this.size) return;
    for (const map of this.maps) {
      const context = this.context(map, 2);
      if (map.outline) this.drawOutline(context, map.outline);
      map.box.dataset.lit = this.lit >= 0 ? this.scene.text(this.lit) : "";
      if (this.lit < 0) continue;
      const place = this.camera.toScreen(this.size, this.scene.at(this.lit, this.wayOf(map)));
      drawPointer(context, this.size, place, this.scene.text(this.lit), this.scene.value(this.lit), this.theme);
    }
  }

  drawOutline(context, corners) {
    context.beginPath();
    corners.forEach(([x, y], i) => context[i ? "lineTo" : "moveTo"](x, y));
    context.closePath();
    Object.assign(context, { fillStyle: `${this.scene.state.marked}22`, strokeStyle: this.scene.state.marked, lineWidth: 1.5 });
    context.fill();
    context.stroke();
  }

  // In words

  counted() {
    const { scene, marks, elsewhere } = this;
    const [shown, rows, total] = [scene.shown(), scene.rows, scene.state.total].map((count) => count.toLocaleString("en"));
    const drawn = rows === total ? `all ${total} rows` : `${rows} of ${total} rows`;
    return [
      shown === rows ? drawn : `${shown} of ${total} rows, the rest hidden`,
      marks.length && `${marks.length.toLocaleString("en")} marked`,
      elsewhere && `${elsewhere.toLocaleString("en")} selected that are not on the maps`,
    ].filter(Boolean).join(", ");
  }

  alternative(map, i) {
    const { descriptions, rows, total } = this.scene.state;
    const part = rows === total ? "" : ` These are ${rows.toLocaleString("en")} of the table's ${total.toLocaleString("en")} rows.`;
    const text = (map.fixed === null ? descriptions.join(" ") : descriptions[i]) + part;
    return `${text}${this.marks.length ? ` ${this.marks.length.toLocaleString("en")} ${this.marks.length === 1 ? "row" : "rows"} marked.` : ""} Arrow keys move, + and - zoom, 0 shows all, n and p step through tokens, Enter selects, Escape clears.`;
  }

  tell() {
    const { state, tokens } = this.scene;
    const whose = this.marks.length ? "the selected tokens" : `the ${tokens.movers.length.toLocaleString("en")} tokens that moved most, measured in the full space; select tokens to see theirs`;
    const arrows = `Arrows lead from ${state.names[0]} (blue) to ${state.names[1]} (orange): ${whose}.`;
    const scale = state.scale ? ` ${state.scale.note[0].toUpperCase()}${state.scale.note.slice(1)}.` : "";
    const size = state.sizes ? ` Size: ${state.sizes.explanation}, from ${Number(state.sizes.low.toPrecision(3))} (small, or none) to ${Number(state.sizes.high.toPrecision(3))} (large).` : "";
    const text = `${this.said}${this.view === "arrows" ? `${arrows} ` : ""}Right: ${state.axes[0]}; up: ${state.axes[1]}.${scale}${size}`;
    if (this.controls.note.textContent !== text) this.controls.note.textContent = text;
  }
}
