/* Layers to pixels. A PicturePane stacks rasters on one canvas and vectors on one SVG above it. */
const STRIPES = new Map();
function stripes(context, kind, period) {
  const key = kind + ':' + period;
  if (!STRIPES.has(key)) {
    const tile = new OffscreenCanvas(period, period), c = tile.getContext('2d');
    c.strokeStyle = '#fff'; c.lineWidth = Math.max(1, period / 5);
    for (const s of [-period, 0, period]) {
      c.beginPath();
      if (kind === 1) { c.moveTo(s, period); c.lineTo(s + period, 0); } else { c.moveTo(s, 0); c.lineTo(s + period, period); }
      c.stroke();
    }
    STRIPES.set(key, tile);
  }
  return context.createPattern(STRIPES.get(key), 'repeat');
}

class PicturePane {
  constructor(pane, stage) {
    this.pane = pane; this.stage = stage; this.cache = new Map();
    /* tiny pictures are drawn larger, huge ones no larger than screens are */
    const area = pane.width * pane.height;
    this.scale = area > 2.1e6 ? Math.sqrt(2.1e6 / area) : Math.max(1, Math.floor(640 / Math.max(pane.width, pane.height)));
    const W = Math.round(pane.width * this.scale), H = Math.round(pane.height * this.scale);
    this.canvas = el('canvas', { width: W, height: H, class: 'gb-raster' });
    this.svg = sv('svg', { viewBox: `0 0 ${pane.width} ${pane.height}`, class: pane.layers.some(l => l.type === 'picture' || l.type === 'labels') ? 'gb-vector' : 'gb-vector gb-plain', 'aria-hidden': 'true', preserveAspectRatio: 'none' });
    this.tip = el('output', { class: 'gb-tip', 'aria-live': 'off' });
    this.holder = el('div', { class: 'gb-picture', style: `aspect-ratio:${pane.width}/${pane.height};--gb-ratio:${pane.width / pane.height}` }, this.canvas, this.svg);
    this.state = Object.fromEntries(pane.layers.map(l => [l.key, { visible: l.visible !== false, opacity: l.opacity ?? 1, view: l.view || (l.views && l.views[0].key) }]));
    this.bitmaps = new Map();
    this.root = el('figure', { class: 'gb-pane', data: { pane: pane.key } });
    if (pane.title) this.root.append(el('figcaption', { text: pane.title }));
    this.root.append(this.holder, this.tip);
    if (pane.note) this.root.append(el('p', { class: 'gb-note', text: pane.note }));
    this.holder.addEventListener('pointermove', e => this.hover(this.position(e)));
    this.holder.addEventListener('pointerleave', () => { this.tip.textContent = ''; });
    if (pane.goto) this.holder.addEventListener('click', e => { const [x, y] = this.position(e), [h, w] = pane.goto.shape; stage.show(pane.goto[Math.floor(y / pane.height * h) * w + Math.floor(x / pane.width * w)]); });
  }
  async ready() {
    for (const layer of this.pane.layers.filter(l => l.type === 'picture'))
      this.bitmaps.set(layer.key, await Promise.all(layer.frames.map(f => createImageBitmap(new Blob([f])))));
  }
  position(event) {
    const r = this.canvas.getBoundingClientRect();
    const x = Math.floor((event.clientX - r.left) / r.width * this.pane.width), y = Math.floor((event.clientY - r.top) / r.height * this.pane.height);
    return [Math.min(this.pane.width - 1, Math.max(0, x)), Math.min(this.pane.height - 1, Math.max(0, y))];
  }
  codeAt(layer, [x, y]) {
    const codes = at(layer.codes, this.stage.step, 2), [h, w] = codes.shape;
    return codes[Math.floor((y + .5) / this.pane.height * h) * w + Math.floor((x + .5) / this.pane.width * w)];
  }
  hover([x, y]) {
    const said = [`${x}, ${y}`];
    for (const layer of this.pane.layers) if (layer.type === 'labels' && this.state[layer.key].visible)
      for (const h of layer.hover) {
        const words = `${h.label}: ${h.names[h.index[this.codeAt(layer, [x, y])]]}`;
        if (!said.includes(words)) said.push(words);
      }
    this.tip.textContent = said.join('  ·  ');
  }
  /* Colour a label map by its table; a map is coloured once per view and step. */
  colored(layer, view, step) {
    const key = `${layer.key}/${view.key}/${layer.codes.shape.length === 3 ? step : 0}`;
    if (this.cache.has(key)) return this.cache.get(key);
    const codes = at(layer.codes, step, 2), [h, w] = codes.shape;
    const table = new Uint32Array(view.colors.buffer.slice(view.colors.byteOffset, view.colors.byteOffset + view.colors.byteLength));
    const paint = (pixel) => {
      const sheet = new OffscreenCanvas(w, h), c = sheet.getContext('2d'), data = c.createImageData(w, h), out = new Uint32Array(data.data.buffer);
      for (let i = 0; i < codes.length; i++) out[i] = pixel(codes[i]);
      c.putImageData(data, 0, 0);
      return sheet;
    };
    const made = { plain: paint(code => table[code]), hatched: [] };
    for (const kind of [1, 2]) if (view.hatch && view.hatch.includes(kind)) made.hatched.push([kind, paint(code => view.hatch[code] === kind ? 0xffffffff : 0)]);
    if (this.cache.size * codes.length > 3e7) this.cache.clear(); // about 120 MB of pixels
    this.cache.set(key, made);
    return made;
  }
  draw() {
    const { canvas, pane, stage } = this, c = canvas.getContext('2d'), { width: W, height: H } = canvas, step = stage.step;
    c.globalAlpha = 1; c.clearRect(0, 0, W, H); c.imageSmoothingEnabled = false;
    for (const layer of pane.layers) {
      const state = this.state[layer.key];
      if (!state.visible) continue;
      c.globalAlpha = state.opacity;
      if (layer.type === 'picture') {
        c.imageSmoothingEnabled = this.scale <= 1;
        c.drawImage(pick(this.bitmaps.get(layer.key), step), 0, 0, W, H);
        c.imageSmoothingEnabled = false;
      } else if (layer.type === 'labels') {
        const view = layer.views.find(v => v.key === state.view) || layer.views[0], sheets = this.colored(layer, view, step);
        c.drawImage(sheets.plain, 0, 0, W, H);
        for (const [kind, mask] of sheets.hatched) {
          const sheet = new OffscreenCanvas(W, H), s = sheet.getContext('2d');
          s.imageSmoothingEnabled = false; s.drawImage(mask, 0, 0, W, H);
          s.globalCompositeOperation = 'source-in'; s.fillStyle = stripes(s, kind, Math.max(6, Math.round(W / 90))); s.fillRect(0, 0, W, H);
          c.globalAlpha = Math.min(1, state.opacity + .2); c.drawImage(sheet, 0, 0);
        }
      }
    }
    c.globalAlpha = 1;
    this.drawSelection(c, W, H, step);
    this.svg.replaceChildren(...pane.layers.flatMap(layer => this.state[layer.key].visible ? this.vector(layer, step) : []));
  }
  drawSelection(c, W, H, step) {
    let lit = 0;
    for (const layer of this.pane.layers) {
      const chosen = layer.type === 'labels' && layer.link && this.stage.selection[layer.link];
      if (!chosen || !chosen.size) continue;
      const codes = at(layer.codes, step, 2), [h, w] = codes.shape, sheet = new OffscreenCanvas(w, h), s = sheet.getContext('2d');
      const data = s.createImageData(w, h), out = new Uint32Array(data.data.buffer);
      lit = 0;
      for (let i = 0; i < codes.length; i++) if (chosen.has(codes[i])) { out[i] = 0xff00e5ff; lit++; } else out[i] = 0xc0201814;
      s.putImageData(data, 0, 0); c.drawImage(sheet, 0, 0, W, H);
      break;
    }
    this.holder.dataset.lit = lit;
  }
  vector(layer, step) { return drawVector(layer, step, (x, y) => [x, y], this.pane.width / 400, [this.pane.width, this.pane.height]); }
  controls() {
    const rows = this.pane.layers.map(layer => {
      const state = this.state[layer.key], id = fresh('gb-layer'), redraw = () => { this.draw(); this.stage.remember(); };
      const box = el('input', { type: 'checkbox', id, data: { layer: layer.key }, on: { change: () => { state.visible = box.checked; redraw(); this.legend(); } } });
      box.checked = state.visible;
      const row = el('div', { class: 'gb-layer' }, box, el('label', { for: id, text: layer.label }));
      if (layer.views && layer.views.length > 1) {
        const select = el('select', { 'aria-label': layer.label, data: { view: layer.key }, on: { change: () => { state.view = select.value; state.visible = box.checked = true; redraw(); this.legend(); } } },
          ...layer.views.map(v => el('option', { value: v.key, text: v.label })));
        select.value = state.view; row.append(select);
      }
      if (layer.opacity !== undefined) {
        const range = el('input', { type: 'range', min: 0, max: 100, value: Math.round(state.opacity * 100), 'aria-label': fill(this.stage.text.opacity, { layer: layer.label }),
          on: { input: () => { state.opacity = range.value / 100; redraw(); } } });
        row.append(range);
      }
      return row;
    });
    this.legendBox = el('div', { class: 'gb-legend' });
    this.legend();
    return el('div', { class: 'gb-layers' }, ...rows, this.legendBox);
  }
  legend() {
    const seen = new Set(), items = [];
    for (const layer of this.pane.layers) if (this.state[layer.key].visible) for (const view of layer.views || []) if (view.key === this.state[layer.key].view) for (const [label, color, hatch] of view.legend) {
      if (seen.has(label + color)) continue;
      seen.add(label + color);
      items.push(el('span', { class: 'gb-key' }, el('i', { style: `background-color:${color}`, class: `gb-swatch gb-hatch-${hatch}` }), label));
    }
    this.legendBox.replaceChildren(...items);
  }
}

