/* Linked highlighting: items of different layers that carry the same id under the same link light up together. What is pointed
   at, or holds the focus, comes first; else what the current step names. Choosing an item goes to its step. */
class Links {
  constructor(stage) { this.stage = stage; this.pointed = null; this.said = ''; }
  live(layer) { return !!layer.link && this.stage.data.scene.pointed.includes(layer.link); }
  any(layers) { return layers.some(layer => this.live(layer)); }
  /* Ids of one item as {link: [id]}; the item of a label map is a code, which is its own id unless the layer says otherwise. */
  ids(layer, i) {
    const rank = layer.type === 'matrix' ? 2 : 1, own = layer.items || (rank === 2 ? layer.codes : null), out = {};
    const take = (link, ids) => { const id = ids ? at(ids, this.stage.step, rank)[i] : i; if (id >= 0) out[link] = [id]; };
    take(layer.link, own);
    for (const [link, ids] of Object.entries(layer.also || {})) take(link, ids);
    return out;
  }
  shining(link) {
    if (this.pointed) return this.pointed[link] || [];
    const ids = this.stage.data.scene.followed[link];
    return ids ? [at(ids, this.stage.step, 0)].flatMap(a => [...a]).filter(id => id >= 0) : [];
  }
  lit(layer, i) {
    if (!this.live(layer)) return false;
    const on = this.shining(layer.link), id = (this.ids(layer, i)[layer.link] || [])[0];
    return id !== undefined && on.includes(id);
  }
  /* Point at items, as pairs of layer and index; at none: the step's own light again. */
  point(found) {
    const next = {};
    for (const [layer, i] of found) for (const [link, ids] of Object.entries(this.ids(layer, i))) next[link] = [...new Set([...(next[link] || []), ...ids])];
    const said = JSON.stringify(next);
    if (said === this.said) return;
    this.said = said; this.pointed = found.length && said !== '{}' ? next : null;
    for (const pane of this.stage.panes) pane.light();
  }
  forget() { this.pointed = null; this.said = ''; }
  /* Go to the step that names most of what is pointed at. */
  choose() {
    const { followed } = this.stage.data.scene, { steps } = this.stage, wanted = this.pointed;
    if (!wanted || steps < 2) return;
    let best = -1, most = 0;
    for (let t = 0; t < steps; t++) {
      const hits = Object.entries(followed).filter(([link, ids]) => (wanted[link] || []).includes(ids[t])).length;
      if (hits > most) { most = hits; best = t; }
    }
    if (best >= 0) this.stage.show(best);
  }
}
/* An element that is an item: pointer and focus light it, a click or Enter goes to its step. */
function linkedElement(node, layer, i, stage) {
  if (!stage.links.live(layer)) return;
  for (const name of ['pointerenter', 'focusin']) node.addEventListener(name, () => stage.links.point([[layer, i]]));
  for (const name of ['pointerleave', 'focusout']) node.addEventListener(name, e => { if (e.pointerType !== 'touch') stage.links.point([]); });
  node.addEventListener('click', () => { stage.links.point([[layer, i]]); stage.links.choose(); });
  if (!/^(BUTTON|A)$/.test(node.tagName)) {
    node.tabIndex = 0;
    node.addEventListener('keydown', e => { if (e.key === 'Enter' && e.target === node) { e.preventDefault(); stage.links.choose(); } });
  }
}
