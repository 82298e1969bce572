// QR codes (ISO/IEC 18004) of short texts, drawn on this side so that no secret leaves the page: bytes, error correction
// level M, versions 1 to 20, which is up to 666 bytes.

// Per version: check codewords of a block, and blocks, at level M (table 9 of the standard).
const checks = [10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26];
const blocks = [1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16];
const levelM = 0; // as the format information writes it

// codewords is how many bytes fit into a version besides its patterns.
function codewords(version) {
  let bits = (16 * version + 128) * version + 64;
  if (version > 1) {
    const n = Math.floor(version / 7) + 2;
    bits -= (25 * n - 10) * n - 55;
  }
  return Math.floor((version > 6 ? bits - 36 : bits) / 8);
}

const capacity = (version) => codewords(version) - checks[version - 1] * blocks[version - 1];
const countBits = (version) => (version < 10 ? 8 : 16);

// The field of 256 elements (polynomial 0x11d).
const exponents = new Uint8Array(510);
const logarithms = new Uint8Array(256);
for (let i = 0, x = 1; i < 255; i++) {
  exponents[i] = exponents[i + 255] = x;
  logarithms[x] = i;
  x = (x << 1) ^ (x > 127 ? 0x11d : 0);
}
const times = (a, b) => (a && b ? exponents[logarithms[a] + logarithms[b]] : 0);

// remainder is the Reed-Solomon check of a block.
function remainder(data, degree) {
  let divisor = [1];
  for (let i = 0; i < degree; i++) {
    const grown = [...divisor, 0];
    divisor.forEach((c, j) => { grown[j + 1] ^= times(c, exponents[i]); });
    divisor = grown;
  }
  const out = [...data, ...new Array(degree).fill(0)];
  for (let i = 0; i < data.length; i++) {
    const factor = out[i];
    if (factor) divisor.forEach((c, j) => { out[i + j] ^= times(c, factor); });
  }
  return out.slice(data.length);
}

// payload writes the text as data codewords of a version.
function payload(bytes, version) {
  const bits = [];
  const put = (value, width) => { for (let i = width - 1; i >= 0; i--) bits.push((value >> i) & 1); };
  put(4, 4); // bytes follow
  put(bytes.length, countBits(version));
  for (const b of bytes) put(b, 8);
  const room = capacity(version) * 8;
  put(0, Math.min(4, room - bits.length));
  while (bits.length % 8) bits.push(0);
  for (let pad = 0xec; bits.length < room; pad ^= 0xec ^ 0x11) put(pad, 8);
  return Array.from({ length: room / 8 }, (_, i) => bits.slice(i * 8, i * 8 + 8).reduce((n, b) => n * 2 + b, 0));
}

// interleaved splits data into blocks, adds their checks and takes them in turn.
function interleaved(data, version) {
  const count = blocks[version - 1];
  const short = Math.floor(data.length / count);
  const longFrom = count - (data.length % count);
  const parts = [];
  for (let i = 0, at = 0; i < count; i++) {
    const size = short + (i >= longFrom ? 1 : 0);
    parts.push(data.slice(at, at + size));
    at += size;
  }
  const all = [];
  for (let i = 0; i <= short; i++) for (const part of parts) if (i < part.length) all.push(part[i]);
  const check = parts.map((part) => remainder(part, checks[version - 1]));
  for (let i = 0; i < checks[version - 1]; i++) for (const part of check) all.push(part[i]);
  return all;
}

// alignment is where the small squares stand, on both axes.
function alignment(version) {
  if (version === 1) return [];
  const count = Math.floor(version / 7) + 2;
  const step = Math.ceil((version * 4 + 4) / (count * 2 - 2)) * 2;
  return [6, ...Array.from({ length: count - 1 }, (_, i) => version * 4 + 10 - i * step).reverse()];
}

// coded appends the check bits of format and version information.
function coded(value, width, polynomial) {
  let rest = value;
  for (let i = 0; i < width; i++) rest = (rest << 1) ^ ((rest >> (width - 1)) * polynomial);
  return (value << width) | rest;
}

// Grid is a code that is being drawn.
class Grid {
  constructor(version) {
    this.version = version;
    this.size = version * 4 + 17;
    this.dark = Array.from({ length: this.size }, () => new Array(this.size).fill(false));
    this.fixed = Array.from({ length: this.size }, () => new Array(this.size).fill(false));
    this.#patterns();
  }

  set(x, y, dark) {
    if (x < 0 || y < 0 || x >= this.size || y >= this.size) return;
    this.dark[y][x] = dark;
    this.fixed[y][x] = true;
  }