/* Vector layers; `map` takes the pane's coordinates to the SVG's, `unit` is one screen pixel's worth, `edge` where a picture ends. */
function drawVector(layer, step, map, unit, edge) {
  const color = i => colorOf(layer.colors && layer.colors.length ? layer.colors[i % layer.colors.length] : ''), out = [];
  if (layer.type === 'boxes') {
    const b = at(layer.xyxy, step, 2);
    for (let i = 0; i < b.shape[0]; i++) {
      const [x0, y0] = map(b[4 * i], b[4 * i + 1]), [x1, y1] = map(b[4 * i + 2], b[4 * i + 3]);
      if (!Number.isFinite(x0 + y0 + x1 + y1)) continue;
      const frame = { x: Math.min(x0, x1), y: Math.min(y0, y1), width: Math.abs(x1 - x0), height: Math.abs(y1 - y0), fill: 'none', 'vector-effect': 'non-scaling-stroke' };
      if (edge) out.push(sv('rect', { ...frame, stroke: '#fff', 'stroke-opacity': .45, 'stroke-width': 4 })); // seen on any picture
      out.push(sv('rect', { ...frame, stroke: color(i), 'stroke-width': 2, 'stroke-dasharray': layer.dashed ? '6 4' : undefined }));
      const size = 11 * unit, low = Math.max(y0, y1) + size, high = Math.min(y0, y1) - 3 * unit, [, bottom] = edge || [0, Infinity];
      if (layer.names[i]) out.push(sv('text', { x: Math.min(x0, x1) + 2 * unit, y: layer.names_at === 'bottom' ? (low + 2 * unit > bottom ? Math.max(y0, y1) - 3 * unit : low) : high < size ? Math.min(y0, y1) + size : high, 'font-size': size, class: 'gb-halo', text: layer.names[i] }));
    }
  } else if (layer.type === 'points') {
    const p = at(layer.xy, step, 2);
    for (let i = 0; i < p.shape[0]; i++) {
      const [x, y] = map(p[2 * i], p[2 * i + 1]);
      if (!Number.isFinite(x + y)) continue;
      if (layer.radius) out.push(sv('circle', { cx: x, cy: y, r: layer.radius * unit, fill: color(i), stroke: '#fff', 'stroke-width': 1, 'vector-effect': 'non-scaling-stroke' }));
      if (layer.names[i]) out.push(sv('text', { x: x + (layer.radius ? (layer.radius + 2) * unit : 0) * (layer.names_at === 'left' ? -1 : 1), y: y + 3 * unit, 'font-size': 11 * unit, class: 'gb-halo', fill: color(i), 'text-anchor': !layer.radius ? 'middle' : layer.names_at === 'left' ? 'end' : 'start', text: layer.names[i] }));
    }
  } else if (layer.type === 'paths') {
    const [n, v] = layer.xy.shape;
    for (let i = 0; i < n; i++) {
      let d = '', pen = 'M';
      for (let k = 0; k < v && !(layer.grow && k > step); k++) {
        const [x, y] = map(layer.xy[(i * v + k) * 2], layer.xy[(i * v + k) * 2 + 1]);
        if (Number.isFinite(x + y)) { d += `${pen}${x.toFixed(2)} ${y.toFixed(2)}`; pen = 'L'; } else pen = 'M';
      }
      out.push(sv('path', { d: d || 'M0 0', fill: 'none', stroke: color(i), 'stroke-width': 2, 'vector-effect': 'non-scaling-stroke' }));
    }
  } else if (layer.type === 'ribbons') {
    const e = at(layer.ends, step, 2);
    for (let i = 0; i < e.shape[0]; i++) {
      const [x0, y0] = map(e[4 * i], e[4 * i + 1]), [x1, y1] = map(e[4 * i + 2], e[4 * i + 3]), bend = (x0 + x1) / 2;
      if (!Number.isFinite(x0 + y0 + x1 + y1)) continue;
      out.push(sv('path', { d: `M${x0} ${y0}C${bend} ${y0} ${bend} ${y1} ${x1} ${y1}`, fill: 'none', stroke: color(i), 'stroke-opacity': .6, 'stroke-width': layer.widths[i], 'vector-effect': 'non-scaling-stroke' }));
    }
  }
  return out;
}

