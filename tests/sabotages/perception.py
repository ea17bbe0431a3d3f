"""Seeded bugs of core/perception."""

from tests.sabotage import Sabotage

LABELS = "core/perception/label_maps.py"
METRICS = "core/perception/segmentation_metrics.py"
MANY = "core/perception/segmentation_accumulation.py"
RULES = "core/perception/segmentation_conventions.py"
CODES = "core/perception/pixel_codes.py"
ERRORS = "core/perception/error_regions.py"
BOUNDARY = "core/perception/boundary_metrics.py"
PANOPTIC = "core/perception/panoptic_quality.py"
DEGRADE = "core/perception/mask_degradation.py"
PHOTO = "core/perception/photo_segmentation.py"
BINS = "core/perception/pooling_bins.py"
LEVELS = "core/perception/pyramid_bins.py"
POOL = "core/perception/spatial_pyramid_pooling.py"
STEPS = "core/perception/pooling_steps.py"
WINDOW = "core/perception/window_projection.py"
BLOCKS = "core/perception/stride_one_pooling.py"
SPPF = "core/perception/sppf_equivalence.py"
AVERAGES = "core/perception/pyramid_averages.py"
ATROUS = "core/perception/atrous_coverage.py"
FILTERS = "core/perception/filter_bank.py"

