// Points, painted by hand into a canvas. It needs no WebGL, so that no canvas stays blank without a graphics card, and
// where WebGL runs in software it is about nine times as quick (benchmarks/maps.py).

const INSIDE = {
  circle: (x, y, r) => Math.hypot(x, y) - r,
  square: (x, y, r) => Math.max(Math.abs(x), Math.abs(y)) - r * 0.9,
  diamond: (x, y, r) => (Math.abs(x) + Math.abs(y) - r * 1.25) * 0.7,
  "triangle-up": (x, y, r) => Math.max(y - r * 0.7, Math.abs(x) * 0.87 - y * 0.5 - r * 0.6),
  x: (x, y, r) => Math.max(Math.max(Math.abs(x), Math.abs(y)) - r * 0.9, Math.abs(Math.abs(x) - Math.abs(y)) * 0.7 - r * 0.34),
  star: (x, y, r) => {
    const turn = Math.atan2(x, -y) / ((2 * Math.PI) / 5);
    return Math.hypot(x, y) - r * (1.25 - 1.3 * Math.abs(turn - Math.round(turn)));
  },
};

// A shape as pixels around its centre: where each lies in the buffer and how much of it is covered, 0 to 256.
export function stamp(distance, radius, opacity, stride) {
  const reach = Math.ceil(radius + 1);
  const offsets = [];
  const covers = [];
  for (let y = -reach; y <= reach; y++) {
    for (let x = -reach; x <= reach; x++) {
      const cover = Math.round(Math.min(1, Math.max(0, 0.5 - distance(x, y, radius))) * opacity * 256);
      if (cover > 8) {
        offsets.push(y * stride + x);
        covers.push(cover);
      }
    }
  }
  return { offsets: Int32Array.from(offsets), covers: Int32Array.from(covers) };
}

function blend(buffer, at, { offsets, covers }, [r, g, b]) {
  for (let k = 0; k < offsets.length; k++) {
    const pixel = buffer[at + offsets[k]];
    const cover = covers[k];
    const red = pixel & 255;
    const green = (pixel >> 8) & 255;
    const blue = (pixel >> 16) & 255;
    buffer[at + offsets[k]] =
      0xff000000 |
      ((blue + (((b - blue) * cover) >> 8)) << 16) |
      ((green + (((g - green) * cover) >> 8)) << 8) |
      (red + (((r - red) * cover) >> 8));
  }
}

// A ground with room around it for points that lie half outside.
function prepare(canvas, margin, [r, g, b]) {
  const width = canvas.width + 2 * margin;
  const height = canvas.height + 2 * margin;
  if (canvas.image?.width !== width || canvas.image?.height !== height) canvas.image = new ImageData(width, height);
  const buffer = new Uint32Array(canvas.image.data.buffer);
  buffer.fill(0xff000000 | (b << 16) | (g << 8) | r);
  return { buffer, width, height };
}

export function paint(canvas, scene, camera, way, { ratio, size, ground, faint, marks, markColour }) {
  const margin = Math.ceil(16 * ratio);
  const { buffer, width, height } = prepare(canvas, margin, ground);
  const k = camera.scale(size) * ratio;
  const left = canvas.width / 2 + margin - camera.x * k;
  const top = canvas.height / 2 + margin + camera.y * k;
  // Larger where maps are large or magnified: a small map would be a blot.
  const room = Math.min(1.2, Math.max(0.65, Math.min(size.width, size.height) / 600));
  const growth = Math.min(2.4, Math.max(0.8, camera.zoom ** 0.3)) * room * ratio;
  // Of each line of the legend a shape in every size: one, or those that a number chooses from.
  const stamps = scene.state.legend.map(({ shape, size: across, opacity }) =>
    (scene.state.sizes?.factors ?? [1]).map((factor) =>
      stamp(INSIDE[shape] ?? INSIDE.circle, (across * growth * factor) / 2, opacity * (faint ? 0.35 : 1), width)));
  const sizes = scene.state.sizes ? scene.sizes?.codes : undefined;
  const { original: a, rebuilt: b } = scene.points;
  const { codes } = scene.colours;
  const put = (row, shape, colour) => {
    const x = Math.round((a[2 * row] + (b[2 * row] - a[2 * row]) * way) * k + left);
    const y = Math.round(top - (a[2 * row + 1] + (b[2 * row + 1] - a[2 * row + 1]) * way) * k);
    if (x < margin / 2 || y < margin / 2 || x >= width - margin / 2 || y >= height - margin / 2) return;
    blend(buffer, y * width + x, shape, colour);
  };
  const hidden = scene.lineOf.map((line) => scene.hidden.has(line));
  for (const row of scene.order) {
    const code = codes[row];
    if (!hidden[code]) put(row, stamps[scene.lineOf[code]][sizes ? sizes[row] : 0], scene.rgb[code]);
  }
  const ring = markStamp(marks.length, ratio, growth, width);
  for (const row of marks) if (!hidden[codes[row]]) put(row, ring, markColour);
  canvas.getContext("2d").putImageData(canvas.image, -margin, -margin);
}

// A ring around few marked points; dots for many, whose rings would be one blot.
function markStamp(rows, ratio, growth, stride) {
  if (rows > 1000) return stamp(INSIDE.circle, 1.5 * growth, 0.8, stride);
  const [across, line] = rows <= 30 ? [12, 2.2] : [8, 1.6];
  const radius = (across * ratio) / 2;
  const distance = (x, y) => Math.abs(Math.hypot(x, y) - radius) - (line * ratio) / 2;
  return stamp(distance, radius + line * ratio, 1, stride);
}