/* A chart: axes, ticks, vector layers in data coordinates, a cursor at the current step. */
class ChartPane {
  constructor(pane, stage) {
    this.pane = pane; this.stage = stage;
    this.box = { x: 54, y: 10, w: 530, h: 170 };
    this.svg = sv('svg', { viewBox: '0 0 600 220', class: 'gb-chart', role: 'img', 'aria-label': pane.title });
    this.root = el('figure', { class: 'gb-pane', data: { pane: pane.key } }, el('figcaption', { text: pane.title }), this.svg,
      el('div', { class: 'gb-legend' }, ...pane.layers.flatMap(l => (l.names || []).map((name, i) => el('span', { class: 'gb-key' }, el('i', { class: 'gb-swatch', style: `background:${colorOf(l.colors[i % l.colors.length])}` }), name)))));
    if (pane.note) this.root.append(el('p', { class: 'gb-note', text: pane.note }));
  }
  async ready() {}
  draw() {
    const { axes } = this.pane, b = this.box, still = this.still && !this.pane.layers.some(l => l.grow || l.xy?.shape.length > 2 && l.type !== 'paths');
    const map = (x, y) => [b.x + (x - axes.x[0]) / (axes.x[1] - axes.x[0] || 1) * b.w, b.y + b.h - (y - axes.y[0]) / (axes.y[1] - axes.y[0] || 1) * b.h];
    if (still) return this.moveCursor(map);
    this.still = true;
    const parts = [sv('rect', { x: b.x, y: b.y, width: b.w, height: b.h, class: 'gb-plot' })];
    const ticks = ([lo, hi]) => { const span = hi - lo || 1, raw = span / 5, p = 10 ** Math.floor(Math.log10(raw)), s = [1, 2, 5, 10].find(k => k * p >= raw) * p, out = []; for (let v = Math.ceil(lo / s - 1e-9) * s; v <= hi + 1e-9 * span; v += s) out.push(+v.toFixed(10)); return out; };
    for (const t of ticks(axes.x)) { const [x] = map(t, 0); parts.push(sv('line', { x1: x, x2: x, y1: b.y, y2: b.y + b.h, class: 'gb-tick' }), sv('text', { x, y: b.y + b.h + 14, 'text-anchor': 'middle', class: 'gb-small', text: String(t) })); }
    for (const t of ticks(axes.y)) { const [, y] = map(0, t); parts.push(sv('line', { x1: b.x, x2: b.x + b.w, y1: y, y2: y, class: 'gb-tick' }), sv('text', { x: b.x - 6, y: y + 4, 'text-anchor': 'end', class: 'gb-small', text: String(t) })); }
    parts.push(sv('text', { x: b.x + b.w / 2, y: 214, 'text-anchor': 'middle', class: 'gb-small', text: axes.x_label }));
    parts.push(sv('text', { x: 12, y: b.y + b.h / 2, 'text-anchor': 'middle', class: 'gb-small', transform: `rotate(-90 12 ${b.y + b.h / 2})`, text: axes.y_label }));
    for (const layer of this.pane.layers) parts.push(...drawVector(layer, this.stage.step, map, 1));
    if (axes.cursor) parts.push(this.cursor = sv('line', { y1: b.y, y2: b.y + b.h, class: 'gb-cursor' }));
    this.svg.replaceChildren(...parts);
    this.moveCursor(map);
  }
  moveCursor(map) {
    const { cursor } = this.pane.axes;
    if (!cursor) return;
    const [x] = map(cursor[Math.min(this.stage.step, cursor.length - 1)], 0);
    this.cursor.setAttribute('x1', x); this.cursor.setAttribute('x2', x);
  }
}

