// What is drawn, apart from how: positions of all rows, what they are coloured by, and questions about places.

const STEPS = 65535;

function rgb(hex) {
  const value = parseInt(hex.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

// 255 colours between the hues of a scale.
function ramp(hues) {
  const stops = hues.map(rgb);
  return Array.from({ length: 255 }, (_, i) => {
    const at = (i / 254) * (stops.length - 1);
    const left = Math.min(Math.floor(at), stops.length - 2);
    return stops[left].map((from, k) => Math.round(from + (stops[left + 1][k] - from) * (at - left)));
  });
}

export class Scene {
  constructor(state, { points, tokens, colours, sizes }) {
    Object.assign(this, { state, points, tokens, colours, sizes });
    this.rows = state.rows;
    const { legend, scale } = state;
    // Of each code: its colour and its line of the legend. A scale has 255 codes and one for rows without a value.
    this.rgb = scale ? [...ramp(scale.hues), rgb(legend[legend.length - 1].colour)] : legend.map(({ colour }) => rgb(colour));
    const none = legend.findIndex(({ name }) => scale && name === scale.none);
    this.lineOf = scale ? [...new Array(255).fill(0), none] : legend.map((_, i) => i);
    this.hidden = new Set();
    this.order = this.fromBackToFront();
  }

  fromBackToFront() {
    const layers = this.lineOf.map((line) => this.state.legend[line]?.layer ?? 0);
    const starts = new Uint32Array(this.state.legend.length + 1);
    const { codes } = this.colours;
    for (let row = 0; row < this.rows; row++) starts[layers[codes[row]] + 1]++;
    for (let layer = 1; layer < starts.length; layer++) starts[layer] += starts[layer - 1];
    const order = new Uint32Array(this.rows);
    for (let row = 0; row < this.rows; row++) order[starts[layers[codes[row]]]++] = row;
    return order;
  }

  isHidden(row) {
    return this.hidden.size > 0 && this.hidden.has(this.lineOf[this.colours.codes[row]]);
  }

  shown() {
    return this.state.legend.reduce((sum, { rows }, line) => sum + (this.hidden.has(line) ? 0 : rows), 0);
  }

  text(row) {
    this.texts ??= new TextDecoder().decode(this.tokens.texts).split("\n");
    return this.texts[row];
  }

  // What the colour of a row says, in words.
  value(row) {
    const { legend, scale, by } = this.state;
    const line = legend[this.lineOf[this.colours.codes[row]]];
    const own = !scale || line.name === scale.none ? line.name : Number(this.colours.values[row].toPrecision(3));
    return `${by}: ${own}${this.sizeValue(row)}`;
  }

  sizeValue(row) {
    const { sizes } = this.state;
    const value = this.sizes?.values[row];
    return sizes && sizes.by !== this.state.by && Number.isFinite(value) ? `, ${sizes.by}: ${Number(value.toPrecision(3))}` : "";
  }

  // Position of a row on its way from the original (0) to the rebuilt map (1), in steps of the grid.
  at(row, way) {
    const { original: a, rebuilt: b } = this.points;
    return [a[2 * row] + (b[2 * row] - a[2 * row]) * way, a[2 * row + 1] + (b[2 * row + 1] - a[2 * row + 1]) * way];
  }

  nearest(way, x, y, radius) {
    let best = -1;
    let least = radius * radius;
    const { original: a, rebuilt: b } = this.points;
    for (let row = 0; row < this.rows; row++) {
      const dx = a[2 * row] + (b[2 * row] - a[2 * row]) * way - x;
      if (dx > radius || dx < -radius) continue;
      const dy = a[2 * row + 1] + (b[2 * row + 1] - a[2 * row + 1]) * way - y;
      const distance = dx * dx + dy * dy;
      if (distance <= least && !this.isHidden(row)) {
        least = distance;
        best = row;
      }
    }
    return best;
  }

  // Rows inside an outline (even-odd rule), corners as [x, y] in steps of the grid; hidden categories stay out.
  inside(way, corners) {
    const xs = corners.map(([x]) => x);
    const ys = corners.map(([, y]) => y);
    const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const rows = [];
    for (let row = 0; row < this.rows; row++) {
      const [x, y] = this.at(row, way);
      if (x < left || x > right || y < low || y > high || this.isHidden(row)) continue;
      let odd = false;
      for (let i = 0, j = xs.length - 1; i < xs.length; j = i++) {
        if (ys[i] > y !== ys[j] > y && x < ((xs[j] - xs[i]) * (y - ys[i])) / (ys[j] - ys[i]) + xs[i]) odd = !odd;
      }
      if (odd) rows.push(row);
    }
    return rows;
  }
}

// One camera for all maps: pan and zoom are linked because there is nothing else to move.
export class Camera {
  constructor() {
    this.reset();
  }

  reset() {
    Object.assign(this, { x: STEPS / 2, y: STEPS / 2, zoom: 1 });
  }

  // Pixels a step of the grid.
  scale({ width, height }) {
    return (this.zoom * Math.min(width, height) * 0.95) / STEPS;
  }

  toScreen(size, [x, y]) {
    const k = this.scale(size);
    return [(x - this.x) * k + size.width / 2, (this.y - y) * k + size.height / 2];
  }

  toMap(size, [px, py]) {
    const k = this.scale(size);
    return [(px - size.width / 2) / k + this.x, this.y - (py - size.height / 2) / k];
  }

  pan(size, dx, dy) {
    const k = this.scale(size);
    this.x = Math.min(STEPS, Math.max(0, this.x - dx / k));
    this.y = Math.min(STEPS, Math.max(0, this.y + dy / k));
  }

  // What lies under `pixel` stays there.
  zoomAt(size, pixel, factor) {
    const before = this.toMap(size, pixel);
    this.zoom = Math.min(400, Math.max(0.5, this.zoom * factor));
    const after = this.toMap(size, pixel);
    this.x += before[0] - after[0];
    this.y += before[1] - after[1];
  }
}
