// Where a function on a grid takes a level: marching squares, in steps of the grid. A run of points becomes one line.

// `values` has `columns` to a row, the rows from the bottom up. -> [[[column, row], [column, row]], …], pieces of line.
export function contour(values, columns, level) {
  const pieces = [];
  const rows = values.length / columns;
  const at = (column, row) => values[row * columns + column] - level;
  for (let row = 0; row + 1 < rows; row++) {
    for (let column = 0; column + 1 < columns; column++) {
      const corners = [
        [column, row, at(column, row)],
        [column + 1, row, at(column + 1, row)],
        [column + 1, row + 1, at(column + 1, row + 1)],
        [column, row + 1, at(column, row + 1)],
      ];
      const crossings = [];
      for (let side = 0; side < 4; side++) {
        const [x, y, here] = corners[side];
        const [nextX, nextY, there] = corners[(side + 1) % 4];
        if (here >= 0 === there >= 0) continue;
        const part = here / (here - there);
        crossings.push([x + part * (nextX - x), y + part * (nextY - y)]);
      }
      // Two crossings are one piece; four, a saddle, are two, and either way of joining them is as good.
      for (let first = 0; first + 1 < crossings.length; first += 2) pieces.push([crossings[first], crossings[first + 1]]);
    }
  }
  return pieces;
}

// The pieces, end to end, as lines: dashes run through only where a line is one.
export function joined(pieces) {
  const key = ([x, y]) => `${x.toFixed(6)} ${y.toFixed(6)}`;
  const ends = new Map();
  const lines = new Set();
  for (const piece of pieces) {
    let line = [...piece];
    for (const atStart of [true, false]) {
      const other = ends.get(key(atStart ? line[0] : line.at(-1)));
      if (!other || other === line) continue;
      lines.delete(other);
      ends.delete(key(other[0]));
      ends.delete(key(other.at(-1)));
      if (atStart) line = [...(key(other.at(-1)) === key(line[0]) ? other : other.reverse()), ...line.slice(1)];
      else line = [...line, ...(key(other[0]) === key(line.at(-1)) ? other : other.reverse()).slice(1)];
    }
    lines.add(line);
    ends.set(key(line[0]), line);
    ends.set(key(line.at(-1)), line);
  }
  return [...lines];
}
