"""Attention row by row and the papers' algorithms over a memory that counts: slow, and short enough to be checked by reading."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np


def sees(row, key, n_q, n_k, causal):
    """Bottom-right: the last query sees all keys, each query above one fewer."""
    return not causal or (n_q - 1 - row) <= (n_k - 1 - key)


def softmax_attention(q, k, v, causal=False):
    """(output, logsumexp) in float64, one query after the other; a query that sees nothing gets 0 and −inf."""
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    n_q, n_k = len(q), len(k)
    output, logsumexp = np.zeros((n_q, v.shape[1])), np.full(n_q, -np.inf)
    for r in range(n_q):
        keys = [c for c in range(n_k) if sees(r, c, n_q, n_k, causal)]
        if keys:
            scores = np.array([q[r] @ k[c] for c in keys]) / math.sqrt(q.shape[1])
            weights = np.exp(scores - scores.max())
            output[r] = (weights / weights.sum()) @ v[keys]
            logsumexp[r] = scores.max() + math.log(weights.sum())
    return output, logsumexp


def registers(scores, values, parts, printed_inverse=False):
    """One query's (m, l, O) before and after each part of its keys, one number at a time (FlashAttention-2)."""
    m, l, o = -math.inf, 0.0, np.zeros(values.shape[1])
    states = [(m, l, o.copy())]
    for part in parts:
        seen = [c for c in part if scores[c] > -math.inf]
        new = max([m, *(scores[c] for c in seen)])
        decay = 0.0 if m == -math.inf else math.exp(m - new)
        l *= decay
        o = o / decay if printed_inverse and decay else o * decay
        for c in seen:
            l += math.exp(scores[c] - new)
            o = o + math.exp(scores[c] - new) * values[c]
        m = new
        states.append((m, l, o.copy()))
    return states


class Memory:
    """HBM: arrays by name; every load and store is counted in bytes."""

    def __init__(self, heads, width, **arrays):
        self.arrays = {name: np.array(array, np.float64) for name, array in arrays.items()}
        self.heads, self.width = heads, width  # bytes per number by name
        self.loaded, self.stored, self.ideal_loaded, self.ideal_stored = Counter(), Counter(), Counter(), Counter()
        self.inside = {name: np.zeros(np.shape(array), bool) for name, array in arrays.items()}  # bytes L2 already has
        self.written = {name: np.zeros(np.shape(array), bool) for name, array in arrays.items()}

    def _bytes(self, name, count):
        return int(count) * self.heads * self.width[name]

    def load(self, name, at=slice(None)):
        new = np.count_nonzero(~self.inside[name][at])
        self.loaded[name] += self._bytes(name, self.arrays[name][at].size)
        self.ideal_loaded[name] += self._bytes(name, new)
        self.inside[name][at] = True
        return self.arrays[name][at].copy()

    def store(self, name, value, at=slice(None), counted=True):
        self.arrays[name][at] = value
        if counted:
            new = np.count_nonzero(~self.written[name][at])
            self.stored[name] += self._bytes(name, self.arrays[name][at].size)
            self.ideal_stored[name] += self._bytes(name, new)
            self.written[name][at] = True
        self.inside[name][at] = True


def _cuts(n, block):
    return [slice(a, min(a + block, n)) for a in range(0, n, block)]


def _tile(q, k, rows, cols, n_q, n_k, causal):
    s = q @ k.T / math.sqrt(q.shape[1])
    for a, r in enumerate(range(rows.start, rows.stop)):
        for b, c in enumerate(range(cols.start, cols.stop)):
            if not sees(r, c, n_q, n_k, causal):
                s[a, b] = -math.inf
    return s


def _hidden(rows, cols, n_q, n_k, causal):
    return not any(
        sees(r, c, n_q, n_k, causal) for r in range(rows.start, rows.stop) for c in range(cols.start, cols.stop)
    )


def _exp(x):
    return np.where(np.isnan(x), 0.0, np.exp(x))


