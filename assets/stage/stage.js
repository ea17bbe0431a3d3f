/* A selector that finds an element's successor after everything was built anew. */
function handleOf(node) {
  for (const name of ['focus', 'cell', 'face', 'layer', 'view', 'tool', 'export', 'preset', 'guess']) if (node.dataset && node.dataset[name] !== undefined) return `[data-${name}="${CSS.escape(node.dataset[name])}"]`;
  const number = node.querySelector && node.querySelector('[data-number]') || node.closest('[data-number]');
  if (number) return `.gb-number:has([data-number="${CSS.escape(number.dataset.number)}"]), .gb-cell[data-number="${CSS.escape(number.dataset.number)}"]`;
  return ['gb-undo', 'gb-toggle-numbers', 'gb-share'].filter(c => node.classList.contains(c)).map(c => `.${c}`)[0];
}

/* The stage: mounts a scene, steps through it, keeps the address, speaks to Python only through `hooks`. */
class Stage {
  constructor(root, hooks) {
    this.root = root; this.hooks = hooks || {}; this.step = 0; this.selection = {}; this.faces = {}; this.timer = 0; this.loads = 0; this.panes = []; this.links = new Links(this);
    this.picks = {}; this.hovered = {};
    root.classList.add('gb-stage');
    root.addEventListener('keydown', e => this.keys(e));
  }
  /* A picture of work under way never overtakes the answer that is being unpacked. */
  async load(value, interim = false) {
    if (interim && this.settling) return;
    if (!interim) this.settling = (this.settling || 0) + 1;
    try { return await this.unpack(value, interim); } finally { if (!interim) this.settling--; }
  }
  async unpack(value, interim) {
    if (!value) return;
    if (this.painter && this.painter.drag) { this.later = value; return; } // a stroke under way keeps its canvas
    const numbered = /^(\d+):/.exec(value);
    if (numbered) { if (+numbered[1] < (this.answered || 0)) return; this.answered = +numbered[1]; value = value.slice(numbered[0].length); }
    const turn = ++this.loads, data = await decodeValue(value);
    if (turn !== this.loads) return;
    if (!interim && (!this.question || !numbered || this.answered >= parseInt(this.question, 10))) this.calm();
    if (this.painter) this.painter.settle(this.answered);
    if (!data.scene) {
      if (numbered && numbered[1] === this.dropped) return;
      if (this.data) { this.data.modes = { ...this.data.modes, ...data.modes }; this.modes(); }
      return this.complain(data.message);
    }
    const same = this.data && this.data.slug === data.slug, old = same ? this.panes : [];
    if (!this.passing) this.stood = { steps: this.steps, step: this.step }; // where the last whole view stood
    this.passing = interim;
    this.value = value; this.data = data; this.text = data.text; this.ramp = data.ramp; this.links.forget(); this.hovered = {};
    this.picks = Object.fromEntries(data.scene.picks.map(p => [p.control, p.value]));
    this.panes = data.scene.panes.map(pane => new (pane.axes ? ChartPane : pane.width ? PicturePane : ListPane)(pane, this));
    for (const pane of this.panes) {
      const before = pane.state && old.find(p => p.state && p.pane.key === pane.pane.key);
      if (before && this.data.preset === this.lastPreset) for (const [key, state] of Object.entries(pane.state)) if (before.state[key]) { const views = pane.pane.layers.find(l => l.key === key).views || []; Object.assign(state, { visible: before.state[key].visible, opacity: before.state[key].opacity }); if (views.some(v => v.key === before.state[key].view)) state.view = before.state[key].view; }
      await pane.ready();
    }
    if (turn !== this.loads) return;
    const chosen = data.preset && data.preset !== this.lastPreset; // another view opens at its own step
    if (data.preset !== this.lastPreset) { this.selection = {}; if (data.preset) this.faces = {}; }
    if (!interim) this.lastPreset = data.preset;
    const opened = interim ? null : Glassbox.page.step(data.slug);
    this.step = Math.min(data.scene.steps - 1, opened ?? (same && !chosen && this.stood.steps === data.scene.steps ? this.stood.step : data.scene.step));
    this.steps = data.scene.steps;
    this.build();
    this.complain(data.message);
    this.show(interim ? this.steps - 1 : this.step, false);
    this.modes();
    if (interim) return this;
    if (numbered) Glassbox.page.answered(data.slug, this.answered, data.values);
    this.remember();
    this.root.dataset.ready = turn;
    if (this.painter && this.painter.since) { this.root.dataset.repaint = (performance.now() - this.painter.since).toFixed(1); this.painter.since = 0; }
    return this;
  }
  build() {
    const { scene, presets, preset, guesses } = this.data, t = this.text;
    const held = this.root.contains(document.activeElement) ? document.activeElement : null, focus = held && handleOf(held), drawing = this.painter && this.painter.drag;
    this.stop();
    this.numbers = new NumbersPanel(this); this.receipt = receiptDialog(t);
    const place = where => this.panes.filter(p => p.pane.place === where);
    const bar = this.hooks.preset && Object.keys(presets).length ? el('div', { class: 'gb-presets', role: 'group', 'aria-label': t.presets }, ...Object.entries(presets).map(([name, label], i) =>
      el('button', { type: 'button', 'aria-pressed': String(name === preset), data: { preset: name, focus: `preset-${name}` }, title: `${t.key} ${i + 1}`, text: label, on: { click: () => this.hooks.preset({ preset: name }) } }))) : null;
    this.alert = el('p', { class: 'gb-alert', role: 'alert', hidden: true });
    this.caption = el('p', { class: 'gb-caption', 'aria-live': 'polite' });
    this.picked = el('p', { class: 'gb-picked', role: 'status', hidden: true });
    const main = el('div', { class: 'gb-main' });
    const old = this.painter; this.painter = null;
    const switches = []; // of pictures in rows: below everything, for they are several
    const lay = (where, into) => {
      let row = null;
      for (const pane of place(where)) {
        const name = pane.pane.row, follows = row && name && row.name === name;
        if (follows) { row.root.append(pane.root); row.root.style.setProperty('--gb-count', row.root.children.length); } else { row = name ? { name, root: el('div', { class: 'gb-row' }, pane.root), first: pane } : null; into.append(row ? row.root : pane.root); }
        if (row && pane.pane.share !== 1) { row.root.classList.add('gb-shares'); pane.root.style.setProperty('--gb-share', pane.pane.share); }
        if (follows && pane.state && row.first.state && Object.keys(pane.state).some(key => row.first.state[key])) { // one set of switches for pictures side by side
          for (const key of Object.keys(pane.state)) if (row.first.state[key]) pane.state[key] = row.first.state[key];
          row.first.mates = [...(row.first.mates || [row.first]), pane];
        } else if (pane.controls && pane.pane.layers.some(l => l.label && l.opacity !== undefined)) { if (row && row.first === pane) switches.push(pane.controls()); else pane.root.append(pane.controls()); }
        const tools = scene.tools && !scene.tools.handle && scene.tools.pane === pane.pane.key && this.hooks.paint ? scene.tools : null;
        if (tools) {
          const Kind = tools.boxes.length ? BoxEditor : Painter;
          if (old instanceof Kind && old.fits(tools, pane)) { this.painter = old; old.move_to(pane, tools); } else this.painter = new Kind(tools, pane, this);
          this.painter.sheet.dataset.focus = 'canvas';
          pane.holder.before(this.painter.root);
        }
      }
      return into;
    };
    lay('main', main);
    const handle = scene.tools && this.hooks.way ? scene.tools.handle : null;
    if (handle) { this.painter = old instanceof PointMover && old.fits(handle) ? old : new PointMover(this); this.painter.adopt(handle, this.panes); main.append(this.painter.root); }
    const wide = place('wide').length ? lay('wide', el('div', { class: 'gb-wide' })) : null, transport = [this.scrubber(), this.caption, this.picked];
    if (wide) { transport[0].prepend(this.caption); wide.append(transport[0], this.picked, ...switches); } else main.append(...transport, ...switches);
    const side = el('div', { class: 'gb-side' }, this.numbers.root, ...place('side').map(p => p.root));
    const roomy = this.root.clientWidth > 720;
    const below = place('below').length ? el('details', { class: 'gb-tables', open: this.tables ?? roomy, on: { toggle: e => { this.tables = e.target.open; } } }, el('summary', { text: t.tables }), el('div', { class: 'gb-below' }, ...place('below').map(p => p.root))) : null;
    this.table = el('section', { class: 'gb-numbers-view', hidden: true, 'aria-label': t.numbers_view });
    const notes = scene.notes.map(n => el('p', { class: 'gb-note gb-notice', text: n })), question = this.guess(guesses);
    /* what is arranged by hand must not slip away under it: the words above the picture stay as they stood */
    if (!(this.settledTop && this.top && !preset)) this.top = el('div', {}, ...[...notes, question].filter(Boolean)); else if (notes.length && !this.top.textContent.includes(notes[notes.length - 1].textContent)) this.top.append(...notes);
    const grid = el('div', { class: 'gb-grid' }, main, side);
    this.root.replaceChildren(...[this.bar, bar, this.alert, this.top, ...(scene.lead === 'wide' ? [wide, grid] : [grid, wide]), below, this.table, this.menu(), this.receipt.root].filter(Boolean));
    if (this.painter && this.painter.draw) this.painter.draw(); // now that the picture has its size
    this.root.tabIndex = 0; this.root.setAttribute('role', 'group'); this.root.setAttribute('aria-label', this.data.title);
    if (held && !drawing) ((focus && this.root.querySelector(focus)) || this.root).focus({ preventScroll: true });
  }
  scrubber() {
    const t = this.text, n = this.steps;
    this.play = el('button', { type: 'button', class: 'gb-play', 'aria-label': t.play, text: '▶', data: { focus: 'play' }, on: { click: () => this.toggle() } });
    this.range = el('input', { type: 'range', min: 0, max: n - 1, value: 0, 'aria-label': t.step, data: { focus: 'range' }, on: { input: () => this.show(+this.range.value) } });
    this.place = el('output', { class: 'gb-step' });
    const go = (label, sign, to) => el('button', { type: 'button', 'aria-label': label, text: sign, on: { click: () => this.show(to()) } });
    this.marks = new Marks(this, this.data.scene.marks);
    const bar = el('div', { class: 'gb-scrubber', hidden: n < 2 }, go(t.first, '|◀', () => 0), go(t.back, '◀', () => this.step - 1), this.play, go(t.forward, '▶|', () => this.step + 1), el('div', { class: 'gb-range' }, this.marks.ticks, this.range), this.place);
    return el('div', { class: 'gb-transport' }, bar, n > 1 ? this.marks.root : null);
  }
  menu() {
    const t = this.text;
    const toggle = el('button', { type: 'button', 'aria-expanded': 'false', class: 'gb-toggle-numbers', text: t.numbers_view, on: { click: () => { this.table.hidden = !this.table.hidden; toggle.setAttribute('aria-expanded', String(!this.table.hidden)); this.fillTable(); } } });
    const said = el('span', { role: 'status', class: 'gb-small' });
    const share = Glassbox.page.live ? el('button', { type: 'button', class: 'gb-share', text: t.share, on: { click: async () => { this.remember(); try { await navigator.clipboard.writeText(location.href); said.textContent = t.copied; } catch { said.textContent = location.href; } } } }) : null;
    const items = [['png', 'PNG'], ['svg', 'SVG'], ['gif', 'GIF'], ['mp4', 'MP4'], ['csv', 'CSV'], ['json', 'JSON'], ['python', 'Python'], ['html', 'HTML']].filter(([k]) => (k !== 'python' || this.data.script) && (!/png|svg|gif|mp4/.test(k) || this.panes.some(p => p.svg)) && (!/gif|mp4/.test(k) || (this.steps > 1 && this.hooks.film)));
    return el('div', { class: 'gb-menu' }, toggle, share, el('span', { class: 'gb-small', text: t.export }), ...items.map(([k, label]) => el('button', { type: 'button', data: { export: k }, text: label, on: { click: () => exporters[k](this, said) } })), said);
  }
  guess(guesses) {
    const { preset } = this.data; // a question is asked before its answer stands beside it
    guesses = guesses.filter(g => preset && g.preset !== preset);
    if (!guesses.length) return null;
    const t = this.text, open = this.guessOpen || {};
    return el('div', { class: 'gb-guesses' }, ...guesses.map((g, k) => {
      const answer = el('div', { class: 'gb-answer', role: 'status' });
      const reveal = i => {
        (this.guessOpen = open)[k] = i;
        options.forEach((o, j) => { o.setAttribute('aria-pressed', String(j === i)); o.classList.toggle('gb-right', j === g.answer); o.classList.toggle('gb-wrong', j === i && i !== g.answer); });
        answer.replaceChildren(el('b', { text: i === g.answer ? t.right : t.wrong }), el('ul', {}, ...g.reveal.map(r => el('li', { text: r }))));
        if (g.preset && this.hooks.preset) answer.append(el('button', { type: 'button', text: t.show_me, on: { click: () => this.hooks.preset({ preset: g.preset }) } }));
      };
      const options = g.options.map((o, i) => el('button', { type: 'button', text: o, 'aria-pressed': 'false', data: { guess: i }, on: { click: () => reveal(i) } }));
      const box = el('details', { class: 'gb-guess', open: open[k] !== undefined }, el('summary', {}, el('b', { text: t.predict }), ` ${g.question}`), el('div', { class: 'gb-options' }, ...options), answer);
      if (open[k] !== undefined) reveal(open[k]);
      return box;
    }));
  }
  show(step, speak = true) {
    this.step = Math.max(0, Math.min(this.steps - 1, step));
    this.links.forget();
    for (const pane of this.panes) pane.draw();
    this.numbers.draw(); this.marks.draw();
    this.range.value = this.step;
    const name = pick(this.data.scene.step_names, this.step);
    this.place.textContent = `${this.step + 1} / ${this.steps}${name ? ` · ${name}` : ''}`;
    const caption = pick(this.data.scene.captions, this.step) || '';
    this.range.setAttribute('aria-valuetext', this.place.textContent);
    if (this.caption.textContent !== caption) this.caption.textContent = caption;
    if (!this.table.hidden) this.fillTable();
    this.root.dataset.step = this.step;
    if (speak) { clearTimeout(this.writing); this.writing = setTimeout(() => this.remember(), 120); } // writing the address is slow
  }
  fillTable() {
    if (this.table.hidden) return;
    const t = this.text, numbers = pick(this.data.numbers, this.step) || [];
    this.table.replaceChildren(el('h3', { text: t.numbers_view }), el('div', { class: 'gb-scroll', tabindex: 0 }, el('table', { class: 'gb-table' }, el('thead', {}, el('tr', {}, ...[t.quantity, t.value, t.filled, t.convention].map(h => el('th', { scope: 'col', text: h })))),
      el('tbody', {}, ...numbers.map(n => el('tr', {}, el('th', { scope: 'row', text: n.item ? `${n.label} · ${n.item}` : n.label }), el('td', { class: 'gb-num', text: n.text }), el('td', { class: 'gb-mono', text: n.filled || n.formula }), el('td', { text: n.convention })))))), ...this.panes.flatMap(p => (p.blocks || []).map(layer => el('div', { class: 'gb-scroll', tabindex: 0 }, gridTable(layer, this.step)))));
  }
  showReceipt(n) { this.receipt.show(n); }
  flush() { const value = this.later; this.later = null; if (value) this.load(value); }
  /* A question is under way: a bar, which the style sheet shows after a blink; then how far it is, and a button that stops it. */
  wait(question) {
    this.settledTop = this.arranging; this.arranging = false;
    if (this.giveUp()) this.calm();
    clearTimeout(this.waiting); this.question = question; this.seen = 0; this.since = performance.now();
    this.root.setAttribute('aria-busy', 'true'); this.waiting = setTimeout(() => this.follow(question), 170);
  }
  /* A control has moved; its question comes a little later, if it asks one. */
  sense() {
    this.giveUp();
    if (this.question) return;
    clearTimeout(this.waiting); this.root.setAttribute('aria-busy', 'true'); this.waiting = setTimeout(() => this.calm(), 2000);
  }
  calm() { clearTimeout(this.waiting); this.question = ''; this.root.removeAttribute('aria-busy'); if (this.bar) { const held = this.bar.contains(document.activeElement); this.bar.remove(); this.bar = null; if (held) this.root.focus({ preventScroll: true }); } }
  async follow(question) {
    const said = this.hooks.follow ? await this.hooks.follow({ question, seen: this.seen }) : null;
    if (question !== this.question) return;
    if (said && said.view) { this.seen = said.edition; await this.load(said.view, true); if (question !== this.question) return; }
    if (said && said.running) this.advance(said);
    else if (performance.now() - this.since > 60000) return this.calm();
    this.waiting = setTimeout(() => this.follow(question), said && said.view ? 40 : performance.now() - this.since < 900 ? 70 : 200);
  }
  advance({ done, total, what }) {
    if (performance.now() - this.since < 350) return; // most work is done by now
    const t = this.text;
    if (!this.bar) {
      this.meter = el('progress', { 'aria-label': t.working }); this.far = el('span', { class: 'gb-mono' });
      this.bar = el('div', { class: 'gb-progress' }, this.meter, this.far, el('button', { type: 'button', class: 'gb-stop', text: t.stop, title: 'Esc', data: { focus: 'stop' }, on: { pointerdown: () => this.cancel(), click: () => this.cancel() } }));
    }
    if (!this.bar.isConnected) { this.root.prepend(this.bar); this.complain(''); } // what was wrong before is being answered
    if (total) { this.meter.max = total; this.meter.value = done; } else this.meter.removeAttribute('value');
    this.far.textContent = `${t.progress[what] || t.working}${total ? ` ${done} / ${total}` : ' …'}`;
  }
  cancel() { if (this.question && this.hooks.follow) this.hooks.follow({ question: this.question, stop: true }); }
  /* Whoever changes something while the last change has been computed for longer than a moment does not want that answer. */
  giveUp() { const late = this.question && performance.now() - this.since > 1000; if (late) { this.dropped = this.question.split('.')[0]; this.cancel(); } return late; }
  select(link, code, words) {
    const chosen = this.selection[link] || new Set();
    if (chosen.has(code)) { this.selection[link] = new Set(); words = ''; } else this.selection[link] = new Set([code]);
    for (const pane of this.panes) pane.draw();
    this.picked.hidden = !words; this.picked.textContent = words ? `${words}  —  ${this.text.lit}` : '';
  }
  /* A value is pointed at, or was chosen: what belongs to it is shown at once, and the server is told of a choice. */
  point(said) {
    const before = this.hovered;
    if (String(Object.entries(before)) === String(Object.entries(said))) return;
    this.hovered = said;
    this.drawPicks();
  }
  choosePick(control, value) {
    if (this.picks[control] === value) return;
    this.picks[control] = value;
    this.drawPicks();
    if (this.hooks.pick) this.hooks.pick({ control, value });
  }
  pointed(control) { return this.hovered[control] ?? this.picks[control]; }
  drawPicks() { for (const pane of this.panes) { if (pane.picker) pane.picker.draw(); for (const part of pane.parts || []) if (part.layer && part.layer.pick) part.draw(); } }
  pickLabel(control, value, label) { const p = this.data.scene.picks.find(k => k.control === control); return fill(label || (p && p.label) || '{k}', { k: (p && p.names[value]) ?? value }); }
  toggle() { if (this.timer) return this.stop(); this.play.textContent = '❚❚'; this.play.setAttribute('aria-label', this.text.pause); if (this.step === this.steps - 1) this.show(0); this.timer = setInterval(() => { if (!this.root.isConnected || this.step >= this.steps - 1) return this.stop(); if (this.root.offsetParent !== null) this.show(this.step + 1, false); }, 160); }
  stop() { clearInterval(this.timer); this.timer = 0; if (this.play) { this.play.textContent = '▶'; this.play.setAttribute('aria-label', this.text.play); } }
  keys(event) {
    const tag = event.target.tagName, typing = tag === 'SELECT' || tag === 'TEXTAREA' || (tag === 'INPUT' && !/checkbox|range/.test(event.target.type));
    if (typing || event.ctrlKey || event.metaKey || event.altKey || event.target.closest('dialog')) return;
    const onRange = tag === 'INPUT' && event.target.type === 'range' && event.target !== this.range, names = Object.keys(this.data?.presets || {});
    const act = { ArrowLeft: () => this.show(this.step - 1), ArrowRight: () => this.show(this.step + 1), Home: () => this.show(0), End: () => this.show(this.steps - 1) }[event.key];
    if (act && !onRange && this.steps > 1) { event.preventDefault(); act(); }
    else if (event.key === 'Escape' && this.bar) this.cancel();
    else if (event.key === ' ' && !/BUTTON|INPUT|SUMMARY/.test(tag) && this.steps > 1) { event.preventDefault(); this.toggle(); }
    else if (this.marks && this.marks.key(event)) event.preventDefault();
    else if (/^[1-9]$/.test(event.key) && names[event.key - 1] && this.hooks.preset) { event.preventDefault(); this.hooks.preset({ preset: names[event.key - 1] }); }
  }
  complain(message) { if (!this.alert) { if (!message) return; this.alert = el('p', { class: 'gb-alert', role: 'alert' }); this.root.append(this.alert); } this.alert.textContent = message || ''; this.alert.hidden = !message; this.root.dataset.message = message || ''; }
  /* Controls that belong to one mode only are shown in that mode. */
  modes() { const tab = this.root.closest('.gb-tab'); if (!tab || !this.data) return; const { modes } = this.data; for (const node of tab.querySelectorAll('.gb-when')) node.classList.toggle('gb-off', !Object.entries(modes).some(([k, v]) => node.classList.contains(`gb-when-${k}-${v}`))); }
  remember() { if (this.root.offsetParent !== null && this.data && this.data.query) Glassbox.page.write(this.data.slug, this.data.query, this.steps > 1 && this.step !== this.data.scene.step ? this.step : null); }
}

