// What Streamlit calls: with bytes for a part, with JSON for the maps themselves. Both run in this one module, so that
// the maps find the parts; neither is sent or drawn anew because the other changes.

import { LinkedMaps } from "./maps.js";
import { readPart } from "./parts.js";
import style from "./style.css";

const slots = new Map();
const shown = new Map(); // what the maps in each element are, and what they were told last

function receive(bytes) {
  const { slot, digest, read } = readPart(bytes);
  const known = slots.get(slot);
  // An entry of its own even for what is known: the element that brought it before may still be on its way out.
  const mine = { digest, arrays: known?.digest === digest ? known.arrays : read() };
  slots.set(slot, mine);
  if (known?.digest !== digest) for (const { maps, state } of shown.values()) maps.update(state, slots);
  return () => slots.get(slot) === mine && slots.delete(slot);
}

function show({ parentElement, data: state, setStateValue }) {
  let known = shown.get(parentElement);
  if (!known) {
    const sheet = document.createElement("style");
    sheet.textContent = style;
    const root = document.createElement("section");
    root.setAttribute("aria-label", "Maps");
    parentElement.append(sheet, root);
    known = { maps: new LinkedMaps(root, setStateValue) };
    shown.set(parentElement, known);
  }
  known.state = state;
  known.maps.send = setStateValue;
  known.maps.update(state, slots);
  return () => {
    known.maps.destroy();
    shown.delete(parentElement);
  };
}

export default function (component) {
  return component.data instanceof Uint8Array ? receive(component.data) : show(component);
}
