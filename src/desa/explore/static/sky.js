// Right ascensions without a break in the field: 359 beside 1 becomes -1.

// The circle is cut in its widest gap, so that a field across RA 0 stays in one piece.
export function inOnePiece(ra) {
  const filled = new Uint8Array(360);
  for (const value of ra) if (value >= 0 && value < 360) filled[Math.floor(value)] = 1;
  let [widest, cut, start] = [0, 0, -1];
  const first = filled.indexOf(1);
  if (first < 0) return ra;
  for (let turn = first; turn <= first + 360; turn += 1) {
    if (filled[turn % 360]) {
      if (start >= 0 && turn - start > widest) [widest, cut] = [turn - start, turn % 360];
      start = -1;
    } else if (start < 0) {
      start = turn;
    }
  }
  // A cut at the first filled degree is the one at RA 0: nothing lies across it.
  return cut <= first ? ra : ra.map((value) => (value >= cut ? value - 360 : value));
}

export function turned(degrees) {
  return ((degrees % 360) + 360) % 360;
}
