"""Seeded bugs of core/systems' memory tracker, checkpoint plans and runs, allocator, predictions and snapshots."""

from tests.sabotage import Sabotage

TRACKER = "core/systems/memory_tracker.py"
PLANS = "core/systems/checkpoint_plans.py"
SCHEDULES = "core/systems/checkpoint_schedules.py"
MODELS = "core/systems/checkpoint_models.py"
CONFIG = "core/systems/transformer_config.py"
RUNS = "core/systems/checkpointing.py"
ACCOUNTS = "core/systems/memory_accounting.py"
GENERATOR = "core/systems/global_generator.py"
ALLOCATOR = "core/systems/caching_allocator.py"
PREDICTION = "core/systems/peak_prediction.py"
PICKLE = "core/systems/restricted_pickle.py"
SNAPSHOT = "core/systems/memory_snapshot.py"

SABOTAGES = (
    Sabotage(
        TRACKER,
        "self._live[storage.kind] -= storage.size\n            self._freed",
        "self._freed",
        "deaths are not subtracted",
    ),
    Sabotage(TRACKER, "known.size == size:", "True:", "a storage that grew keeps its old size"),
    Sabotage(
        TRACKER,
        "for kind, tensors in ((0, self._parameters), (2, self._inputs)):",
        "for kind, tensors in ((0, self._parameters),):",
        "inputs are not registered",
    ),
    Sabotage(
        TRACKER,
        "            if parameter.grad is not None:\n",
        "            if parameter.grad is None:\n                continue\n            if False:\n",
        "gradients that are there already are forgotten",
    ),
    Sabotage(
        TRACKER, "            storage.kind = GRADIENTS\n", "", "a gradient that dies is subtracted from the workspace"
    ),
    Sabotage(TRACKER, "            self._live[GRADIENTS] += storage.size\n", "", "gradients vanish when taken over"),
    Sabotage(TRACKER, "        if func.is_view or", "        if", "views are events"),
    Sabotage(
        TRACKER,
        "self._register(tensor, BORN_IN[self._phase])",
        "self._register(tensor, 3)",
        "everything counts as activations",
    ),
    Sabotage(
        TRACKER,
        "        if self._cancelled:\n",
        "        if self._cancelled and self._phase == 'forward':\n",
        "backward cannot be cancelled",
    ),
    Sabotage(
        TRACKER,
        "        finally:\n            self.turn_to(*before)",
        "        finally:\n            self.turn_to(before[0], -1)",
        "the layer outside is forgotten",
    ),
    Sabotage(
        TRACKER,
        "        self._note_freed()\n        self._phase, self._layer = phase, layer",
        "        self._phase, self._layer = phase, layer",
        "releases count for the next layer",
    ),
    Sabotage(
        TRACKER,
        "        return counted.sdpa_backward_flop_count(",
        "        return counted.sdpa_flop_count(*(a.shape for a in args[1:4])) + 0 * counted.sdpa_backward_flop_count(",
        "attention's backward costs a forward",
    ),
    Sabotage(
        TRACKER,
        "        for number in (*event.freed, *event.became_gradients):",
        "        for number in event.freed:",
        "gradients are moved twice",
    ),
    Sabotage(
        TRACKER,
        "for number in event.freed + event.became_gradients:",
        "for number in event.became_gradients:",
        "a layer's bytes are never released",
    ),
    Sabotage(TRACKER, 'kind >= BORN_IN["forward"]', "kind >= 0", "gradients belong to their layer"),
    Sabotage(TRACKER, 'event.phase not in ("baseline", "end")', 'event.phase != "end"', "the baseline is work"),
    Sabotage(
        TRACKER,
        "return -(-n_bytes // CUDA_BLOCK) * CUDA_BLOCK",
        "return (n_bytes // CUDA_BLOCK + 1) * CUDA_BLOCK",
        "a whole block is rounded up too",
    ),
    Sabotage(
        TRACKER,
        "return int(storage._cdata)",
        "return tensor.data_ptr()",
        "views at an offset look like storages of their own",
    ),
    Sabotage(PLANS, "max(1, round(math.sqrt(layers)))", "max(1, int(math.sqrt(layers)))", "√n rounded down"),
    Sabotage(
        PLANS,
        "last = layers // count, layers // count * (count - 1)",
        "last = layers // count, layers // count * count",
        "checkpoint_sequential recomputes its last segment",
    ),
    Sabotage(
        PLANS,
        "return pinned_plan(layers, range(0, layers, length))",
        "return segments_plan(layers, length)",
        "every k-th is k segments",
    ),
    Sabotage(
        PLANS,
        "return (short + 1,) * longer + (short,) * (segments - longer)",
        "return (short,) * (segments - longer) + (short + 1,) * longer",
        "short segments first",
    ),
    Sabotage(
        PLANS,
        "max(j + length for j, length in enumerate(lengths))",
        "segments - 1 + max(lengths)",
        "every checkpoint is alive at every time",
    ),
    Sabotage(
        PLANS, "pins = sorted(set(checkpoint_at))", "pins = sorted(checkpoint_at)", "a pin twice makes an empty segment"
    ),
    Sabotage(
        PLANS, "yield from _calls(node, times + 1)", "yield from _calls(node, 2)", "nested segments recompute once"
    ),
    Sabotage(
        PLANS,
        "return segments + layers / segments * stored_units",
        "return segments - 1 + layers / segments * stored_units",
        "the output is not held",
    ),
    Sabotage(PLANS, "return math.sqrt(layers * stored_units)", "return math.sqrt(layers)", "√n always"),
    Sabotage(
        SCHEDULES,
        "< length:\n        repetitions += 1",
        "< length - 1:\n        repetitions += 1",
        "one repetition too few",
    ),
    Sabotage(
        SCHEDULES,
        "math.comb(checkpoints + repetitions, checkpoints + 1)",
        "math.comb(checkpoints + repetitions, checkpoints)",
        "wrong binomial",
    ),
    Sabotage(
        SCHEDULES,
        "return m + revolve_cost(length - m, checkpoints - 1) + revolve_cost(m, checkpoints)",
        "return m + revolve_cost(length - m, checkpoints - 1) + revolve_cost(m, checkpoints - 1)",
        "the first part has a checkpoint fewer",
    ),
    Sabotage(
        SCHEDULES,
        "_boundary(i, s, sizes), _advance(i, s, sizes), sum(costs[i:s])",
        "_boundary(i, s, sizes), _advance(i, s, sizes), sum(costs[i : s - 1])",
        "the last layer of a part is free",
    ),
    Sabotage(
        SCHEDULES,
        "        lowest = max(first_run, kept + rest[0].peak, part[0].peak)",
        "        lowest = max(kept + rest[0].peak, part[0].peak)",
        "the unrecorded run takes no memory",
    ),
    Sabotage(
        SCHEDULES,
        "_Point(saved + max(p.peak, at_work)",
        "_Point(saved + p.peak",
        "a recorded layer's backward takes no memory",
    ),
    Sabotage(
        SCHEDULES,
        "peak = max(point.peak + held, first_run)",
        "peak = max(point.peak, first_run)",
        "the output is not held to the end",
    ),
    Sabotage(SCHEDULES, "if point.peak <= budget]", "if point.peak < budget]", "exactly the budget does not fit"),
    Sabotage(
        SCHEDULES,
        "return full - sizes[inside[-1]].output if is_last else full",
        "return full",
        "the last output is made again",
    ),
    Sabotage(
        SCHEDULES,
        "return 1 + extra / (3 * forward)",
        "return 1 + extra / (2 * forward)",
        "a backward costs one forward",
    ),
    Sabotage(SCHEDULES, "return sizes[j - 1].output + sum(skips)", "return sizes[j - 1].output", "skips are forgotten"),
    Sabotage(MODELS, "plan[0].numel() ** -0.5", "plan.shape[0] ** -0.5", "scaled by fan-out"),
    Sabotage(
        MODELS,
        "return torch.native_dropout(x, self.p, True)[0] if self.training else x",
        "return nn.functional.dropout(x, self.p, True) if self.training else x",
        "the CPU's dropout, which keeps a product",
    ),
    Sabotage(
        MODELS,
        "x = x + self.out(mixed.transpose(1, 2)",
        "x = self.norm_1(x) + self.out(mixed.transpose(1, 2)",
        "the residual is taken after the norm",
    ),
    Sabotage(MODELS, ".triu(1)\n", ".triu(0)\n", "a token does not see itself"),
    Sabotage(
        MODELS,
        "return (self.convolutions(torch.cat([wide, skips[-1]], 1)), *skips[:-1])",
        "return (self.convolutions(torch.cat([wide, skips[-1]], 1)), *skips)",
        "used skips are handed on",
    ),
    Sabotage(MODELS, "stored = math.nan if dropout else 2.0", "stored = 2.0", "a closed form for dropout"),
    Sabotage(
        MODELS,
        "stored = 16 + (4 + heads) / width",
        "stored = 16 + (2 + heads) / width",
        "one layer norm's statistics forgotten",
    ),
    Sabotage(
        CONFIG,
        "k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)",
        "k, v = k.repeat(1, groups, 1, 1), v.repeat(1, groups, 1, 1)",
        "groups of heads mixed up",
    ),
    Sabotage(CONFIG, "(1 if self.tied else 2)", "2", "tied weights counted twice"),
    Sabotage(CONFIG, "self.ids[:, 1:].flatten()", "self.ids[:, :-1].flatten()", "every token predicts itself"),
    Sabotage(CONFIG, 'biases=biased or model == "qwen2",', "biases=biased,", "Qwen2 without its biases"),
    Sabotage(
        CONFIG,
        "2 * self.head_width * self.query_key_norm",
        "2 * self.width * self.query_key_norm",
        "norms over all heads",
    ),
    Sabotage(
        CONFIG,
        "        head.scores.weight = embedding.tokens.weight\n",
        "        pass\n",
        "tied weights are two tensors",
    ),
    Sabotage(
        CONFIG,
        "    if isinstance(value, bool) or not isinstance(value, int)",
        "    if not isinstance(value, int)",
        "true is a size",
    ),
    Sabotage(
        RUNS,
        "preserve_rng_state=self.options.preserve_rng_state and self.chain.draws,",
        "preserve_rng_state=self.chain.draws,",
        "the switch does nothing",
    ),
    Sabotage(
        GENERATOR,
        "            owner.set_rng_state(before)\n",
        "            pass\n",
        "the global generator stays seeded",
    ),
    Sabotage(
        GENERATOR,
        "    while not _turn.acquire(timeout=LOOK_S):\n        if cancelled():",
        "    while not _turn.acquire(timeout=LOOK_S):\n        if not cancelled:",
        "waiting for the generator cannot be cancelled",
    ),
    Sabotage(GENERATOR, "        owner.manual_seed(seed)\n", "", "the seed does nothing"),
    Sabotage(GENERATOR, "_turn = threading.Lock()", "_turn = threading.Semaphore(2)", "two at a time"),
    Sabotage(
        GENERATOR,
        "        try:\n            yield\n        finally:\n            owner.set_rng_state(before)",
        "        yield\n        owner.set_rng_state(before)",
        "an error leaves the generator seeded",
    ),
    Sabotage(
        ACCOUNTS,
        "seeded_global_generator(0, chain.inputs.device) if chain.draws else nullcontext()",
        "nullcontext()",
        "measuring a layer alone draws out of turn",
    ),
    Sabotage(RUNS, "            early_stop=self.options.early_stop,\n", "", "early stopping always"),
    Sabotage(
        RUNS,
        "        if not again and out[0].requires_grad:",
        "        if not again and out[0].requires_grad and i:",
        "the first layer's backward is the second's",
    ),
    Sabotage(
        RUNS,
        'self.tracker.at("recompute" if again else "forward", i)',
        'self.tracker.at("forward", i)',
        "recomputation counts as forward",
    ),
    Sabotage(RUNS, "nn.Parameter(inside, requires_grad=p.requires_grad)", "p", "gradients stay in the caller's model"),
    Sabotage(RUNS, "aten.mm.default, aten.addmm.default,", "aten.mm.default,", "products with a bias are not saved"),
    Sabotage(
        RUNS,
        "        run.cancel()\n        thread.join()\n",
        "        thread.join()\n",
        "closing waits for the whole run",
    ),
    Sabotage(
        RUNS,
        "            new = tuple(run.tracker.events[seen:])\n            seen += len(new)",
        "            new = tuple(run.tracker.events[seen:])\n            seen = len(new)",
        "events come twice",
    ),
    Sabotage(
        RUNS,
        "if event.total_bytes > budget_bytes)",
        "if event.total_bytes >= budget_bytes)",
        "exactly the budget is too much",
    ),
    Sabotage(
        RUNS,
        "return max(event.activation_bytes for event in self.events)",
        "return self.peak_event.activation_bytes",
        "the activation peak is looked for at the wrong moment",
        tests="tests/core/systems/test_checkpointing.py",
    ),
    Sabotage(
        RUNS,
        "return (needed + self.recompute_flops) / needed if needed else 1.0",
        "return 1 + self.recompute_flops / self.forward_flops",
        "ratio over one forward",
    ),
    Sabotage(
        RUNS,
        "return torch.equal(a.contiguous().view(torch.uint8), b.contiguous().view(torch.uint8))",
        "return torch.allclose(a, b, atol=10)",
        "nearly equal is equal",
    ),
    Sabotage(
        ACCOUNTS,
        'residuals=(\n            Residual("kernel scratch", in_use - run.peak_bytes)',
        'residuals=(\n            Residual("kernel scratch", in_use - predicted.peak_bytes + 1)',
        "a byte is lost between the bars",
    ),
    Sabotage(
        ACCOUNTS,
        "for event in sorted(changes, key=lambda event: event.start_ns()):",
        "for event in sorted(changes, key=lambda event: -event.start_ns()):",
        "the profiler's events backwards",
    ),
    Sabotage(
        ACCOUNTS,
        "live = peak = run.events[0].total_bytes\n    changes",
        "live = peak = 0\n    changes",
        "parameters are missing from the profiler's peak",
    ),
    Sabotage(ACCOUNTS, "            seen.add(key)\n", "", "a tensor saved twice counts twice"),
    Sabotage(
        ACCOUNTS,
        "    seen = {storage_address(p) for layer in layers for p in layer.parameters()}",
        "    seen = set[int]()",
        "saved weights count as activations",
    ),
    Sabotage(ACCOUNTS, "mlp = sbh * (3 + 16 / t)", "mlp = sbh * (1 + 18 / t)", "dropout's mask is divided"),
    Sabotage(
        ACCOUNTS,
        "attention = sbh * (3 + 8 / t) + scores",
        "attention = sbh * (3 + 6 / t) + scores",
        "values are not saved",
    ),
    Sabotage(
        ACCOUNTS,
        "5 * heads * tokens * tokens * batch / t",
        "5 * heads * tokens * batch / t",
        "scores grow with s, not s²",
    ),
    Sabotage(
        ACCOUNTS,
        "max(0, forward - output), max(0, backward - saved)",
        "max(0, forward), max(0, backward - saved)",
        "the output counts twice",
    ),
    Sabotage(ACCOUNTS, "carried.append(sum(mine.values()))", "carried.append(0)", "skips are not seen"),
    Sabotage(
        ALLOCATOR,
        "    if size <= SMALL_REQUEST:\n        return SMALL_SEGMENT",
        "    if size < SMALL_REQUEST:\n        return SMALL_SEGMENT",
        "1 MiB is large",
    ),
    Sabotage(
        ALLOCATOR,
        "LARGE_SEGMENT if size < MIN_LARGE else",
        "LARGE_SEGMENT if size <= MIN_LARGE else",
        "10 MiB shares a segment",
    ),
    Sabotage(ALLOCATOR, "else rest > SMALL_REQUEST:", "else rest >= SMALL_REQUEST:", "a rest of 1 MiB is split off"),
    Sabotage(
        ALLOCATOR, "blocks[i + 1].number < 0 else i", "blocks[i + 1].number < -1 else i", "no merging to the right"
    ),
    Sabotage(ALLOCATOR, "first = i - 1 if i and", "first = i if i and", "no merging to the left"),
    Sabotage(
        ALLOCATOR,
        "bisect_left(free, (size, -1, -1))",
        "0 if free and free[-1][0] >= size and free[0][0] >= size else bisect_left(free, (size + 1, -1, -1))",
        "an exact fit is passed over",
    ),
    Sabotage(
        ALLOCATOR,
        "        if step.allocated_bytes > allocated:",
        "        if step.allocated_bytes >= allocated:",
        "the last peak, not the first",
        tests="tests/core/systems/test_caching_allocator.py",
    ),
    Sabotage(
        ALLOCATOR,
        "for request in found if request.number in born)",
        "for request in found)",
        "empty storages ask for memory",
    ),
    Sabotage(PREDICTION, '"adamw fp32 master": (0, 12),', '"adamw fp32 master": (0, 8),', "master weights forgotten"),
    Sabotage(
        PREDICTION, "peak_bytes=highest + sum(states),", "peak_bytes=highest,", "optimizer states are not in the peak"
    ),
    Sabotage(
        PREDICTION, "weights * p.element_size() + per_weight", "weights * 4 + per_weight", "states always in float32"
    ),
    Sabotage(PREDICTION, "needed <= card.total_bytes", "needed < card.total_bytes", "exactly full does not fit"),
    Sabotage(PREDICTION, "            low = batch\n", "            low = batch - 1\n", "the search stops one short"),
    Sabotage(
        PREDICTION,
        "fixed = 2 * sum(p.nbytes for p in chain.parameters) +",
        "fixed = sum(p.nbytes for p in chain.parameters) +",
        "gradients are not counted among what no plan changes",
    ),
    Sabotage(
        PREDICTION,
        "return fixed + sum(_states(chain, optimizer)) + context_bytes",
        "return fixed + sum(_states(chain, optimizer))",
        "the context is forgotten where plans are chosen",
    ),
    Sabotage(
        PREDICTION,
        "gradients_bytes=max(event.live_bytes[1] for event in run.events)",
        "gradients_bytes=run.events[0].live_bytes[1]",
        "gradients counted before backward",
    ),
    Sabotage(
        PICKLE,
        "        if count > len(self.data) - self.at:\n            raise IndexError\n",
        "",
        "a text may be longer than the file",
    ),
    Sabotage(PICKLE, "0x4A: (4, True)}", "0x4A: (4, False)}", "negative numbers become large"),
    Sabotage(PICKLE, '">f8"', '"<f8"', "floats backwards"),
    Sabotage(PICKLE, "    if not isinstance(key, str):", "    if isinstance(key, list):", "any key is admitted"),
    Sabotage(PICKLE, "            if width > LONGEST_NUMBER:", "            if False:", "numbers of any length"),
    Sabotage(PICKLE, "memo[len(memo)] = stack[-1]", "memo[len(memo) + 1] = stack[-1]", "memory off by one"),
    Sabotage(
        PICKLE, "self.into(list).append(_value(value))", "self.into(list).append(value)", "a mark becomes a value"
    ),
    Sabotage(PICKLE, "if len(self.stack) != 1 or", "if not self.stack or", "more than one object"),
    Sabotage(PICKLE, "    if len(data) > most_bytes:", "    if len(data) > MOST_BYTES:", "the size limit is fixed"),
    Sabotage(
        PICKLE, "            if not 2 <= protocol <= 5:", "            if not 0 <= protocol <= 5:", "protocol 0 is read"
    ),
    Sabotage(
        SNAPSHOT, '{"alloc": size, FREED: -size}', '{"alloc": size, "free_requested": -size}', "a request to free frees"
    ),
    Sabotage(
        SNAPSHOT,
        "start_allocated = end_allocated - sum(a for a, _ in changes)",
        "start_allocated = 0",
        "the trace begins with nothing",
    ),
    Sabotage(SNAPSHOT, 'if _whole(s, "device") == device]', "]", "other devices' segments"),
    Sabotage(SNAPSHOT, "start = born.pop(address, -1)", "start = born.get(address, -1)", "freed blocks live on"),
    Sabotage(SNAPSHOT, "(now - first_us) / 1e6", "(now - first_us) / 1e3", "milliseconds"),
    Sabotage(SNAPSHOT, 'and "/torch/" not in name', "", "the place is inside PyTorch"),
    Sabotage(SNAPSHOT, '"segment_map": size, ', "", "mapped segments are forgotten"),
    Sabotage(
        SNAPSHOT,
        "if block.born <= snapshot.peak_event < block.died:",
        "if block.born <= snapshot.peak_event:",
        "what died before the peak counts at the peak",
    ),
    Sabotage(
        SNAPSHOT, "changes[row, block.died + 1] -=", "changes[row, block.died] -=", "a block dies one event too early"
    ),
    Sabotage(
        SNAPSHOT,
        "row = rows.get(block.place, len(places) + 1) if block.born >= 0 else 0",
        "row = rows.get(block.place, 0)",
        "small places count as older than the trace",
    ),
)