SABOTAGES = (
    Sabotage(PANOPTIC, "if c not in stuff_classes:", "if True:", "stuff falls into patches"),
    Sabotage(PANOPTIC, "and q.class_id not in excluded_classes]", "]", "excluded class stays in the mean"),
    Sabotage(PANOPTIC, "nothing = (values == 0) & ~void", "nothing = values <= 0", "void becomes background"),
    Sabotage(
        PANOPTIC,
        "values < divisor, values, values // divisor",
        "values <= divisor, values, values // divisor",
        "the first object of class 1 is taken for a class",
    ),
    Sabotage(
        LABELS,
        "if np.iinfo(labels.dtype).max < num_classes:",
        "if np.iinfo(labels.dtype).max < num_classes - 1:",
        "K itself does not fit the type",
    ),
    Sabotage(
        LABELS,
        "        labels = labels.astype(np.int64)\n    raw",
        "        pass\n    raw",
        "-1 in int8 becomes the valid label 255",
    ),
    Sabotage(LABELS, "np.minimum(unsigned,", "np.minimum(raw,", "negative labels are not clipped"),
    Sabotage(LABELS, "if p.shape != t.shape:", "if p.size != t.size:", "shapes compared by size only"),
    Sabotage(
        LABELS,
        "if mask.dtype == np.uint8 and mask.max(initial=0) <= 1:",
        "if mask.dtype == np.uint8:",
        "0/255 mask kept",
    ),
    Sabotage(LABELS, "mask != 0, np.uint8", "mask > 0, np.uint8", "a negative label is outside the mask"),
    Sabotage(LABELS, "== num_classes) & valid", "== num_classes)", "pixels that do not count are refused"),
    Sabotage(LABELS, "        wrong &= labels != ignore_index", "        pass", "the ignored label is refused"),
    Sabotage(
        METRICS,
        "pair = (np.ascontiguousarray(t[:, part]), np.ascontiguousarray(p[:, part]))",
        "pair = (np.ascontiguousarray(p[:, part]), np.ascontiguousarray(t[:, part]))",
        "transposed confusion matrix, bytes",
    ),
    Sabotage(
        METRICS,
        "clip_labels(t[part], k).astype(np.int64) * (k + 1) + clip_labels(p[part], k)",
        "clip_labels(p[part], k).astype(np.int64) * (k + 1) + clip_labels(t[part], k)",
        "transposed confusion matrix, large K",
    ),
    Sabotage(METRICS, "EXACT_PIXELS = 1 << 24", "EXACT_PIXELS = 1 << 40", "float32 counts beyond 2**24"),
    Sabotage(METRICS, "joint += cv2.calcHist(", "joint = cv2.calcHist(", "only the last chunk is kept"),
    Sabotage(
        METRICS,
        "if p.dtype == t.dtype == np.uint8 and k <= 256:",
        "if p.dtype.itemsize == t.dtype.itemsize == 1 and k <= 256:",
        "int8 goes down the byte path",
    ),
    Sabotage(METRICS, "if k < 256:  # labels", "if k <= 256:  # labels", "label 256 wraps to 0 in a byte"),
    Sabotage(
        METRICS,
        "            joint[ignore_index] = 0\n        strangers",
        "            joint[:, ignore_index] = 0\n        strangers",
        "predictions of the ignored label are dropped",
    ),
    Sabotage(
        METRICS,
        "joint[ignore_index] = 0\n        elif",
        "pass\n        elif",
        "ignored label inside 0..K-1 still counts",
    ),
    Sabotage(METRICS, "    if other.any():", "    if False:", "predictions out of range are dropped"),
    Sabotage(
        METRICS,
        "return np.column_stack((joint[:k, :k], other))",
        "return np.column_stack((joint[:k, :k], 0 * other))",
        "the other column stays empty",
    ),
    Sabotage(METRICS, "    if strangers:\n", "    if False:\n", "targets out of range are dropped"),
    Sabotage(
        METRICS,
        "t, p = n.sum(axis=1), n[:, :k].sum(axis=0)",
        "t, p = n[:, :k].sum(axis=1), n[:, :k].sum(axis=0)",
        "out-of-range predictions shrink the target",
    ),
    Sabotage(METRICS, "union = t + p - tp", "union = t + p", "union counts the intersection twice"),
    Sabotage(METRICS, "_ratio(tp, t), _ratio(tp, p)", "_ratio(tp, p), _ratio(tp, t)", "recall and precision swapped"),
    Sabotage(
        METRICS,
        'counted = included & ((union > 0) | (absent != "exclude"))',
        "counted = included",
        "absent classes always count",
    ),
    Sabotage(
        METRICS, "counted &= (t > 0) | (p == 0)", "counted &= t > 0", "excluding predicted-only also excludes absent"
    ),
    Sabotage(
        METRICS,
        '{"exclude": np.nan, "zero": 0.0, "one": 1.0}',
        '{"exclude": np.nan, "zero": 0.0, "one": 0.0}',
        "absent = one gives 0",
    ),
    Sabotage(
        METRICS,
        "counted_accuracy = included & ~np.isnan(accuracy)",
        "counted_accuracy = counted & ~np.isnan(accuracy) & (precision > 0)",
        "never predicted classes leave the mean accuracy",
    ),
    Sabotage(
        METRICS,
        "_share(tp[included].sum(), union[included].sum())",
        "_share(tp.sum(), union.sum())",
        "micro IoU forgets the exclusion",
    ),
    Sabotage(
        METRICS,
        "(t * iou)[included & (t > 0)].sum(), t[included].sum()",
        "(t * iou)[included & (t > 0)].sum(), t.sum()",
        "FWIoU weights do not sum to 1",
    ),
    Sabotage(
        METRICS, "mean_iou=np.where(inside, b / 2, b)", "mean_iou=b / 2", "closed form used where a class is absent"
    ),
    Sabotage(
        METRICS,
        "mean_accuracy=np.where(inside, 0.5, b)",
        "mean_accuracy=np.full(b.shape, 0.5)",
        "mean accuracy 1/2 without background",
    ),
    Sabotage(
        METRICS,
        "np.count_nonzero((t == 0) & counted)",
        "np.count_nonzero(t == 0)",
        "background share counts ignored pixels",
    ),
    Sabotage(
        MANY,
        "total = np.array(matrices).sum(axis=0)",
        "total = np.array(matrices).mean(axis=0).astype(np.int64)",
        "matrices averaged instead of summed",
    ),
    Sabotage(MANY, "np.where(s.counted, s.iou, np.nan)", "s.iou", "excluded classes enter the per-image table"),
    Sabotage(MANY, '"per_image_and_class": table', '"per_image_and_class": per_image', "pairs weighed by image"),
    Sabotage(MANY, '"per_image_per_class": iou}', '"per_image_per_class": table}', "classes weighed by their images"),
    Sabotage(
        MANY,
        "np.nansum(table, axis=0), images_per_class, out",
        "np.nansum(table, axis=0), len(each) + 0 * images_per_class, out",
        "absent images count as zero",
    ),
    Sabotage(
        MANY,
        "cumulative = cumulative + n  # out of place: earlier steps keep theirs",
        "cumulative += n",
        "earlier steps change",
    ),
    Sabotage(
        MANY,
        "score(n), score(cumulative)",
        "score(cumulative), score(cumulative)",
        "a frame's score is the running one",
    ),
    Sabotage(MANY, "    return steps()", "    yield from steps()", "checks wait for the first step"),
    Sabotage(
        MANY,
        'if p.size and out_of_range == "raise" and (p.min() < 0 or p.max() >= k):',
        'if p.size and out_of_range == "raise" and p.max() >= k:',
        "negative predictions found too late",
    ),
    Sabotage(MANY, "if t.size and (t.min() < 0 or t.max() >= k):", "if False:", "targets checked too late"),
    Sabotage(RULES, "if len(total) > 1:", "if len(total) > 0:", "mmseg's one-class histogram forgotten"),
    Sabotage(
        RULES,
        "predicted[k - 1] += int(np.count_nonzero((p == k) & counted))",
        "pass",
        "semseg's closed last bin forgotten",
    ),
    Sabotage(
        RULES,
        "for counts in (hits, predicted, true):",
        "for counts in (predicted, true):",
        "semseg's relabelling forgotten",
    ),
    Sabotage(RULES, "+ 1e-10)", "+ 1e-3)", "semseg's epsilon"),
    Sabotage(
        RULES, "return float(iou.mean()), iou, ()", "return float(iou[iou > 0].mean()), iou, ()", "semseg without zeros"
    ),
    Sabotage(RULES, "(found + len(strange))", "found", "scikit-learn's extra classes forgotten"),
    Sabotage(
        RULES, "            stray &= t != ignore_index", "            pass", "labels on ignored pixels become classes"
    ),
    Sabotage(
        RULES,
        'scores = segmentation_scores(total, absent="zero")',
        "scores = segmentation_scores(total)",
        "listed labels exclude the absent",
    ),
    Sabotage(
        RULES,
        'whole = segmentation_scores(total, absent="one")',
        "whole = segmentation_scores(total)",
        "smp's ones forgotten",
    ),
    Sabotage(
        RULES,
        'each = accumulate_scores(matrices, accumulation="per_image_and_class", absent="one")',
        'each = accumulate_scores(matrices, accumulation="dataset", absent="one")',
        "imagewise sums first",
    ),
    Sabotage(
        RULES,
        "if ignore_index is not None and 0 <= ignore_index < k:\n        refusal",
        "if ignore_index is not None and 0 < ignore_index < k:\n        refusal",
        "smp accepts ignore_index 0",
    ),
    Sabotage(
        RULES,
        "excluded = [c for c in range(k) if c == ignore_index]",
        "excluded: list[int] = []",
        "torchmetrics counts the ignored class",
    ),
    Sabotage(
        RULES,
        "np.unique(p).size > k + (ignore_index is not None)",
        "np.unique(p).size > k",
        "torchmetrics allows one label more",
    ),
    Sabotage(
        RULES,
        "labels.max(initial=0) >= k for labels",
        "labels.max(initial=0) > k for labels",
        "one-hot accepts label K",
    ),
    Sabotage(
        RULES,
        'mean = accumulate_scores(whole, accumulation="per_image_and_class")',
        'mean = accumulate_scores(whole, accumulation="per_image")',
        "MeanIoU averaged image by image",
    ),
    Sabotage(
        RULES,
        'present = segmentation_scores(total, predicted_only="exclude")',
        "present = segmentation_scores(total)",
        "predicted-only classes count as present",
    ),
    Sabotage(CODES, "codes = rows.astype(np.uint16)", "codes = rows", "codes wrap in uint8"),
    Sabotage(CODES, "codes *= np.uint16(k + 1)", "codes *= np.uint16(k)", "codes collide"),
    Sabotage(CODES, "codes[t == ignore_index] = k", "pass", "ignored label inside 0..K-1 still counts"),
    Sabotage(
        CODES, "code // (k + 1), code % (k + 1)", "code % (k + 1), code // (k + 1)", "target and prediction swapped"
    ),
    Sabotage(
        CODES,
        "correct = (target == prediction) & ~ignored",
        "correct = target == prediction",
        "ignored counts as right",
    ),
    Sabotage(
        CODES,
        "outcome[c, (prediction == c) & ~ignored] = FALSE_POSITIVE",
        "outcome[c, prediction == c] = FALSE_POSITIVE",
        "false positives on ignored pixels",
    ),
    Sabotage(CODES, "if rows.max(initial=0) == k:", "if False:", "targets out of range become ignored"),
    Sabotage(ERRORS, "goal = (t == c) & counted", "goal = t == c", "ignored pixels are a goal"),
    Sabotage(ERRORS, "wrong = (p != t) & counted", "wrong = p != t", "ignored pixels are wrong"),
    Sabotage(ERRORS, "cv2.DIST_L2, cv2.DIST_MASK_PRECISE", "cv2.DIST_L1, 3", "city-block distance"),
    Sabotage(
        ERRORS,
        "depth[mistaken] = math.hypot(*t.shape)",
        "depth[mistaken] = max(t.shape)",
        "diagonal is the longer side",
    ),
    Sabotage(ERRORS, "connectivity=8", "connectivity=4", "patches split at corners"),
    Sabotage(
        ERRORS,
        "order = np.lexsort((at, -deep, patch))",
        "order = np.lexsort((at, deep, patch))",
        "shallowest pixel of a patch",
    ),
    Sabotage(
        ERRORS,
        "return -region.depth, -region.area, region.y, region.x",
        "return -region.area, -region.depth, region.y, region.x",
        "largest patch first",
    ),
    Sabotage(ERRORS, "target_class=int(t.ravel()[at[i]])", "target_class=c", "target class is the predicted one"),
    Sabotage(
        BOUNDARY, "d = max(1, round(dilation_ratio", "d = max(1, math.floor(0.5 + dilation_ratio", "halves rounded up"
    ),
    Sabotage(BOUNDARY, "d = max(1, round(dilation_ratio", "d = max(0, round(dilation_ratio", "band of no width"),
    Sabotage(
        BOUNDARY,
        "square = np.ones((2 * d + 1, 2 * d + 1), np.uint8)",
        "square = np.ones((d + 1, d + 1), np.uint8)",
        "band half as wide",
    ),
    Sabotage(
        BOUNDARY,
        "square = np.ones((2 * d + 1, 2 * d + 1), np.uint8)",
        "square = np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * d + 1, 2 * d + 1)))",
        "Euclidean band",
    ),
    Sabotage(
        BOUNDARY,
        "eroded: Any = cv2.erode(mask, square, borderType=cv2.BORDER_CONSTANT, borderValue=[0])",
        "eroded: Any = cv2.erode(mask, square)",
        "image border not a boundary",
    ),
    Sabotage(
        BOUNDARY,
        "np.bitwise_xor(mask, eroded, out=eroded)",
        "np.bitwise_xor(mask, eroded, out=mask)",
        "the caller's mask is overwritten",
    ),
    Sabotage(BOUNDARY, "radius = math.ceil(", "radius = round(", "tolerance rounded to nearest"),
    Sabotage(
        BOUNDARY,
        "_squared_distances(line, other) <= radius**2",
        "_squared_distances(line, other) < radius**2",
        "distance of exactly the radius misses",
    ),
    Sabotage(BOUNDARY, "if p_all else 1.0", "if p_all else 0.0", "empty outline has precision 0"),
    Sabotage(BOUNDARY, " | (here != diagonal)", "", "diagonal neighbour forgotten"),
    Sabotage(BOUNDARY, 'mode="edge")', 'mode="constant")', "image border becomes an outline"),
    Sabotage(
        BOUNDARY,
        "np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)",
        "np.ones((3, 3), np.uint8)",
        "8-connected edge",
    ),
    Sabotage(
        BOUNDARY,
        "eroded: Any = cv2.erode(mask, cross, borderType=cv2.BORDER_CONSTANT, borderValue=[0])",
        "eroded: Any = cv2.erode(mask, cross)",
        "no edge at the image border",
    ),
    Sabotage(BOUNDARY, "distance = max((d for d", "distance = min((d for d", "smaller of the two directions"),
    Sabotage(
        BOUNDARY,
        "float(np.percentile(distance, percentile))",
        "float(distance[order[math.ceil(percentile / 100 * (distance.size - 1))]])",
        "percentile without interpolation",
    ),
    Sabotage(BOUNDARY, "return math.inf, None, None", "return math.nan, None, None", "one empty mask is NaN"),
    Sabotage(BOUNDARY, "return np.rint(chosen**2)", "return chosen**2", "float32 root kept"),
    Sabotage(BOUNDARY, "(int(x[at]), int(y[at])),", "(int(y[at]), int(x[at])),", "row and column swapped"),
    Sabotage(PANOPTIC, "if iou > 0.5:", "if iou >= 0.5:", "half is enough for a match"),
    Sabotage(PANOPTIC, " - pixels - on_void[p_id])", " - pixels)", "void stays in the union"),
    Sabotage(PANOPTIC, "/ p_area[i] > 0.5)", "/ p_area[i] >= 0.5)", "half on void is forgiven"),
    Sabotage(PANOPTIC, "(on_void[i] + on_crowd[i]) / p_area", "on_void[i] / p_area", "crowds do not forgive"),
    Sabotage(PANOPTIC, "on_crowd[p_id] += pixels", "on_crowd[p_id] = pixels", "only the last crowd forgives"),
    Sabotage(
        PANOPTIC,
        "elif p_id and t_id in crowds and prediction_classes[p_id] == target_classes[t_id]:",
        "elif p_id and t_id in crowds:",
        "crowds of any class forgive",
    ),
    Sabotage(PANOPTIC, " or t_id in crowds or prediction", " or prediction", "crowds are matched"),
    Sabotage(PANOPTIC, "if i not in found and i not in crowds)", "if i not in found)", "crowds are missed"),
    Sabotage(
        PANOPTIC,
        " or prediction_classes[p_id] != target_classes[t_id]:\n            continue",
        ":\n            continue",
        "classes need not agree",
    ),
    Sabotage(PANOPTIC, "weight = tp + fp / 2 + fn / 2", "weight = tp + fp + fn", "IoU of segments instead of F1"),
    Sabotage(
        PANOPTIC,
        "if not math.isnan(q.pq) and",
        "if q.true_positives and",
        "classes without a match leave the mean",
    ),
    Sabotage(PANOPTIC, "connectivity=8", "connectivity=4", "instances split at corners"),
    Sabotage(
        PANOPTIC,
        "ids[inside] = patch[inside] + len(classes)",
        "ids[inside] = patch[inside]",
        "ids of two classes collide",
    ),
    Sabotage(PANOPTIC, "if v < divisor else", "if v <= divisor else", "class 1 without its first instance"),
    Sabotage(PANOPTIC, "void = values < 0", "void = values < -9", "negative ids are segments"),
    Sabotage(
        DEGRADE,
        "out[~elsewhere & (_squared_distance_to(elsewhere) <= radius**2)] = 0",
        "out[~elsewhere & (_squared_distance_to(elsewhere) < radius**2)] = 0",
        "a distance of exactly the radius stays",
    ),
    Sabotage(DEGRADE, "elsewhere = labels != c", "elsewhere = labels == 0", "only background erodes"),
    Sabotage(DEGRADE, "& (distance < nearest)", "& (distance <= nearest)", "ties go to the highest class"),
    Sabotage(
        DEGRADE,
        "grown = (labels == 0) & (distance",
        "grown = (labels != c) & (distance",
        "classes grow over each other",
    ),
    Sabotage(DEGRADE, "rng.integers(1, k, at.size)", "rng.integers(0, k, at.size)", "salt may change nothing"),
    Sabotage(
        DEGRADE,
        "(flat[at].astype(np.int64) + rng.integers(1, k, at.size)) % k",
        "(flat[at] + rng.integers(1, k, at.size).astype(np.uint8)) % k",
        "salt wraps in uint8",
    ),
    Sabotage(DEGRADE, "replace=False)", "replace=True)", "salted pixels drawn twice"),
    Sabotage(DEGRADE, "out = _shifted(out, *shift)", "out = np.roll(out, shift[::-1], (0, 1))", "shift wraps around"),
    Sabotage(
        DEGRADE, "        out[labels == ignore_index] = 0", "        pass", "ignored pixels stay in the prediction"
    ),
    Sabotage(DEGRADE, "np.random.default_rng(seed)", "np.random.default_rng()", "salt without its seed"),
    Sabotage(PHOTO, "cv2.setRNGSeed(seed)\n    stop", "stop", "k-means depends on what ran before"),
    Sabotage(PHOTO, "cv2.COLOR_RGB2LAB", "cv2.COLOR_BGR2LAB", "channels in the wrong order"),
    Sabotage(PHOTO, "np.argsort(-size", "np.argsort(size", "smallest cluster first"),
    Sabotage(
        PHOTO, "(mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)", "mask == cv2.GC_FGD", "probable foreground forgotten"
    ),
    Sabotage(PHOTO, "for x in box_xyxy[::2])", "for x in box_xyxy[:2])", "box read as xxyy"),
    Sabotage(PHOTO, "[1:-1, 1:-1]", "[:-2, :-2]", "watershed shifted by its frame"),
    Sabotage(PHOTO, "_restored(flooded - 1, photo)", "_restored(flooded, photo)", "labels start at 1"),
    Sabotage(PHOTO, "(2 * y + 1) * small_h // (2 * h)", "y * small_h // h // 2", "rows brought back wrongly"),
    Sabotage(
        PHOTO,
        "seeds[y * size[0] // h, x * size[1] // w] = strokes[y, x]",
        "seeds[:] = cv2.resize(strokes.astype(np.float32), size[::-1], interpolation=cv2.INTER_NEAREST)",
        "thin strokes vanish",
    ),
    Sabotage(PHOTO, "solve(overlap, maximize=True)", "solve(overlap, maximize=False)", "worst assignment"),
    Sabotage(
        PHOTO,
        "shared = overlap[rows, columns] > 0",
        "shared = overlap[rows, columns] >= 0",
        "named after nothing in common",
    ),
    Sabotage(
        PHOTO,
        "names = overlap.argmax(axis=1)",
        "names = overlap.argmin(axis=1)",
        "surplus segments take the rarest class",
    ),
    Sabotage(
        PHOTO,
        "pairs = s[counted].astype(np.int64) * k + t[counted]",
        "pairs = s.astype(np.int64).ravel() * k + np.where(counted, t, 0).ravel()",
        "ignored pixels have a vote",
    ),
    Sabotage(
        BINS,
        "(i * a // n, -(-(i + 1) * a // n))",
        "(i * a // n, (i + 1) * a // n)",
        "bins end at the floor: no overlap",
    ),
    Sabotage(
        BINS, "(i * a // n, -(-(i + 1) * a // n))", "(i * (a // n), -(-(i + 1) * a // n))", "stride rounded before i"
    ),
    Sabotage(
        BINS,
        "(i * a // n, -(-(i + 1) * a // n))",
        "(int(i / n * a), -int(-(i + 1) / n * a // 1))",
        "bins in floating point",
    ),
    Sabotage(BINS, "kernel, stride = -(-a // n), a // n", "kernel, stride = a // n, a // n", "window rounded down"),
    Sabotage(
        BINS, "kernel, stride = -(-a // n), a // n", "kernel, stride = -(-a // n), -(-a // n)", "stride rounded up"
    ),
    Sabotage(BINS, "range(0, a - kernel + 1, stride)", "range(0, a, stride)", "windows hang over the end"),
    Sabotage(BINS, "range(0, a - kernel + 1, stride)", "range(0, a - kernel, stride)", "the last window is lost"),
    Sabotage(BINS, "(n * kernel - a + 1) // 2", "(n * kernel - a) // 2", "Caffe's padding rounded down"),
    Sabotage(BINS, "if padding and (count - 1)", "if (count - 1) < 0 and (count - 1)", "window in the padding is kept"),
    Sabotage(BINS, ">= a + padding:", "> a + padding:", "window at the end of the padding is kept"),
    Sabotage(
        BINS, '"padding" if padding >= kernel', '"padding" if padding > kernel', "Caffe's check lets equality pass"
    ),
    Sabotage(BINS, "if count > 1)", "if count)", "every row read counts as shared"),
    Sabotage(BINS, "n + (r - 1) // q, (r - 1) % q", "n + r // q, (r - 1) % q", "theorem: a window too many"),
    Sabotage(BINS, "n + (r - 1) // q, (r - 1) % q", "n + (r - 1) // q, r - 1", "theorem: rows read by surplus windows"),
    Sabotage(BINS, "r <= q, r <= 1)", "r < q, r <= 1)", "theorem: r = q is called wrong"),
    Sabotage(BINS, "r <= q, r <= 1)", "r <= q, r < 1)", "theorem: a remainder of 1 is called different"),
    Sabotage(BINS, "if r.surplus or r.empty)", "if r.surplus)", "empty bins are not reported"),
    Sabotage(BINS, "return self.windows - self.bins", "return self.bins - self.windows", "surplus with the wrong sign"),
    Sabotage(BINS, 'raise ValueError(f"{name} must be at least 1, got {value}")', "return 1", "zero bins become one"),
    Sabotage(
        LEVELS,
        "for y0, y1 in rows.edges for x0, x1 in columns.edges",
        "for x0, x1 in columns.edges for y0, y1 in rows.edges",
        "bins column by column",
    ),
    Sabotage(
        LEVELS,
        'bin_report(positive("height", height), n',
        'bin_report(positive("height", width), n',
        "a square map is assumed",
    ),
    Sabotage(
        LEVELS, "self.rows.right_count and self.columns.right_count", "self.rows.right_count", "only rows are counted"
    ),
    Sabotage(
        LEVELS,
        "self.rows.agrees and self.columns.agrees",
        "self.rows.agrees or self.columns.agrees",
        "one axis is enough to agree",
    ),
    Sabotage(
        LEVELS,
        "np.count_nonzero(self.reads > 1)",
        "np.count_nonzero(self.reads > 2)",
        "cells read twice are not shared",
    ),
    Sabotage(
        LEVELS,
        "if gap or (group[0][0], group[-1][1]) != (start, end):",
        "if (group[0][0], group[-1][1]) != (start, end):",
        "gaps are overlooked",
    ),
    Sabotage(
        LEVELS,
        "if gap or (group[0][0], group[-1][1]) != (start, end):",
        "if False:",
        "every multiple is taken to nest, by any rule",
    ),
    Sabotage(LEVELS, "if not fine or not coarse or", "if not coarse or", "a rule without bins is nested in"),
    Sabotage(
        LEVELS,
        "            and _nests(fine.columns.edges, coarse.columns.edges)\n        ]",
        "        ]",
        "nesting checked along the rows only",
    ),
    Sabotage(
        LEVELS,
        "key=lambda j: (levels[j].windows, j)",
        "key=lambda j: (-levels[j].windows, j)",
        "taken from the finest level",
    ),
    Sabotage(LEVELS, "key=lambda i: -levels[i].level", "key=lambda i: levels[i].level", "coarse levels first"),
    Sabotage(LEVELS, "y * fine.columns.windows + x", "x * fine.columns.windows + y", "fine bins transposed"),
    Sabotage(
        POOL,
        "inside = channel * bins + bin if",
        "inside = bin * self.channels + channel if",
        "index is bin-major always",
    ),
    Sabotage(
        POOL,
        "row, column = divmod(at, level.bins.columns.windows)",
        "column, row = divmod(at, level.bins.columns.windows)",
        "rows and columns of a cell swapped",
    ),
    Sabotage(
        POOL,
        "(flat % self.width, flat // self.width)",
        "(flat // self.width, flat % self.width)",
        "x and y of the argmax swapped",
    ),
    Sabotage(
        POOL,
        "(flat % self.width, flat // self.width)",
        "(flat % self.height, flat // self.height)",
        "argmax decoded by the height",
    ),
    Sabotage(
        POOL,
        "values.permute(0, 2, 3, 1)",
        "values.permute(0, 3, 2, 1)",
        "bins column by column in the bin-major vector",
    ),
    Sabotage(POOL, "if values.isnan().any():  # torch", "if False:  # torch", "the last NaN is named"),
    Sabotage(
        POOL,
        "values = part.flatten(2).gather(2, argmax.flatten(2)).view_as(values)",
        "pass",
        "a NaN's gradient goes to another pixel than named",
    ),
    Sabotage(
        POOL,
        "+ y0) * width + argmax % (x1 - x0) + x0)",
        ") * width + argmax % (x1 - x0) + x0)",
        "argmax forgets where the window begins",
    ),
    Sabotage(
        POOL,
        "(argmax // (x1 - x0) + y0) * width",
        "(argmax // width + y0) * width",
        "argmax of a window decoded by the map's width",
    ),
    Sabotage(POOL, "argmax.masked_fill(values <= 0, -1)", "argmax", "a zero from no pixel names a pixel"),
    Sabotage(
        POOL,
        "values.clamp_min(0), argmax",
        "values, argmax",
        "the buffer does not start at zero",
    ),
    Sabotage(
        POOL,
        ".masked_fill(~wins, torch.iinfo(torch.int64).max).argmin(-1",
        ".masked_fill(~wins, -1).argmax(-1",
        "of equal maxima the last pixel wins",
    ),
    Sabotage(
        POOL,
        "((group.detach() == best) | group.detach().isnan()) & (at >= 0)",
        "(group.detach() == best) & (at >= 0)",
        "NaN is no maximum of a nested level",
    ),
    Sabotage(POOL, "| group.detach().isnan()) & (at >= 0)", "| group.detach().isnan())", "an empty bin beats −inf"),
    Sabotage(
        POOL,
        "parted = x.reshape(*x.shape[:2], rows, high, columns, wide).transpose(3, 4)",
        "parted = x.reshape(*x.shape[:2], high, rows, wide, columns).permute(0, 1, 3, 5, 2, 4)",
        "every n-th bin instead of neighbours",
    ),
    Sabotage(
        POOL, "part.new_full((batch, channels), -math.inf)", "part.new_zeros((batch, channels))", "empty bins are zero"
    ),
    Sabotage(
        POOL,
        "(at // (x1 - x0) + y0) * width + at % (x1 - x0) + x0)",
        "(at // (x1 - x0) + y0) * width + at % (x1 - x0))",
        "argmax forgets the bin's column",
    ),
    Sabotage(
        POOL,
        "read = cells if source is None else",
        "read = cells if source is None or source >= 0 else",
        "nested levels read the map again",
    ),
    Sabotage(
        POOL,
        "return torch.full_like(x.select(dim, 0), -math.inf)",
        "return torch.zeros_like(x.select(dim, 0))",
        "empty bins are zero in the fast vector",
    ),
    Sabotage(
        POOL,
        "for i in range(len(plan.levels))], 1)",
        "for i in finest_first(plan.levels)], 1)",
        "fast vector in the order of pooling",
    ),
    Sabotage(
        POOL, "    if min(height, width) < finest:", "    if max(height, width) < finest:", "narrow maps slip through"
    ),
    Sabotage(POOL, "features.isfinite().sum()", "(~features.isnan()).sum()", "infinite features slip through"),
    Sabotage(
        POOL,
        "0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height",
        "x0 < x1 <= width and y0 < y1 <= height",
        "a window may begin outside",
    ),
    Sabotage(STEPS, "place[::-1] < where[::-1]", "place < where", "ties go to the leftmost pixel"),
    Sabotage(STEPS, "if where is None or larger", "if larger", "a bin of −inf names no pixel"),
    Sabotage(STEPS, "        if place is None:\n            continue\n", "", "an empty bin takes part"),
    Sabotage(STEPS, "(math.isnan(value) and not math.isnan(best))", "False", "NaN is passed over"),
    Sabotage(STEPS, "vector[starts[i] + number] = value", "vector[count] = value", "vector in the order of pooling"),
    Sabotage(
        STEPS, "yield PoolStep(0, None", "vector[0] = 0.0\n    yield PoolStep(0, None", "the empty vector is not empty"
    ),
    Sabotage(
        WINDOW,
        "int(u // stride) + 1, int(-(-v // stride)) - 1",
        "int(-(-u // stride)), int(-(-v // stride)) - 1",
        "the cell on the left edge is kept",
    ),
    Sabotage(
        WINDOW,
        "int(u // stride) + 1, int(-(-v // stride)) - 1",
        "int(u // stride) + 1, int(v // stride)",
        "the cell on the right edge is kept",
    ),
    Sabotage(
        WINDOW,
        "math.floor((u + offset) / stride + 0.5), math",
        "round((u + offset) / stride), math",
        "halves to even instead of up",
    ),
    Sabotage(
        WINDOW,
        "math.ceil((v - offset) / stride - 0.5)",
        "math.floor((v - offset) / stride + 0.5)",
        "right edge rounded like the left",
    ),
    Sabotage(WINDOW, "math.ceil((v - offset)", "math.ceil((v + offset)", "the box grows instead of shrinking"),
    Sabotage(WINDOW, "int(u // stride) + 1", "int(u / stride) + 1", "towards zero instead of down"),
    Sabotage(WINDOW, "a = b = (first + last) // 2", "a = b = last", "crossed edges go to the right one"),
    Sabotage(
        WINDOW,
        "u, v = start - first_centre, end - first_centre",
        "u, v = start, end",
        "the first cell's place is forgotten",
    ),
    Sabotage(WINDOW, "min(max(a, 0), size - 1)", "min(max(a, 0), size)", "first cell beyond the map"),
    Sabotage(
        WINDOW,
        "cells = (x.first, y.first, x.last + 1, y.last + 1)",
        "cells = (x.first, y.first, x.last, y.last)",
        "last cell lost",
    ),
    Sabotage(
        WINDOW,
        "_axis(box[1], box[3], stride, rule, height",
        "_axis(box[1], box[3], stride, rule, width",
        "rows clamped to the width",
    ),
    Sabotage(WINDOW, "return self.cells == 1", "return self.x.cells == 1", "a column of cells counts as one cell"),
    Sabotage(BLOCKS, "tuple(1 + m * (kernel - 1) for", "tuple(m * kernel for", "chained windows add up to multiples"),
    Sabotage(
        BLOCKS,
        "padding=(high // 2, wide // 2)",
        "padding=(high // 2, high // 2)",
        "a flat window is padded on the wrong sides",
    ),
    Sabotage(
        BLOCKS, 'branches if order == "ultralytics" else branches[::-1]', "branches", "Darknet's order is Ultralytics'"
    ),
    Sabotage(
        BLOCKS,
        "for block in reversed(range(branches)) for c in range(channels)",
        "for block in reversed(range(branches)) for c in reversed(range(channels))",
        "channels reversed within their blocks",
    ),
    Sabotage(
        BLOCKS,
        "same_size_pool(same_size_pool(maps[-1], (1, kernel)), (kernel, 1))",
        "same_size_pool(maps[-1], (1, kernel))",
        "only one half of a separable pool",
    ),
    Sabotage(
        BLOCKS,
        "else same_size_pool(maps[-1], kernel)",
        "else same_size_pool(x, kernel)",
        "SPPF pools the input each time",
    ),
    Sabotage(BLOCKS, "or kernel % 2 == 0:", "or False:", "even windows pass"),
    Sabotage(SPPF, "| (a.signbit() != b.signbit())", "", "zeros of either sign are called identical"),
    Sabotage(SPPF, "~(a.isnan() & b.isnan())", "~(a.isnan() | b.isnan())", "NaN against a number is called identical"),
    Sabotage(
        SPPF, "any(self.differing + self.differing_separable)", "any(self.differing)", "separable SPPF is not looked at"
    ),
    Sabotage(SPPF, "sum(k * k - 1 for k in kernels)", "sum(k * k for k in kernels)", "m comparisons for m numbers"),
    Sabotage(SPPF, "- height * width\n", "\n", "the first number of a window is compared too"),
    Sabotage(SPPF, "repeats * 2 * (kernel - 1)", "repeats * (kernel - 1)", "one axis of separable pools forgotten"),
    Sabotage(SPPF, "min(i + half, size - 1) - max(i - half, 0) + 1", "2 * half + 1", "windows not cut at the border"),
    Sabotage(
        SPPF,
        "(_reach(width, kernel) - width) * height + (_reach(height, kernel) - height) * width",
        "(_reach(width, kernel) - width) * width + (_reach(height, kernel) - height) * height",
        "rows and columns exchanged",
    ),
    Sabotage(
        SPPF,
        "leaf = x.detach().double().requires_grad_()",
        "leaf = x.detach().clone().requires_grad_()",
        "gradients counted in half precision",
    ),
    Sabotage(
        SPPF,
        "sppf_block(leaf, kernel, repeats=repeats).sum()",
        "spp_block(leaf, kernels).sum()",
        "SPP compared with itself",
    ),
    Sabotage(
        SPPF,
        "pad(equal, (1, 0)) | torch.nn.functional.pad(equal, (0, 1))",
        "pad(equal, (1, 0))",
        "the first of equal pixels is not tied",
    ),
    Sabotage(
        SPPF,
        "torch.nn.functional.pad(x, [half] * 4)",
        "torch.nn.functional.pad(x, [half] * 4, value=-torch.inf)",
        "zero padding pads with −inf",
    ),
    Sabotage(
        AVERAGES, 'mode="bilinear", align_corners=True', 'mode="bilinear", align_corners=False', "corners not aligned"
    ),
    Sabotage(
        AVERAGES, "functional.adaptive_avg_pool2d", "functional.adaptive_max_pool2d", "maxima instead of averages"
    ),
    Sabotage(
        AVERAGES,
        "[features, *(level.upsampled for level in levels)]",
        "[*(level.upsampled for level in levels), features]",
        "the map comes last",
    ),
    Sabotage(AVERAGES, "height % n == 0 and width % n == 0", "height % n == 0", "nesting decided by the height"),
    Sabotage(
        AVERAGES,
        "len(checked) * (channels // len(checked))",
        "len(checked) * channels // len(checked)",
        "channels divided after multiplying",
    ),
    Sabotage(AVERAGES, "finest = max(checked)", "finest = checked[-1]", "the last level is taken for the finest"),
    Sabotage(ATROUS, "(i >= rate)", "(i > rate)", "a tap on the first cell is lost"),
    Sabotage(ATROUS, "(i + rate < size)", "(i + rate <= size)", "a tap beyond the map counts"),
    Sabotage(
        ATROUS, "_axis_taps(h, r), _axis_taps(w, r)", "_axis_taps(w, r), _axis_taps(h, r)", "height and width exchanged"
    ),
    Sabotage(ATROUS, "np.count_nonzero(taps == 1)", "np.count_nonzero(taps <= 3)", "a line of taps counts as one"),
    Sabotage(ATROUS, "int(taps.sum()) / total", "int(taps.sum()) / (9 * total)", "mean as a share of nine"),
    Sabotage(
        FILTERS,
        "x * math.cos(angle) + y * math.sin(angle)",
        "x * math.cos(angle) - y * math.sin(angle)",
        "angles turn the other way",
    ),
    Sabotage(FILTERS, "kernel - kernel.sum() * gauss", "kernel", "filters answer to flat grey"),
    Sabotage(
        FILTERS, "(2 * sigma * sigma))\n    gauss = gauss", "(sigma * sigma))\n    gauss = gauss", "Gaussian too narrow"
    ),
    Sabotage(FILTERS, "degrees) / (4 * sigma))", "degrees) / (2 * sigma))", "wave twice as short"),
    Sabotage(FILTERS, "[0.299, 0.587, 0.114]", "[0.114, 0.587, 0.299]", "BGR taken for RGB"),
    Sabotage(FILTERS, '[half] * 4, mode="replicate")', "[half] * 4)", "a black frame around the picture"),
    Sabotage(
        FILTERS, 'if activation == "relu":', 'if activation != "none" and stride > 4:', "the ReLU depends on the stride"
    ),
    Sabotage(FILTERS, "else float(half)", "else 0.0", "unpadded maps begin at pixel 0"),
    Sabotage(FILTERS, "kernel / kernel.abs().sum()", "kernel / kernel.norm()", "scaled by the Euclidean norm"),
)
