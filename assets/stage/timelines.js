/* Areas over time, bands of what went on, lines to drag, rows of boxes. */
const hatched = kind => { // white stripes as a fill, one definition a drawing
  const id = fresh('gb-stripes');
  return [`url(#${id})`, sv('pattern', { id, width: 6, height: 6, patternUnits: 'userSpaceOnUse', patternTransform: `rotate(${kind === 1 ? 45 : -45})` }, sv('rect', { width: 1.8, height: 6, fill: '#fff', 'fill-opacity': .8 }))];
};

function drawAreas(layer, map) {
  const [S, V] = [layer.edges.shape[0] - 1, layer.edges.shape[1]], out = [];
  for (let s = 0; s < S; s++) {
    let there = '', back = '', any = false;
    for (let i = 0; i < V; i++) {
      const low = layer.edges[s * V + i], top = layer.edges[(s + 1) * V + i], [x0, y0] = map(layer.x[i], low), [x1, y1] = map(layer.x[i + 1], top);
      any = any || top > low;
      there += `${i ? 'L' : 'M'}${x0.toFixed(1)} ${y1.toFixed(1)}H${x1.toFixed(1)}`;
      back = `L${x1.toFixed(1)} ${y0.toFixed(1)}H${x0.toFixed(1)}${back}`;
    }
    if (!any) continue;
    const d = `${there}${back}Z`;
    out.push(sv('path', { d, fill: colorOf(layer.colors[s % layer.colors.length]), data: { area: s } }));
    if ((layer.hatch || [])[s]) { const [url, pattern] = hatched(layer.hatch[s]); out.push(sv('defs', {}, pattern), sv('path', { d, fill: url })); }
  }
  return out;
}

function drawStrip(layer, map, top, box) {
  const out = [sv('text', { x: box.x - 6, y: top + 15, 'text-anchor': 'end', class: 'gb-small', text: layer.label })], urls = {};
  for (const kind of new Set(layer.hatch)) if (kind) { const [url, pattern] = hatched(kind); urls[kind] = url; out.push(sv('defs', {}, pattern)); }
  for (let i = 0; i < layer.states.length; i++) {
    const state = layer.states[i], [x0] = map(layer.ends[2 * i], 0), [x1] = map(layer.ends[2 * i + 1], 0), width = Math.max(.6, x1 - x0 - .6), shape = { x: x0, y: top, width, height: 20 };
    out.push(sv('rect', { ...shape, fill: colorOf(layer.colors[state]), data: { stretch: i } }));
    if (layer.hatch[state]) out.push(sv('rect', { ...shape, fill: urls[layer.hatch[state]] }));
    const word = layer.words[i];
    if (word && width > 6.5 * word.length + 4) out.push(sv('text', { x: x0 + width / 2, y: top + 14, 'text-anchor': 'middle', class: 'gb-on-color', text: word }));
  }
  return out;
}

class LevelLine {
  constructor(layer, pane, map) {
    this.layer = layer; this.pane = pane; this.map = map; this.value = layer.value;
    const b = pane.box, live = layer.control && pane.stage.hooks.pick;
    this.line = sv('line', { x1: b.x, x2: b.x + b.w, class: 'gb-level-line', stroke: colorOf(layer.color) });
    this.grab = sv('line', { x1: b.x, x2: b.x + b.w, class: 'gb-level-grab' });
    this.words = sv('text', { x: b.x + b.w - 5, 'text-anchor': 'end', class: 'gb-level-words' });
    this.root = sv('g', { class: 'gb-level' }, this.line, this.grab, this.words);
    if (live) {
      const node = this.root;
      node.setAttribute('tabindex', 0); node.setAttribute('role', 'slider'); node.setAttribute('aria-orientation', 'vertical'); node.setAttribute('aria-label', layer.label);
      node.setAttribute('aria-valuemin', layer.low); node.setAttribute('aria-valuemax', layer.high); node.dataset.focus = `level-${layer.key}`;
      node.classList.add('gb-live');
      let held = false;
      const value = e => { const r = pane.svg.getBoundingClientRect(), { y } = pane.pane.axes, at = (e.clientY - r.top) / r.height * pane.high; return y[0] + (b.y + b.h - at) / b.h * (y[1] - y[0]); };
      node.addEventListener('pointerdown', e => { held = true; node.setPointerCapture(e.pointerId); e.stopPropagation(); });
      node.addEventListener('pointermove', e => { if (held) this.move(value(e)); });
      node.addEventListener('pointerup', () => { if (held) { held = false; this.commit(); } });
      node.addEventListener('pointercancel', () => { held = false; this.move(layer.value); });
      node.addEventListener('keydown', e => {
        const far = e.key.startsWith('Page') ? 10 : 1, way = { ArrowUp: 1, PageUp: 1, ArrowDown: -1, PageDown: -1 }[e.key];
        if (!way) return;
        e.preventDefault(); e.stopPropagation();
        this.move(this.value + way * far * layer.step); clearTimeout(this.later); this.later = setTimeout(() => this.commit(), 250);
      });
    }
    this.move(layer.value);
  }
  move(value) {
    const { low, high, step, label, unit } = this.layer, b = this.pane.box;
    this.value = Math.min(high, Math.max(low, +(Math.round(value / step) * step).toFixed(6)));
    const [, at] = this.map(0, this.value), y = Math.min(b.y + b.h, Math.max(b.y, at));
    for (const line of [this.line, this.grab]) { line.setAttribute('y1', y); line.setAttribute('y2', y); }
    this.words.setAttribute('y', y < b.y + 16 ? y + 13 : y - 5);
    this.words.textContent = `${label}: ${this.value} ${unit}`;
    this.root.setAttribute('aria-valuenow', this.value); this.root.setAttribute('aria-valuetext', `${this.value} ${unit}`);
  }
  commit() { if (this.value !== this.layer.value) this.pane.stage.hooks.pick({ control: this.layer.control, value: this.value }); }
}

