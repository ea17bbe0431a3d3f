/* A point that visitors drag, in several pictures at once, and the way it took. Where it went goes to Python as text; here only a mark moves. */
class PointMover extends Courier {
  constructor(stage) {
    super(stage);
    this.sheets = []; this.past = []; this.way = []; this.hand = null;
    const t = stage.text, button = (key, label, action) => el('button', { type: 'button', data: { tool: key }, text: label, on: { click: action } });
    this.said = el('output', { class: 'gb-small', 'aria-live': 'polite' });
    this.root = el('div', { class: 'gb-paint', role: 'toolbar', 'aria-label': t.way, title: t.way_keys }, button('undo', t.undo, () => this.undo()), button('restart', t.way_restart, () => this.restart()), button('reset', t.way_reset, () => this.reset()), this.said);
  }
  fits(handle) { return Object.keys(this.handle.sheets).join() === Object.keys(handle.sheets).join(); }
  /* Take over what the server shows, unless something newer is under the hand or on its way. */
  adopt(handle, panes) {
    this.handle = handle;
    if (!this.hand && !this.unanswered) this.way = Array.from({ length: handle.way.shape[0] }, (_, i) => [handle.way[2 * i], handle.way[2 * i + 1]]);
    const { text } = this.stage;
    this.sheets = panes.filter(p => handle.sheets[p.pane.key]).map((pane, i) => {
      const grip = [['gb-way-back', 11], ['gb-way-grip', 11]].map(([kind, r]) => sv('circle', { r, class: kind }));
      const svg = sv('svg', { class: 'gb-boxes gb-way', tabindex: 0, role: 'application', 'aria-label': `${pane.pane.title ? `${pane.pane.title}. ` : ''}${text.way_area}`, data: { focus: `way-${i}` } }, ...grip);
      pane.holder.append(svg);
      const sheet = { svg, grip, pane, extent: handle.sheets[pane.pane.key] };
      this.listen(sheet);
      return sheet;
    });
    this.draw();
  }
  here() { return this.way[this.way.length - 1]; }
  draw() {
    const point = this.here();
    for (const { svg, grip, pane, extent: e } of this.sheets) {
      const { width, height } = svg.getBoundingClientRect(), x = (e[0] + point[0] / BOX_UNITS * (e[2] - e[0])) / pane.pane.width * width, y = (e[1] + point[1] / BOX_UNITS * (e[3] - e[1])) / pane.pane.height * height;
      for (const c of grip) { c.setAttribute('cx', x); c.setAttribute('cy', y); }
    }
    const n = k => (point[k] / BOX_UNITS * this.handle.size[k] + this.handle.origin).toFixed(2), words = fill(this.stage.text.way_said, { name: this.handle.label, x: n(0), y: n(1), count: this.way.length });
    if (this.said.textContent !== words) this.said.textContent = words;
  }
  /* Where an event is, in parts of the square in which the point moves. */
  spot(sheet, event) {
    const r = sheet.svg.getBoundingClientRect(), e = sheet.extent, { width, height } = sheet.pane.pane;
    return [((event.clientX - r.left) / r.width * width - e[0]) / (e[2] - e[0]) * BOX_UNITS, ((event.clientY - r.top) / r.height * height - e[1]) / (e[3] - e[1]) * BOX_UNITS];
  }
  listen(sheet) {
    const { svg } = sheet;
    svg.addEventListener('touchstart', e => e.preventDefault(), { passive: false }); // else the page scrolls
    svg.addEventListener('pointerdown', e => {
      if (e.button || this.hand) return;
      e.preventDefault(); svg.focus({ preventScroll: true });
      this.keep();
      /* a press near the mark takes hold of it, one elsewhere brings it there; from then on it follows the hand as far as the hand moves, even if the picture below is drawn anew */
      const start = this.spot(sheet, e), near = this.sheets.some(s => s === sheet) && Math.hypot(e.clientX - sheet.grip[0].getBoundingClientRect().x - 11, e.clientY - sheet.grip[0].getBoundingClientRect().y - 11) < 14;
      const at = near ? this.here() : start, r = svg.getBoundingClientRect(), { extent: x, pane } = sheet;
      this.hand = { pointer: e.pointerId, from: at, x: e.clientX, y: e.clientY, scale: [pane.pane.width / r.width / (x[2] - x[0]) * BOX_UNITS, pane.pane.height / r.height / (x[3] - x[1]) * BOX_UNITS], since: 0 };
      if (!near) this.to(at);
      addEventListener('pointermove', moved); addEventListener('pointerup', ended); addEventListener('pointercancel', ended);
    });
    /* the picture under the hand is drawn anew while the hand moves, so the window listens */
    const moved = e => { const h = this.hand; if (h && e.pointerId === h.pointer) this.to([h.from[0] + (e.clientX - h.x) * h.scale[0], h.from[1] + (e.clientY - h.y) * h.scale[1]], e.timeStamp); };
    const ended = e => { if (!this.hand || e.pointerId !== this.hand.pointer) return; removeEventListener('pointermove', moved); removeEventListener('pointerup', ended); removeEventListener('pointercancel', ended); this.hand = null; if (e.type === 'pointercancel') this.undo(); };
    svg.addEventListener('keydown', e => {
      const far = this.handle.nudge * (e.shiftKey ? 10 : 1), step = { ArrowUp: [0, -far], ArrowDown: [0, far], ArrowLeft: [-far, 0], ArrowRight: [far, 0] }[e.key];
      if (step) { this.keep(); const [x, y] = this.here(); this.to([x + step[0], y + step[1]]); }
      else if (e.key === 'z' && (e.ctrlKey || e.metaKey)) this.undo(); else return;
      e.preventDefault(); e.stopPropagation();
    });
  }
  /* The next place of the way. Places that follow each other faster than the eye sees are one. */
  to([x, y], time) {
    const inside = v => Math.min(BOX_UNITS - 1, Math.max(0, Math.round(v))), next = [inside(x), inside(y)], now = this.here();
    if (next[0] === now[0] && next[1] === now[1]) return;
    const h = this.hand;
    if (h && time && time - h.since < 40 && h.added) this.way[this.way.length - 1] = next; else { this.way.push(next); if (h) { h.since = time || 0; h.added = true; } }
    while (this.way.length > this.handle.limit) this.way.shift();
    this.draw();
    this.commit();
  }
  text() { return this.mine === false ? '' : this.way.map(p => p.join('.')).join('_'); }
  keep() { this.past.push([...this.way]); if (this.past.length > 50) this.past.shift(); }
  undo() { if (!this.past.length) return; this.way = this.past.pop(); this.draw(); this.commit(); }
  restart() { this.keep(); this.way = [this.here()]; this.draw(); this.commit(); }
  reset() { this.keep(); this.mine = false; this.commit(true); this.mine = true; }
  send() { if (this.stage.steps) this.stage.step = this.stage.steps - 1; this.stage.hooks.way({ way: this.text() }); }
}
