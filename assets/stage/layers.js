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
    this.blocks = pane.layers.filter(l => l.type === 'grid');
    this.scale = area > 2.1e6 ? Math.sqrt(2.1e6 / area) : Math.max(1, Math.floor((this.blocks.length ? 1400 : 640) / Math.max(pane.width, pane.height)));
    const W = Math.round(pane.width * this.scale), H = Math.round(pane.height * this.scale);
    this.canvas = el('canvas', { width: W, height: H, class: 'gb-raster' });
    this.svg = sv('svg', { viewBox: `0 0 ${pane.width} ${pane.height}`, class: pane.layers.some(l => l.type === 'picture' || l.type === 'labels') ? 'gb-vector' : 'gb-vector gb-plain', 'aria-hidden': 'true', preserveAspectRatio: 'none' });
    this.marked = pane.layers.filter(l => l.names && l.type === 'cells');
    this.tip = el('output', { class: 'gb-tip', 'aria-live': 'off' });
    const most = pane.pixel ? `;--gb-most:${pane.pixel * pane.width}px` : '';
    this.holder = el('div', { class: 'gb-picture', style: `aspect-ratio:${pane.width}/${pane.height};--gb-ratio:${pane.width / pane.height}${most}` }, this.canvas, this.svg);
    this.state = Object.fromEntries(pane.layers.map(l => [l.key, { visible: l.visible !== false, opacity: l.opacity ?? 1, view: l.view || (l.views && l.views[0].key) }]));
    this.bitmaps = new Map();
    this.root = el('figure', { class: 'gb-pane', data: { pane: pane.key } });
    if (pane.title) this.root.append(el('figcaption', { text: pane.title }));
    if (this.blocks.length) this.holder.style.minWidth = `${26 * pane.width}px`; // letters stay readable; a narrow screen scrolls
    this.root.append(this.blocks.length ? el('div', { class: 'gb-scroll', tabindex: 0, role: 'group', 'aria-label': pane.title }, this.holder) : this.holder, this.tip);
    const keys = pane.layers.filter(l => l.type === 'cells').flatMap(l => l.legend);
    if (keys.length) this.root.append(el('div', { class: 'gb-legend' }, ...keys.map(k => swatch(...k))));
    if (pane.note) this.root.append(el('p', { class: 'gb-note', text: pane.note }));
    const proofs = this.blocks.filter(l => l.receipts.length);
    if (proofs.length) this.root.append(el('div', { class: 'gb-proofs' }, ...proofs.map(l => el('button', { type: 'button', class: 'gb-proof', data: { focus: `proof-${l.key}` }, text: proofs.length > 1 ? `${stage.text.receipt}: ${l.label}` : stage.text.receipt, on: { click: () => stage.showReceipt(pick(l.receipts, stage.step)) } }))));
    this.holder.addEventListener('pointermove', e => { this.hover(this.position(e), this.spot(e)); if (!(stage.painter && stage.painter.hand)) this.point(this.spot(e)); });
    this.holder.addEventListener('pointerleave', e => { this.tip.textContent = ''; if (e.pointerType !== 'touch') this.point(null); });
    if (stage.links.any(pane.layers)) this.listen();
    else if (pane.layers.some(l => l.pick || l.steps) && !(stage.data.scene.tools && stage.data.scene.tools.pane === pane.key)) this.picker = new Picker(this);
  }
  async ready() {
    for (const layer of this.pane.layers.filter(l => l.type === 'picture'))
      this.bitmaps.set(layer.key, await Promise.all(layer.frames.map(f => createImageBitmap(new Blob([f])))));
  }
  /* Where an event is, in the pane's units; `position` is the whole pixel there. */
  spot(event) {
    const r = this.canvas.getBoundingClientRect(), { width, height } = this.pane;
    return [Math.min(width, Math.max(0, (event.clientX - r.left) / r.width * width)), Math.min(height, Math.max(0, (event.clientY - r.top) / r.height * height))];
  }
  position(event) { const [x, y] = this.spot(event); return [Math.min(this.pane.width - 1, Math.floor(x)), Math.min(this.pane.height - 1, Math.floor(y))]; }
  extent(layer) { return layer.extent || [0, 0, this.pane.width, this.pane.height]; }
  /* A layer's rectangle on the canvas: x, y, width, height. */
  place(layer) {
    const e = this.extent(layer), kx = this.canvas.width / this.pane.width, ky = this.canvas.height / this.pane.height;
    return [e[0] * kx, e[1] * ky, (e[2] - e[0]) * kx, (e[3] - e[1]) * ky];
  }
  codeUnder(layer, [x, y]) {
    const codes = at(layer.codes, this.stage.step, 2), [h, w] = codes.shape, e = this.extent(layer);
    const column = Math.floor((x - e[0]) / (e[2] - e[0]) * w), row = Math.floor((y - e[1]) / (e[3] - e[1]) * h);
    return column >= 0 && column < w && row >= 0 && row < h ? codes[row * w + column] : undefined;
  }
  codeAt(layer, [x, y]) { return this.codeUnder(layer, [x + .5, y + .5]); }
  hover([x, y], place = [x, y]) {
    const said = this.blocks.length || this.picker ? [] : [`${x}, ${y}`];
    for (const layer of this.blocks) if (this.state[layer.key].visible) { const words = gridCell(layer, this.stage.step, place); if (words) said.push(words); }
    for (const layer of this.pane.layers) if (layer.pick) said.push(this.stage.pickLabel(layer.pick, this.codeAt(layer, [x, y])));
    for (const layer of this.marked) { const i = cellAt(layer, [x, y]); if (i >= 0 && layer.names[i]) said.push(layer.names[i]); }
    for (const layer of this.pane.layers) if (layer.type === 'labels' && this.state[layer.key].visible)
      for (const h of layer.hover) {
        const name = h.names[h.index[this.codeAt(layer, [x, y])]], words = h.label ? `${h.label}: ${name}` : name;
        if (name && !said.includes(words)) said.push(words);
      }
    this.tip.textContent = said.join('  ·  ');
  }
  /* What lies at a spot: the nearest point within reach, else the smallest boxes, else a label map's code. */
  under([x, y]) {
    const { stage, pane } = this, layers = pane.layers.filter(l => this.state[l.key].visible && !l.quiet && stage.links.live(l)), found = [];
    const reach = 9 * pane.width / (this.canvas.getBoundingClientRect().width || 1);
    const offer = (layer, i, cost) => { if (!found.length || cost < found[0][2] - 1e-9) found.length = 0; else if (cost > found[0][2] + 1e-9) return; found.push([layer, i, cost]); };
    for (const layer of layers) if (layer.type === 'points') {
      const p = at(layer.xy, stage.step, 2);
      for (let i = 0; i < p.shape[0]; i++) { const d = Math.hypot(p[2 * i] - x, p[2 * i + 1] - y); if (d <= reach) offer(layer, i, d); }
    }
    if (found.length) return found;
    for (const layer of layers) if (layer.type === 'boxes') {
      const b = at(layer.xyxy, stage.step, 2);
      for (let i = 0; i < b.shape[0]; i++) if (x >= b[4 * i] && x < b[4 * i + 2] && y >= b[4 * i + 1] && y < b[4 * i + 3]) offer(layer, i, (b[4 * i + 2] - b[4 * i]) * (b[4 * i + 3] - b[4 * i + 1]));
    }
    if (found.length) return found;
    for (const layer of layers) if (layer.type === 'labels') { const code = this.codeUnder(layer, [x, y]); if (code !== undefined) return [[layer, code, 0]]; }
    return found;
  }
  point(spot) {
    if (!this.linked) return;
    const found = spot ? this.under(spot) : [];
    this.stage.links.point(found);
    const hints = [...new Set(found.map(([layer, i]) => (layer.hints || [])[i]).filter(Boolean))];
    if (hints.length) this.tip.textContent = hints.join('  ·  ');
  }
  /* The pointer's twin on the keyboard: arrows move it, Enter goes to the step of what it points at. */
  listen() {
    const { pane, stage } = this, { width, height, nudge } = pane;
    this.linked = true;
    let spot = null;
    this.holder.tabIndex = 0; this.holder.setAttribute('role', 'application'); this.holder.dataset.focus = `pane-${pane.key}`;
    this.holder.setAttribute('aria-label', fill(stage.text.explore, { picture: pane.title || (pane.layers[0] || {}).label || '' }));
    const cross = () => { this.svg.querySelector('.gb-cross')?.remove(); if (spot) this.svg.append(sv('circle', { cx: spot[0], cy: spot[1], r: 5 * width / (this.canvas.getBoundingClientRect().width || width), class: 'gb-cross' })); };
    this.holder.addEventListener('keydown', e => {
      if (e.target !== this.holder) return;
      const far = e.shiftKey ? 5 * nudge : nudge, move = { ArrowUp: [0, -far], ArrowDown: [0, far], ArrowLeft: [-far, 0], ArrowRight: [far, 0] }[e.key];
      if (move) {
        const inside = (v, size) => Math.min(size - nudge / 2, Math.max(nudge / 2, v)), middle = size => nudge * (Math.floor(size / nudge / 2) + .5);
        spot = spot ? [inside(spot[0] + move[0], width), inside(spot[1] + move[1], height)] : [middle(width), middle(height)];
        this.tip.setAttribute('aria-live', 'polite');
        this.hover([Math.floor(spot[0]), Math.floor(spot[1])]); this.point(spot); cross();
      } else if (e.key === 'Enter') stage.links.choose();
      else if (e.key === 'Escape') { spot = null; this.tip.textContent = ''; this.point(null); cross(); }
      else return;
      e.preventDefault(); e.stopPropagation();
    });
    this.holder.addEventListener('blur', () => { if (!spot) return; spot = null; this.tip.setAttribute('aria-live', 'off'); this.point(null); cross(); });
    this.holder.addEventListener('click', e => { if (e.target.closest('.gb-strokes, .gb-boxes')) return; this.point(this.spot(e)); stage.links.choose(); });
  }
  light() { if (this.linked) this.draw(); }
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
        c.drawImage(pick(this.bitmaps.get(layer.key), step), ...this.place(layer));
        c.imageSmoothingEnabled = false;
      } else if (layer.type === 'labels') {
        const view = layer.views.find(v => v.key === state.view) || layer.views[0], sheets = this.colored(layer, view, step);
        c.imageSmoothingEnabled = !!layer.smooth;
        c.drawImage(sheets.plain, ...this.place(layer));
        c.imageSmoothingEnabled = false;
        for (const [kind, mask] of sheets.hatched) {
          const sheet = new OffscreenCanvas(W, H), s = sheet.getContext('2d');
          s.imageSmoothingEnabled = false; s.drawImage(mask, ...this.place(layer));
          s.globalCompositeOperation = 'source-in'; s.fillStyle = stripes(s, kind, Math.max(6, Math.round(W / 90))); s.fillRect(0, 0, W, H);
          c.globalAlpha = Math.min(1, state.opacity + .2); c.drawImage(sheet, 0, 0);
        }
      } else if (layer.type === 'cells') drawCells(c, layer, step, W / pane.width, H / pane.height);
      else if (layer.type === 'grid') drawGrid(c, layer, step, W / pane.width);
      else if (layer.swarm) this.drawSwarm(c, layer, step, W / pane.width);
    }
    c.globalAlpha = 1;
    this.drawSelection(c, W, H, step);
    const linked = [], cross = this.svg.querySelector('.gb-cross');
    if (this.linked) for (const layer of pane.layers) if (this.state[layer.key].visible && layer.type === 'labels' && stage.links.live(layer)) this.outline(c, layer, linked);
    const drawn = pane.layers.flatMap(layer => this.state[layer.key].visible ? this.vector(layer, step, linked) : []);
    /* what is lit lies on top */
    this.svg.replaceChildren(...drawn.filter(n => !n.dataset.lit), ...drawn.filter(n => n.dataset.lit), ...(cross ? [cross] : []));
    if (this.linked) this.holder.dataset.linked = linked.join(' ');
    if (this.picker) this.picker.draw();
  }
  /* The edge of all pixels whose code is lit. */
  outline(c, layer, linked) {
    const codes = at(layer.codes, this.stage.step, 2), [h, w] = codes.shape, [x0, y0, width, height] = this.place(layer), dx = width / w, dy = height / h;
    const on = new Map(), lit = code => { if (!on.has(code)) on.set(code, this.stage.links.lit(layer, code)); return on.get(code); };
    const edge = new Path2D();
    for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) {
      const i = y * w + x;
      if (!lit(codes[i])) continue;
      const side = (yes, a, b, p, q) => { if (yes) { edge.moveTo(x0 + a * dx, y0 + b * dy); edge.lineTo(x0 + p * dx, y0 + q * dy); } };
      side(!y || !lit(codes[i - w]), x, y, x + 1, y); side(y === h - 1 || !lit(codes[i + w]), x, y + 1, x + 1, y + 1);
      side(!x || !lit(codes[i - 1]), x, y, x, y + 1); side(x === w - 1 || !lit(codes[i + 1]), x + 1, y, x + 1, y + 1);
    }
    const one = this.canvas.width / (this.canvas.clientWidth || this.canvas.width);
    c.lineCap = 'square';
    for (const [style, thick] of [['#10151c', 5], ['#ffe500', 2.5]]) { c.strokeStyle = style; c.lineWidth = thick * one; c.stroke(edge); }
    for (const [code, yes] of on) if (yes) linked.push(`${layer.key}:${code}`);
  }
  /* Many dots at once, one path a colour; those that are lit are drawn above, with the lines. */
  drawSwarm(c, layer, step, scale) {
    const p = at(layer.xy, step, 2), radius = layer.radius * this.unit() * scale, colors = layer.colors.length ? layer.colors : [''], style = getComputedStyle(this.root);
    c.strokeStyle = '#fff'; c.lineWidth = Math.max(1, radius / 4);
    for (let k = 0; k < colors.length; k++) {
      c.beginPath();
      for (let i = k; i < p.shape[0]; i += colors.length) {
        const x = p[2 * i] * scale, y = p[2 * i + 1] * scale;
        if (Number.isFinite(x + y)) { c.moveTo(x + radius, y); c.arc(x, y, radius, 0, 7); }
      }
      c.fillStyle = colors[k].startsWith('#') ? colors[k] : style.getPropertyValue(colorOf(colors[k]).slice(4, -1));
      c.fill(); c.stroke();
    }
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
      s.putImageData(data, 0, 0); c.drawImage(sheet, ...this.place(layer));
      break;
    }
    this.holder.dataset.lit = lit;
  }
  vector(layer, step, linked) { return drawVector(layer, step, (x, y) => [x, y], this.unit(), this.stage.links, linked, [this.pane.width, this.pane.height]); }
  /* Words and dots keep their size on screen where the picture's own is limited. */
  unit() { return this.pane.pixel ? this.pane.width / (this.canvas.clientWidth || this.pane.width * this.pane.pixel) : this.pane.width / 400; }
  controls() {
    const rows = this.pane.layers.filter(layer => layer.label).map(layer => {
      const state = this.state[layer.key], id = fresh('gb-layer'), redraw = () => { for (const pane of this.mates || [this]) pane.draw(); this.stage.remember(); };
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
      items.push(swatch(label, color, hatch));
    }
    this.legendBox.replaceChildren(...items);
  }
}

