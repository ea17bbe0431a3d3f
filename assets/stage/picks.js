/* Choosing on a picture, with the pointer or the keyboard; and marked steps to jump to. */
class Picker {
  constructor(pane) {
    this.pane = pane; this.stage = pane.stage; this.spot = [0, 0];
    this.layers = pane.pane.layers.filter(l => l.pick || l.steps);
    const picks = this.stage.data.scene.picks.filter(p => this.layers.some(l => l.pick === p.control)), { holder } = pane;
    holder.tabIndex = 0; holder.setAttribute('role', 'application'); holder.classList.add('gb-pickable'); holder.dataset.focus = `pick-${pane.pane.key}`;
    holder.setAttribute('aria-label', fill(this.stage.text.pick, { name: pane.pane.title || picks.map(p => fill(p.label, { k: '' })).join(', ') }));
    this.outline = sv('svg', { viewBox: `0 0 ${pane.pane.width} ${pane.pane.height}`, class: 'gb-vector', 'aria-hidden': 'true', preserveAspectRatio: 'none' });
    holder.append(this.outline);
    holder.addEventListener('pointermove', e => { if (e.pointerType !== 'touch') this.point(pane.position(e)); });
    holder.addEventListener('pointerleave', () => this.stage.point({}));
    holder.addEventListener('click', e => { this.spot = pane.position(e); this.point(this.spot); this.choose(this.spot); });
    holder.addEventListener('keydown', e => this.keys(e));
    holder.addEventListener('blur', () => { pane.tip.setAttribute('aria-live', 'off'); this.stage.point({}); });
    for (const p of picks) for (const l of this.layers) if (l.pick === p.control) { const box = this.box(l, p.value); if (box) this.spot = [Math.floor(box[0]), Math.floor(box[1])]; }
  }
  shown(layer) { return this.pane.state[layer.key].visible; }
  /* What every layer has at a place: a code to pick, or the number of a cell. */
  at(spot) { return this.layers.filter(l => this.shown(l)).map(l => l.type === 'labels' ? this.pane.codeAt(l, spot) : cellAt(l, spot)); }
  point(spot) {
    const said = {};
    for (const l of this.layers) if (l.pick && this.shown(l)) said[l.pick] = this.pane.codeAt(l, spot);
    this.stage.point(said);
  }
  choose(spot) {
    for (const l of this.layers) {
      if (!this.shown(l)) continue;
      if (l.type === 'cells') { const i = cellAt(l, spot); if (i >= 0 && l.steps[i] >= 0) this.stage.show(l.steps[i]); }
      else this.stage.choosePick(l.pick, this.pane.codeAt(l, spot));
    }
  }
  keys(event) {
    const move = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key], { width, height } = this.pane.pane;
    if (move) {
      /* on to where something else can be chosen */
      const here = String(this.at(this.spot));
      let [x, y] = this.spot;
      while (true) {
        x += move[0]; y += move[1];
        if (x < 0 || y < 0 || x >= width || y >= height) break;
        if (String(this.at([x, y])) !== here) { this.spot = [x, y]; break; }
      }
      this.pane.tip.setAttribute('aria-live', 'polite');
      this.pane.hover(this.spot); this.point(this.spot);
    } else if (event.key === 'Enter' || event.key === ' ') this.choose(this.spot);
    else return;
    event.preventDefault(); event.stopPropagation();
  }
  /* The rectangle around all pixels of a code. */
  box(layer, code) {
    const codes = at(layer.codes, this.stage.step, 2), [h, w] = codes.shape, sx = this.pane.pane.width / w, sy = this.pane.pane.height / h;
    let x0 = w, y0 = h, x1 = -1, y1 = -1;
    for (let i = codes.indexOf(code); i >= 0 && i < codes.length; i++) if (codes[i] === code) { const x = i % w, y = Math.floor(i / w); x0 = Math.min(x0, x); x1 = Math.max(x1, x); y0 = Math.min(y0, y); y1 = y; }
    return x1 < 0 ? null : [x0 * sx, y0 * sy, (x1 + 1) * sx, (y1 + 1) * sy];
  }
  draw() {
    const parts = [], { stage } = this;
    for (const l of this.layers) if (l.pick && this.shown(l)) for (const [value, kind] of [[stage.hovered[l.pick], 'gb-pointed'], [stage.picks[l.pick], 'gb-chosen']]) {
      const b = value === undefined ? null : this.box(l, value);
      if (b) for (const shade of ['gb-under', '']) parts.push(sv('rect', { x: b[0], y: b[1], width: b[2] - b[0], height: b[3] - b[1], class: `gb-outline ${kind} ${shade}` }));
    }
    this.outline.replaceChildren(...parts);
  }
}
/* The number of the cell at a place, −1 for none. */
function cellAt(layer, [x, y]) {
  const b = layer.xyxy;
  for (let i = 0; 4 * i < b.length; i++) if (x + .5 >= b[4 * i] && x + .5 < b[4 * i + 2] && y + .5 >= b[4 * i + 1] && y + .5 < b[4 * i + 3]) return i;
  return -1;
}

class Marks {
  constructor(stage, marks) {
    this.stage = stage; this.marks = marks.filter(m => m.steps.length);
    const t = stage.text, last = Math.max(1, stage.steps - 1);
    this.ticks = el('div', { class: 'gb-ticks', 'aria-hidden': 'true' }, ...this.marks.flatMap((m, row) => m.steps.map(s => el('i', { style: `left:calc(8px + (100% - 16px) * ${s / last});top:${4 * row}px;background:${colorOf(m.color)}` }))));
    this.ticks.style.height = `${4 * this.marks.length + 1}px`;
    this.rows = this.marks.map((m, i) => {
      const go = (label, sign, key) => el('button', { type: 'button', 'aria-label': fill(label, { name: m.label }), text: sign, data: { focus: `mark-${m.key}-${key}` }, on: { click: () => this.go(m, key) } });
      const count = el('span', { class: 'gb-mark-count' });
      return { mark: m, count, root: el('div', { class: 'gb-mark', role: 'group', 'aria-label': m.label, title: i ? undefined : t.mark_keys }, el('i', { class: 'gb-swatch', style: `background:${colorOf(m.color)}` }), el('span', { text: m.label }), count, go(t.mark_back, '◀', 'back'), go(t.mark_on, '▶', 'on'), go(t.mark_last, '▶|', 'last')) };
    });
    this.root = this.marks.length ? el('div', { class: 'gb-marks' }, ...this.rows.map(r => r.root)) : null;
  }
  go(mark, where) {
    const { steps } = mark, now = this.stage.step;
    const to = where === 'last' ? steps[steps.length - 1] : where === 'on' ? steps.find(s => s > now) : steps.filter(s => s < now).pop();
    if (to !== undefined) this.stage.show(to);
  }
  draw() { for (const r of this.rows) { const { steps } = r.mark, k = steps.indexOf(this.stage.step); r.count.textContent = `${k < 0 ? '–' : k + 1} / ${steps.length}`; r.root.classList.toggle('gb-here', k >= 0); } }
  key(event) { if (!this.marks.length || (event.key !== '[' && event.key !== ']')) return false; this.go(this.marks[0], event.key === ']' ? 'on' : 'back'); return true; }
}
