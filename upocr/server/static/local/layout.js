// Index tables of the exported graphs; upocr/backends/layout.py explains them.
// A layout says where the tokens of a map are: token (y, x) is number rows[y] + columns[x].

const PATCH = 4; // pixels of a side of the first patches
const LATERALS = 3; // decoder stages that add an encoder feature

const range = (length, value = (i) => i) => Array.from({ length }, (_, i) => value(i));

function mapLayout(height, width) {
  return { rows: range(height, (y) => y * width), columns: range(width), count: height * width };
}

/** Numbers of all tokens. */
function places({ rows, columns }) {
  return table([rows.length, columns.length], rows.flatMap((y) => columns.map((x) => y + x)));
}

/** An index table: its shape and its numbers. */
function table(shape, numbers) {
  return { shape, numbers };
}

/** Tokens window by window, of a map padded to whole windows and rolled by `shift`. */
function windowLayout(layout, side, shift) {
  const [height, width] = [layout.rows.length, layout.columns.length];
  const [rows, columns] = [Math.ceil(height / side), Math.ceil(width / side)];
  const ys = sources(layout.rows, rows * side, shift, layout.count);
  const xs = sources(layout.columns, columns * side, shift, layout.count);
  const area = side * side;
  const numbers = [];
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      for (let i = 0; i < area; i++) {
        const y = ys[row * side + Math.floor(i / side)];
        const x = xs[column * side + (i % side)];
        numbers.push(Math.min(y + x, layout.count)); // layout.count stands for padding
      }
    }
  }
  // Token y was rolled backwards.
  const rolled = (i, length) => (i - shift + length) % length;
  const next = {
    rows: range(height, (i) => {
      const y = rolled(i, rows * side);
      return Math.floor(y / side) * columns * area + (y % side) * side;
    }),
    columns: range(width, (i) => {
      const x = rolled(i, columns * side);
      return Math.floor(x / side) * area + (x % side);
    }),
    count: rows * columns * area,
  };
  return [table([rows * columns, area], numbers), next];
}

/** Numbers padded to a length and rolled backwards by `shift`. */
function sources(numbers, length, shift, padding) {
  return range(length, (i) => numbers[(i + shift) % length] ?? padding);
}

/** Kinds of the windows of a shifted map: 0, 1 in the last row, 2 in the last column, 3 in both. */
function windowKinds(height, width, side) {
  const [rows, columns] = [Math.ceil(height / side), Math.ceil(width / side)];
  const kinds = range(rows * columns, (i) =>
    Number(i >= (rows - 1) * columns) + 2 * Number(i % columns === columns - 1));
  return table([rows * columns], kinds);
}

/** After a patch split: the four neighbours of a token follow one another, column first. */
function splitLayout({ rows, columns, count }) {
  return {
    rows: rows.flatMap((y) => [4 * y, 4 * y + 1]),
    columns: columns.flatMap((x) => [4 * x, 4 * x + 2]),
    count: 4 * count,
  };
}

/** Numbers of the four neighbours that become one token. */
function mergePlaces({ rows, columns }) {
  const [height, width] = [rows.length / 2, columns.length / 2];
  const numbers = [];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (const column of [2 * x, 2 * x + 1]) {
        for (const row of [2 * y, 2 * y + 1]) numbers.push(rows[row] + columns[column]);
      }
    }
  }
  return table([height, width, 4], numbers);
}

/** Tables of blocks, every second one shifted, and the layout after the last one. */
function stageTables(layout, depth, side) {
  const tables = {};
  for (let block = 0; block < depth; block++) {
    const shift = block % 2 ? Math.floor(side / 2) : 0;
    const name = shift ? "shift" : block ? "back" : "first";
    [tables[name], layout] = windowLayout(layout, side, shift);
  }
  if (depth > 1) tables.kinds = windowKinds(layout.rows.length, layout.columns.length, side);
  return [tables, layout];
}

const named = (stage, tables) =>
  Object.fromEntries(Object.entries(tables).map(([name, each]) => [`${stage}_${name}`, each]));

/** Tables of the encoder by name. half: depths, blocks per stage; side of a window in tokens. */
export function encoderTables(height, width, { depths, side }) {
  const tables = {};
  depths.forEach((depth, stage) => {
    const scale = PATCH * 2 ** stage;
    const [found, layout] = stageTables(mapLayout(height / scale, width / scale), depth, side);
    found.map = places(layout);
    if (stage + 1 < depths.length) found.merge = mergePlaces(layout);
    Object.assign(tables, named(stage, found));
  });
  return tables;
}

/** Tables of the decoder by name; arguments as of `encoderTables`. */
export function decoderTables(height, width, { depths, side }) {
  const tables = {};
  const scale = PATCH * 2 ** LATERALS;
  let layout = mapLayout(height / scale, width / scale);
  depths.forEach((depth, stage) => {
    const [found, after] = stageTables(layout, depth, side);
    layout = splitLayout(after);
    if (stage < LATERALS || stage + 1 === depths.length) {
      found.map = places(layout);
      layout = mapLayout(layout.rows.length, layout.columns.length);
    }
    Object.assign(tables, named(stage, found));
  });
  return tables;
}
