// Ticks, labels and frames, shared by every plot. A view is {left, right, bottom, top} in data units;
// left > right or bottom > top turn an axis round.

export function ticks(from, to, wanted) {
  const low = Math.min(from, to);
  const high = Math.max(from, to);
  const rough = (high - low) / Math.max(wanted, 1);
  if (!(rough > 0) || !Number.isFinite(rough)) return { step: 1, at: [] };
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((part) => part * power).find((size) => size >= rough * 0.999);
  const at = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high + 1e-9 * step; index += 1) {
    at.push(index * step);
  }
  return { step, at };
}

export function written(value, step) {
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const extra = Math.abs(step / 10 ** -digits - Math.round(step / 10 ** -digits)) > 1e-6 ? 1 : 0;
  if (Math.abs(value) >= 1e6 || (step < 1e-4 && value !== 0)) return value.toExponential(1).replace("-", "−");
  const text = value.toFixed(Math.min(digits + extra, 8));
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

export function number(value, digits = 4) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const text =
    size !== 0 && (size < 1e-3 || size >= 1e7)
      ? value.toExponential(digits - 2)
      : String(Number(value.toPrecision(Math.max(digits, Math.ceil(Math.log10(size + 1))))));
  return text.replace("-", "−");
}

// Ticks of a range that holds exponents of ten, as [place, words].
export function powers(low, high) {
  const found = [];
  const parts = high - low > 3 ? [1] : high - low > 1.2 ? [1, 3] : [1, 2, 5];
  for (let power = Math.floor(low); power <= high; power += 1) {
    for (const part of parts) {
      const place = power + Math.log10(part);
      if (place >= low && place <= high) found.push([place, number(part * 10 ** power, 2)]);
    }
  }
  return found;
}

export function named(column) {
  return column.unit ? `${column.label} [${column.unit}]` : column.label;
}

export function theme() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    dark: read("scheme") === "dark",
    ink: read("ink"),
    soft: read("soft"),
    grid: read("grid"),
    plot: read("plot"),
    line: read("line"),
    mark: read("mark"),
    accent: read("accent"),
    missing: read("missing"),
    font: `11px ${read("font")}`,
  };
}

// Size a canvas to its box in device pixels; gives its context in CSS pixels, or null without room.
export function sized(canvas) {
  const box = canvas.getBoundingClientRect();
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(box.width * ratio), Math.round(box.height * ratio)];
  if (!width || !height) return null;
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, box.width, box.height);
  return { context, width: box.width, height: box.height };
}

// frame: {x, y, width, height} in CSS pixels. labels: {x, y, bareX, bareY, logX: the range holds exponents,
// turn: what is written for a place across, such as 359 degrees for -1}.
export function drawAxes(context, frame, view, labels, colours) {
  const right = frame.x + frame.width;
  const bottom = frame.y + frame.height;
  const even = ticks(view.left, view.right, frame.width / 75);
  const across = labels.logX
    ? powers(Math.min(view.left, view.right), Math.max(view.left, view.right))
    : even.at.map((value) => [value, written(labels.turn ? labels.turn(value) : value, even.step)]);
  // Two at least, as one tick gives no scale; steps of 1, 2, 2.5 and 5 leave fewer than are asked for.
  const along = ticks(view.bottom, view.top, Math.max(frame.height / 42, 4));
  context.font = colours.font;
  context.lineWidth = 1;
  context.strokeStyle = colours.grid;
  context.beginPath();
  const places = across.map(([value, words]) => {
    const x = frame.x + ((value - view.left) / (view.right - view.left)) * frame.width;
    return [Math.round(x) + 0.5, words];
  });
  const heights = along.at.map((value) => {
    const y = bottom - ((value - view.bottom) / (view.top - view.bottom)) * frame.height;
    return [Math.round(y) + 0.5, value];
  });
  for (const [x] of places) {
    context.moveTo(x, frame.y);
    context.lineTo(x, bottom);
  }
  for (const [y] of heights) {
    context.moveTo(frame.x, y);
    context.lineTo(right, y);
  }
  context.stroke();
  context.strokeStyle = colours.soft;
  context.strokeRect(Math.round(frame.x) + 0.5, Math.round(frame.y) + 0.5, frame.width, frame.height);
  context.fillStyle = colours.ink;
  context.textAlign = "center";
  context.textBaseline = "top";
  for (const [x, words] of labels.bareX ? [] : places) context.fillText(words, x, bottom + 5);
  context.fillText(labels.x, frame.x + frame.width / 2, bottom + (labels.bareX ? 6 : 21));
  context.textAlign = "right";
  context.textBaseline = "middle";
  let widest = 0;
  for (const [y, value] of labels.bareY ? [] : heights) {
    const text = written(value, along.step);
    widest = Math.max(widest, context.measureText(text).width);
    context.fillText(text, frame.x - 5, y);
  }
  context.save();
  context.translate(Math.max(8, frame.x - widest - 15), frame.y + frame.height / 2);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.fillText(labels.y, 0, 0);
  context.restore();
}