class TilesView {
  constructor(layer, stage) {
    this.layer = layer; this.stage = stage; this.on = new Set(layer.on);
    const live = layer.pick && stage.hooks.cells, N = layer.names.length, deep = layer.groups.reduce((d, g) => Math.max(d, g[2]), 0);
    this.boxes = layer.names.map((name, i) => {
      const level = el('i', { class: 'gb-tile-fill' }), hint = layer.hints[i] || name;
      const node = el(live ? 'button' : 'span', { type: live ? 'button' : undefined, class: 'gb-tile', title: hint, data: { focus: `tile-${layer.key}-${i}`, tile: i }, on: live ? { click: () => this.choose(i) } : {} }, level, el('b', { text: name }));
      return { node, level, hint };
    });
    const brackets = layer.groups.map(([first, last, depth]) => el('i', { class: 'gb-bracket', style: `left:calc(${100 * first / N}% + 2px);width:calc(${100 * (last - first) / N}% - 4px);top:${7 * (depth - 1)}px` }));
    const keys = layer.state_names.map((name, i) => name && el('span', { class: 'gb-key' }, el('i', { class: `gb-swatch gb-hatch-${layer.hatch[i] || 0}`, style: `background-color:${colorOf(layer.colors[i])}` }), name));
    if (layer.group_label && brackets.length) keys.push(el('span', { class: 'gb-key' }, el('i', { class: 'gb-swatch gb-bracket-key' }), layer.group_label));
    if (layer.on_label) keys.push(el('span', { class: 'gb-key' }, el('i', { class: 'gb-swatch gb-tile-on' }), layer.on_label));
    this.root = el('div', {}, el('div', { class: 'gb-scroll', tabindex: live ? undefined : 0, role: 'group', 'aria-label': layer.label },
      el('div', { class: `gb-tiles${layer.small ? ' gb-small-tiles' : ''}`, style: `--gb-tiles:${N}` }, ...this.boxes.map(box => box.node)),
      brackets.length ? el('div', { class: 'gb-brackets', style: `--gb-tiles:${N};height:${7 * deep + 3}px` }, ...brackets) : null), keys.some(Boolean) ? el('div', { class: 'gb-legend' }, ...keys.filter(Boolean)) : null);
  }
  choose(i) {
    if (!this.on.delete(i)) this.on.add(i);
    this.draw();
    this.stage.hooks.cells({ cells: [...this.on].sort((a, b) => a - b).join('_') });
  }
  draw() {
    const { layer, stage } = this, states = at(layer.states, stage.step, 1), shares = at(layer.shares, stage.step, 1);
    this.boxes.forEach(({ node, level, hint }, i) => {
      const k = states[i], on = this.on.has(i), color = layer.colors[k];
      node.className = `gb-tile gb-hatch-${layer.hatch[k] || 0}${color ? ' gb-busy' : ''}${on ? ' gb-tile-on' : ''}`;
      node.style.backgroundColor = color ? colorOf(color) : '';
      level.style.height = shares ? `${100 * Math.min(1, Math.max(0, shares[i]))}%` : '0';
      if (node.tagName === 'BUTTON') { node.setAttribute('aria-pressed', on); node.setAttribute('aria-label', `${hint}${layer.state_names[k] ? `: ${layer.state_names[k]}` : ''}`); }
    });
  }
}