const swatch = (label, color, hatch) => el('span', { class: 'gb-key' }, el('i', { style: `background-color:${color}`, class: `gb-swatch gb-hatch-${hatch}` }), label);

/* Vector layers; `map` takes the pane's coordinates to the SVG's, `unit` is one screen pixel's worth, `edge` where a picture ends. Lit items are named in `linked`. */
const LIT = '#ffe500', DARK = '#10151c';
function drawVector(layer, step, map, unit, links, linked = [], edge) {
  const color = i => colorOf(layer.colors && layer.colors.length ? layer.colors[i % layer.colors.length] : ''), out = [];
  const live = links && links.live(layer);
  const lit = i => { const on = live && links.lit(layer, i); if (on) linked.push(`${layer.key}:${i}`); return on; };
  const shine = { 'vector-effect': 'non-scaling-stroke', data: { lit: 1 } };
  /* a lit line: dark below, light on top */
  const glow = (tag, shape, thick) => out.push(sv(tag, { ...shape, ...shine, fill: 'none', stroke: DARK, 'stroke-width': thick + 3 }), sv(tag, { ...shape, ...shine, fill: 'none', stroke: LIT, 'stroke-width': thick }));
  if (layer.type === 'boxes') {
    const b = at(layer.xyxy, step, 2);
    for (let i = 0; i < b.shape[0]; i++) {
      const [x0, y0] = map(b[4 * i], b[4 * i + 1]), [x1, y1] = map(b[4 * i + 2], b[4 * i + 3]);
      if (!Number.isFinite(x0 + y0 + x1 + y1)) continue;
      const shape = { x: Math.min(x0, x1), y: Math.min(y0, y1), width: Math.abs(x1 - x0), height: Math.abs(y1 - y0) }, on = lit(i);
      if (layer.quiet && !on) continue;
      if (on) { out.push(sv('rect', { ...shape, ...shine, fill: LIT, 'fill-opacity': .16 })); glow('rect', shape, 3); }
      else {
        if (layer.halo) out.push(sv('rect', { ...shape, fill: 'none', stroke: '#fff', 'stroke-opacity': .45, 'stroke-width': (layer.width ?? 2) + 2, 'vector-effect': 'non-scaling-stroke' })); // seen on any picture
        out.push(sv('rect', { ...shape, fill: 'none', stroke: color(i), 'stroke-width': layer.width ?? 2, 'vector-effect': 'non-scaling-stroke', 'stroke-dasharray': layer.dashed ? '6 4' : undefined }));
      }
      if (!layer.names[i]) continue;
      if (!layer.halo) { out.push(sv('text', { x: shape.x, y: shape.y - 3 * unit, 'font-size': 10 * unit, fill: color(i), text: layer.names[i] })); continue; }
      const size = 11 * unit, above = shape.y - 3 * unit, below = shape.y + shape.height + size, bottom = edge ? edge[1] - 2 * unit : Infinity; // names stay in the picture
      out.push(sv('text', { x: shape.x + 2 * unit, y: layer.names_at === 'bottom' ? (below > bottom ? shape.y + shape.height - 3 * unit : below) : above < size ? shape.y + size : above, 'font-size': size, class: 'gb-halo', text: layer.names[i] }));
    }
  } else if (layer.type === 'points') {
    const p = at(layer.xy, step, 2);
    for (let i = 0; i < p.shape[0]; i++) {
      const [x, y] = map(p[2 * i], p[2 * i + 1]);
      if (!Number.isFinite(x + y)) continue;
      const on = lit(i);
      if ((layer.quiet || layer.swarm && edge) && !on) continue;
      if (on) out.push(sv('circle', { cx: x, cy: y, r: (Math.max(layer.radius, 3) + 3) * unit, ...shine, fill: LIT, stroke: DARK, 'stroke-width': 2 }));
      else if (layer.radius) out.push(sv('circle', { cx: x, cy: y, r: layer.radius * unit, fill: color(i), stroke: '#fff', 'stroke-width': 1, 'vector-effect': 'non-scaling-stroke' }));
      if (layer.names[i]) out.push(sv('text', { x: x + (layer.radius ? (layer.radius + 2) * unit : 0) * (layer.names_at === 'left' ? -1 : 1), y: y + 3 * unit, 'font-size': 11 * unit, class: 'gb-halo', fill: color(i), 'text-anchor': !layer.radius ? 'middle' : layer.names_at === 'left' ? 'end' : 'start', text: layer.names[i] }));
    }
  } else if (layer.type === 'paths') {
    const p = at(layer.xy, step, 3), [n, v] = p.shape;
    for (let i = 0; i < n; i++) {
      let d = '', pen = 'M';
      for (let k = 0; k < v && !(layer.grow && k > step); k++) {
        const [x, y] = map(p[(i * v + k) * 2], p[(i * v + k) * 2 + 1]);
        if (Number.isFinite(x + y)) { d += `${pen}${x.toFixed(2)} ${y.toFixed(2)}`; pen = 'L'; } else pen = 'M';
      }
      if (lit(i)) glow('path', { d: d || 'M0 0' }, 3);
      else out.push(sv('path', { d: d || 'M0 0', fill: 'none', stroke: color(i), 'stroke-width': layer.width ?? 2, 'stroke-dasharray': layer.dashed ? '5 4' : undefined, 'vector-effect': 'non-scaling-stroke' }));
    }
  } else if (layer.type === 'words') {
    const texts = pick(layer.texts, step);
    for (let i = 0; i < layer.xy.shape[0]; i++) {
      const [x, y] = map(layer.xy[2 * i], layer.xy[2 * i + 1]);
      if (Number.isFinite(x + y) && texts[i]) out.push(sv('text', { x, y: y + layer.size * .35, 'font-size': layer.size, 'text-anchor': layer.anchor, fill: colorOf(layer.color), text: texts[i] }));
    }
  } else if (layer.type === 'grid') {
    out.push(gridTitle(layer));
  } else if (layer.type === 'ribbons') {
    const e = at(layer.ends, step, 2);
    for (let i = 0; i < e.shape[0]; i++) {
      const [x0, y0] = map(e[4 * i], e[4 * i + 1]), [x1, y1] = map(e[4 * i + 2], e[4 * i + 3]), bend = (x0 + x1) / 2;
      if (!Number.isFinite(x0 + y0 + x1 + y1)) continue;
      const d = `M${x0} ${y0}C${bend} ${y0} ${bend} ${y1} ${x1} ${y1}`;
      if (lit(i)) glow('path', { d }, Math.max(3, layer.widths[i]));
      else out.push(sv('path', { d, fill: 'none', stroke: color(i), 'stroke-opacity': .6, 'stroke-width': layer.widths[i], 'vector-effect': 'non-scaling-stroke' }));
    }
  }
  return out;
}

