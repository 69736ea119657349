// The canvas: before and after, zoom and pan.

const LARGEST = 16; // screen pixels per pixel of the picture
const STEP = 1.25;

export class Viewer {
  /**
   * canvas, split: elements; onDraw(kind, point, diameter): begin, move or end of a stroke;
   * onHover(point or null, place on the canvas); onScale(scale).
   */
  constructor(canvas, split, { onDraw, onHover, onScale }) {
    Object.assign(this, { canvas, split, onDraw, onHover, onScale });
    this.context = canvas.getContext("2d");
    this.before = this.after = this.marks = null;
    this.position = 0.5; // of the split, as a share of the visible picture
    this.isDrawing = false; // a tool is chosen
    this.pointers = new Map();
    this.isFitted = true;
    this.listen();
    new ResizeObserver(() => this.resize()).observe(canvas);
  }

  show(before) {
    this.before = before;
    this.after = this.marks = null;
    this.position = 0.5;
    this.fit();
  }

  /** Screen pixels, of CSS. */
  get width() { return this.canvas.clientWidth; }
  get height() { return this.canvas.clientHeight; }

  resize() {
    const ratio = window.devicePixelRatio;
    this.canvas.width = Math.round(this.width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    if (this.isFitted) this.fit();
    else this.draw();
  }

  /** The whole picture, not enlarged beyond the double. */
  fit() {
    if (!this.before || !this.width) return;
    const { width, height } = this.before;
    this.scale = Math.min(2, this.width / width, this.height / height);
    this.x = (this.width - width * this.scale) / 2;
    this.y = (this.height - height * this.scale) / 2;
    this.isFitted = true;
    this.draw();
  }

  /** Zoom around a place of the canvas. */
  zoom(scale, x = this.width / 2, y = this.height / 2) {
    if (!this.before) return;
    const least = Math.min(1, this.width / this.before.width, this.height / this.before.height) / 2;
    const next = Math.min(LARGEST, Math.max(least, scale));
    this.x = x - ((x - this.x) * next) / this.scale;
    this.y = y - ((y - this.y) * next) / this.scale;
    this.scale = next;
    this.isFitted = false;
    this.keepInside();
    this.draw();
  }

  actualSize() { this.zoom(1 / window.devicePixelRatio); }

  pan(x, y) {
    this.x += x;
    this.y += y;
    this.isFitted = false;
    this.keepInside();
    this.draw();
  }

  keepInside() {
    const margin = 60;
    const { width, height } = this.before;
    this.x = Math.min(this.width - margin, Math.max(margin - width * this.scale, this.x));
    this.y = Math.min(this.height - margin, Math.max(margin - height * this.scale, this.y));
  }

  /** The visible part of the picture on the canvas. */
  get visible() {
    const left = Math.max(0, this.x);
    const top = Math.max(0, this.y);
    const right = Math.min(this.width, this.x + this.before.width * this.scale);
    const bottom = Math.min(this.height, this.y + this.before.height * this.scale);
    return { left, top, right, bottom };
  }

  /** Place on the canvas -> point of the picture. */
  pointAt({ x, y }) {
    const clamp = (value, limit) => Math.min(limit, Math.max(0, value));
    return {
      x: clamp((x - this.x) / this.scale, this.before.width),
      y: clamp((y - this.y) / this.scale, this.before.height),
    };
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.paint());
  }

  paint() {
    const { context, before, after } = this;
    if (!before) return;
    const ratio = window.devicePixelRatio;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.imageSmoothingEnabled = this.scale * ratio < 2;
    context.imageSmoothingQuality = "high";
    const place = [this.x, this.y, before.width * this.scale, before.height * this.scale];
    context.drawImage(before, ...place);
    const { left, right, top, bottom } = this.visible;
    const middle = left + this.position * (right - left);
    if (after) {
      context.save();
      context.beginPath();
      context.rect(middle, 0, this.width, this.height);
      context.clip();
      context.drawImage(after, ...place);
      context.restore();
    }
    if (this.marks) {
      context.globalAlpha = this.isStroke ? 0.35 : 0.18;
      context.drawImage(this.marks, ...place);
      context.globalAlpha = 1;
    }
    this.split.style.left = `${middle}px`;
    this.split.style.top = `${top}px`;
    this.split.style.height = `${Math.max(0, bottom - top)}px`;
    this.split.setAttribute("aria-valuenow", Math.round(100 * this.position));
    this.onScale(this.scale * ratio);
  }