/* Lists: matrices, tables, bars. */
class ListPane {
  constructor(pane, stage) {
    this.pane = pane; this.stage = stage;
    this.root = el('section', { class: 'gb-pane', data: { pane: pane.key } });
    if (pane.title) this.root.append(el('h3', { text: pane.title }));
    this.parts = pane.layers.map(l => l.type === 'matrix' ? (l.rows.length * l.columns.length > 650 ? new BigMatrix(l, stage) : new MatrixView(l, stage)) : l.type === 'table' ? new TableView(l, stage) : new BarsView(l, stage));
    this.parts.forEach((part, i) => { if (!pane.title) this.root.append(el('h3', { text: pane.layers[i].label })); this.root.append(part.root); const proofs = () => part.proofs ? part.proofs() : pane.layers[i].receipts || []; if (proofs().length) this.root.append(el('button', { type: 'button', class: 'gb-proof', data: { focus: 'proof' }, text: stage.text.receipt, on: { click: () => stage.showReceipt(pick(proofs(), stage.step)) } })); if ((pane.layers[i].mark_names || []).length) this.root.append(el('div', { class: 'gb-legend' }, ...pane.layers[i].mark_names.map((name, k) => el('span', { class: 'gb-key' }, el('i', { class: `gb-swatch gb-mark gb-mark-${k + 1}` }), name)))); });
    if (pane.note) this.root.append(el('p', { class: 'gb-note', text: pane.note }));
  }
  async ready() {}
  draw() { for (const p of this.parts) p.draw(); }
}