/* A chart: axes, ticks, vector layers in data coordinates, a cursor at the current step. */
class ChartPane {
  constructor(pane, stage) {
    this.pane = pane; this.stage = stage;
    this.bands = pane.layers.filter(l => l.type === 'strip');
    /* beside others a chart is narrow: its letters keep their size */
    const wide = pane.row ? 380 : 600, high = pane.height || (pane.row ? 200 : 220), band = this.bands.length * 26;
    this.box = { x: 54, y: 10, w: wide - 70, h: high - 50 - band };
    this.wide = wide; this.high = high; this.bottom = high - 40; // of the bands
    this.svg = sv('svg', { viewBox: `0 0 ${wide} ${high}`, class: 'gb-chart', role: pane.layers.some(l => l.control) ? 'group' : 'img', 'aria-label': pane.title || (pane.layers[0] || {}).label });
    const keys = pane.layers.flatMap(l => l.type === 'level' ? [] : (l.names || []).map((name, i) => [l, name, i]).filter(([, name]) => name));
    this.tip = el('output', { class: 'gb-tip', 'aria-live': 'off' });
    this.root = el('figure', { class: 'gb-pane', data: { pane: pane.key } }, pane.title ? el('figcaption', { text: pane.title }) : null, this.svg,
      el('div', { class: 'gb-legend' }, ...keys.map(([l, name, i]) => el('span', { class: 'gb-key' }, el('i', { class: `gb-swatch gb-hatch-${(l.hatch || [])[i] || 0}`, style: `background-color:${colorOf(l.colors[i % l.colors.length])}` }), name))));
    if (this.bands.some(l => l.hints.length)) this.svg.after(this.tip);
    if (pane.note) this.root.append(el('p', { class: 'gb-note', text: pane.note }));
    if (pane.axes.scrub && pane.axes.cursor) this.listen();
  }
  async ready() {}
  /* The pointer held down takes the step along. */
  listen() {
    let held = false;
    const place = e => { const r = this.svg.getBoundingClientRect(); return [(e.clientX - r.left) / r.width * this.wide, (e.clientY - r.top) / r.height * this.high]; };
    const go = e => {
      const { cursor, x } = this.pane.axes, b = this.box, at = x[0] + (place(e)[0] - b.x) / b.w * (x[1] - x[0]);
      let best = 0;
      for (let i = 1; i < cursor.length; i++) if (Math.abs(cursor[i] - at) < Math.abs(cursor[best] - at)) best = i;
      if (best !== this.stage.step) this.stage.show(best);
    };
    this.svg.classList.add('gb-scrubs');
    this.svg.addEventListener('pointerdown', e => { if (e.target.closest('.gb-level')) return; held = true; this.svg.setPointerCapture(e.pointerId); go(e); });
    this.svg.addEventListener('pointermove', e => { if (held) go(e); else this.read(place(e)); });
    for (const end of ['pointerup', 'pointercancel']) this.svg.addEventListener(end, () => { held = false; });
    this.svg.addEventListener('pointerleave', () => { this.tip.textContent = ''; });
  }
  read([x, y]) {
    const { axes } = this.pane, b = this.box, at = axes.x[0] + (x - b.x) / b.w * (axes.x[1] - axes.x[0]), said = [];
    this.bands.forEach((l, k) => { const top = this.bandTop(k); if (y >= top && y < top + 22) for (let i = 0; i < l.states.length; i++) if (at >= l.ends[2 * i] && at < l.ends[2 * i + 1] && l.hints[i]) said.push(l.hints[i]); });
    this.tip.textContent = said.join('  ·  ');
  }
  bandTop(k) { return this.bottom - 26 * (this.bands.length - k) + 3; }
  draw() {
    const { axes } = this.pane, b = this.box, still = this.still && !this.pane.layers.some(l => l.grow || l.xy?.shape.length > (l.type === 'paths' ? 3 : 2) || this.stage.links.live(l));
    const map = (x, y) => [b.x + (x - axes.x[0]) / (axes.x[1] - axes.x[0] || 1) * b.w, b.y + b.h - (y - axes.y[0]) / (axes.y[1] - axes.y[0] || 1) * b.h];
    if (still) return this.moveCursor(map);
    this.still = true;
    const foot = this.bottom, parts = [sv('rect', { x: b.x, y: b.y, width: b.w, height: b.h, class: 'gb-plot' })], over = [];
    const ticks = ([lo, hi]) => { const span = hi - lo || 1, raw = span / 5, p = 10 ** Math.floor(Math.log10(raw)), s = [1, 2, 5, 10].find(k => k * p >= raw) * p, out = []; for (let v = Math.ceil(lo / s - 1e-9) * s; v <= hi + 1e-9 * span; v += s) out.push(+v.toFixed(10)); return out; };
    for (const t of ticks(axes.x)) { const [x] = map(t, 0); parts.push(sv('line', { x1: x, x2: x, y1: b.y, y2: b.y + b.h, class: 'gb-tick' }), sv('text', { x, y: foot + 14, 'text-anchor': 'middle', class: 'gb-small', text: String(t) })); }
    for (const t of ticks(axes.y)) { const [, y] = map(0, t); parts.push(sv('line', { x1: b.x, x2: b.x + b.w, y1: y, y2: y, class: 'gb-tick' }), sv('text', { x: b.x - 6, y: y + 4, 'text-anchor': 'end', class: 'gb-small', text: String(t) })); }
    parts.push(sv('text', { x: b.x + b.w / 2, y: this.high - 6, 'text-anchor': 'middle', class: 'gb-small', text: axes.x_label }));
    parts.push(sv('text', { x: 12, y: b.y + b.h / 2, 'text-anchor': 'middle', class: 'gb-small', transform: `rotate(-90 12 ${b.y + b.h / 2})`, text: axes.y_label }));
    for (const layer of this.pane.layers) {
      if (layer.type === 'areas') parts.push(...drawAreas(layer, map));
      else if (layer.type === 'strip') parts.push(...drawStrip(layer, map, this.bandTop(this.bands.indexOf(layer)), b));
      else if (layer.type === 'level') over.push(new LevelLine(layer, this, map).root);
      else parts.push(...drawVector(layer, this.stage.step, map, 1, this.stage.links));
    }
    if (axes.cursor) parts.push(this.cursor = sv('line', { y1: b.y, y2: this.bands.length ? foot : b.y + b.h, class: 'gb-cursor' }));
    this.svg.replaceChildren(...parts, ...over);
    this.moveCursor(map);
  }
  light() { if (this.stage.links.any(this.pane.layers)) this.draw(); }
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
    this.parts = pane.layers.map(l => l.type === 'matrix' ? (l.rows.length * l.columns.length > 650 ? new BigMatrix(l, stage) : new MatrixView(l, stage)) : new { table: TableView, bars: BarsView, stack: StackView, registers: RegistersView, tiles: TilesView }[l.type](l, stage));
    this.parts.forEach((part, i) => {
      const layer = pane.layers[i], proofs = () => part.proofs ? part.proofs() : layer.receipts || [];
      const proof = proofs().length ? el('button', { type: 'button', class: 'gb-proof', data: { focus: `proof-${layer.key}` }, text: stage.text.receipt, on: { click: () => stage.showReceipt(pick(proofs(), stage.step)) } }) : null;
      if (!pane.title) this.root.append(el('div', { class: 'gb-heading' }, el('h3', { text: layer.label }), proof));
      this.root.append(part.root);
      if (pane.title && proof) this.root.append(proof);
      const names = (layer.mark_names || []).map((name, k) => name && el('span', { class: 'gb-key' }, el('i', { class: `gb-swatch gb-mark gb-mark-${k + 1}` }), name)).filter(Boolean);
      if (names.length) this.root.append(el('div', { class: 'gb-legend' }, ...names));
    });
    if (pane.note) this.root.append(el('p', { class: 'gb-note', text: pane.note }));
  }
  async ready() {}
  draw() { for (const p of this.parts) p.draw(); }
  light() { this.draw(); }
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
      linkedElement(button, layer, r * C + c, stage);
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
    } else if (this.layer.codes && !this.stage.links.live(this.layer)) this.stage.select(this.layer.link, this.layer.codes[r * this.C + c], words);
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
      cell.className = (mark ? `gb-mark gb-mark-${mark}` : '') + (layer.pick && on ? ' gb-pick' : '');
      cell.setAttribute('aria-label', `${layer.rows[Math.floor(i / this.C)]} → ${layer.columns[i % this.C]}: ${texts[i]}${mark && layer.mark_names[mark - 1] ? ` (${layer.mark_names[mark - 1]})` : ''}`);
      cell.classList.toggle('gb-lit', stage.links.lit(layer, i));
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
  say(spot) { this.spot = spot; this.out.textContent = this.words(); if (this.stage.links.live(this.layer)) this.stage.links.point([[this.layer, spot[0] * this.layer.columns.length + spot[1]]]); }
  choose() { if (this.stage.links.live(this.layer)) this.stage.links.choose(); else if (this.layer.codes) this.stage.select(this.layer.link, this.layer.codes[this.spot[0] * this.layer.columns.length + this.spot[1]], this.words()); }
  draw() {
    const { layer, stage, canvas } = this, shade = at(layer.shade, stage.step, 2), c = canvas.getContext('2d'), data = c.createImageData(canvas.width, canvas.height), ramp = stage.ramp;
    for (let i = 0; i < shade.length; i++) { const k = shade[i]; data.data.set([ramp[3 * k], ramp[3 * k + 1], ramp[3 * k + 2], 255], 4 * i); }
    c.putImageData(data, 0, 0);
  }
}

