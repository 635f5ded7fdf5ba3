// The linked maps: one camera, one pointer and one selection for one or two canvases.

import { Controls, element } from "./controls.js";
import { drawArrows, drawDensity, drawNames, drawPointer } from "./overlay.js";
import { paint } from "./paint.js";
import { encodeRows, decodeRows } from "./parts.js";
import { listen } from "./pointer.js";
import { Camera, Scene } from "./scene.js";

const SLOW = 40; // milliseconds a painting may take before moving shows a shifted picture first
const REST = 120;
const PLAYED = 2500;
const NEAR = 3; // magnification from which on any token may be named
const REACH = 9; // pixels from a point at which it answers to the pointer

export class LinkedMaps {
  constructor(root, send) {
    this.root = root;
    this.send = send;
    this.camera = new Camera();
    this.marks = [];
    this.serial = 0;
    this.lit = -1;
    this.said = ""; // of the token that keys have stepped to
    this.way = 0;
    this.controls = new Controls({
      redraw: () => this.draw(), clear: () => this.select([]), reset: () => this.reset(), play: () => this.play(),
      zoom: (at, factor) => this.zoom(at, factor), way: (way) => this.go(way), selectView: () => this.selectView(),
      toggle: (line) => this.toggle(line), tool: (tool) => this.root.setAttribute("data-tool", tool),
    });
    this.host = element("div", { className: "maps" });
    root.append(this.controls.bar, this.controls.legend, this.host, this.controls.note);
    this.maps = [];
    this.watch = new ResizeObserver(() => this.resize());
    this.watch.observe(this.host);
  }

  destroy() {
    this.watch.disconnect();
    cancelAnimationFrame(this.frame);
    cancelAnimationFrame(this.playing);
    clearTimeout(this.resting);
  }

  // `state` comes with every rerun; arrays only where their digest is another.
  update(state, slots) {
    const wanted = state.parts;
    if (!["points", "tokens", "colours"].every((slot) => slots.get(slot)?.digest === wanted[slot])) return;
    const arrays = Object.fromEntries(Object.keys(wanted).map((slot) => [slot, slots.get(slot).arrays]));
    const key = JSON.stringify([wanted, state.legend]);
    const other = wanted.tokens !== this.parts?.tokens; // other rows: positions mean others
    if (wanted.points !== this.parts?.points) this.camera.reset();
    this.parts = wanted;
    if (key !== this.key) {
      this.lit = -1;
      this.said = "";
      const { hidden } = this.scene?.state.by === state.by ? this.scene : { hidden: new Set() };
      this.scene = Object.assign(new Scene(state, arrays.points, arrays.tokens, arrays.colours), { hidden });
    }
    this.scene.state = state;
    this.key = key;
    if (other || state.marks.serial >= this.serial) this.receiveMarks(state.marks);
    if (this.view !== state.view) this.arrange(state.view);
    this.look();
    this.controls.showLegend(this.scene);
    this.draw();
  }

  // Only what answers the last selection made here: what answers an older one comes too late.
  receiveMarks({ rows, elsewhere }) {
    this.marks = decodeRows(rows, this.scene.rows);
    this.elsewhere = elsewhere;
  }

  look() {
    const style = getComputedStyle(this.root);
    const read = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise;
    const context = (this.probe ??= document.createElement("canvas").getContext("2d", { willReadFrequently: true }));
    context.fillStyle = read("--st-background-color", "#fff");
    context.fillRect(0, 0, 1, 1);
    this.ground = [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
    this.theme = { ground: read("--st-background-color", "#fff"), colour: read("--st-text-color", "#222"), family: read("--st-font", "sans-serif") };
  }

  arrange(view) {
    this.view = view;
    const { names } = this.scene.state;
    const titles = view === "two maps" ? names : [`${names[0]} → ${names[1]}`];
    this.maps = titles.map((title, i) => this.makeMap(title, view === "two maps" ? i : null));
    this.host.replaceChildren(...this.maps.map(({ figure }) => figure));
    this.host.classList.toggle("two", view === "two maps");
    this.controls.setEnds(names);
    this.controls.animation.hidden = view !== "animation";
    this.resize();
  }

  makeMap(title, way) {
    const canvases = ["points", "over", "top"].map((name) => element("canvas", { className: name }));
    const box = element("div", { className: "map", tabIndex: 0, aria: { role: "img" } }, ...canvases);
    const heading = element("span", { className: "title", textContent: title });
    const count = element("span", { className: "count" });
    const figure = element("figure", {}, element("figcaption", {}, heading, count), box);
    const map = { figure, box, heading, count, canvases, fixed: way, outline: null };
    listen(box, () => this.controls.tool, {
      hover: (at) => this.hover(map, at),
      pan: (dx, dy) => { this.camera.pan(this.size, dx, dy); this.moved(); },
      zoom: (at, factor) => this.zoom(at, factor),
      outline: (corners) => { map.outline = corners; this.drawTop(); },
      enclosed: (corners, event) => this.choose(this.enclosed(map, corners), event),
      click: (at, event) => this.clicked(map, at, event),
      reset: () => this.reset(), clear: () => this.select([]), step: (by) => this.step(by),
      pick: () => this.lit >= 0 && this.choose([this.lit]),
    });
    return map;
  }

  wayOf(map) {
    return map.fixed ?? (this.view === "arrows" ? 1 : this.way);
  }

  resize() {
    const box = this.maps[0]?.box.getBoundingClientRect();
    if (!box?.width) return;
    this.size = { width: Math.round(box.width), height: Math.round(box.height) };
    this.ratio = Math.min(2, window.devicePixelRatio || 1);
    for (const { canvases } of this.maps) {
      for (const canvas of canvases) {
        const [width, height] = [this.size.width * this.ratio, this.size.height * this.ratio].map(Math.round);
        if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
      }
    }
    this.draw();
  }

  // Moving the camera

  zoom(at, factor) {
    this.camera.zoomAt(this.size, at ?? [this.size.width / 2, this.size.height / 2], factor);
    this.moved();
  }

  reset() {
    this.camera.reset();
    this.moved();
  }

  moved() {
    if (!this.scene) return;
    if (this.cost < SLOW) return this.draw();
    this.shift();
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.draw(), REST);
  }