class MatrixView {
  constructor(layer, stage) {
    this.layer = layer; this.stage = stage;
    const R = layer.rows.length, C = layer.columns.length, name = (names, i) => el('span', { text: names[i], title: names[i] });
    this.cells = []; this.faces = [{ key: '', label: layer.label, shade: layer.shade, texts: layer.texts, receipts: layer.receipts }, ...layer.faces];
    this.rowValues = layer.rows.map(() => el('small')); this.columnValues = layer.columns.map(() => el('small'));
    const head = el('tr', {}, el('th', { class: 'gb-corner' }, el('span', { text: `${layer.row_title} ↓ ${layer.column_title} →` })), ...layer.columns.map((_, c) => el('th', { scope: 'col' }, name(layer.columns, c), layer.column_values.length ? this.columnValues[c] : null)));
    const body = layer.rows.map((_, r) => el('tr', {}, el('th', { scope: 'row' }, name(layer.rows, r), layer.row_values.length ? this.rowValues[r] : null), ...layer.columns.map((column, c) => {
      const button = el('button', { type: 'button', tabindex: r + c ? -1 : 0, 'aria-pressed': 'false', data: { cell: `${r},${c}` }, on: { click: () => this.choose(r, c), keydown: e => this.keys(e, r, c) } });
      this.cells.push(button);
      return el('td', {}, button);
    })));
    this.root = el('div', { class: 'gb-scroll' }, el('table', { class: 'gb-matrix', 'aria-label': layer.label }, el('thead', {}, head), el('tbody', {}, ...body)));
    if (layer.faces.length) {
      this.select = el('select', { 'aria-label': stage.text.matrix_face, data: { face: layer.key }, on: { change: () => { stage.faces[layer.key] = this.select.value; this.draw(); } } }, ...this.faces.map(f => el('option', { value: f.key, text: f.label })));
      this.root.prepend(el('div', { class: 'gb-face' }, this.select));
    }
    this.R = R; this.C = C; this.picked = new Set((layer.picked || []).map(([r, c]) => r * C + c));
  }
  face() { return this.faces.find(f => f.key === (this.stage.faces[this.layer.key] ?? this.layer.face)) || this.faces[0]; }
  proofs() { return this.face().receipts; }
  choose(r, c) {
    const words = `${this.layer.row_title}: ${this.layer.rows[r]}, ${this.layer.column_title}: ${this.layer.columns[c]}: ${pick(this.face().texts, this.stage.step)[r * this.C + c]}`;
    if (this.layer.pick && this.stage.hooks.cells) {
      const i = r * this.C + c, on = !this.picked.has(i); // at most one a row and one a column
      this.picked = new Set([...this.picked].filter(k => k !== i && !(on && (Math.floor(k / this.C) === r || k % this.C === c))).concat(on ? [i] : []));
      this.draw();
      this.stage.arranging = true;
      this.stage.hooks.cells({ cells: [...this.picked].map(k => `${Math.floor(k / this.C)}.${k % this.C}`).join('_') });
    } else if (this.layer.codes) this.stage.select(this.layer.link, this.layer.codes[r * this.C + c], words);
  }
  keys(event, r, c) {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!move) return;
    event.preventDefault(); event.stopPropagation();
    const to = this.cells[Math.min(this.R - 1, Math.max(0, r + move[0])) * this.C + Math.min(this.C - 1, Math.max(0, c + move[1]))];
    for (const cell of this.cells) cell.tabIndex = -1;
    to.tabIndex = 0; to.focus();
  }
  draw() {
    const { layer, stage } = this, face = this.face(), shade = at(face.shade, stage.step, 2), texts = pick(face.texts, stage.step), ramp = stage.ramp, chosen = stage.selection[layer.link], marks = at(layer.marks, stage.step, 2);
    if (this.select) this.select.value = face.key;
    const beside = (nodes, values) => { const now = pick(values, stage.step); if (now) nodes.forEach((node, i) => { node.textContent = now[i]; }); };
    beside(this.rowValues, layer.row_values); beside(this.columnValues, layer.column_values);
    this.cells.forEach((cell, i) => {
      const k = shade[i], on = layer.pick ? this.picked.has(i) : !!(chosen && layer.codes && chosen.has(layer.codes[i])), mark = marks ? marks[i] : 0;
      cell.textContent = texts[i];
      cell.style.background = `rgb(${ramp[3 * k]},${ramp[3 * k + 1]},${ramp[3 * k + 2]})`;
      cell.style.color = k > 120 ? '#000' : '#fff';
      cell.setAttribute('aria-pressed', on);
      cell.className = mark ? `gb-mark gb-mark-${mark}` : '';
      cell.setAttribute('aria-label', `${layer.rows[Math.floor(i / this.C)]} → ${layer.columns[i % this.C]}: ${texts[i]}${mark && layer.mark_names[mark - 1] ? ` (${layer.mark_names[mark - 1]})` : ''}`);
    });
  }
}