  #square(x, y, radius, isDark) {
    for (let dy = -radius; dy <= radius; dy++) for (let dx = -radius; dx <= radius; dx++) this.set(x + dx, y + dy, isDark(Math.max(Math.abs(dx), Math.abs(dy))));
  }

  #patterns() {
    for (let i = 0; i < this.size; i++) {
      this.set(6, i, i % 2 === 0);
      this.set(i, 6, i % 2 === 0);
    }
    const far = this.size - 4;
    for (const [x, y] of [[3, 3], [far, 3], [3, far]]) this.#square(x, y, 4, (d) => d !== 2 && d !== 4);
    const at = alignment(this.version);
    const last = at.length - 1;
    at.forEach((x, i) => at.forEach((y, j) => {
      const corner = (i === 0 && j === 0) || (i === 0 && j === last) || (i === last && j === 0);
      if (!corner) this.#square(x, y, 2, (d) => d !== 1);
    }));
    this.format(0);
    if (this.version < 7) return;
    const bits = coded(this.version, 12, 0x1f25);
    for (let i = 0; i < 18; i++) {
      const [a, b] = [this.size - 11 + (i % 3), Math.floor(i / 3)];
      this.set(a, b, ((bits >> i) & 1) === 1);
      this.set(b, a, ((bits >> i) & 1) === 1);
    }
  }

  // format writes level and mask, twice.
  format(mask) {
    const bits = coded((levelM << 3) | mask, 10, 0x537) ^ 0x5412;
    const bit = (i) => ((bits >> i) & 1) === 1;
    const n = this.size;
    const first = [[8, 0], [8, 1], [8, 2], [8, 3], [8, 4], [8, 5], [8, 7], [8, 8], [7, 8], [5, 8], [4, 8], [3, 8], [2, 8], [1, 8], [0, 8]];
    first.forEach(([x, y], i) => this.set(x, y, bit(i)));
    for (let i = 0; i < 8; i++) this.set(n - 1 - i, 8, bit(i));
    for (let i = 8; i < 15; i++) this.set(8, n - 15 + i, bit(i));
    this.set(8, n - 8, true);
  }

  // fill lays the codewords in the zigzag of the standard.
  fill(data) {
    let i = 0;
    for (let right = this.size - 1; right >= 1; right -= 2) {
      if (right === 6) right = 5;
      const up = ((right + 1) & 2) === 0;
      for (let step = 0; step < this.size; step++) {
        const y = up ? this.size - 1 - step : step;
        for (const x of [right, right - 1]) {
          if (this.fixed[y][x] || i >= data.length * 8) continue;
          this.dark[y][x] = ((data[i >> 3] >> (7 - (i & 7))) & 1) === 1;
          i++;
        }
      }
    }
  }

  mask(rule) {
    for (let y = 0; y < this.size; y++) for (let x = 0; x < this.size; x++) if (!this.fixed[y][x] && rule(x, y)) this.dark[y][x] = !this.dark[y][x];
  }

  // penalty says how hard the code is to read: long runs, blocks, false finders, uneven shares.
  penalty() {
    let score = 0;
    const columns = this.dark[0].map((_, x) => this.dark.map((row) => row[x]));
    for (const line of [...this.dark, ...columns]) {
      const text = line.map((d) => (d ? '1' : '0')).join('');
      for (const run of text.match(/0{5,}|1{5,}/g) ?? []) score += run.length - 2;
      for (const finder of ['10111010000', '00001011101']) for (let at = text.indexOf(finder); at >= 0; at = text.indexOf(finder, at + 1)) score += 40;
    }
    let darks = 0;
    for (let y = 0; y < this.size; y++) {
      for (let x = 0; x < this.size; x++) {
        const d = this.dark[y][x];
        if (d) darks++;
        if (x && y && d === this.dark[y][x - 1] && d === this.dark[y - 1][x] && d === this.dark[y - 1][x - 1]) score += 3;
      }
    }
    return score + 10 * Math.floor(Math.abs(darks / this.size ** 2 - 0.5) * 20);
  }
}

const masks = [
  (x, y) => (x + y) % 2 === 0, (x, y) => y % 2 === 0, (x) => x % 3 === 0, (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2 === 0, (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0, (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
];

// matrix is the code of a text: rows of dark (true) and light modules, without the quiet zone.
export function matrix(text) {
  const bytes = new TextEncoder().encode(text);
  const version = checks.findIndex((_, i) => bytes.length * 8 + 4 + countBits(i + 1) <= capacity(i + 1) * 8) + 1;
  if (version === 0) throw new Error('too long for a QR code');
  const data = interleaved(payload(bytes, version), version);
  let best;
  masks.forEach((rule, i) => {
    const grid = new Grid(version);
    grid.fill(data);
    grid.mask(rule);
    grid.format(i);
    const score = grid.penalty();
    if (!best || score < best.score) best = { score, dark: grid.dark };
  });
  return best.dark;
}

// path is the outline of a matrix for an SVG with a quiet zone of four modules.
export const quiet = 4;
export const path = (dark) => dark.flatMap((row, y) => row.map((d, x) => (d ? `M${x + quiet} ${y + quiet}h1v1h-1z` : ''))).join('');
