// Files that the page itself makes: pictures of its plots, and what the server sends to be saved.

import { theme } from "./axes.js";
import { notice } from "./notice.js";

export function save(content, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// canvases: those that lie over each other, the lowest first. title stands above them.
export function savePicture(canvases, title, name) {
  const [first] = canvases;
  const place = first.getBoundingClientRect();
  const ratio = first.width / place.width;
  const head = Math.round(24 * ratio);
  const picture = document.createElement("canvas");
  [picture.width, picture.height] = [first.width, first.height + head];
  const context = picture.getContext("2d");
  const colours = theme();
  context.fillStyle = colours.plot;
  context.fillRect(0, 0, picture.width, picture.height);
  context.fillStyle = colours.ink;
  context.font = colours.font.replace(/^\d+px/, `${Math.round(13 * ratio)}px`);
  context.textBaseline = "middle";
  context.fillText(title, 8 * ratio, head / 2, picture.width - 16 * ratio);
  for (const canvas of canvases) {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [(box.left - place.left) * ratio, (box.top - place.top) * ratio + head];
    context.drawImage(canvas, x, y, box.width * ratio, box.height * ratio);
  }
  picture.toBlob((content) => {
    if (content) save(content, name);
    else notice("The browser could not make the picture.", true);
  });
}

// A name for a file, of letters and digits.
export function plainName(...parts) {
  return parts.filter(Boolean).join(" ").replaceAll(/[^A-Za-z0-9+-]+/g, "_");
}
