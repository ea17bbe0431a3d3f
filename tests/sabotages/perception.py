"""Seeded bugs of core/perception's segmentation metrics."""

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
)