class TableView {
  constructor(layer, stage) {
    this.layer = layer; this.stage = stage; this.body = el('tbody', {}); this.cells = []; this.rows = [];
    this.root = el('div', { class: 'gb-scroll' }, el('table', { class: layer.columns.length > 2 && layer.rows.some(r => typeof r[r.length - 1] === 'string') ? 'gb-table gb-notes' : 'gb-table', 'aria-label': layer.label },
      el('thead', {}, el('tr', {}, ...layer.columns.map(c => el('th', { scope: 'col', text: c })))), this.body));
    this.draw();
  }
  /* Rows of the same make are written over, so that the keyboard keeps its place; others are made anew. */
  draw() {
    const { layer, stage } = this, rows = layer.later.length ? pick(layer.later, stage.step) : layer.rows;
    if (this.shown !== rows) {
      const make = rows.map(row => row.map(cell => typeof cell === 'string' ? 's' : 'n').join('')).join();
      this.shown = rows;
      if (make !== this.make) { this.make = make; this.fresh(rows); }
      for (const [node, r, i] of this.cells) {
        const cell = rows[r][i], text = typeof cell === 'string' ? cell : cell.text;
        if (node.textContent !== text) node.textContent = text;
        if (typeof cell === 'string') continue;
        node.setAttribute('aria-label', `${cell.label} ${cell.item} ${cell.text}`); node.dataset.number = cell.key; node.dataset.item = cell.item;
      }
    }
    const marked = new Set(layer.marks.length ? pick(layer.marks, stage.step) : layer.marked);
    this.rows.forEach((row, r) => row.classList.toggle('gb-marked', marked.has(r)));
    if (stage.links.live(layer)) this.rows.forEach((row, i) => row.classList.toggle('gb-lit', stage.links.lit(layer, i)));
  }
  fresh(rows) {
    this.cells = [];
    this.body.replaceChildren(...rows.map((row, r) => el('tr', {}, ...row.map((cell, i) => {
      const words = typeof cell === 'string', node = words ? el(i ? 'td' : 'th', { scope: i ? undefined : 'row' }) : el('button', { type: 'button', class: 'gb-cell', on: { click: () => this.stage.showReceipt(this.shown[r][i]) } });
      this.cells.push([node, r, i]);
      return words ? node : el('td', { class: 'gb-num' }, node);
    }))));
    this.rows = [...this.body.children];
    this.rows.forEach((row, i) => linkedElement(row, this.layer, i, this.stage));
  }
}

class BarsView {
  constructor(layer, stage) {
    this.layer = layer; this.stage = stage;
    this.rows = layer.names.map((name, i) => ({ bar: el('i', { style: `background:${colorOf(layer.colors[i % (layer.colors.length || 1)])}` }), text: el('b') , name }));
    this.root = el('div', { class: 'gb-bars', role: 'list', 'aria-label': layer.label }, ...this.rows.map(r => r.root = el('div', { role: 'listitem' }, el('span', { text: r.name }), el('span', { class: 'gb-track' }, r.bar), r.text)));
    this.rows.forEach((row, i) => linkedElement(row.root, layer, i, stage));
  }
  draw() {
    const values = at(this.layer.values, this.stage.step, 1), texts = pick(this.layer.texts, this.stage.step) || [], [lo, hi] = this.layer.scale;
    this.rows.forEach((row, i) => { const v = values[i]; row.bar.style.width = Number.isFinite(v) ? `${Math.max(0, Math.min(1, (v - lo) / (hi - lo))) * 100}%` : '0'; row.text.textContent = texts[i] || ''; if (this.stage.links.live(this.layer)) row.root.classList.toggle('gb-lit', this.stage.links.lit(this.layer, i)); });
  }
}