  moveSplit(position) {
    this.position = Math.min(1, Math.max(0, position));
    this.draw();
  }

  listen() {
    const { canvas, split } = this;
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const kind of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(kind, (event) => this.release(event));
    }
    canvas.addEventListener("pointerleave", () => this.onHover(null));
    canvas.addEventListener("dblclick", () => {
      if (this.isDrawing) return;
      if (this.isFitted) this.actualSize();
      else this.fit();
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const place = this.placeOf(event);
      this.zoom(this.scale * Math.exp(-event.deltaY / (event.ctrlKey ? 100 : 400)), place.x, place.y);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.pressKey(event));
    split.addEventListener("pointerdown", (event) => split.setPointerCapture(event.pointerId));
    split.addEventListener("pointermove", (event) => {
      if (!split.hasPointerCapture(event.pointerId)) return;
      const { left, right } = this.visible;
      this.moveSplit((this.placeOf(event).x - left) / (right - left));
    });
    split.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? 0.1 : 0.02;
      const targets = {
        ArrowLeft: this.position - step, ArrowDown: this.position - step,
        ArrowRight: this.position + step, ArrowUp: this.position + step,
        PageDown: this.position - 0.1, PageUp: this.position + 0.1, Home: 0, End: 1,
      };
      if (!(event.key in targets)) return;
      event.preventDefault();
      this.moveSplit(targets[event.key]);
    });
  }

  pressKey(event) {
    const moves = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] };
    if (event.key in moves) this.pan(...moves[event.key]);
    else if (event.key === "Enter" && this.isDrawing) this.markVisible();
    else return;
    event.preventDefault();
  }

  /** Enter, with a tool: a rectangle around what is visible. */
  markVisible() {
    const { left, top, right, bottom } = this.visible;
    this.onDraw("begin", this.pointAt({ x: left, y: top }), null);
    this.onDraw("move", this.pointAt({ x: right, y: bottom }), null);
    this.onDraw("end");
  }

  placeOf(event) {
    const { left, top } = this.canvas.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }

  press(event) {
    if (!this.before) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.placeOf(event));
    this.isStroke = this.isDrawing && this.pointers.size === 1 && event.button === 0;
    if (this.isStroke) this.onDraw("begin", this.pointAt(this.placeOf(event)), 36 / this.scale);
  }

  move(event) {
    if (!this.before) return;
    const place = this.placeOf(event);
    const last = this.pointers.get(event.pointerId);
    if (!last) {
      this.onHover(this.pointAt(place), place);
      return;
    }
    if (this.isStroke) {
      this.onDraw("move", this.pointAt(place));
    } else if (this.pointers.size === 1) {
      this.pan(place.x - last.x, place.y - last.y);
    } else {
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)[1];
      const [was, is] = [last, place].map((p) => Math.hypot(p.x - other.x, p.y - other.y));
      this.zoom((this.scale * is) / Math.max(1, was), (place.x + other.x) / 2, (place.y + other.y) / 2);
    }
    this.pointers.set(event.pointerId, place);
  }

  release(event) {
    if (this.isStroke && this.pointers.has(event.pointerId)) this.onDraw("end");
    this.isStroke = false;
    this.pointers.delete(event.pointerId);
    if (event.type === "pointerup" && event.pointerType === "touch" && this.before) {
      const place = this.placeOf(event);
      this.onHover(this.pointAt(place), place);
    }
  }

  larger() { this.zoom(this.scale * STEP); }
  smaller() { this.zoom(this.scale / STEP); }
}