def forward_fa1(memory, n_q, n_k, block_q, block_k, causal, initial):
    """FlashAttention, Algorithm 1."""
    rows, fresh = _cuts(n_q, block_q), set(range(len(_cuts(n_q, block_q))))
    if initial != "skipped":
        for name, value in (("O", 0), ("l", 0), ("m", -np.inf)):
            memory.store(name, value, counted=initial == "written")
    for cols in _cuts(n_k, block_k):
        k, v = memory.load("K", cols), memory.load("V", cols)
        for i, at in enumerate(rows):
            if _hidden(at, cols, n_q, n_k, causal):
                continue
            q = memory.load("Q", at)
            if initial == "skipped" and i in fresh:
                o, l, m = np.zeros((len(q), v.shape[1])), np.zeros(len(q)), np.full(len(q), -np.inf)
            else:
                o, l, m = memory.load("O", at), memory.load("l", at), memory.load("m", at)
            fresh.discard(i)
            with np.errstate(invalid="ignore", divide="ignore"):
                s = _tile(q, k, at, cols, n_q, n_k, causal)
                m_tile = s.max(axis=1)
                p = _exp(s - m_tile[:, None])
                new = np.maximum(m, m_tile)
                a, b = _exp(m - new), _exp(m_tile - new)
                l_new = a * l + b * p.sum(axis=1)
                o = np.nan_to_num(((l * a)[:, None] * o + b[:, None] * (p @ v)) / l_new[:, None])
            memory.store("O", o, at)
            memory.store("l", l_new, at)
            memory.store("m", new, at)
    if initial == "skipped":
        for i in fresh:
            for name, value in (("O", 0), ("l", 0), ("m", -np.inf)):
                memory.store(name, value, rows[i])


def forward_fa2(memory, n_q, n_k, block_q, block_k, causal, _initial):
    """FlashAttention-2, Algorithm 1."""
    for at in _cuts(n_q, block_q):
        seen = [cols for cols in _cuts(n_k, block_k) if not _hidden(at, cols, n_q, n_k, causal)]
        q = memory.load("Q", at) if seen else None
        rows = at.stop - at.start
        o, l, m = 0.0, np.zeros(rows), np.full(rows, -np.inf)
        for cols in seen:
            k, v = memory.load("K", cols), memory.load("V", cols)
            with np.errstate(invalid="ignore"):
                s = _tile(q, k, at, cols, n_q, n_k, causal)
                new = np.maximum(m, s.max(axis=1))
                p, a = _exp(s - new[:, None]), _exp(m - new)
            l, o, m = a * l + p.sum(axis=1), a[:, None] * o + p @ v, new
        with np.errstate(invalid="ignore", divide="ignore"):
            memory.store("O", np.nan_to_num(o / l[:, None]), at)
            memory.store("L", m + np.log(l), at)


def _backward_tile(memory, loads, at, cols, k, v, n_q, n_k, causal):
    """(dQ's part, dK's, dV's) of a tile; `loads` in the order in which they are read."""
    held = {name: memory.load(name, at) for name in loads}
    q, grad_o = held["Q"], held["dO"]
    with np.errstate(invalid="ignore", divide="ignore"):
        l = held["L"] if "L" in held else held["m"] + np.log(held["l"])
        p = _exp(_tile(q, k, at, cols, n_q, n_k, causal) - l[:, None])
    delta = held["D"] if "D" in held else (held["O"] * grad_o).sum(axis=1)
    grad_s = p * (grad_o @ v.T - delta[:, None]) / math.sqrt(q.shape[1])
    return grad_s @ k, grad_s.T @ q, p.T @ grad_o


def backward(memory, n_q, n_k, block_q, block_k, causal, initial, loads, zeroed):
    """FlashAttention-2's Algorithm 2, or with other `loads` and `zeroed` FlashAttention's Algorithm 4."""
    if "D" in loads:
        memory.store("D", (memory.load("O") * memory.load("dO")).sum(axis=1))
    if initial != "skipped":
        for name in zeroed:
            memory.store(name, 0, counted=initial == "written")
    rows, fresh = _cuts(n_q, block_q), set(range(len(_cuts(n_q, block_q))))
    for cols in _cuts(n_k, block_k):
        k, v = memory.load("K", cols), memory.load("V", cols)
        grad_k, grad_v = 0.0, 0.0
        for i, at in enumerate(rows):
            if _hidden(at, cols, n_q, n_k, causal):
                continue
            part_q, part_k, part_v = _backward_tile(memory, loads, at, cols, k, v, n_q, n_k, causal)
            old = 0 if initial == "skipped" and i in fresh else memory.load("dQ", at)
            fresh.discard(i)
            memory.store("dQ", old + part_q, at)
            grad_k, grad_v = grad_k + part_k, grad_v + part_v
        memory.store("dK", grad_k, cols)
        memory.store("dV", grad_v, cols)
    if initial == "skipped":
        for i in fresh:
            memory.store("dQ", 0, rows[i])


