"""Seeded bugs of core/systems."""

from tests.sabotage import Sabotage

SCHEDULE = "core/systems/attention_schedule.py"
FLASH = "core/systems/flash_attention.py"
BACKWARD = "core/systems/flash_attention_backward.py"
SPLIT = "core/systems/split_kv_decoding.py"
TRAFFIC = "core/systems/attention_traffic.py"
BLOCKS = "core/systems/attention_blocks.py"
DEVICES = "core/systems/attention_devices.py"
REGISTERS = "core/systems/attention_registers.py"
OPERANDS = "core/systems/attention_operand_bytes.py"
PAPER = "core/systems/attention_paper_figures.py"
INPUTS = "core/systems/attention_inputs.py"
COMPARISON = "core/systems/attention_comparison.py"
QUERY = "core/systems/attention_query.py"

SABOTAGES = (
    Sabotage(SCHEDULE, "    shift = n_k - n_q\n", "    shift = 0\n", "causal aligned top-left"),
    Sabotage(
        SCHEDULE,
        "col_blocks[j].start > row_blocks[i].stop - 1 + shift",
        "col_blocks[j].start >= row_blocks[i].stop - 1 + shift",
        "diagonal tile skipped",
    ),
    Sabotage(
        SCHEDULE,
        "col_blocks[j].start > row_blocks[i].stop - 1 + shift",
        "col_blocks[j].start > row_blocks[i].stop + shift",
        "a wholly hidden tile visited",
    ),
    Sabotage(
        SCHEDULE, "cols.stop - 1 > rows.start + shift", "cols.stop - 1 > rows.stop - 1 + shift", "mask of ragged tiles"
    ),
    Sabotage(SCHEDULE, 'if order == "fa1":', 'if order == "fa2":', "loop orders swapped"),
    Sabotage(
        SCHEDULE, "min(start + block, length)) for", "start + block) for", "the last tile reaches beyond the matrix"
    ),
    Sabotage(
        SCHEDULE, "        first.setdefault(block, place)", "        first[block] = place", "first visit is the last"
    ),
    Sabotage(SCHEDULE, "n_k, min(n_q, n_k)  #", "n_k, n_q  #", "rows above the keys are counted negatively"),
    Sabotage(
        SCHEDULE,
        "if sorted(columns) != list(range(len(col_blocks))):",
        "if len(columns) != len(col_blocks):",
        "a column block visited twice",
    ),
    Sabotage(FLASH, "        factor = alpha\n", "        factor = torch.ones_like(alpha)\n", "O is not rescaled"),
    Sabotage(FLASH, "torch.addcmul(p.sum(dim=-1), alpha, l)", "p.sum(dim=-1) + l", "l is not rescaled"),
    Sabotage(
        FLASH,
        "l * alpha).unsqueeze(-1) * out",
        "alpha).unsqueeze(-1) * out",
        "fa1 forgets to multiply the divided O by l",
    ),
    Sabotage(FLASH, "beta.unsqueeze(-1) * new, l_new", "new, l_new", "fa1 forgets the tile's own factor"),
    Sabotage(FLASH, "alpha * l + beta * p.sum", "alpha * l + p.sum", "fa1 adds an unscaled sum"),
    Sabotage(FLASH, "    return m.masked_fill(m == -torch.inf, 0)", "    return m", "−inf − −inf"),
    Sabotage(FLASH, "accumulator / l.masked_fill(l == 0, 1)", "accumulator / l", "0 / 0 for a query that sees nothing"),
    Sabotage(
        FLASH, "    return key > query.unsqueeze(-1)", "    return key >= query.unsqueeze(-1)", "a key hides itself"
    ),
    Sabotage(
        FLASH,
        "shift = schedule.n_k - schedule.n_q",
        "shift = schedule.n_q - schedule.n_k",
        "mask shifted the wrong way",
    ),
    Sabotage(
        FLASH,
        "            m, l, acc = _registers(queries[tile.row_block], v)",
        "            pass",
        "registers of the row block before",
    ),
    Sabotage(FLASH, "return self.row_max + self.row_sum.log()", "return self.row_sum.log()", "logsumexp without m"),
    Sabotage(
        FLASH,
        "factor = torch.where(m_old == -torch.inf, 1, 1 / alpha)",
        "factor = 1 / alpha",
        "the misprint gives NaN at once",
    ),
    Sabotage(FLASH, "factor = torch.where(m_old == -torch.inf, 1, 1 / alpha)", "pass", "the misprint is corrected"),
    Sabotage(FLASH, "* math.log2(math.e) <= threshold", "<= threshold", "threshold in natural units"),
    Sabotage(FLASH, "torch.where(stale, m_old, m_new)", "torch.where(stale, m_new, m_old)", "threshold upside down"),
    Sabotage(FLASH, "else p.to(dtype).to(p.dtype)", "else p", "P̃ is not rounded to half"),
    Sabotage(
        FLASH, "    return torch.float32 if dtype in HALF else dtype", "    return dtype", "half sums of half numbers"
    ),
    Sabotage(
        FLASH,
        "    for registers in pending.values():  # the",
        "    for registers in ():  # the",
        "cut-short steps are forgotten",
    ),
    Sabotage(BACKWARD, "grad_p - delta[..., rows].unsqueeze(-1)", "grad_p", "D is not subtracted"),
    Sabotage(BACKWARD, "+ tau * (grad_s @ k_j)", "+ grad_s @ k_j", "dQ as printed, without 1/√d"),
    Sabotage(BACKWARD, "grad_k + tau * (grad_s.mT @ q_i)", "grad_k + grad_s.mT @ q_i", "dK as printed, without 1/√d"),
    Sabotage(
        BACKWARD,
        "            s = s.masked_fill_(hidden, -torch.inf)",
        "            pass",
        "hidden scores have gradients",
    ),
    Sabotage(BACKWARD, "if tile.first_of_cols:", "if tile.first_of_rows:", "dK runs on over column blocks"),
    Sabotage(
        BACKWARD,
        "grad_q[tile.row_block] = grad_q[tile.row_block] + ",
        "grad_q[tile.row_block] = ",
        "dQ keeps only the last column block",
    ),
    Sabotage(
        BACKWARD,
        "grad_q[tile.row_block] = grad_q[tile.row_block] + ",
        "grad_q[tile.row_block] += ",
        "earlier steps' dQ changes",
    ),
    Sabotage(
        BACKWARD,
        "safe = logsumexp.masked_fill(logsumexp == -torch.inf, torch.inf)",
        "safe = logsumexp",
        "NaN or ∞ gradients of empty rows",
    ),
    Sabotage(
        SPLIT,
        "tuple(SplitPart(keys, o, l, w)",
        "tuple(SplitPart(keys, o, l, w / w * (1 / len(found)))",
        "parts averaged instead of weighed",
    ),
    Sabotage(SPLIT, "hidden_tail = n_k - keys.stop", "hidden_tail = 0", "each part is causal by itself"),
    Sabotage(SPLIT, "-(-len(blocks) // splits)", "len(blocks) // splits or 1", "more parts than asked for"),
    Sabotage(
        SPLIT,
        "logsumexp.masked_fill(logsumexp == -torch.inf, 0)",
        "logsumexp",
        "weights of a query that sees nothing",
    ),
    Sabotage(SPLIT, "waves / math.ceil(waves) if", "waves if", "half-empty last wave forgotten"),
    Sabotage(SPLIT, "length != longer else None", "True else None", "splits that change nothing are candidates"),
    Sabotage(SPLIT, "GOOD = Fraction(85, 100)", "GOOD = Fraction(80, 100)", "80 % is good enough"),
    Sabotage(SPLIT, ">= BUSY:", "> BUSY:", "80 % of the SMs is not enough"),
    Sabotage(TRAFFIC, "columns += min(tiles * block_k, keys)", "columns += tiles * block_k", "ragged last tile padded"),
    Sabotage(
        TRAFFIC, "again = rows - seen if initial", "again = rows if initial", "the first load of O is never skipped"
    ),
    Sabotage(TRAFFIC, "min(max(stop + keys - n_q, 0), keys)", "min(stop, keys)", "causal tiles counted top-left"),
    Sabotage(
        TRAFFIC, 'STATISTICS = frozenset({"m", "l", "L", "D"})', 'STATISTICS = frozenset({"m", "l", "L"})', "D in half"
    ),
    Sabotage(
        TRAFFIC,
        '"dP": scores}\n        loaded |= {"dS": 2 * scores',
        '"dP": scores}\n        loaded |= {"dS": scores',
        "dS read once",
    ),
    Sabotage(TRAFFIC, '"skipped": n_q - seen}[initial]', '"skipped": 0}[initial]', "empty rows are never written"),
    Sabotage(
        TRAFFIC,
        "    last_row, last_col = rows * tile.last_of_rows, cols * tile.last_of_cols\n    again",
        "    last_row, last_col = rows * tile.first_of_rows, cols * tile.last_of_cols\n    again",
        "O is stored before it is finished",
    ),
    Sabotage(
        TRAFFIC,
        'if _checked_direction(direction) == "forward" else "fa1"',
        "if True else order",
        "backward runs over Q outside",
    ),
    Sabotage(TRAFFIC, 'twice = keys * (initial == "written")', "twice = 0", "zeroed dK and dV are not counted"),
    Sabotage(
        TRAFFIC, "for other in every:", "for other in flash.tiles[tile.index :]:", "skipped tiles are never charged"
    ),
    Sabotage(BLOCKS, "statistics=4 * block_q * on_chip", "statistics=2 * block_q * on_chip", "new m and l forgotten"),
    Sabotage(BLOCKS, "scores=block_q * block_k * on_chip", "scores=0", "S takes no room"),
    Sabotage(
        BLOCKS, "return self.total > self.capacity", "return self.total >= self.capacity", "an exact fit overflows"
    ),
    Sabotage(
        BLOCKS, "block_k = -(-sram_elements // (4 * d))", "block_k = sram_elements // (4 * d)", "rule rounded down"
    ),
    Sabotage(BLOCKS, "BlockSizes(min(block_k, d), block_k)", "BlockSizes(block_k, block_k)", "Br not bounded by d"),
    Sabotage(BLOCKS, "multiple * (1 + spare // per_step)", "multiple * (spare // per_step)", "one block too few"),
    Sabotage(BLOCKS, '"rows": (block_q, block_k)', '"rows": (block_k, block_q)', "rows are columns"),
    Sabotage(
        BLOCKS, "-(-limit // multiple) * multiple", "limit // multiple * multiple", "a short sequence has no block"
    ),
    Sabotage(
        DEVICES, '2 if direction == "forward" else 5', '2 if direction == "forward" else 4', "P is not computed again"
    ),
    Sabotage(DEVICES, "per_score = 2 * d * heads", "per_score = d * heads", "multiply-adds instead of FLOPs"),
    Sabotage(
        DEVICES, "min(-(-seen // block_k) * block_k, keys)", "-(-seen // block_k) * block_k", "ragged tile padded"
    ),
    Sabotage(DEVICES, "square // (1 + causal)", "square", "causal is not halved"),
    Sabotage(
        DEVICES,
        "return max(self.memory_s, self.compute_s)",
        "return self.memory_s + self.compute_s",
        "nothing overlaps",
    ),
    Sabotage(DEVICES, "min(flops_per_s, intensity * hbm_bytes_per_s)", "intensity * hbm_bytes_per_s", "no flat roof"),
    Sabotage(DEVICES, "3.35e12,", "3.0e12,", "bandwidth of the first announcement"),
    Sabotage(DEVICES, "989.4e12", "1979e12", "FLOP/s with sparsity"),
    Sabotage(
        REGISTERS, "states.append(states[-1])", "states.append(states[0])", "other rows' tiles reset the registers"
    ),
    Sabotage(
        REGISTERS,
        "torch.where(max_changed, place, -1).amax(dim=-1)",
        "max_changed.int().argmax(dim=-1)",
        "first change instead of last",
    ),
    Sabotage(
        REGISTERS, "if own else torch.ones_like(m)", "if own else torch.zeros_like(m)", "other rows' tiles erase O"
    ),
    Sabotage(
        REGISTERS,
        "torch.where(step.max_changed, place, part)",
        "torch.where(step.max_changed, step.tile.col_block, part)",
        "column block instead of step",
    ),
    Sabotage(REGISTERS, "step.output[..., at, :])", "step.accumulator[..., at, :])", "output is not divided"),
    Sabotage(OPERANDS, 'name != "_unsafe_view" and ', "", "a view is counted"),
    Sabotage(OPERANDS, 'results = [] if name == "copy_" else ', "results = ", "a copy is written twice"),
    Sabotage(OPERANDS, "and name not in ALLOCATIONS", "", "an allocation is counted"),
    Sabotage(OPERANDS, "        if key_padding_mask:\n", "        if not key_padding_mask:\n", "mask upside down"),
    Sabotage(OPERANDS, '@ k.mT if scale_at == "queries"', '@ k.mT if scale_at == "scores"', "scale at the other place"),
    Sabotage(PAPER, "<= 0.05", "<= 0.005", "two per cent are too much"),
    Sabotage(PAPER, 'initial="skipped"', 'initial="written"', "zeros are written"),
    Sabotage(PAPER, "product = 2 * N * N * D * HEADS / 1e9", "product = N * N * D * HEADS / 1e9", "multiply-adds"),
    Sabotage(PAPER, "6 * product", "4 * product", "two products forgotten"),
    Sabotage(PAPER, 'one("fa1", "forward") + one("fa2", "backward")', 'one("fa1", "forward")', "backward forgotten"),
    Sabotage(
        INPUTS, "AttentionInputs(q * spread, k, v)", "AttentionInputs(q * spread, k * spread, v)", "spread squared"
    ),
    Sabotage(INPUTS, "patches - patches.mean(axis=0)", "patches", "the mean patch is not subtracted"),
    Sabotage(INPUTS, "sharpness * d**0.5", "sharpness", "scores divided by √d once too often"),
    Sabotage(
        INPUTS,
        "(rows, SAMPLES, columns, SAMPLES, 3)",
        "(columns, SAMPLES, rows, SAMPLES, 3)",
        "patches of another grid",
    ),
    Sabotage(
        INPUTS,
        "np.random.default_rng(seed)\n    noise",
        "np.random.default_rng(0)\n    noise",
        "seed of the projection ignored",
    ),
    Sabotage(INPUTS, ".transpose(0, 2, 1, 3, 4)", "", "patches are strips of rows"),
    Sabotage(COMPARISON, "scores = q @ k.mT * q.shape[-1] ** -0.5", "scores = q @ k.mT / q.shape[-1]", "divided by d"),
    Sabotage(COMPARISON, "shift = k.shape[-2] - q.shape[-2]", "shift = 0", "causal aligned top-left"),
    Sabotage(COMPARISON, ".nan_to_num(nan=0.0)", "", "NaN for a query that sees nothing"),
    Sabotage(COMPARISON, "~torch.isfinite(got)", "torch.isnan(got)", "infinities are finite"),
    Sabotage(COMPARISON, 'float("nan") if broken else ', "", "NaN lost in the maximum of a comparison"),
    Sabotage(COMPARISON, "rounded = expected.to(got.dtype)", "rounded = expected", "bits of another type"),
    Sabotage(QUERY, "torch.exp(seen - finite) / torch", "torch.exp(seen - finite) * torch", "weights are not divided"),
    Sabotage(
        QUERY,
        "step.scores.new_full((n_k,), -torch.inf)",
        "step.scores.new_zeros((n_k,))",
        "keys not seen yet have weight",
    ),
    Sabotage(QUERY, "float(step.tile_max[r])", "float(step.row_max[r])", "m̃ is m"),
    Sabotage(QUERY, "r = query - rows.start", "r = 0", "first row of the tile followed"),
    Sabotage(QUERY, "        total = float(l)\n", "        total += float(l)\n", "old l summed up"),
)
