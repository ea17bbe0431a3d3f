"""Seeded bugs of core/generative."""

from tests.sabotage import Sabotage

NOISE = "core/generative/noise.py"
MIXTURES = "core/generative/mixtures.py"
SDE = "core/generative/sde.py"
SCORES = "core/generative/scores.py"
STEPS = "core/generative/sampler_steps.py"
SAMPLERS = "core/generative/samplers.py"
ODE = "core/generative/ode_samplers.py"
FLOW = "core/generative/probability_flow.py"
LIKELIHOOD = "core/generative/likelihood.py"
TWO = "core/generative/two_sample.py"
LANES = "core/generative/lanes.py"
PLANE = "core/generative/plane.py"
RACE = "core/generative/sampler_race.py"
CONVERGENCE = "core/generative/convergence.py"
SHAPES = "core/generative/shapes.py"
LANGEVIN = "core/generative/langevin.py"
MATCHING = "core/generative/score_matching.py"
NETWORK = "core/generative/score_network.py"
EMPIRICAL = "core/generative/empirical.py"
DIGITS = "core/generative/digit_scores.py"
CHAINS = "core/generative/chain_law.py"
WALKS = "core/generative/walks.py"
OBJECTIVES = "core/generative/objective_race.py"
MANIFOLD = "core/generative/manifold.py"