/* The page around the stages: address, language, locked controls. */
const page = {
  live: false, asked: new URLSearchParams(location.search), taken: new Set(), stages: {},
  /* What the address said for this topic, once; "shown" when the topic already stands. */
  opening(slug, first) {
    const stage = this.stages[slug];
    if (stage && stage.data) { stage.remember(); return 'shown'; }
    if (this.taken.has(slug)) return '';
    this.taken.add(slug);
    return (this.asked.get('tab') || first) === slug ? this.asked.toString() : '';
  },
  step(slug) { const k = this.asked.get('step'); if (k === null || (this.asked.get('tab') || slug) !== slug) return null; this.asked.delete('step'); return Number.isFinite(+k) ? Math.max(0, Math.floor(+k)) : null; },
  tab(first, all) { const t = this.asked.get('tab'); return all.includes(t) ? t : first; },
  lock: null, turns: 0, secret: Array.from(crypto.getRandomValues(new Uint8Array(12)), b => b.toString(16).padStart(2, '0')).join(''),
  /* A number for a question to the server; its topic's stage shows that it waits, if it waits for more than a blink. */
  turn(slug) { const stage = this.stages[slug]; if (slug) this.latest[slug] = this.turns + 1; const question = `${++this.turns}.${this.secret}`; if (stage) stage.wait(question); return question; },
  values: {}, latest: {},
  /* What all controls say, as one: an answer to the last question tells it, every move of a control since then adds to it. */
  answered(slug, turn, values) { if (turn >= (this.latest[slug] || 0)) this.values[slug] = { ...values }; },
  said(slug, name, value) { const all = this.values[slug] ||= {}; if (name) all[name] = value; return JSON.stringify(all); },
  write(slug, query, step) {
    if (!this.live) return;
    const q = new URLSearchParams(query);
    q.delete('tab');
    const out = new URLSearchParams([['tab', slug], ...q]);
    if (step !== null) out.set('step', step);
    if (this.lock) out.set('lock', this.lock);
    const theme = this.asked.get('__theme'); if (theme) out.set('__theme', theme);
    history.replaceState(history.state, '', `${location.pathname}?${out}`);
  },
  /* Language links carry the address's state along; the route has no trailing slash (that would drop the query). */
  language(code, first) { const base = location.pathname.replace(/\/(zh)?$/, '').replace(/\/zh$/, ''); location.href = `${base}/${code === first ? '' : code}${location.search}`; },
  big() { const on = document.documentElement.classList.toggle('gb-big-text'); try { localStorage.setItem('gb-big-text', on ? '1' : ''); } catch { /* private windows */ } },
  start() {
    try { document.documentElement.classList.toggle('gb-big-text', localStorage.getItem('gb-big-text') === '1'); } catch { /* private windows */ }
    this.live = true; this.lock = this.asked.get('lock');
    if (this.lock) document.documentElement.classList.add('gb-locked'), document.documentElement.dataset.lock = this.lock;
    if (this.lock && this.lock !== '1') { const names = this.lock.split(',').filter(n => /^[a-z_0-9]+$/.test(n) && !/^(stage|turn|asked)$/.test(n)); document.documentElement.classList.remove('gb-locked'); document.head.append(el('style', { text: names.map(n => `[id$="--${n}"]`).join(',') + '{display:none!important}' })); }
  },
};

window.Glassbox = {
  page,
  /* Inside Gradio. */
  mount(element, props, watch, hooks) {
    if (!page.live) page.start();
    const root = element.querySelector('.gb-root'), stage = new Stage(root, hooks);
    const load = () => stage.load(props.value).then(() => { if (stage.data) page.stages[stage.data.slug] = stage; });
    root.gb = stage;
    const tab = root.closest('.gb-tab');
    if (tab) tab.addEventListener('input', e => { if (!root.contains(e.target)) stage.sense(); });
    watch('value', load);
    load();
  },
  /* In a saved page. */
  async open(element, value) { const stage = new Stage(element, {}); element.gb = stage; await stage.load(value); },
};
