/* Boxes that visitors move, resize, draw, delete and give a class, by pointer and by keyboard. What was done goes to Python as text; here only rectangles move. */
const BOX_UNITS = 10000; // the text holds whole parts of the picture's width and height
/* Takes what visitors arrange to the server. One change at a time is on its way; what moves meanwhile goes along with the next. */
class Courier {
  constructor(stage) { this.stage = stage; }
  /* `afresh`: the answer says where everything is. */
  commit(afresh) {
    this.unanswered = !afresh;
    if (this.travelling && performance.now() - this.sent < 20000) { this.again = true; return; }
    this.travelling = true; this.sent = performance.now(); this.asked = Glassbox.page.turns;
    this.stage.arranging = true;
    this.send();
  }
  settle(turn) {
    if (!this.travelling || turn <= this.asked) return;
    this.travelling = false; this.since = this.sent;
    if (this.again) { this.again = false; this.commit(!this.unanswered); } else this.unanswered = false;
  }
}
class BoxEditor extends Courier {
  constructor(tools, pane, stage) {
    super(stage);
    this.pane = pane; this.chosen = ''; this.adding = ''; this.hand = null; this.past = []; this.edits = new Map(); this.items = [];
    const t = stage.text, button = (key, label, action) => el('button', { type: 'button', 'aria-pressed': key.startsWith('add') ? 'false' : undefined, data: { tool: key }, text: label, on: { click: action } });
    this.sheet = sv('svg', { viewBox: `0 0 ${pane.pane.width} ${pane.pane.height}`, class: 'gb-boxes', tabindex: 0, role: 'application', 'aria-label': t.box_area, preserveAspectRatio: 'none' });
    this.kind = el('select', { class: 'gb-class', 'aria-label': t.box_class, data: { tool: 'class' }, on: { change: () => this.classify(+this.kind.value) } }, ...tools.classes.map((c, i) => el('option', { value: i, text: c })));
    this.said = el('output', { class: 'gb-small', 'aria-live': 'polite' });
    this.root = el('div', { class: 'gb-paint', role: 'toolbar', 'aria-label': t.boxes },
      ...tools.boxes.filter(s => s.add).map(s => button(`add-${s.letter}`, fill(t.add_box, { set: s.label }), e => this.add(s.letter, !e.detail))),
      this.kind, button('delete', t.delete_box, () => this.remove()), button('undo', t.undo, () => this.undo()), button('reset', t.reset_boxes, () => this.restore('')), this.said);
    this.root.title = t.box_keys;
    pane.holder.append(this.sheet);
    this.listen();
    this.adopt(tools);
  }
  fits(tools, pane) { const sets = x => JSON.stringify([x.classes, x.boxes.map(s => [s.letter, s.label, s.add])]); return tools.boxes.length > 0 && sets(this.tools) === sets(tools) && this.pane.pane.width === pane.pane.width && this.pane.pane.height === pane.pane.height; }
  move_to(pane, tools) { this.pane = pane; pane.holder.append(this.sheet); this.adopt(tools); }
  /* Take over what the server shows, unless something newer is under the hand or on its way. */
  adopt(tools) {
    this.tools = tools;
    if (!this.hand && !this.unanswered) {
      this.edits = new Map(tools.edits ? tools.edits.split('_').map(r => [r.slice(0, r.indexOf('.')), r.slice(r.indexOf('.') + 1)]) : []);
      this.items = tools.boxes.flatMap(set => set.ids.map((id, i) => ({ key: set.letter + id, set, id, cls: set.classes[i], box: Array.from(set.xyxy.subarray(4 * i, 4 * i + 4)) })));
    }
    this.draw();
  }
  item() { return this.items.find(i => i.key === this.chosen); }
  unit() { return this.pane.pane.width / (this.pane.canvas.getBoundingClientRect().width || this.pane.pane.width); }
  draw() {
    const u = this.unit(), area = b => (b[2] - b[0]) * (b[3] - b[1]), rect = (b, options) => sv('rect', { x: b[0], y: b[1], width: Math.max(0, b[2] - b[0]), height: Math.max(0, b[3] - b[1]), 'vector-effect': 'non-scaling-stroke', ...options });
    const mine = this.item(), parts = [...this.items].sort((a, b) => (a === mine) - (b === mine) || area(b.box) - area(a.box)).map(i => rect(i.box, { class: 'gb-hit', data: { box: i.key } }));
    if (mine) {
      const [x0, y0, x1, y1] = mine.box;
      parts.push(rect(mine.box, { class: 'gb-chosen gb-chosen-back' }), rect(mine.box, { class: 'gb-chosen' }));
      for (const [x, y, at] of [[x0, y0, 'nw'], [x1, y0, 'ne'], [x0, y1, 'sw'], [x1, y1, 'se']]) parts.push(sv('circle', { cx: x, cy: y, r: 5 * u, class: 'gb-grip-dot' }), sv('circle', { cx: x, cy: y, r: 12 * u, class: `gb-grip gb-grip-${at}`, data: { grip: at } }));
      if (document.activeElement !== this.kind) this.kind.value = mine.cls;
    }
    /* pressing draws what is pressed anew, so the touch that follows ends at a part that is gone: without its own listener the page scrolls */
    for (const part of parts) if (part.dataset.box || part.dataset.grip) part.addEventListener('touchstart', e => e.preventDefault(), { passive: false });
    this.sheet.replaceChildren(...parts);
    this.sheet.classList.toggle('gb-adding', !!this.adding);
    for (const b of this.root.querySelectorAll('[data-tool]')) if (b.dataset.tool.startsWith('add')) b.setAttribute('aria-pressed', String(b.dataset.tool === `add-${this.adding}`));
    this.tell();
  }
  tell() {
    const i = this.item(), n = v => String(Math.round(v));
    const words = i ? fill(this.stage.text.box_said, { set: i.set.label, id: i.id, kind: this.tools.classes[i.cls] || '', x0: n(i.box[0]), y0: n(i.box[1]), x1: n(i.box[2]), y1: n(i.box[3]) }) : this.adding ? this.stage.text.box_draw : this.stage.text.box_hint;
    if (this.said.textContent !== words) this.said.textContent = words;
  }
  position(e) {
    const r = this.pane.canvas.getBoundingClientRect(), { width, height } = this.pane.pane;
    return [Math.min(width, Math.max(0, (e.clientX - r.left) / r.width * width)), Math.min(height, Math.max(0, (e.clientY - r.top) / r.height * height))];
  }
  listen() {
    /* the picture under the hand is drawn anew while the hand moves, so the window listens */
    const moved = e => { if (this.hand && e.pointerId === this.hand.pointer) this.move(this.position(e)); };
    const ended = e => { if (!this.hand || e.pointerId !== this.hand.pointer) return; removeEventListener('pointermove', moved); removeEventListener('pointerup', ended); removeEventListener('pointercancel', ended); this.end(e.type === 'pointercancel'); };
    this.sheet.addEventListener('pointerdown', e => {
      if (e.button || this.hand) return;
      const at = e.target.dataset || {};
      e.preventDefault(); this.sheet.focus({ preventScroll: true });
      if (this.adding) { const [x, y] = this.position(e); this.begin(e.pointerId, this.born(this.adding, [x, y, x, y]), 'new', [x, y]); }
      else if (at.grip) this.begin(e.pointerId, this.item(), at.grip, this.position(e));
      else if (at.box) { this.twice = this.chosen === at.box; this.chosen = at.box; this.begin(e.pointerId, this.item(), 'move', this.position(e)); }
      else { this.chosen = ''; this.draw(); return; }
      addEventListener('pointermove', moved); addEventListener('pointerup', ended); addEventListener('pointercancel', ended);
    });
    this.sheet.addEventListener('keydown', e => {
      const { width, height } = this.pane.pane, step = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[e.key];
      if (step) { if (!this.item()) this.turn(1); this.nudge(step[0] * width / 200, step[1] * height / 200, e.shiftKey); }
      else if (e.key === 'PageDown' || e.key === 'PageUp') this.turn(e.key === 'PageDown' ? 1 : -1);
      else if (e.key === 'Delete' || e.key === 'Backspace') this.remove();
      else if (e.key === 'Escape' && (this.adding || this.chosen)) { this.adding = ''; this.chosen = ''; this.draw(); }
      else if (e.key === 'z' && (e.ctrlKey || e.metaKey)) this.undo(); else return;
      e.preventDefault(); e.stopPropagation();
    });
  }
  begin(pointer, item, grip, [x, y]) { this.keep(); this.hand = { pointer, item, grip, x, y, from: [...item.box], moved: grip === 'new' }; this.draw(); }
  /* The same rules for every grip: corners follow the hand, a box stays in the picture and never turns inside out. */
  move([x, y]) {
    const h = this.hand, { width, height } = this.pane.pane, b = [...h.from], dx = x - h.x, dy = y - h.y;
    if (!h.moved && Math.abs(dx) + Math.abs(dy) < 2 * this.unit()) return;
    h.moved = true;
    if (h.grip === 'move') { const sx = Math.min(width - b[2], Math.max(-b[0], dx)), sy = Math.min(height - b[3], Math.max(-b[1], dy)); h.item.box = [b[0] + sx, b[1] + sy, b[2] + sx, b[3] + sy]; }
    else if (h.grip === 'new') h.item.box = [Math.min(h.x, x), Math.min(h.y, y), Math.max(h.x, x), Math.max(h.y, y)];
    else {
      const gap = [width / 100, height / 100];
      if (h.grip.includes('w')) b[0] = Math.max(0, Math.min(b[0] + dx, b[2] - gap[0])); else b[2] = Math.min(width, Math.max(b[2] + dx, b[0] + gap[0]));
      if (h.grip.includes('n')) b[1] = Math.max(0, Math.min(b[1] + dy, b[3] - gap[1])); else b[3] = Math.min(height, Math.max(b[3] + dy, b[1] + gap[1]));
      h.item.box = b;
    }
    this.draw();
    if (h.grip !== 'new') this.change(h.item);
  }
  end(cancelled) {
    const { item, grip, moved, from, x, y } = this.hand, { width, height } = this.pane.pane;
    this.hand = null;
    if (grip === 'new') {
      const tiny = item.box[2] - item.box[0] < width / 100 || item.box[3] - item.box[1] < height / 100;
      if (cancelled || tiny) { this.items = this.items.filter(i => i !== item); this.chosen = ''; this.past.pop(); this.draw(); return; }
      this.adding = '';
    } else if (!moved) { this.past.pop(); if (grip === 'move' && this.twice) this.below(x, y); this.draw(); return; }
    if (cancelled) item.box = from;
    this.draw();
    this.change(item);
  }
  /* A second click chooses the next of the boxes that lie on top of each other. */
  below(x, y) {
    const here = this.items.filter(({ box: b }) => b[0] <= x && x <= b[2] && b[1] <= y && y <= b[3]);
    this.chosen = here[(here.indexOf(this.item()) + 1) % here.length].key;
  }
  born(letter, box) {
    const set = this.tools.boxes.find(s => s.letter === letter), used = new Set([...this.items.map(i => i.key), ...this.edits.keys()]);
    let n = 0;
    while (used.has(`${letter}n${n}`)) n++;
    const item = { key: `${letter}n${n}`, set, id: `n${n}`, cls: +this.kind.value || 0, box };
    this.items.push(item); this.chosen = item.key;
    return item;
  }
  /* By pointer: the next drag draws it. By keyboard: it stands in the middle at once. */
  add(letter, keyboard) {
    if (!keyboard) { this.adding = this.adding === letter ? '' : letter; this.chosen = ''; this.draw(); return; }
    const { width: w, height: h } = this.pane.pane;
    this.keep();
    this.change(this.born(letter, [w * .35, h * .35, w * .65, h * .65]));
    this.draw(); this.sheet.focus({ preventScroll: true });
  }
  turn(by) { const n = this.items.length, k = this.items.indexOf(this.item()); if (!n) return; this.chosen = this.items[k < 0 ? 0 : (k + by + n) % n].key; this.draw(); }
  nudge(dx, dy, corner) {
    const i = this.item(), { width, height } = this.pane.pane;
    if (!i) return;
    this.keep();
    this.hand = { item: i, grip: corner ? 'se' : 'move', x: 0, y: 0, from: [...i.box], moved: true };
    this.move([dx, dy]);
    this.hand = null;
  }
  classify(cls) { const i = this.item(); if (!i || i.cls === cls) return; this.keep(); i.cls = cls; this.change(i); this.draw(); }
  remove() { const i = this.item(); if (!i) return; this.keep(); this.items = this.items.filter(k => k !== i); this.chosen = ''; if (/^.n/.test(i.key)) this.edits.delete(i.key); else this.edits.set(i.key, 'x'); this.commit(); this.draw(); }
  change(item) {
    const { width, height } = this.pane.pane, part = (v, side) => Math.round(v / side * BOX_UNITS), b = item.box;
    this.edits.set(item.key, [item.cls, part(b[0], width), part(b[1], height), part(b[2], width), part(b[3], height)].join('.'));
    this.commit();
  }
  text() { return [...this.edits].map(([key, record]) => `${key}.${record}`).join('_'); }
  keep() { this.past.push(this.text()); if (this.past.length > 50) this.past.shift(); }
  undo() { if (this.past.length) this.restore(this.past.pop(), false); }
  restore(text, keep = true) {
    if (keep) this.keep();
    this.edits = new Map(text ? text.split('_').map(r => [r.slice(0, r.indexOf('.')), r.slice(r.indexOf('.') + 1)]) : []);
    this.commit(true);
  }
  send() { this.stage.hooks.boxes({ boxes: this.text() }); }
}