SABOTAGES = (
    Sabotage(NOISE, "return (seed, *streams)", "return (seed, *streams, *shape[:1])", "noise knows the batch"),
    Sabotage(NOISE, "return (seed, *streams)", "return (seed,)", "streams share their numbers"),
    Sabotage(NOISE, "return (seed, *streams)", "return (seed + sum(streams),)", "seed and stream are added"),
    Sabotage(
        NOISE,
        "torch.randn(-(-length // 16) * 16, generator=generator)",
        "torch.randn(length, generator=generator)",
        "tails of blocks",
    ),
    Sabotage(NOISE, "< 0.5, -1.0, 1.0)", "< 0.4, -1.0, 1.0)", "lopsided signs"),
    Sabotage(NOISE, "if seed < 0 or any(s < 0 for s in streams):", "if seed < 0:", "negative streams reach NumPy"),
    Sabotage(
        MIXTURES, "0.5 * self.dim * (v.log() + LOG_2PI)", "0.5 * (v.log() + LOG_2PI)", "normaliser of one dimension"
    ),
    Sabotage(
        MIXTURES,
        "(v.log().sum(0) + self.dim * LOG_2PI)",
        "(v.log().sum(0) + LOG_2PI)",
        "normaliser of one dimension, axes",
    ),
    Sabotage(
        MIXTURES,
        "v = a * a * self.variances[:, :1] + s * s",
        "v = a * self.variances[:, :1] + s * s",
        "α instead of α²",
    ),
    Sabotage(
        MIXTURES,
        "apart = x[:, j] - alpha * means[:, j, None]",
        "apart = x[:, j] - means[:, j, None]",
        "means do not shrink",
    ),
    Sabotage(
        MIXTURES, "- (score * score).sum(-1)).reshape(shape)", ").reshape(shape)", "Laplacian of p instead of log p"
    ),
    Sabotage(MIXTURES, "trace = self.dim * pull", "trace = pull", "trace of one dimension"),
    Sabotage(MIXTURES, "- score[:, :, None] * score[:, None, :]", "", "Hessian without the score's square"),
    Sabotage(
        MIXTURES, "            v * q / total,\n", "            q / total,\n", "posterior variance without the prior's"
    ),
    Sabotage(MIXTURES, "total = ratio**2 * v + q", "total = v + q", "posterior without the ratio"),
    Sabotage(
        MIXTURES,
        "q = sigma_t**2 - ratio**2 * sigma_s**2",
        "q = sigma_t**2 - sigma_s**2",
        "step's variance without the ratio",
    ),
    Sabotage(
        MIXTURES,
        "logs: Tensor = _special().log_ndtr(-z if upper else z)",
        "logs: Tensor = _special().log_ndtr(z)",
        "both tails are the lower one",
    ),
    Sabotage(MIXTURES, "axes = None\n    else:", "pass\n    else:", "round components keep axes"),
    Sabotage(
        MIXTURES,
        "edges = weights.cumsum(-1).contiguous()",
        "edges = weights.flip(-1).cumsum(-1).contiguous()",
        "components drawn in the wrong order",
    ),
    Sabotage(MIXTURES, "w = w[kept] / w[kept].sum()", "w = w[kept]", "weights are not scaled"),
    Sabotage(SDE, "return _lib(t).sqrt(self.beta(t))", "return self.beta(t)", "g² for g"),
    Sabotage(
        SDE,
        "return -_lib(t).expm1(2 * self.log_alpha(t))",
        "return _lib(t).sqrt(-_lib(t).expm1(2 * self.log_alpha(t)))",
        "sub-VP with VP's noise",
    ),
    Sabotage(SDE, "lib.expm1(4 * self.log_alpha(t))", "lib.expm1(2 * self.log_alpha(t))", "sub-VP's g² with α²"),
    Sabotage(
        SDE,
        "math.sqrt(2 * math.log(self.sigma_max / self.sigma_min))",
        "math.sqrt(math.log(self.sigma_max / self.sigma_min))",
        "VE's g without its 2",
    ),
    Sabotage(
        SDE,
        "self.sigma_min * lib.sqrt(lib.expm1(",
        "self.sigma_min * lib.sqrt(lib.exp(",
        "the exact VE starts with noise",
    ),
    Sabotage(SDE, "return 2 * integral / (low + _lib", "return integral / (low + _lib", "half the time"),
    Sabotage(
        SDE, "(ratio * process.sigma(t_from)) ** 2))", "process.sigma(t_from) ** 2))", "transition without the ratio"
    ),
    Sabotage(SDE, "flat.shape[1] * math.log(std", "math.log(std", "prior of one dimension"),
    Sabotage(SDE, 'n = steps - 1 if to_zero or spacing == "song" else steps', "n = steps", "one update too many"),
    Sabotage(
        SCORES,
        "return self.size * self.score(x, t)",
        "return (1 + self.size) * self.score(x, t)",
        "scaled error is the whole score",
    ),
    Sabotage(SCORES, "torch.as_tensor(sigma < alpha)", "torch.as_tensor(sigma > alpha)", "late error comes early"),
    Sabotage(
        SCORES,
        "found.append(0.5 * process.diffusion(t) ** 2",
        "found.append(0.5 * process.diffusion(t)",
        "bound with g",
    ),
    Sabotage(SCORES, "return (x + s * s * score) / a", "return (x + s * score) / a", "Tweedie with σ"),
    Sabotage(SCORES, "return -predict(x, t) / rows", "return predict(x, t) / rows", "score along the noise"),
    Sabotage(SCORES, "denoise(x / a, level)", "denoise(x, level)", "denoiser sees the shrunk point"),
    Sabotage(STEPS, "std = process.sigma(times[0])", "std = 0.0", "the first state has no noise"),
    Sabotage(
        STEPS,
        "process.sigma(t) ** 2 - (ratio * process.sigma(s)) ** 2",
        "process.sigma(t) ** 2 - process.sigma(s) ** 2",
        "forward step without the ratio",
    ),
    Sabotage(
        STEPS, "x = noised(mean, std, seed, i + 1)", "x = noised(mean, std, seed, 0)", "every step has the same noise"
    ),
    Sabotage(
        STEPS, "u = particle_uniforms(seed, (i, 1)", "u = particle_uniforms(seed, (i, len(x))", "choices know the batch"
    ),
    Sabotage(
        STEPS,
        "return last[0].x",
        "return last[0].mean if last[0].mean is not None else last[0].x",
        "the last state loses its noise",
    ),
    Sabotage(
        STEPS,
        "return torch.stack([step.x for step in steps])",
        "return torch.stack([step.x for step in steps][1:])",
        "N states for N updates",
    ),
    Sabotage(STEPS, "any(not b < a for a, b in pairwise(times))", "times[-1] > times[0]", "times may jump back"),
    Sabotage(SAMPLERS, "(0.5 * (1 + lam * lam) * g * g * dt)", "(0.5 * g * g * dt)", "λ moves only the noise"),
    Sabotage(SAMPLERS, "std = lam * g * math.sqrt(-dt)", "std = g * math.sqrt(-dt)", "λ moves only the drift"),
    Sabotage(
        SAMPLERS, "dt = -process.T / n if reference else s - t", "dt = s - t", "the reference's step is the grid's"
    ),
    Sabotage(
        SAMPLERS,
        "return torch.add(x, slope, alpha=beta) / math.sqrt(1 - beta), math.sqrt(beta)",
        "return torch.add(x, slope, alpha=beta) * math.sqrt(1 - beta), math.sqrt(beta)",
        "ancestral step shrinks",
    ),
    Sabotage(
        SAMPLERS,
        "torch.add((2 - math.sqrt(1 - beta)) * x, slope",
        "torch.add(x / math.sqrt(1 - beta), slope",
        "reverse diffusion like ancestral",
    ),
    Sabotage(
        SAMPLERS, "* level / (n - 1)) / n\n        if kind", "* level / n) / n\n        if kind", "levels spaced by N"
    ),
    Sabotage(SAMPLERS, '(low / high if kind == "ancestral" else 1.0)', "1.0", "VE's ancestral noise"),
    Sabotage(SAMPLERS, "level - 1, n) ** 2 if level else 0.0", "max(level - 1, 0), n) ** 2", "σ_{−1} is σ_0"),
    Sabotage(
        SAMPLERS,
        "return 2 * alpha * (snr * process.sigma(t)) ** 2",
        "return alpha * (snr * process.sigma(t)) ** 2",
        "half the corrector's step",
    ),
    Sabotage(
        SAMPLERS,
        "x + size * slope + (2 * size) ** 0.5 * z",
        "x + size * slope + size**0.5 * z",
        "corrector's noise without its 2",
    ),
    Sabotage(SAMPLERS, 'if rule == "batch":', "if rule:", "every rule looks at the batch"),
    Sabotage(
        SAMPLERS,
        'if corrector_first else ("predict", "correct")',
        'if corrector_first else ("correct", "predict")',
        "order does not matter",
    ),
    Sabotage(SAMPLERS, "(snr * lengths[0] / lengths[1])", "(snr * lengths[1] / lengths[0])", "inverse ratio of norms"),
    Sabotage(
        ODE,
        "(sigma_s / alpha_s - sigma_t / alpha_t) * sigma_t * slope",
        "(sigma_s - sigma_t) * sigma_t * slope",
        "Euler without the scale",
    ),
    Sabotage(ODE, "gamma = min(S_churn / n, math.sqrt(2) - 1)", "gamma = S_churn / n", "churn without its limit"),
    Sabotage(ODE, "S_min <= level <= S_max", "level <= S_max", "churn below S_min"),
    Sabotage(
        ODE,
        "S_noise * math.sqrt(hat * hat - level * level)",
        "math.sqrt(hat * hat - level * level)",
        "S_noise is forgotten",
    ),
    Sabotage(
        ODE,
        "        if sigma_s > 0:\n            d_s",
        "        if level_s > 0.1:\n            d_s",
        "Euler near the end",
    ),
    Sabotage(
        ODE,
        "level, alpha, sigma = hat, *scales(process, t)",
        "level, alpha, sigma = hat, *scales(process, times[i])",
        "score at the level before the churn",
    ),
    Sabotage(ODE, "alpha=math.sqrt(sigma_s**2 - std**2)", "alpha=sigma_s", "DDIM keeps all predicted noise"),
    Sabotage(ODE, "std = eta * (sigma_s / sigma_t)", "std = eta", "DDIM's noise without the posterior's factor"),
    Sabotage(
        ODE,
        "clean + (clean - before) * (h / (2 * h_before))",
        "clean + (clean - before) * (h_before / (2 * h))",
        "inverse ratio of steps",
    ),
    Sabotage(ODE, "before, h_before = clean, h", "before, h_before = guess, h", "history of guesses"),
    Sabotage(
        ODE,
        "if before is not None and h < math.inf:",
        "if before is not None and h < 1:",
        "second order only for small steps",
    ),
    Sabotage(
        FLOW, "- rows(0.5 * g * g, x) * score(x, t)", "- rows(g * g, x) * score(x, t)", "the SDE's drift for the flow"
    ),
    Sabotage(FLOW, "(k1 + 2 * k2 + 2 * k3 + k4)", "(k1 + 2 * k2 + k3 + 2 * k4)", "weights of the stages"),
    Sabotage(FLOW, "0.5 * g * g * trace", "g * g * trace", "divergence of the SDE's drift"),
    Sabotage(
        FLOW, "process.drift_rate(t) * (y.shape[1] - 1)", "process.drift_rate(t)", "drift's divergence of one dimension"
    ),
    Sabotage(
        FLOW,
        "norm = (error / size).square().mean(-1).sqrt()",
        "norm = (error / size).square().mean().sqrt().expand(len(error))",
        "error norm over the batch, as in the reference",
    ),
    Sabotage(FLOW, "-25360 / 2187", "-25300 / 2187", "a coefficient of the tableau"),
    Sabotage(
        FLOW,
        "rejected[active] += (~good).long()",
        "rejected[active] += good.long()",
        "accepted steps count as rejected",
    ),
    Sabotage(FLOW, "probes[who]", "probes[: len(y)]", "probes of other particles"),
    Sabotage(
        FLOW,
        "stretch = (b.variances[0] / a.variances[0]).sqrt()",
        "stretch = b.variances[0] / a.variances[0]",
        "variances for standard deviations",
    ),
    Sabotage(FLOW, "from_above = upper < lower", "from_above = upper < upper", "always the lower tail"),
    Sabotage(FLOW, "+ process.alpha(t_to) * origin", "+ process.alpha(t_from) * origin", "the line does not move"),
    Sabotage(LIKELIHOOD, "t_to=process.T", "t_to=0.9 * process.T", "stops early"),
    Sabotage(
        LIKELIHOOD,
        "Likelihood(prior + end.divergence_integral,",
        "Likelihood(prior - end.divergence_integral,",
        "sign of the change of volumes",
    ),
    Sabotage(
        LIKELIHOOD,
        "reported.log_prob - exact.log_prob,",
        "exact.log_prob - reported.log_prob,",
        "sign of the probes' part",
    ),
    Sabotage(
        LIKELIHOOD, "tight.log_prob - with_true_end,", "with_true_end - tight.log_prob,", "sign of the prior's part"
    ),
    Sabotage(LIKELIHOOD, "at_eps - truth,", "truth - at_eps,", "sign of the truncation"),
    Sabotage(
        LIKELIHOOD,
        'if probe == "rademacher":\n        squares',
        'if probe == "gaussian":\n        squares',
        "spreads exchanged",
    ),
    Sabotage(
        LIKELIHOOD,
        'draw = particle_signs if probe == "rademacher" else particle_normals',
        "draw = particle_normals",
        "always Gaussian probes",
    ),
    Sabotage(LIKELIHOOD, "values.std(0) / math.sqrt(probes)", "values.std(0)", "error of one probe"),
    Sabotage(LIKELIHOOD, "(math.log(2) * self.latent[0].numel())", "math.log(2)", "bits per point"),
    Sabotage(
        TWO,
        "searchsorted(sorted_sample, at, right=True)",
        "searchsorted(sorted_sample, at)",
        "points left out of their own share",
    ),
    Sabotage(
        TWO,
        "over, under = ranks[1:] - f, f - ranks[:-1]",
        "over, under = ranks[1:] - f, f - ranks[1:]",
        "only one side of the steps",
    ),
    Sabotage(TWO, "effective = len(a) * len(b) / (len(a) + len(b))", "effective = len(a) + len(b)", "effective size"),
    Sabotage(
        TWO, "library.kolmogorov(math.sqrt(effective) * d)", "library.kolmogorov(effective * d)", "without the root"
    ),
    Sabotage(
        TWO, "- mean_distance(a, a) - mean_distance(b, b)", "- mean_distance(a, a)", "energy without b's own distance"
    ),
    Sabotage(TWO, "bool(apart[worst] > 0)", "bool(apart[worst] < 0)", "which is above"),
    Sabotage(LANES, "seed=seed)).flip(0)", "seed=seed))", "the forward lane runs the other way"),
    Sabotage(
        LANES,
        "start = noise_points(mixture, process, particles, seed=seed + 1)",
        "start = forward[-1]",
        "reverse lanes start from the data",
    ),
    Sabotage(
        LANES,
        "lane[i], exact).statistic for lane in projected)",
        "lane[-1], exact).statistic for lane in projected)",
        "always the last state",
    ),
    Sabotage(LANES, "critical * math.sqrt(2), critical", "critical, critical", "critical value of one sample"),
    Sabotage(
        LANES,
        "(self.reverse_end == self.flow_end)",
        "(self.reverse_end == self.origin)",
        "ends compared with the wrong lane",
    ),
    Sabotage(
        LANES,
        "flow_path(used, process, flow[-1], times[::-1])",
        "flow_path(used, process, flow[-1], times[:0:-1])",
        "encoding stops a step early",
    ),
    Sabotage(LANES, "u = u / u.square().sum().sqrt()", "u = u / 1", "direction without its length"),
    Sabotage(
        LANES,
        "exact = line.diffused(process.alpha(t), process.sigma(t))",
        "exact = line",
        "compared with the data at every time",
    ),
    Sabotage(
        CONVERGENCE,
        "math.log(steps[i + 1] / steps[i])",
        "math.log(2 * steps[i + 1] / steps[i])",
        "order of other steps",
    ),
    Sabotage(
        CONVERGENCE,
        "(end - exact).square().sum(-1).mean().sqrt()",
        "(end - exact).square().sum(-1).mean()",
        "squared error",
    ),
    Sabotage(
        CONVERGENCE,
        "used = ExactScore(mixture, process) if score is None else score",
        "used = ExactScore(mixture, process)",
        "the flawed score is not used",
    ),
    Sabotage(CONVERGENCE, "2 * n - (times[-1] == 0)", "n", "Heun's calls"),
    Sabotage(CONVERGENCE, "seed=0, stochasticity=0.0)", "seed=0)", "Euler with noise"),
    Sabotage(SHAPES, "math.cos(a), 2 * math.sin(a)", "math.cos(a), math.sin(a)", "an ellipse for a ring"),
    Sabotage(SHAPES, "[m[2] ** 2 for m in modes]", "[m[2] for m in modes]", "standard deviation for variance"),
    Sabotage(SHAPES, "array.tolist(), bandwidth**2)", "array.tolist(), bandwidth)", "bandwidth for variance"),
    Sabotage(SHAPES, "(rows / 2 - y - 0.5) * cell", "(y + 0.5 - rows / 2) * cell", "pictures upside down"),
    Sabotage(SHAPES, "(255 - grey if dark else grey)", "grey", "dark is bright"),
    Sabotage(SHAPES, "(grid - floor)[lit].tolist()", "grid[lit].tolist()", "weights from black"),
    Sabotage(SHAPES, "0 < np.count_nonzero(lit) <= most", "0 < np.count_nonzero(lit)", "too many components"),
    Sabotage(
        LANGEVIN,
        "return step_size / 2, math.sqrt(step_size)",
        "return step_size, math.sqrt(step_size)",
        "paper's step without its half",
    ),
    Sabotage(
        LANGEVIN,
        "return step_size, math.sqrt(2 * step_size)",
        "return step_size, math.sqrt(step_size)",
        "repository's noise without its 2",
    ),
    Sabotage(
        LANGEVIN,
        "step_size * (sigma / sigmas[-1]) ** 2",
        "step_size * (sigma / sigmas[0]) ** 2",
        "steps relative to the first level",
    ),
    Sabotage(LANGEVIN, "step_size * (sigma / sigmas[-1]) ** 2", "step_size * (sigma / sigmas[-1])", "steps ∝ σ"),
    Sabotage(LANGEVIN, "x + last**2 * score(x, last)", "x + last * score(x, last)", "last denoising with σ"),
    Sabotage(
        LANGEVIN, "torch.zeros_like(mixture.variances)", "torch.ones_like(mixture.variances)", "toy with variance 1"
    ),
    Sabotage(
        LANGEVIN,
        "            index += 1\n",
        "            index += 1 if level < 1 else 0\n",
        "noise repeats in later levels",
    ),
    Sabotage(
        LANGEVIN,
        "shrink ** (2 * steps_each) * (gamma**2 - fixed)",
        "shrink**steps_each * (gamma**2 - fixed)",
        "variance shrinks by the mean's factor",
    ),
    Sabotage(LANGEVIN, "math.sqrt(2 * d) * (gamma - 1)", "math.sqrt(d) * (gamma - 1)", "overlap's root"),
    Sabotage(
        MATCHING,
        "return _objective(0.5 * (model(x) - true_score).square().sum(-1))",
        "return _objective((model(x) - true_score).square().sum(-1))",
        "explicit without its half",
    ),
    Sabotage(
        MATCHING,
        "return _objective(trace + 0.5 * s.square().sum(-1))",
        "return _objective(trace + s.square().sum(-1))",
        "implicit without its half",
    ),
    Sabotage(
        MATCHING, "(model(x + sigma * z) + z / sigma)", "(model(x + sigma * z) - z / sigma)", "target along the noise"
    ),
    Sabotage(
        MATCHING,
        "return _objective(sigma**2 * values if weighted else values)",
        "return _objective(sigma * values if weighted else values)",
        "weight σ",
    ),
    Sabotage(
        MATCHING,
        "square = s.square().sum(-1) if variance_reduced else along.square()",
        "square = along.square()",
        "never variance reduced",
    ),
    Sabotage(
        MATCHING,
        'if directions == "sphere":\n                v =',
        'if directions == "gaussian":\n                v =',
        "the wrong directions have length 1",
    ),
    Sabotage(MATCHING, "noisy = mixture.diffused(1.0, sigma)", "noisy = mixture", "noisy objective on clean data"),
    Sabotage(MATCHING, "return _objective(total / slices)", "return _objective(total)", "sum of slices"),
    Sabotage(MATCHING, "0.5 * (mixture.dim / sigma**2", "0.5 * (1 / sigma**2", "optimum of one dimension"),
    Sabotage(NETWORK, "return h / s", "return h", "output without 1/σ"),
    Sabotage(NETWORK, "m.mul_(0.9).add_(g, alpha=0.1)", "m.mul_(0.9).add_(g)", "Adam's first moment"),
    Sabotage(NETWORK, "/ (1 - 0.9**update)", "", "no bias correction"),
    Sabotage(NETWORK, "math.pi * (update - 1) / updates", "math.pi * update / updates", "cosine a step ahead"),
    Sabotage(NETWORK, "now = _copy(live)", "now = live", "states change afterwards"),
    Sabotage(
        NETWORK,
        "(network(x, sigma) - mixture.score(x, sigma=sigma))",
        "(network(x, sigma) - mixture.score(x))",
        "excess over the clean score",
    ),
    Sabotage(
        NETWORK, "order = density.argsort(descending=True)", "order = density.argsort()", "inside is where nothing is"
    ),
    Sabotage(NETWORK, "torch.stack([x, y], -1)", "torch.stack([y, x], -1)", "map transposed"),
    Sabotage(NETWORK, "0 * weight if last else weight", "weight", "does not start as 0"),
    Sabotage(EMPIRICAL, "0.5 * data.square().sum(-1)", "data.square().sum(-1)", "norms without their half"),
    Sabotage(
        EMPIRICAL,
        "(x @ self.data.mT - self.half_norms) / (s * s)",
        "(x @ self.data.mT - self.half_norms) / s",
        "σ for σ²",
    ),
    Sabotage(
        EMPIRICAL,
        "(x @ self.data.mT - self.half_norms) / (s * s)",
        "-0.5 * (x.square().sum(-1, keepdim=True) - 2 * x @ self.data.mT + 2 * self.half_norms) / (s * s)",
        "the common part drowns the rest in single precision",
    ),
    Sabotage(EMPIRICAL, "0.5 * (d + d_low)", "d_low", "implicit Euler for Heun"),
    Sabotage(EMPIRICAL, "settled.flip(0).int().cumprod(0).flip(0)", "settled.int()", "decided once is decided"),
    Sabotage(EMPIRICAL, "nearest / math.sqrt(last.shape[1])", "nearest", "distance per picture"),
    Sabotage(
        EMPIRICAL, "denoiser.posterior(frames / a,", "denoiser.posterior(frames,", "the denoiser sees the shrunk frame"
    ),
    Sabotage(EMPIRICAL, "distances / sigma**2", "distances / sigma", "distance over σ"),
    Sabotage(EMPIRICAL, "a * a / (s * s) if s", "a / s if s", "SNR of amplitudes"),
    Sabotage(
        DIGITS,
        "s * self.sigma_data / total.sqrt(), 1 / total.sqrt()",
        "s * self.sigma_data / total, 1 / total.sqrt()",
        "c_out without the root",
    ),
    Sabotage(DIGITS, "c_skip * x + c_out", "x + c_out", "no c_skip"),
    Sabotage(DIGITS, 'h = h + self._linear(f"block{i}"', 'h = self._linear(f"block{i}"', "no residual"),
    Sabotage(DIGITS, "turns = s.log() / 4", "turns = s / 4", "noise level without its logarithm"),
    Sabotage(DIGITS, "distance(d, d_best),", "distance(d, train) - distance(d_best, d_best),", "excess is the loss"),
    Sabotage(
        DIGITS,
        "distance(best(unseen, sigma), test)",
        "distance(best(seen, sigma), train)",
        "memoriser on its own pictures",
    ),
    Sabotage(DIGITS, "among.fill_diagonal_(math.inf)", "among.fill_diagonal_(0.0)", "a digit is its own neighbour"),
    Sabotage(DIGITS, "typical / 4).double()", "typical).double()", "near is copied"),
    Sabotage(LANES, "self.bundle.mean(1, keepdim=True)", "self.bundle.mean(0, keepdim=True)", "spread over time"),
    Sabotage(PLANE, "return 1 / math.hypot(", "return math.hypot(", "the view is enlarged"),
    Sabotage(PLANE, "torch.meshgrid(centres, -centres", "torch.meshgrid(centres, centres", "y points down"),
    Sabotage(PLANE, "alpha=c * process.alpha(t), sigma=c", "alpha=process.alpha(t), sigma=c", "data are not shrunk"),
    Sabotage(PLANE, "/ (2 * math.pi) % 1.0", "/ (2 * math.pi) + 0.5", "sectors begin on the left"),
    Sabotage(PLANE, "apart = mixture.means - mixture.mean", "apart = mixture.means", "sectors around the origin"),
    Sabotage(PLANE, "torch.bincount(groups[ends],", "torch.bincount(ends,", "components are counted, not groups"),
    Sabotage(
        PLANE, "(lanes.origin, lanes.reverse_end,", "(lanes.reverse_end, lanes.reverse_end,", "forward is reverse"
    ),
    Sabotage(PLANE, "lane[i] @ u * c", "lane[i] @ u", "histograms are not shrunk"),
    Sabotage(PLANE, "/ (width * len(at))", "/ (width * len(inside))", "what is outside is not counted"),
    Sabotage(PLANE, "f.diff() / width", "f.diff()", "exact heights are probabilities"),
    Sabotage(
        RACE,
        "isinstance(process, VP) and process.beta_max < steps",
        "isinstance(process, VP) and False",
        "discrete samplers are missing",
    ),
    Sabotage(RACE, "heun(used, process, x, karras)", "heun(used, process, x, even)", "EDM on even times"),
    Sabotage(RACE, "exact_reverse(mixture, process, x, even", "euler_maruyama(used, process, x, even", "no exact lane"),
    Sabotage(RACE, "max(last.t, process.eps)", "process.T", "ends are judged by the noise's law"),
    Sabotage(RACE, '(name == "ddim" and not eta)', 'name == "ddim"', "DDIM's noise is called an error"),
    Sabotage(
        RACE, "(last.x - truth).square().sum(-1).mean().sqrt()", "(last.x - truth).norm(dim=-1).mean()", "mean, not RMS"
    ),
    Sabotage(
        SAMPLERS,
        "isinstance(process, (VP, SubVP)) and process.beta_max >= steps",
        "isinstance(process, VP) and process.beta_max >= steps",
        "sub-VP's corrector steps backwards",
    ),
    Sabotage(LANGEVIN, "known[sigma] = 0.5 / v", "known[sigma] = 1 / v", "few points: variances halved"),
    Sabotage(LANGEVIN, "0.5 * used.dim * v.log()", "0.5 * v.log()", "few points: normaliser of one dimension"),
    Sabotage(LANGEVIN, "if sigma not in known:", "if not known:", "few points: the first level's landscape for all"),
    Sabotage(
        LANGEVIN,
        "return _kept_noise(seed, index, tuple",
        "return _kept_noise(seed, 0, tuple",
        "one noise for all steps",
    ),
    Sabotage(
        CHAINS, "torch.clamp(u + v - x.abs(), max=2 * min(u, v))", "torch.ones_like(x)", "the square's side is even"
    ),
    Sabotage(CHAINS, "-abs(u - v), abs(u - v), u + v]", "u + v]", "kinks inside a piece"),
    Sabotage(
        CHAINS,
        "((x - middle) / start.radius) ** 2)",
        "(x - middle) ** 2 / start.radius)",
        "crowd's variance is its radius",
    ),
    Sabotage(CHAINS, "+ v * (logs[last] - logs[k])", "+ v * (logs[k] - logs[last])", "edge on the heavier side"),
    Sabotage(
        CHAINS,
        "if not edges or crossing > edges[-1]:",
        "if True:",
        "components that are never the likeliest own a cell",
    ),
    Sabotage(
        CHAINS,
        "shares[:, list(owners)] = cells",
        "shares[:, : len(owners)] = cells",
        "cells from left to right for components",
    ),
    Sabotage(CHAINS, "_masses(moved, noise, edges)))", "mass[: len(w)]))", "a level's first step from the new grid"),
    Sabotage(
        CHAINS,
        "(kernel if k else _kernel(grid, moved, noise)) @ w",
        "kernel[:, : len(w)] @ w",
        "a level's first kernel from the new grid",
    ),
    Sabotage(
        CHAINS,
        "yield sigma, drift, noise, low, high\n            low, high = -reach, reach",
        "yield sigma, drift, noise, -reach, reach",
        "the start is cut to the level's reach",
    ),
    Sabotage(CHAINS, "(noise * math.sqrt(2 * math.pi))", "(noise * math.sqrt(math.pi))", "kernel does not sum to 1"),
    Sabotage(
        CHAINS,
        "step_size * (sigma / sigmas[-1]) ** 2 if sigmas",
        "step_size * (sigma / sigmas[-1]) if sigmas",
        "law's steps ∝ σ",
    ),
    Sabotage(
        CHAINS, "v = sigma**2 + (0.0 if toy and sigmas else data)", "v = sigma**2", "plain dynamics has no variance"
    ),
    Sabotage(
        CHAINS,
        "low = [_before(line, sigmas[-1], edge, toy) for edge in edges]",
        "low = list(edges)",
        "denoising moves no edge",
    ),
    Sabotage(CHAINS, "return law.shares - weights", "return weights - law.shares", "bias with the wrong sign"),
    Sabotage(CHAINS, "float(off.abs().max()) <= 1e-12 * float(length)", "float(length) > 0", "any means lie on a line"),
    Sabotage(WALKS, "- 1) * start.reach", "- 1) * start.reach / 2", "half the square"),
    Sabotage(
        WALKS,
        "return centre + start.radius * particle",
        "return centre + start.radius**2 * particle",
        "crowd's variance",
    ),
    Sabotage(WALKS, "round(steps_each * (k + 1) / each)", "round(steps_each * k / each)", "levels without their end"),
    Sabotage(
        WALKS,
        "if step.index in wanted or step.index > beyond",
        "if step.index in wanted",
        "the final denoising is dropped",
    ),
    Sabotage(
        WALKS,
        "homes = groups[mixture.responsibilities(safe).argmax(-1)]",
        "homes = mixture.responsibilities(safe).argmax(-1)",
        "components for groups",
    ),
    Sabotage(
        WALKS, "(self.homes != self.homes[0])", "(self.homes[1:] != self.homes[:-1])", "moved since the last state"
    ),
    Sabotage(WALKS, "gone = ~torch.isfinite(x[-1]).all(-1) | (", "gone = (", "who is nowhere is not lost"),
    Sabotage(WALKS, "torch.meshgrid(centres, -centres,", "torch.meshgrid(centres, centres,", "landscape upside down"),
    Sabotage(
        WALKS,
        "heights - heights.amax(dim=(1, 2), keepdim=True)",
        "heights - heights.amax()",
        "one summit for all levels",
    ),
    Sabotage(
        WALKS, "mixture.score(places, sigma=sigma) for sigma", "mixture.score(places) for sigma", "arrows without noise"
    ),
    Sabotage(
        OBJECTIVES,
        "mixture.score(noisy, sigma=sigma))",
        "mixture.score(noisy))",
        "explicit objective of the clean density",
    ),
    Sabotage(
        OBJECTIVES,
        "return x + sigma * particle_normals(seed, (0, 8)",
        "return x + sigma * particle_normals(seed, (0, 9)",
        "other noise than the denoising objective's",
    ),
    Sabotage(
        OBJECTIVES,
        "difference(denoising, explicit),",
        "difference(explicit, denoising),",
        "difference the wrong way round",
    ),
    Sabotage(
        OBJECTIVES, "difference(implicit, explicit),", "difference(implicit, denoising),", "implicit against denoising"
    ),
    Sabotage(
        OBJECTIVES,
        "fisher_information(mixture.diffused(1.0, sigma))",
        "fisher_information(mixture)",
        "J of the clean density",
    ),
    Sabotage(OBJECTIVES, "0.5 * (mixture.dim / sigma**2 - fisher)", "0.5 * (1 / sigma**2 - fisher)", "one dimension"),
    Sabotage(OBJECTIVES, "-0.5 * fisher, fisher)", "0.5 * fisher, fisher)", "sign of the implicit constant"),
    Sabotage(OBJECTIVES, 'reduced = directions != "sphere"', "reduced = True", "unit slices with reduced variance"),
    Sabotage(OBJECTIVES, "float(values.std()) / math.sqrt(n)", "float(values.std()) / n", "standard error over n"),
    Sabotage(
        OBJECTIVES,
        "gaussian_mixture([1.0], noisy.mean[None], noisy.covariance[None])",
        "gaussian_mixture([1.0], noisy.mean[None], mixture.covariance[None])",
        "Gaussian without the noise",
    ),
    Sabotage(MANIFOLD, "values = sigma**2 * points.score", "values = sigma * points.score", "σ instead of σ²"),
    Sabotage(MANIFOLD, "at + sigma * z, sigma=sigma", "at, sigma=sigma", "no noise on the draws"),
    Sabotage(
        MANIFOLD, "return self.value.sqrt() / sigmas", "return self.value / sigmas", "no root in the score's length"
    ),
    Sabotage(
        MANIFOLD, "values.std() / math.sqrt(draws)", "values.std() / math.sqrt(len(data))", "error over the points"
    ),
    Sabotage(MANIFOLD, "return float(self.value.min())", "return float(self.value[-1])", "last for least"),
    Sabotage(
        MANIFOLD,
        "[0.5 - lower.cos(), 0.25 - lower.sin()]",
        "[0.5 + lower.cos(), 0.25 + lower.sin()]",
        "both moons face the same way",
    ),
    Sabotage(MANIFOLD, '[0.0, 1.0] if curve == "segment" else [1.0, 0.0]', "[1.0, 0.0]", "queries along the segment"),
)
