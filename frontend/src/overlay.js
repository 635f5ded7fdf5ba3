// What lies over the points: density lines, names of areas, arrows, labels, and the token under the pointer.

import { blur2 } from "d3-array";
import { contours } from "d3-contour";

const CELLS = 96;
const STEPS = 65535;

export function drawDensity(context, scene, camera, way, size, colour) {
  const k = camera.scale(size);
  const cell = (STEPS / CELLS) * k;
  const [left, top] = camera.toScreen(size, [0, 0]);
  context.save();
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.globalAlpha = 0.55;
  for (const { coordinates } of densityLines(scene, way)) {
    context.beginPath();
    for (const polygon of coordinates) {
      for (const line of polygon) line.forEach(([x, y], i) => context[i ? "lineTo" : "moveTo"](left + x * cell, top - y * cell));
    }
    context.stroke();
  }
  context.restore();
}

// Lines around places with 3, 8, 20, 40 and 70 % of the highest density.
function densityLines(scene, way) {
  const key = `${way} ${[...scene.hidden]}`;
  if (scene.density?.get(key)) return scene.density.get(key);
  const counts = new Float64Array(CELLS * CELLS);
  for (let row = 0; row < scene.rows; row++) {
    if (scene.isHidden(row)) continue;
    const [x, y] = scene.at(row, way);
    counts[Math.min(CELLS - 1, Math.floor((y / STEPS) * CELLS)) * CELLS + Math.min(CELLS - 1, Math.floor((x / STEPS) * CELLS))]++;
  }
  blur2({ data: counts, width: CELLS, height: CELLS }, 1.5);
  const highest = counts.reduce((most, count) => Math.max(most, count), 0);
  const lines = contours().size([CELLS, CELLS]).thresholds([0.03, 0.08, 0.2, 0.4, 0.7].map((share) => share * highest))(counts);
  scene.density = new Map([...(scene.density ?? [])].slice(-1)).set(key, lines);
  return lines;
}

export function drawArrows(context, scene, camera, rows, size, [from, to]) {
  context.save();
  context.lineWidth = rows.length > 1000 ? 0.8 : 1.2;
  context.globalAlpha = rows.length > 1000 ? 0.35 : 0.75;
  for (const row of rows) {
    if (scene.isHidden(row)) continue;
    const [x1, y1] = camera.toScreen(size, scene.at(row, 0));
    const [x2, y2] = camera.toScreen(size, scene.at(row, 1));
    if (Math.max(x1, x2) < 0 || Math.min(x1, x2) > size.width || Math.max(y1, y2) < 0 || Math.min(y1, y2) > size.height) continue;
    arrow(context, x1, y1, x2, y2, from, to);
  }
  context.restore();
}

function arrow(context, x1, y1, x2, y2, from, to) {
  const length = Math.hypot(x2 - x1, y2 - y1);
  const line = context.createLinearGradient(x1, y1, x2, y2);
  line.addColorStop(0, from);
  line.addColorStop(1, to);
  context.strokeStyle = length < 1 ? to : line;
  context.fillStyle = to;
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
  if (length < 6) return;
  const [ux, uy] = [(x2 - x1) / length, (y2 - y1) / length];
  context.beginPath();
  context.moveTo(x2, y2);
  context.lineTo(x2 - 7 * ux + 3 * uy, y2 - 7 * uy - 3 * ux);
  context.lineTo(x2 - 7 * ux - 3 * uy, y2 - 7 * uy + 3 * ux);
  context.fill();
}

// Names in the order of their importance; one that would touch an earlier one is left out.
export function drawNames(context, names, size, { font, colour, ground, gap, most, taken }) {
  context.save();
  context.font = font;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineJoin = "round";
  context.lineWidth = 3.5;
  context.strokeStyle = ground;
  context.fillStyle = colour;
  const height = parseFloat(/(\d+)px/.exec(font)[1]) + 4;
  let drawn = 0;
  for (const { place: [x, y], text } of names) {
    if (drawn >= most) break;
    if (x < 4 || y < 4 || x > size.width - 4 || y > size.height - 4) continue;
    const half = context.measureText(text).width / 2 + 3;
    const centre = Math.min(Math.max(x, half), size.width - half);
    const middle = y - gap < height / 2 ? y + gap : y - gap;
    const box = [centre - half, middle - height / 2, centre + half, middle + height / 2];
    if (taken.some((other) => box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1])) continue;
    taken.push(box);
    context.strokeText(text, centre, middle);
    context.fillText(text, centre, middle);
    drawn++;
  }
  context.restore();
  return drawn;
}

// The token under the pointer: a ring and a plate, or a plate at the edge where its point lies out of view.
export function drawPointer(context, size, [x, y], text, value, { family, colour, ground }) {
  context.save();
  const outside = x < 0 || y < 0 || x > size.width || y > size.height;
  for (const [width, stroke] of outside ? [] : [[5, ground], [2.5, colour]]) {
    Object.assign(context, { lineWidth: width, strokeStyle: stroke });
    context.beginPath();
    context.arc(x, y, 8, 0, 2 * Math.PI);
    context.stroke();
  }
  const note = outside ? "outside this view" : value;
  context.font = `600 14px ${family}`;
  const wide = context.measureText(text).width;
  context.font = `12px ${family}`;
  const across = Math.max(wide, context.measureText(note).width) + 16;
  const left = Math.max(2, Math.min(x - across / 2, size.width - across - 2));
  const top = Math.max(2, Math.min(y > 64 ? y - 60 : y + 16, size.height - 46));
  context.fillStyle = colour;
  context.beginPath();
  context.roundRect(left, top, across, 44, 6);
  context.fill();
  context.fillStyle = ground;
  context.textBaseline = "middle";
  context.fillText(note, left + 8, top + 31);
  context.font = `600 14px ${family}`;
  context.fillText(text, left + 8, top + 14);
  context.restore();
}