class BigMatrix {
  constructor(layer, stage) {
    this.layer = layer; this.stage = stage; this.spot = [0, 0];
    const R = layer.rows.length, C = layer.columns.length;
    this.canvas = el('canvas', { width: C, height: R, class: 'gb-heat', tabindex: 0, role: 'application', 'aria-label': layer.label });
    this.out = el('output', { class: 'gb-tip', 'aria-live': 'polite' });
    const cellOf = e => { const r = this.canvas.getBoundingClientRect(); return [Math.min(R - 1, Math.floor((e.clientY - r.top) / r.height * R)), Math.min(C - 1, Math.floor((e.clientX - r.left) / r.width * C))]; };
    this.canvas.addEventListener('pointermove', e => this.say(cellOf(e)));
    this.canvas.addEventListener('click', e => { this.say(cellOf(e)); this.choose(); });
    this.canvas.addEventListener('keydown', e => {
      const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[e.key];
      if (move) this.say([Math.min(R - 1, Math.max(0, this.spot[0] + move[0])), Math.min(C - 1, Math.max(0, this.spot[1] + move[1]))]);
      else if (e.key === 'Enter' || e.key === ' ') this.choose(); else return;
      e.preventDefault(); e.stopPropagation();
    });
    this.root = el('div', {}, this.canvas, this.out);
  }
  words() { const [r, c] = this.spot, l = this.layer; return `${l.row_title}: ${l.rows[r]}, ${l.column_title}: ${l.columns[c]}: ${pick(l.texts, this.stage.step)[r * l.columns.length + c]}`; }
  say(spot) { this.spot = spot; this.out.textContent = this.words(); }
  choose() { if (this.layer.codes) this.stage.select(this.layer.link, this.layer.codes[this.spot[0] * this.layer.columns.length + this.spot[1]], this.words()); }
  draw() {
    const { layer, stage, canvas } = this, shade = at(layer.shade, stage.step, 2), c = canvas.getContext('2d'), data = c.createImageData(canvas.width, canvas.height), ramp = stage.ramp;
    for (let i = 0; i < shade.length; i++) { const k = shade[i]; data.data.set([ramp[3 * k], ramp[3 * k + 1], ramp[3 * k + 2], 255], 4 * i); }
    c.putImageData(data, 0, 0);
  }
}

