// Mouse, fingers and keys on a map: pan, zoom, lasso, box, click. It tells `on` what happened, in pixels of the map.

const STEP = 60; // pixels that an arrow key moves the maps

export function listen(element, tool, on) {
  const pressed = new Map();
  let path = null; // corners of a lasso, or two of a box
  let from = null;

  const place = (event) => {
    const box = element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const corners = () => (tool() === "box" ? [path[0], [path.at(-1)[0], path[0][1]], path.at(-1), [path[0][0], path.at(-1)[1]]] : path);
  const pinch = (moved, to) => {
    const [other] = [...pressed].filter(([id]) => id !== moved).map(([, at]) => at);
    const before = pressed.get(moved);
    const distance = (at) => Math.max(10, Math.hypot(at[0] - other[0], at[1] - other[1]));
    on.zoom([(to[0] + other[0]) / 2, (to[1] + other[1]) / 2], distance(to) / distance(before));
    on.pan((to[0] - before[0]) / 2, (to[1] - before[1]) / 2);
  };

  element.addEventListener("pointerdown", (event) => {
    if (event.button > 1) return;
    element.setPointerCapture(event.pointerId);
    from = place(event);
    pressed.set(event.pointerId, from);
    // The second finger makes a pinch of what the first began; the middle button moves with any tool.
    path = pressed.size === 1 && tool() !== "pan" && event.button === 0 ? [from] : null;
    on.outline(null);
  });
  element.addEventListener("pointermove", (event) => {
    const to = place(event);
    if (!pressed.has(event.pointerId)) return on.hover(to);
    if (pressed.size > 1) pinch(event.pointerId, to);
    else if (path) {
      const last = path.at(-1);
      if (Math.hypot(to[0] - last[0], to[1] - last[1]) > 2) path.push(to);
      on.outline(corners());
    } else on.pan(to[0] - pressed.get(event.pointerId)[0], to[1] - pressed.get(event.pointerId)[1]);
    pressed.set(event.pointerId, to);
  });
  const end = (event) => {
    if (!pressed.delete(event.pointerId)) return;
    const to = place(event);
    const still = Math.hypot(to[0] - from[0], to[1] - from[1]) < 4 && !(path?.length > 3);
    const drawn = path;
    if (event.type === "pointerup" && still && !pressed.size) on.click(to, event);
    else if (event.type === "pointerup" && drawn?.length > 1) on.enclosed(corners(), event);
    path = null;
    on.outline(null);
  };
  for (const type of ["pointerup", "pointercancel"]) element.addEventListener(type, end);
  element.addEventListener("pointerleave", () => pressed.size || on.hover(null));
  element.addEventListener("dblclick", () => on.reset());
  element.addEventListener("wheel", (event) => {
    event.preventDefault();
    on.zoom(place(event), Math.exp(-event.deltaY * (event.deltaMode ? 0.03 : 0.0015)));
  }, { passive: false });

  const keys = {
    ArrowLeft: () => on.pan(STEP, 0),
    ArrowRight: () => on.pan(-STEP, 0),
    ArrowUp: () => on.pan(0, STEP),
    ArrowDown: () => on.pan(0, -STEP),
    "+": () => on.zoom(null, 1.4),
    "=": () => on.zoom(null, 1.4),
    "-": () => on.zoom(null, 1 / 1.4),
    0: () => on.reset(),
    n: () => on.step(1),
    p: () => on.step(-1),
    Enter: () => on.pick(),
    Escape: () => on.clear(),
  };
  element.addEventListener("keydown", (event) => {
    const act = keys[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation(); // the page has shortcuts of its own
    act();
  });
}
