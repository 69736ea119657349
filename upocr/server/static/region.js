// The part of a picture where text is erased: brush strokes and rectangles.

import { canvasOf } from "./pixels.js";

export const ONLY_HERE = 1;
export const NOT_HERE = 2;
const COLOURS = { [ONLY_HERE]: "rgb(0, 120, 255)", [NOT_HERE]: "rgb(255, 60, 0)" };

export class Region {
  constructor(width, height) {
    this.canvas = canvasOf(width, height);
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.shapes = [];
  }

  get isEmpty() {
    return this.shapes.length === 0;
  }

  /** Begin a shape at a point of the picture. */
  begin(tool, where, point, diameter) {
    this.shapes.push({ tool, where, points: [point], diameter });
    this.draw();
  }

  /** Continue the last shape. */
  extend(point) {
    const shape = this.shapes.at(-1);
    if (shape.tool === "rectangle") shape.points.length = 1;
    shape.points.push(point);
    this.draw();
  }

  /** Take back the last shape. */
  undo() {
    this.shapes.pop();
    this.draw();
  }

  clear() {
    this.shapes = [];
    this.draw();
  }

  draw() {
    const { context, canvas } = this;
    context.clearRect(0, 0, canvas.width, canvas.height);
    for (const { tool, where, points, diameter } of this.shapes) {
      context.fillStyle = context.strokeStyle = COLOURS[where];
      const [first, last] = [points[0], points.at(-1)];
      if (tool === "rectangle") {
        const [left, right] = [first.x, last.x].map(Math.round).sort((a, b) => a - b);
        const [top, bottom] = [first.y, last.y].map(Math.round).sort((a, b) => a - b);
        context.fillRect(left, top, right - left, bottom - top);
        continue;
      }
      context.lineWidth = diameter;
      context.lineCap = context.lineJoin = "round";
      context.beginPath();
      context.moveTo(first.x, first.y);
      for (const { x, y } of points.length > 1 ? points : [first, first]) context.lineTo(x, y);
      context.stroke();
    }
  }

  /** (H x W), 1 where text is erased; null for everywhere. */
  allowed() {
    if (this.isEmpty) return null;
    const { width, height } = this.canvas;
    const { data } = this.context.getImageData(0, 0, width, height);
    const allowed = new Uint8Array(width * height);
    const hasOnly = this.shapes.some(({ where }) => where === ONLY_HERE);
    for (let i = 0, j = 0; i < allowed.length; i++, j += 4) {
      const where = data[j + 3] < 128 ? 0 : data[j] > 127 ? NOT_HERE : ONLY_HERE;
      allowed[i] = hasOnly ? where === ONLY_HERE : where !== NOT_HERE;
    }
    return allowed;
  }

  /** The same as a black and white PNG. */
  async file() {
    const { width, height } = this.canvas;
    const image = new ImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    this.allowed().forEach((is, i) => { pixels[i] = is ? 0xffffffff : 0xff000000; });
    const canvas = canvasOf(width, height);
    canvas.getContext("2d").putImageData(image, 0, 0);
    return new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
  }
}
