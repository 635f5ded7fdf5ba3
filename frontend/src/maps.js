// The linked maps: one camera, one pointer and one selection for one or two canvases.

import { Controls, element } from "./controls.js";
import { Drawing } from "./drawing.js";
import { encodeRows, decodeRows } from "./parts.js";
import { listen } from "./pointer.js";
import { Camera, Scene } from "./scene.js";

const SLOW = 40; // milliseconds a painting may take before moving shows a shifted picture first
const REST = 120;
const PLAYED = 2500;
const REACH = 9; // pixels from a point at which it answers to the pointer

export class LinkedMaps extends Drawing {
  constructor(root, send) {
    super();
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
    if (!Object.keys(wanted).every((slot) => slots.get(slot)?.digest === wanted[slot])) return;
    const arrays = Object.fromEntries(Object.keys(wanted).map((slot) => [slot, slots.get(slot).arrays]));
    const key = JSON.stringify([wanted, state.legend]);
    const other = wanted.tokens !== this.parts?.tokens; // other rows: positions mean others
    if (wanted.points !== this.parts?.points) this.camera.reset();
    this.parts = wanted;
    if (key !== this.key) {
      this.lit = -1;
      this.said = "";
      const { hidden } = this.scene?.state.by === state.by ? this.scene : { hidden: new Set() };
      this.scene = Object.assign(new Scene(state, arrays), { hidden });
      this.controls.showLegend(this.scene); // not with every rerun: a click on the legend may be on its way
    }
    this.scene.state = state;
    this.key = key;
    if (other || state.marks.serial >= this.serial) this.receiveMarks(state.marks);
    if (this.view !== state.view) this.arrange(state.view);
    this.look();
    this.draw();
  }

  // Only what answers the last selection made here: what answers an older one comes too late.
  receiveMarks({ rows, elsewhere }) {
    this.marks = decodeRows(rows, this.scene.rows);
    this.elsewhere = elsewhere;
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
    this.controls.pressLegend(hidden);
    this.draw();
  }
}
