/* Numbers with receipts, and everything that leaves: CSV, JSON, PNG, SVG, Python, a page. */
class NumbersPanel {
  constructor(stage) {
    this.stage = stage;
    this.root = el('div', { class: 'gb-numbers', role: 'group', 'aria-label': stage.text.numbers });
    this.rows = (stage.data.numbers[0] || []).map((n, i) => {
      const value = el('b', { class: 'gb-value', data: { number: n.key, item: n.item } }), bar = el('i', { class: 'gb-gauge' });
      const button = el('button', { type: 'button', class: 'gb-number', title: n.help || undefined, on: { click: () => stage.showReceipt(pick(stage.data.numbers, stage.step)[i]) } },
        el('span', { class: 'gb-name', text: n.item ? `${n.label} · ${n.item}` : n.label }), value, bar);
      if (n.kind === 'computed' && !n.receipt.length) button.classList.add('gb-unproved');
      return { value, bar, button };
    });
    this.root.append(...this.rows.map(r => r.button));
  }
  draw() {
    const numbers = pick(this.stage.data.numbers, this.stage.step) || [];
    this.rows.forEach((row, i) => {
      const n = numbers[i];
      row.value.textContent = n.text;
      const share = n.gauge && typeof n.raw === 'number' && n.raw >= 0 && n.raw <= 1 && /\./.test(n.text) && !/px|%/.test(n.text); // counts are no shares
      row.bar.style.width = share ? `${n.raw * 100}%` : '0';
    });
  }
}

function receiptDialog(text) {
  const body = el('div', { class: 'gb-receipt' });
  const dialog = el('dialog', { class: 'gb-dialog', 'aria-label': text.receipt }, el('form', { method: 'dialog' }, el('button', { class: 'gb-close', 'aria-label': text.close, text: '×' })), body);
  dialog.addEventListener('click', e => { if (e.target === dialog) dialog.close(); });
  return {
    root: dialog,
    show(n) {
      const line = (name, value, mono) => value ? el('div', {}, el('dt', { text: name }), el('dd', { class: mono ? 'gb-mono' : undefined, text: value })) : null;
      body.replaceChildren(
        el('h3', { text: n.item ? `${n.label} · ${n.item}` : n.label }), el('p', { class: 'gb-big', text: n.text }), n.help ? el('p', { text: n.help }) : '',
        el('dl', {}, line(text.formula, n.formula, true), line(text.filled, n.filled && `${n.filled} = ${n.raw === null ? '–' : n.text}`, true), line(text.exact, n.raw === null ? '' : String(n.raw), true),
          line(text.convention, n.convention), line(text.kind, text.kinds[n.kind]), line(text.source, `${n.source}  (${n.where})`, true)),
        el('h4', { text: text.compared }),
        n.receipt.length ? el('div', { class: 'gb-scroll' }, el('table', { class: 'gb-table' }, el('thead', {}, el('tr', {}, ...[text.reference, text.deviation, text.test].map(t => el('th', { scope: 'col', text: t })))),
          el('tbody', {}, ...n.receipt.map(r => el('tr', {}, el('td', { text: r.reference }), el('td', { class: 'gb-num', text: r.deviation === 0 ? '0' : r.deviation.toExponential(1) }), el('td', { class: 'gb-mono', text: r.test }))))))
          : el('p', { text: text.unproved }));
      if (!dialog.open) dialog.showModal();
    },
  };
}

