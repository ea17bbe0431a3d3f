/* Drawing on a picture: a class brush, an eraser, a box; exact to the pixel; every stroke also possible from the keyboard. */
class Painter {
  constructor(tools, pane, stage) {
    this.tools = tools; this.pane = pane; this.stage = stage;
    const { width, height } = pane.pane, t = stage.text;
    this.w = width; this.h = height; this.cursor = [width >> 1, height >> 1]; this.drag = null; this.past = []; this.corner = null;
    this.tool = tools.paint ? 'brush' : 'box'; this.changed = false;
    this.sheet = el('canvas', { width, height, class: 'gb-strokes', tabindex: 0, role: 'application', 'aria-label': fill(t.canvas, { layer: tools.label }) });
    this.context = this.sheet.getContext('2d');
    pane.holder.append(this.sheet);
    this.adopt(tools);
    const button = (key, label, action) => el('button', { type: 'button', 'aria-pressed': String(this.tool === key), data: { tool: key }, text: label, on: { click: action } });
    const choose = key => () => { this.tool = key; this.corner = null; for (const b of this.root.querySelectorAll('[data-tool]')) b.setAttribute('aria-pressed', String(b.dataset.tool === key)); };
    this.kind = el('select', { class: 'gb-class', 'aria-label': t.brush_class }, ...tools.classes.map((c, i) => el('option', { value: i, text: `${i} ${c}` })));
    if (tools.classes.length > 1) this.kind.value = 1;
    this.size = el('input', { type: 'range', min: 0, max: Math.max(10, Math.round(Math.min(width, height) / 8)), value: Math.round(Math.min(width, height) / 40), 'aria-label': t.brush_size });
    this.root = el('div', { class: 'gb-paint', role: 'toolbar', 'aria-label': t.paint });
    if (tools.label) this.root.append(el('span', { class: 'gb-paint-title', text: tools.label }));
    if (tools.paint) this.root.append(button('brush', t.brush, choose('brush')), button('eraser', t.eraser, choose('eraser')), button('fillbox', t.fillbox, choose('fillbox')), this.kind,
      el('label', { class: 'gb-size' }, el('span', { text: t.brush_size }), this.size), el('button', { type: 'button', class: 'gb-undo', text: t.undo, on: { click: () => this.undo() } }));
    if (tools.box) this.root.append(button('box', t.box, choose('box')));
    this.root.append(el('span', { class: 'gb-small', text: t.paint_keys }));
    this.listen();
  }
  /* A new picture of the same size under the same brush: strokes, undo and focus live on. */
  move_to(pane, tools) { this.pane = pane; pane.holder.append(this.sheet); this.adopt(tools); }
  fits(tools, pane) { const mine = this.tools; return mine.paint === tools.paint && mine.box === tools.box && mine.label === tools.label && String(mine.classes) === String(tools.classes) && this.w === pane.pane.width && this.h === pane.pane.height; }
  /* Take over what the server says is painted, unless a stroke is under way here. */
  adopt(tools) {
    this.tools = tools;
    if (this.drag || this.unanswered) return; // what was drawn since then is on its way
    if (tools.start) { this.labels = tools.start.slice(); } else if (!this.labels || this.labels.length !== this.w * this.h) this.labels = new Uint8Array(this.w * this.h).fill(tools.empty);
    this.context.clearRect(0, 0, this.w, this.h);
    this.showBox();
  }
  listen() {
    const s = this.sheet;
    s.addEventListener('pointerdown', e => { if (e.button) return; s.setPointerCapture(e.pointerId); s.focus({ preventScroll: true }); this.begin(this.pane.position(e)); });
    s.addEventListener('pointermove', e => { const p = this.pane.position(e); this.pane.hover(p); if (this.drag) this.move(p); });
    s.addEventListener('pointerup', e => { if (this.drag) { this.move(this.pane.position(e)); this.end(); } });
    s.addEventListener('pointercancel', () => { this.drag = null; this.adopt(this.tools); this.stage.flush(); });
    s.addEventListener('keydown', e => {
      const far = e.shiftKey ? 10 : 1, step = { ArrowUp: [0, -far], ArrowDown: [0, far], ArrowLeft: [-far, 0], ArrowRight: [far, 0] }[e.key];
      if (step) { this.cursor = [Math.min(this.w - 1, Math.max(0, this.cursor[0] + step[0])), Math.min(this.h - 1, Math.max(0, this.cursor[1] + step[1]))]; this.pane.hover(this.cursor); this.cross(); }
      else if (e.key === ' ' || e.key === 'Enter') {
        if (this.tool === 'box' || this.tool === 'fillbox') { if (this.corner) { const end = [...this.cursor]; this.begin(this.corner); this.move(end); this.end(); this.corner = null; } else { this.corner = [...this.cursor]; this.cross(); } }
        else { this.begin(this.cursor); this.end(); }
      } else if (e.key === 'z' && (e.ctrlKey || e.metaKey)) this.undo(); else return;
      e.preventDefault(); e.stopPropagation();
    });
    s.addEventListener('blur', () => this.pane.svg.querySelector('.gb-cross')?.remove());
  }
  cross() {
    this.pane.svg.querySelector('.gb-cross')?.remove();
    const [x, y] = this.cursor, r = Math.max(+this.size.value, 2);
    if (this.corner) this.showBox([...this.corner, x, y]);
    this.pane.svg.append(sv('circle', { cx: x + .5, cy: y + .5, r, class: 'gb-cross' }));
  }
  value() { return this.tool === 'eraser' ? this.tools.empty : +this.kind.value; }
  ink() { const k = this.value(), c = this.tools.colors; return this.tool === 'eraser' ? 'rgba(255,255,255,.55)' : `rgb(${c[3 * k]},${c[3 * k + 1]},${c[3 * k + 2]})`; }
  begin([x, y]) {
    this.cursor = [x, y]; this.drag = { x, y, lx: x, ly: y, x1: x, y1: y };
    if (this.tool === 'brush' || this.tool === 'eraser') { this.keep(); this.dab(x, y); }
  }
  keep() { this.past.push(this.labels.slice()); if (this.past.length > 20) this.past.shift(); }
  move([x, y]) {
    const d = this.drag;
    this.cursor = [x, y];
    if (this.tool === 'brush' || this.tool === 'eraser') {
      const n = Math.max(Math.abs(x - d.lx), Math.abs(y - d.ly), 1);
      for (let q = 1; q <= n; q++) this.dab(Math.round(d.lx + (x - d.lx) * q / n), Math.round(d.ly + (y - d.ly) * q / n));
      d.lx = x; d.ly = y;
    } else { d.x1 = x; d.y1 = y; this.showBox([d.x, d.y, x, y]); }
  }
  dab(x, y) {
    const r = +this.size.value, k = this.value(), c = this.context;
    c.fillStyle = this.ink();
    for (let j = Math.max(0, y - r); j <= Math.min(this.h - 1, y + r); j++) {
      const half = Math.floor(Math.sqrt(r * r - (j - y) ** 2)), x0 = Math.max(0, x - half), x1 = Math.min(this.w - 1, x + half);
      this.labels.fill(k, j * this.w + x0, j * this.w + x1 + 1);
      c.fillRect(x0, j, x1 - x0 + 1, 1);
    }
  }
  end() {
    const d = this.drag;
    this.drag = null;
    if (this.tool === 'box' || this.tool === 'fillbox') {
      const box = [Math.min(d.x, d.x1), Math.min(d.y, d.y1), Math.max(d.x, d.x1) + 1, Math.max(d.y, d.y1) + 1];
      if (this.tool === 'box') { this.tools.box_xyxy = box; this.showBox(); this.stage.hooks.box({ xyxy: box }); this.stage.flush(); return; }
      this.keep();
      this.context.clearRect(0, 0, this.w, this.h);
      this.context.fillStyle = this.ink();
      this.context.fillRect(box[0], box[1], box[2] - box[0], box[3] - box[1]);
      for (let j = box[1]; j < box[3]; j++) this.labels.fill(this.value(), j * this.w + box[0], j * this.w + box[2]);
    }
    this.commit();
    this.stage.flush();
  }
  undo() { if (this.past.length) { this.labels = this.past.pop(); this.context.clearRect(0, 0, this.w, this.h); this.commit(); } }
  /* One drawing at a time is on its way; what is drawn meanwhile goes along with the next. */
  async commit() {
    this.unanswered = true;
    if (this.travelling && performance.now() - this.sent < 20000) { this.again = true; return; }
    this.travelling = true; this.sent = performance.now(); this.asked = Glassbox.page.turns;
    this.stage.hooks.paint({ drawing: `${this.w}x${this.h}:${textOf(await deflate(this.labels))}` });
  }
  settle(turn) {
    if (!this.travelling || turn <= this.asked) return;
    this.travelling = false; this.since = this.sent;
    if (this.again) { this.again = false; this.commit(); } else this.unanswered = false;
  }
  showBox(box) {
    const b = box || (this.tools.box_xyxy.length ? this.tools.box_xyxy : null), c = this.context;
    if (!b) return;
    c.clearRect(0, 0, this.w, this.h);
    c.lineWidth = Math.max(1, this.w / 300); c.setLineDash([6 * c.lineWidth, 3 * c.lineWidth]);
    for (const [style, shift] of [['#fff', 0], ['#0072B2', 4.5 * c.lineWidth]]) { c.strokeStyle = style; c.lineDashOffset = shift; c.strokeRect(Math.min(b[0], b[2]), Math.min(b[1], b[3]), Math.abs(b[2] - b[0]), Math.abs(b[3] - b[1])); }
  }
}
