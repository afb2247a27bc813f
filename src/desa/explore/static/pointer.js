// What mouse, fingers and keys do to a scatter panel.

const STILL = 4; // pixels that a click may move
const KEYS = {
  ArrowLeft: (panel) => panel.pan(40, 0),
  ArrowRight: (panel) => panel.pan(-40, 0),
  ArrowUp: (panel) => panel.pan(0, 40),
  ArrowDown: (panel) => panel.pan(0, -40),
  "+": (panel) => panel.zoom(1 / 1.4),
  "=": (panel) => panel.zoom(1 / 1.4),
  "-": (panel) => panel.zoom(1.4),
  0: (panel) => panel.reset(),
  Enter: (panel) => {
    const { x, y, width, height } = panel.frame;
    const row = panel.nearest(x + width / 2, y + height / 2, Math.hypot(width, height));
    if (row !== null) panel.state.setStar(row);
  },
};

export class Pointer {
  constructor(panel) {
    this.panel = panel;
    this.target = panel.over;
    this.down = new Map();
    this.lasso = null;
    this.listen();
  }

  listen() {
    const { target, panel } = this;
    target.addEventListener("pointerdown", (event) => this.pressed(event));
    target.addEventListener("pointermove", (event) => this.moved(event));
    target.addEventListener("pointerup", (event) => this.released(event));
    target.addEventListener("pointercancel", () => this.cancel());
    target.addEventListener("pointerleave", () => panel.state.setHover(null));
    target.addEventListener("dblclick", () => panel.reset());
    target.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        const [x, y] = this.at(event);
        panel.zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 300))), x, y);
      },
      { passive: false },
    );
    target.addEventListener("keydown", (event) => {
      const action = event.ctrlKey || event.metaKey || event.altKey ? null : KEYS[event.key];
      if (action) {
        event.preventDefault();
        action(panel);
      }
    });
    target.addEventListener("focus", () => panel.drawMarks());
    target.addEventListener("blur", () => panel.drawMarks());
  }

  at(event) {
    const box = this.target.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  pressed(event) {
    if (event.button !== 0) return;
    this.target.setPointerCapture(event.pointerId);
    const here = this.at(event);
    this.down.set(event.pointerId, here);
    this.start = here;
    this.far = false;
    const lassoing = this.down.size === 1 && (this.panel.state.mode === "lasso") !== event.shiftKey;
    this.lasso = lassoing ? [here] : null;
  }

  moved(event) {
    const here = this.at(event);
    const { panel } = this;
    const before = this.down.get(event.pointerId);
    if (!before) {
      if (event.pointerType === "mouse") this.hover(here);
      return;
    }
    if (Math.hypot(here[0] - this.start[0], here[1] - this.start[1]) > STILL) this.far = true;
    if (this.down.size === 2) {
      const [other] = [...this.down].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      const ratio = distance(before, other) / Math.max(distance(here, other), 1);
      panel.zoom(ratio, (here[0] + other[0]) / 2, (here[1] + other[1]) / 2);
    } else if (this.lasso) {
      this.lasso.push(here);
      panel.drawMarks();
    } else if (this.far) {
      panel.pan(here[0] - before[0], here[1] - before[1]);
    }
    this.down.set(event.pointerId, here);
  }

  hover(here) {
    this.place = here;
    if (this.looking) return;
    this.looking = true;
    requestAnimationFrame(() => {
      this.looking = false;
      this.panel.state.setHover(this.panel.nearest(...this.place));
    });
  }

  released(event) {
    if (!this.down.delete(event.pointerId)) return;
    const { panel, lasso } = this;
    this.lasso = null;
    if (lasso && this.far) {
      const how = event.ctrlKey || event.metaKey ? "add" : event.altKey ? "remove" : "replace";
      panel.state.select(panel.inside(lasso), how);
    } else if (!this.far && !this.down.size) {
      const row = panel.nearest(...this.at(event), event.pointerType === "mouse" ? undefined : 20);
      if (row !== null) panel.state.setStar(row);
    }
    panel.drawMarks();
  }

  // True if there was a lasso to give up.
  cancel() {
    const had = Boolean(this.lasso);
    this.lasso = null;
    this.down.clear();
    this.panel.drawMarks();
    return had;
  }

  draw(context, colours) {
    if (this.lasso) {
      context.beginPath();
      this.lasso.forEach(([x, y], place) => (place ? context.lineTo(x, y) : context.moveTo(x, y)));
      context.closePath();
      context.fillStyle = `${colours.accent}22`;
      context.fill();
      context.strokeStyle = colours.accent;
      context.lineWidth = 1.5;
      context.stroke();
    }
    if (document.activeElement === this.target && this.target.matches(":focus-visible")) {
      const { x, y, width, height } = this.panel.frame;
      const [cx, cy] = [x + width / 2, y + height / 2];
      context.strokeStyle = colours.accent;
      context.lineWidth = 1.5;
      context.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(cx + 4 * dx, cy + 4 * dy);
        context.lineTo(cx + 11 * dx, cy + 11 * dy);
      }
      context.stroke();
    }
  }
}

function distance([ax, ay], [bx, by]) {
  return Math.hypot(ax - bx, ay - by);
}