function download(name, parts, type) {
  const link = el('a', { href: URL.createObjectURL(new Blob(parts, { type })), download: name });
  document.body.append(link); link.click(); link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/* Spreadsheets run cells that begin with = + - @ or a control character: such text gets a leading apostrophe. */
const csvCell = v => {
  if (typeof v === 'number') return String(v);
  const s = String(v ?? ''), safe = /^[=+\-@\t\r]/.test(s) ? `'${s}` : s;
  return /[",\n\r]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
};
const exporters = {
  csv(stage) {
    const rows = [['step', 'key', 'item', 'label', 'value', 'shown', 'convention', 'formula', 'filled', 'source']];
    stage.data.numbers.forEach((step, t) => step.forEach(n => rows.push([t, n.key, n.item, n.label, n.raw, n.text, n.convention, n.formula, n.filled, n.source])));
    for (const pane of stage.data.scene.panes) for (const layer of pane.layers) {
      if (layer.type === 'table') { for (const [t, list] of (layer.later.length ? layer.later : [layer.rows]).entries()) { rows.push([], layer.later.length ? [layer.label, t] : [layer.label], layer.columns); for (const row of list) rows.push(row.map(c => typeof c === 'string' ? c : c.raw)); } }
      if (layer.type === 'matrix') for (const face of [layer, ...layer.faces]) face.texts.forEach((texts, t) => { rows.push([], [face.label, t], ['', ...layer.columns]); layer.rows.forEach((name, r) => rows.push([name, ...texts.slice(r * layer.columns.length, (r + 1) * layer.columns.length).map(t => t.replace(/\u202f/g, ''))])); });
    }
    download(`${stage.data.slug}.csv`, ['\ufeff', rows.map(r => r.map(csvCell).join(',')).join('\r\n')], 'text/csv');
  },
  json(stage) {
    const plain = (key, v) => ArrayBuffer.isView(v) ? { dtype: v.shape ? v.constructor.name.replace('Array', '').toLowerCase() : 'bytes', shape: v.shape || [v.length], base64: textOf(new Uint8Array(v.buffer, v.byteOffset, v.byteLength)) } : v;
    const { slug, language, query, preset, scene, numbers } = stage.data;
    download(`${slug}.json`, [JSON.stringify({ slug, language, query, preset, numbers, scene }, plain)], 'application/json');
  },
  python(stage) { download(`${stage.data.slug.replace(/-/g, '_')}.py`, [stage.data.script], 'text/x-python'); },
  html(stage) {
    const escape = s => s.replace(/[&<>"]/g, c => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]);
    const style = document.getElementById('gb-style').textContent, script = document.getElementById('gb-script').textContent, title = escape(stage.data.title);
    /* tags are put together, for this script itself stands inside a script element */
    const tag = (name, attributes, body) => `${'<'}${name}${attributes}>${body}${'<'}/${name}>`;
    const page = tag('html', ` lang="${stage.data.language}"`, tag('head', '', `${'<'}meta charset="utf-8">${'<'}meta name="viewport" content="width=device-width,initial-scale=1">${tag('title', '', title)}${tag('style', ' id="gb-style"', style)}`)
      + tag('body', ' class="gb-static"', tag('main', '', tag('h1', '', title) + tag('div', ' id="gb-open"', '')) + tag('script', ' id="gb-script"', script) + tag('script', '', `Glassbox.open(document.getElementById("gb-open"),"${stage.value}")`)));
    download(`${stage.data.slug}.html`, [`${'<'}!doctype html>${page}`], 'text/html');
  },
  gif: (stage, said) => film(stage, 'gif', said),
  mp4: (stage, said) => film(stage, 'mp4', said),
  async svg(stage) { download(`${stage.data.slug}.svg`, [stillLife(stage)], 'image/svg+xml'); },
  async png(stage) {
    const pane = stage.panes.find(p => p.canvas);
    const image = new Image(), [w, h] = pane ? [pane.canvas.width, pane.canvas.height] : [1200, 440];
    image.src = 'data:image/svg+xml;charset=utf-8,' + encodeURIComponent(stillLife(stage));
    await image.decode();
    const sheet = el('canvas', { width: w, height: h });
    sheet.getContext('2d').drawImage(image, 0, 0, w, h);
    sheet.toBlob(blob => download(`${stage.data.slug}.png`, [blob], 'image/png'));
  },
};

/* Every step of the main picture, or of the pictures that stand in its row, as frames that the server makes a film of. */
const FILM = { width: { gif: 640, mp4: 960 }, height: 620, frames: 60, seconds: 8 };
async function film(stage, kind, said) {
  const main = mainPane(stage), row = main.pane.row, panes = stage.panes.filter(p => p.svg && (p === main || (row && p.pane.row === row)));
  const { step, steps } = stage, count = Math.min(steps, FILM.frames), frames = [];
  const height = Math.min(FILM.height, FILM.width[kind] / panes.reduce((sum, p) => sum + stillSize(p)[0] / stillSize(p)[1], 0));
  const wide = p => Math.round(height * stillSize(p)[0] / stillSize(p)[1]), even = v => 2 * Math.round(v / 2), foot = 34, crown = panes.some(p => p.pane.title) ? 28 : 0;
  const sheet = el('canvas', { width: even(panes.reduce((sum, p) => sum + wide(p), 0)), height: even(crown + height + foot) }), pen = sheet.getContext('2d');
  const look = getComputedStyle(stage.root), ground = look.getPropertyValue('--gb-bg').trim() || '#fff', ink = look.color;
  stage.stop();
  for (let i = 0; i < count; i++) {
    stage.show(count > 1 ? Math.round(i * (steps - 1) / (count - 1)) : 0, false);
    pen.fillStyle = ground; pen.fillRect(0, 0, sheet.width, sheet.height);
    let x = 0;
    for (const pane of panes) {
      if (pane.canvas) pen.drawImage(pane.canvas, x, crown, wide(pane), height);
      const image = new Image(); image.src = 'data:image/svg+xml;charset=utf-8,' + encodeURIComponent(stillLife(stage, pane, false)); await image.decode();
      pen.drawImage(image, x, crown, wide(pane), height);
      pen.fillStyle = ink; pen.font = '600 15px sans-serif'; pen.textBaseline = 'middle'; pen.fillText(pane.pane.title, x + 8, crown / 2, wide(pane) - 16);
      x += wide(pane);
    }
    pen.font = '15px sans-serif';
    pen.fillText(`${stage.place.textContent}  ${stage.caption.textContent}`, 8, crown + height + foot / 2, sheet.width - 16);
    frames.push(sheet.toDataURL('image/jpeg', 0.9).split(',')[1]);
    said.textContent = `${kind.toUpperCase()} ${i + 1} / ${count}`;
  }
  stage.show(step);
  said.textContent = `${kind.toUpperCase()} …`;
  const made = await stage.hooks.film({ kind, frames, language: stage.data.language, rate: Math.max(2, Math.min(15, count / FILM.seconds)) });
  said.textContent = made.error || '';
  if (made.data) download(`${stage.data.slug}.${kind}`, [bytesOf(made.data)], made.type);
}
const mainPane = stage => stage.panes.find(p => p.canvas) || stage.panes.find(p => p.svg);
const stillSize = pane => pane.canvas ? [pane.canvas.width, pane.canvas.height] : [1200, 440];

/* The main picture as a stand-alone SVG: raster embedded, colours resolved. */
function stillLife(stage, pane = mainPane(stage), raster = true) {
  const svg = pane.svg.cloneNode(true);
  const root = getComputedStyle(stage.root);
  svg.querySelectorAll('*').forEach(node => {
    for (const name of ['fill', 'stroke']) { const m = /^var\((--[\w-]+)\)$/.exec(node.getAttribute(name) || ''); if (m) node.setAttribute(name, root.getPropertyValue(m[1]).trim() || '#000'); }
    if (node.tagName === 'text') node.setAttribute('font-family', 'sans-serif');
  });
  svg.setAttribute('xmlns', SVG);
  if (pane.canvas) {
    svg.setAttribute('width', pane.canvas.width); svg.setAttribute('height', pane.canvas.height);
    if (raster) svg.prepend(sv('image', { href: pane.canvas.toDataURL('image/png'), width: pane.pane.width, height: pane.pane.height, preserveAspectRatio: 'none' }));
  } else { svg.setAttribute('width', 1200); svg.setAttribute('height', 440); }
  return new XMLSerializer().serializeToString(svg);
}