def standard_forward(memory):
    """Algorithm 0."""
    memory.store("S", memory.load("Q") @ memory.load("K").T / math.sqrt(memory.arrays["Q"].shape[1]))
    e = np.exp(memory.load("S"))
    memory.store("P", e / e.sum(axis=1, keepdims=True))
    memory.store("O", memory.load("P") @ memory.load("V"))


def standard_backward(memory):
    """Algorithm 3."""
    memory.store("dV", memory.load("P").T @ memory.load("dO"))
    memory.store("dP", memory.load("dO") @ memory.load("V").T)
    p, grad_p = memory.load("P"), memory.load("dP")
    memory.store("dS", p * (grad_p - (p * grad_p).sum(axis=1, keepdims=True)))
    memory.store("dQ", memory.load("dS") @ memory.load("K") / math.sqrt(memory.arrays["Q"].shape[1]))
    memory.store("dK", memory.load("dS").T @ memory.load("Q") / math.sqrt(memory.arrays["Q"].shape[1]))


def traffic(n_q, n_k, d, block_q, block_k, causal, order, direction, initial, dtype_bytes, stat_bytes, heads, seed=0):
    """(memory after the run of one head, inputs): the counts are of so many heads."""
    rng = np.random.default_rng(seed)
    q, k, v, grad_o = (rng.standard_normal((n, d)) for n in (n_q, n_k, n_k, n_q))
    o, logsumexp = softmax_attention(q, k, v, causal)
    width = Counter(dict.fromkeys(("Q", "K", "V", "O", "S", "P", "dO", "dQ", "dK", "dV", "dP", "dS"), dtype_bytes))
    width.update(dict.fromkeys(("m", "l", "L", "D"), stat_bytes))
    nothing, long = np.full((n_q, d), np.nan), np.full((n_k, d), np.nan)
    inputs = {"Q": q, "K": k, "V": v}
    if order == "standard":
        square = np.full((n_q, n_k), np.nan)
        memory = Memory(heads, width, **inputs, S=square, P=square, O=nothing)
        standard_forward(memory)
        if direction == "backward":
            names = {"dQ": nothing, "dK": long, "dV": long, "dP": square, "dS": square}
            memory = Memory(heads, width, **inputs, P=memory.arrays["P"], dO=grad_o, **names)
            standard_backward(memory)
        return memory, (q, k, v, grad_o)
    if direction == "forward":
        names = {"L": o[:, 0]} if order == "fa2" else {"l": o[:, 0], "m": o[:, 0]}
        memory = Memory(heads, width, **inputs, O=nothing, **{name: np.full(n_q, np.nan) for name in names})
        run = forward_fa2 if order == "fa2" else forward_fa1
        run(memory, n_q, n_k, block_q, block_k, causal, initial)
        return memory, (q, k, v, grad_o)
    names = {"dQ": nothing, "dK": long, "dV": long, "O": o, "dO": grad_o}
    if order == "fa2":
        memory = Memory(heads, width, **inputs, **names, L=np.where(np.isinf(logsumexp), np.inf, logsumexp), D=o[:, 0])
        loads, zeroed = ("Q", "dO", "L", "D"), ("dQ",)
    else:
        statistics = {"m": np.where(np.isinf(logsumexp), np.inf, logsumexp), "l": np.ones(n_q)}
        memory = Memory(heads, width, **inputs, **names, **statistics)
        loads, zeroed = ("Q", "O", "dO", "l", "m"), ("dQ", "dK", "dV")
    backward(memory, n_q, n_k, block_q, block_k, causal, initial, loads, zeroed)
    return memory, (q, k, v, grad_o)