class TableView {
  constructor(layer, stage) {
    this.layer = layer; this.stage = stage; this.body = el('tbody', {});
    const rows = layer.frames.length ? layer.frames[0] : layer.rows;
    this.root = el('div', { class: 'gb-scroll' }, el('table', { class: layer.columns.length > 2 && rows.some(r => typeof r[r.length - 1] === 'string') ? 'gb-table gb-notes' : 'gb-table', 'aria-label': layer.label },
      el('thead', {}, el('tr', {}, ...layer.columns.map(c => el('th', { scope: 'col', text: c })))), this.body));
  }
  draw() {
    const { layer, stage } = this, rows = layer.frames.length ? pick(layer.frames, stage.step) : layer.rows, marked = new Set(layer.marks.length ? pick(layer.marks, stage.step) : layer.marked);
    if (this.rows === rows) return;
    this.rows = rows;
    this.body.replaceChildren(...rows.map((row, r) => el('tr', { class: marked.has(r) ? 'gb-marked' : undefined }, ...row.map((cell, i) =>
        typeof cell === 'string' ? el(i ? 'td' : 'th', { scope: i ? undefined : 'row', text: cell })
          : el('td', { class: 'gb-num' }, el('button', { type: 'button', class: 'gb-cell', text: cell.text, 'aria-label': `${cell.label} ${cell.item} ${cell.text}`, data: { number: cell.key, item: cell.item }, on: { click: () => stage.showReceipt(cell) } }))))));
  }
}

class BarsView {
  constructor(layer, stage) {
    this.layer = layer; this.stage = stage;
    this.rows = layer.names.map((name, i) => ({ bar: el('i', { style: `background:${colorOf(layer.colors[i % (layer.colors.length || 1)])}` }), text: el('b') , name }));
    this.root = el('div', { class: 'gb-bars', role: 'list', 'aria-label': layer.label }, ...this.rows.map(r => el('div', { role: 'listitem' }, el('span', { text: r.name }), el('span', { class: 'gb-track' }, r.bar), r.text)));
  }
  draw() {
    const values = at(this.layer.values, this.stage.step, 1), texts = pick(this.layer.texts, this.stage.step) || [], [lo, hi] = this.layer.scale;
    this.rows.forEach((row, i) => { const v = values[i]; row.bar.style.width = Number.isFinite(v) ? `${Math.max(0, Math.min(1, (v - lo) / (hi - lo))) * 100}%` : '0'; row.text.textContent = texts[i] || ''; });
  }
}
