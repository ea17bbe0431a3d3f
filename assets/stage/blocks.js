/* Blocks of numbers, cells with states, words, stacked bars, registers. */
const BLANK = -2147483646, WORDS = new Map([[BLANK, ''], [-2147483647, 'NaN'], [2147483647, '∞'], [-2147483648, '−∞']]);
const minus = text => text.replace('-', '−');
/* A number sent in units of its last decimal; in a cell, without the nought before the point. */
const pointText = (units, decimals, brief) => {
  if (WORDS.has(units)) return WORDS.get(units);
  const text = minus((units / 10 ** decimals).toFixed(decimals));
  return brief && decimals ? text.replace(/^(−?)0\./, '$1.') : text;
};
const floatText = (value, decimals) => Number.isNaN(value) ? 'NaN' : !Number.isFinite(value) ? (value > 0 ? '∞' : '−∞') : minus(Math.abs(value) >= 1e6 ? value.toExponential(2) : value.toFixed(decimals));

function drawCells(c, layer, step, sx, sy) {
  const b = layer.xyxy, states = at(layer.states, step, 1), { colors, hatch } = layer, n = states.length;
  const gap = n > 4000 ? 0 : 1;
  const box = i => { const x = Math.round(b[4 * i] * sx), y = Math.round(b[4 * i + 1] * sy); return [x, y, Math.max(1, Math.round(b[4 * i + 2] * sx) - x - gap), Math.max(1, Math.round(b[4 * i + 3] * sy) - y - gap)]; };
  for (let i = 0; i < n; i++) {
    const k = 4 * states[i];
    if (!colors[k + 3]) continue;
    c.fillStyle = `rgba(${colors[k]},${colors[k + 1]},${colors[k + 2]},${colors[k + 3] / 255})`;
    c.fillRect(...box(i));
  }
  if (!hatch) return;
  for (const kind of [1, 2]) {
    if (!hatch.includes(kind)) continue;
    c.fillStyle = stripes(c, kind, 8); c.globalAlpha = .75;
    for (let i = 0; i < n; i++) if (hatch[states[i]] === kind) c.fillRect(...box(i));
    c.globalAlpha = 1;
  }
}

function drawGrid(c, layer, step, s) {
  const values = at(layer.values, step, 2), [R, C] = values.shape, [x0, y0] = layer.xy, [lo, hi] = layer.scale, { ramp, decimals } = layer, unit = 10 ** decimals;
  let longest = 3;
  const texts = Array.from(values, v => { const t = pointText(v, decimals, true); if (t.length > longest) longest = t.length; return t; });
  const letters = Math.min(.46, .94 / (.56 * longest)) * s;
  c.font = `${letters}px system-ui, sans-serif`; c.textAlign = 'center'; c.textBaseline = 'middle';
  for (let r = 0; r < R; r++) for (let q = 0; q < C; q++) {
    const v = values[r * C + q], x = (x0 + q) * s, y = (y0 + r) * s;
    if (v === BLANK) continue;
    let dark = false;
    if (WORDS.has(v)) { dark = v === -2147483647 || v === 2147483647; c.fillStyle = dark ? '#A33F00' : '#C9CCD1'; } else {
      const k = 3 * Math.max(0, Math.min(255, Math.round((v / unit - lo) / (hi - lo) * 255))), [red, green, blue] = [ramp[k], ramp[k + 1], ramp[k + 2]];
      dark = .3 * red + .59 * green + .11 * blue < 140;
      c.fillStyle = `rgb(${red},${green},${blue})`;
    }
    c.fillRect(x + 1, y + 1, s - 2, s - 2);
    c.fillStyle = dark ? '#fff' : '#000';
    c.fillText(texts[r * C + q], x + s / 2, y + s / 2 + letters * .06);
  }
}
const gridTitle = layer => sv('text', { x: layer.xy[0], y: layer.xy[1] - .22, 'font-size': .62, class: 'gb-title', fill: 'var(--gb-fg)', text: layer.label });
function gridTable(layer, step) {
  const values = at(layer.values, step, 2), [R, C] = values.shape;
  return el('table', { class: 'gb-table' }, el('caption', { text: layer.label }), el('tbody', {}, ...Array.from({ length: R }, (_, r) => el('tr', {}, ...Array.from({ length: C }, (_, q) => el('td', { class: 'gb-num', text: pointText(values[r * C + q], layer.decimals) }))))));
}
/* The cell of a block below a place in the pane, or null. */
function gridCell(layer, step, [x, y]) {
  const values = at(layer.values, step, 2), [R, C] = values.shape, r = Math.floor(y - layer.xy[1]), q = Math.floor(x - layer.xy[0]);
  if (r < 0 || q < 0 || r >= R || q >= C || values[r * C + q] === BLANK) return null;
  return `${layer.label} [${r + 1}, ${q + 1}] = ${pointText(values[r * C + q], layer.decimals)}`;
}