  // The last picture where it lies by now, until the next one is painted.
  shift() {
    const { width, height } = this.size;
    const k = this.camera.scale(this.size);
    const scale = k / this.drawn.k;
    const x = width / 2 - (scale * width) / 2 + (this.drawn.x - this.camera.x) * k;
    const y = height / 2 - (scale * height) / 2 + (this.camera.y - this.drawn.y) * k;
    for (const { canvases } of this.maps) {
      for (const canvas of canvases.slice(0, 2)) canvas.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    }
    this.drawTop();
  }

  go(way) {
    this.way = way;
    this.controls.way.value = Math.round(way * 100);
    this.draw();
  }

  play() {
    cancelAnimationFrame(this.playing);
    const from = this.way >= 1 ? 0 : this.way;
    const start = performance.now();
    const next = (now) => {
      const done = Math.min(1, from + Math.max(0, now - start) / PLAYED);
      this.go(done);
      if (done < 1) this.playing = requestAnimationFrame(next);
    };
    this.playing = requestAnimationFrame(next);
  }

  // Choosing tokens

  hover(map, at) {
    const lit = at && this.scene ? this.rowAt(map, at) : -1;
    if (lit === this.lit) return;
    this.lit = lit;
    this.said = "";
    this.drawTop();
  }

  rowAt(map, at) {
    const [x, y] = this.camera.toMap(this.size, at);
    return this.scene.nearest(this.wayOf(map), x, y, REACH / this.camera.scale(this.size));
  }

  // The next token that is worth a label and in view: what hovering is for a mouse.
  step(by) {
    const rows = (this.marks.length ? this.marks : [...this.scene.tokens.notable]).filter((row) => !this.scene.isHidden(row) && this.inView(row));
    if (!rows.length) return;
    const at = rows.indexOf(this.lit);
    this.lit = rows[(at + by + rows.length + (at < 0 && by < 0 ? 1 : 0)) % rows.length];
    this.drawTop();
    this.said = `${this.scene.text(this.lit)}, ${this.scene.value(this.lit)}. `;
    this.tell();
  }

  rowsInView(way) {
    const { width, height } = this.size;
    const corners = [[0, 0], [width, 0], [width, height], [0, height]].map((at) => this.camera.toMap(this.size, at));
    return this.scene.inside(way, corners);
  }

  inView(row) {
    return this.maps.some((map) => {
      const [x, y] = this.camera.toScreen(this.size, this.scene.at(row, this.wayOf(map)));
      return x >= 0 && y >= 0 && x <= this.size.width && y <= this.size.height;
    });
  }

  enclosed(map, corners) {
    return this.scene.inside(this.wayOf(map), corners.map((at) => this.camera.toMap(this.size, at)));
  }

  clicked(map, at, event) {
    const row = this.rowAt(map, at);
    if (row >= 0) this.choose([row], event);
  }

  selectView() {
    this.choose([...new Set(this.maps.flatMap((map) => this.rowsInView(this.wayOf(map))))]);
  }

  choose(rows, event) {
    const how = event?.shiftKey ? "add" : event?.altKey ? "remove" : this.controls.combine;
    const [old, chosen] = [new Set(this.marks), new Set(rows)];
    const made = {
      replace: () => rows,
      add: () => [...new Set([...this.marks, ...rows])],
      remove: () => this.marks.filter((row) => !chosen.has(row)),
      keep: () => rows.filter((row) => old.has(row)),
    }[how]();
    this.select(made.sort((a, b) => a - b));
  }

  select(rows) {
    if (!rows.length && !this.marks.length && !this.elsewhere) return;
    this.marks = rows;
    this.elsewhere = 0;
    this.serial = Math.max(Date.now(), this.serial + 1);
    this.draw();
    // After the marks are on the screen: the server may take its time.
    setTimeout(() => this.send("selection", { serial: this.serial, rows: encodeRows(rows, this.scene.rows) }), 30);
  }

  toggle(line) {
    const { hidden } = this.scene;
    if (!hidden.delete(line)) hidden.add(line);
    this.controls.showLegend(this.scene);
    this.draw();
  }

  // Drawing

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
    const text = `${this.said}${this.view === "arrows" ? `${arrows} ` : ""}Right: ${state.axes[0]}; up: ${state.axes[1]}.${scale}`;
    if (this.controls.note.textContent !== text) this.controls.note.textContent = text;
  }
}
