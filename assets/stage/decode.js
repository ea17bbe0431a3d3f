/* One string in, header and typed arrays out; and small helpers. Nothing here knows any subject. */
const bytesOf = text => {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const raw = atob(text), out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
};
const textOf = bytes => {
  if (bytes.toBase64) return bytes.toBase64();
  let s = '';
  for (let i = 0; i < bytes.length; i += 8192) s += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(s);
};
const through = async (bytes, stream) => new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
const inflate = bytes => through(bytes, new DecompressionStream('deflate'));
const deflate = bytes => through(bytes, new CompressionStream('deflate'));

const KINDS = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, int8: Int8Array, int16: Int16Array, int32: Int32Array, float32: Float32Array };

async function decodeValue(value) {
  const body = await inflate(bytesOf(value));
  const length = new DataView(body.buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(body.subarray(4, 4 + length)));
  const start = 4 + length;
  const arrays = header.arrays.map(({ dtype, shape, offset }) => {
    if (dtype === 'blob') return body.subarray(start + offset, start + offset + shape[0]);
    const count = shape.reduce((a, b) => a * b, 1);
    const array = new KINDS[dtype](body.buffer, start + offset, count);
    array.shape = shape;
    return array;
  });
  const filled = node => {
    if (Array.isArray(node)) return node.map(filled);
    if (node && typeof node === 'object') {
      if ('$' in node) return arrays[node.$];
      if ('n' in node && 'text' in node) return { ...header.kinds[node.n], ...node };
      return Object.fromEntries(Object.entries(node).map(([k, v]) => [k, filled(v)]));
    }
    return node;
  };
  return { ...header, ramp: filled(header.ramp), scene: filled(header.scene), numbers: filled(header.numbers || []), guesses: filled(header.guesses || []) };
}

/* The slice of a layer's array at a step; `rank` is the rank of one slice. */
function at(array, step, rank) {
  if (!array || array.shape.length === rank) return array;
  const shape = array.shape.slice(1), size = shape.reduce((a, b) => a * b, 1);
  const k = Math.min(step, array.shape[0] - 1), out = array.subarray(k * size, (k + 1) * size);
  out.shape = shape;
  return out;
}
const pick = (list, step) => list.length ? list[Math.min(step, list.length - 1)] : undefined;

const SVG = 'http://www.w3.org/2000/svg';
function el(tag, options = {}, ...children) {
  const { text, on, data, svg, ...attributes } = options;
  const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [k, v] of Object.entries(attributes)) if (v !== undefined && v !== null && v !== false) node.setAttribute(k, v === true ? '' : v);
  if (text !== undefined) node.textContent = text;
  for (const [k, v] of Object.entries(data || {})) node.dataset[k] = v;
  for (const [k, v] of Object.entries(on || {})) node.addEventListener(k, v);
  node.append(...children.filter(c => c !== null && c !== undefined));
  return node;
}
const sv = (tag, options = {}, ...children) => el(tag, { ...options, svg: true }, ...children);
const fill = (template, fields) => template.replace(/\{(\w+)\}/g, (_, k) => fields[k]);
const colorOf = c => !c ? 'var(--gb-fg)' : c.startsWith('#') ? c : `var(--gb-${c.replace(/_/g, '-')})`;
let serial = 0;
const fresh = prefix => `${prefix}-${++serial}`;