class StackView {
  constructor(layer, stage) {
    this.layer = layer; this.stage = stage;
    this.rows = layer.bars.map(name => {
      const parts = layer.names.map((part, s) => el('i', { class: `gb-part gb-hatch-${layer.hatch[s] || 0}`, title: part, style: `background-color:${colorOf(layer.colors[s % (layer.colors.length || 1)])}` }));
      const limit = layer.limit === null ? null : el('u', { class: 'gb-limit', title: layer.limit_text, style: `left:${Math.min(100, layer.limit / layer.scale * 100)}%` });
      return { parts, text: el('b'), track: el('span', { class: 'gb-stack-track' }, ...parts, limit), name };
    });
    const used = layer.names.map((name, s) => el('span', { class: 'gb-key' }, el('i', { class: `gb-swatch gb-hatch-${layer.hatch[s] || 0}`, style: `background-color:${colorOf(layer.colors[s % (layer.colors.length || 1)])}` }), name));
    this.root = el('div', { class: 'gb-stacks', role: 'list', 'aria-label': layer.label }, ...this.rows.map(r => (r.root = el('div', { role: 'listitem' }, el('span', { class: 'gb-stack-name', text: r.name }), r.text, r.track))),
      layer.legend && layer.names.length > 1 ? el('div', { class: 'gb-legend', role: 'listitem' }, ...used) : null);
  }
  draw() {
    const { layer, stage } = this, values = at(layer.values, stage.step, 2), S = layer.names.length, texts = pick(layer.texts, stage.step) || [], over = layer.over && at(layer.over, stage.step, 1);
    this.rows.forEach((row, b) => {
      row.parts.forEach((part, s) => { const v = values[b * S + s]; part.style.width = Number.isFinite(v) ? `${Math.max(0, v / layer.scale) * 100}%` : '0'; });
      row.text.textContent = texts[b] || '';
      row.root.classList.toggle('gb-over', !!(over && over[b]));
    });
  }
}

class RegistersView {
  constructor(layer, stage) {
    this.layer = layer; this.stage = stage; this.writings = new Map();
    layer.items.forEach((item, e) => { if (!this.writings.has(item)) this.writings.set(item, []); this.writings.get(item).push(e); });
    const t = stage.text;
    this.who = el('b', { class: 'gb-who' });
    this.rows = layer.names.map(name => ({ name, before: el('td', { class: 'gb-num' }), now: el('td', { class: 'gb-num' }) }));
    if (!layer.lying) this.rows.forEach(r => { r.root = el('tr', {}, el('th', { scope: 'row', text: r.name }), r.before, r.now); });
    this.said = el('p', { class: 'gb-note', hidden: true });
    const heads = names => el('thead', {}, el('tr', {}, el('td'), ...names.map(h => el('th', { scope: 'col', text: h }))));
    const lying = [[t.before, 'before'], [t.now, 'now']].map(([name, which]) => el('tr', {}, el('th', { scope: 'row', text: name }), ...this.rows.map(r => r[which])));
    this.table = el('table', { class: `gb-table gb-registers${layer.lying ? ' gb-lying' : ''}` }, ...(layer.lying ? [heads(layer.names), el('tbody', {}, ...lying)] : [heads([t.before, t.now]), el('tbody', {}, ...this.rows.map(r => r.root))]));
    this.root = el('div', {}, this.who, el('div', { class: 'gb-scroll' }, this.table), this.said);
  }
  draw() {
    const { layer, stage } = this, item = stage.pointed(layer.pick), mine = this.writings.get(item) || [], R = layer.names.length;
    let last = -1;
    for (let k = 0; k < mine.length && layer.steps[mine[k]] <= stage.step; k++) last = k;
    const fresh = last >= 0 && layer.steps[mine[last]] === stage.step;
    /* before this step, and at it */
    const now = last, before = fresh ? last - 1 : last;
    this.who.textContent = stage.pickLabel(layer.pick, item, layer.label); this.table.setAttribute('aria-label', this.who.textContent);
    this.table.hidden = !mine.length; this.said.hidden = mine.length > 0; this.said.textContent = layer.missing;
    const cell = (k, r) => k < 0 ? layer.first : floatText(layer.values[mine[k] * R + r], layer.decimals[r]);
    this.rows.forEach((row, r) => {
      const [a, b] = [cell(before, r), cell(now, r)];
      if (row.before.textContent !== a) row.before.textContent = a;
      if (row.now.textContent !== b) row.now.textContent = b;
      (row.root || row.now).classList.toggle('gb-marked', fresh && a !== b);
    });
  }
}
