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
BOXES = "core/perception/boxes.py"
ASSIGN = "core/perception/assignment.py"
MATCH = "core/perception/detr_matching.py"
SETLOSS = "core/perception/detr_loss.py"
ANCHORS = "core/perception/anchor_matching.py"
NOISE = "core/perception/box_perturbation.py"
RANKING = "core/perception/average_precision.py"
SCENES = "core/perception/shape_scenes.py"
DETR = "core/perception/tiny_detr.py"

ANNOTATED = "core/perception/box_annotations.py"
LOOKS = "core/perception/attention_maps.py"
SEEN = "core/perception/detr_preprocessing.py"
HEATMAPS = "core/perception/heatmap_keypoints.py"
SIMCC = "core/perception/simcc.py"
JOINTS = "core/perception/keypoint_metrics.py"
QUANTA = "core/perception/quantization_error.py"
RLE = "core/perception/residual_log_likelihood.py"
READINGS = "core/perception/joint_readings.py"
FIGURES = "core/perception/articulated_figures.py"
POSE = "core/perception/tiny_pose.py"
CROP = "core/perception/pose_crop.py"
CLOUDS = "core/perception/residual_clouds.py"

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
    Sabotage(BOXES, "    np.maximum(sides, 0, out=sides)\n", "", "boxes that lie apart in both directions intersect"),
    Sabotage(BOXES, "    union -= inner\n", "", "the intersection counts twice in the union"),
    Sabotage(BOXES, "hull - union\n", "hull - inner\n", "the hull's empty part less the intersection"),
    Sabotage(BOXES, "np.subtract(iou, giou, out=giou)", "np.add(iou, giou, out=giou)", "the empty part raises GIoU"),
    Sabotage(BOXES, "inner / np.maximum(union, LEAST)", "inner / np.maximum(union, 1e-7)", "an epsilon in the divisor"),
    Sabotage(
        BOXES,
        "np.concatenate([centre - half, centre + half], axis=1)",
        "np.concatenate([centre - half, centre + 2 * half], axis=1)",
        "the far corner is a whole size away",
    ),
    Sabotage(
        BOXES,
        "low + (high - low) / 2, high - low]",
        "low + (high - low) / 2, (high - low)[:, ::-1]]",
        "height before width",
    ),
    Sabotage(
        BOXES,
        "    negative = (boxes[:, 2:] < 0).any(axis=1)\n",
        "    negative = (boxes[:, 2:] < 0).all(axis=1)\n",
        "one negative size is accepted",
    ),
    Sabotage(
        BOXES,
        "wrong = (array[:, 2:] < array[:, :2]).any(axis=1)",
        "wrong = (array[:, 2:] <= array[:, :2]).any(axis=1)",
        "boxes without area are refused",
    ),
    Sabotage(BOXES, "    wrong = ~(np.abs(array) <= LARGEST)\n", "    wrong = np.abs(array) > LARGEST\n", "NaN passes"),
    Sabotage(
        BOXES,
        "tensor.detach().cpu().double().numpy()",
        "tensor.detach().cpu().numpy()",
        "bfloat16 tensors cannot be read",
    ),
    Sabotage(
        BOXES,
        "return array.astype(np.float64, copy=False)",
        "return array.astype(np.promote_types(array.dtype, np.float16), copy=False)",
        "half precision stays half",
    ),
    Sabotage(
        BOXES,
        "for start in range(0, rows, step)]",
        "for start in range(0, rows - 1, step)]",
        "the last row of some tables is not computed",
    ),
    Sabotage(
        BOXES,
        "sides = np.minimum(a[2:], b[2:])",
        "sides = np.maximum(a[2:], b[2:])",
        "intersection as wide as the hull",
    ),
    Sabotage(
        ASSIGN,
        "if way < nearest or (way == nearest and holder[member] < 0):",
        "if way < nearest:",
        "among equals no preference for a free member",
    ),
    Sabotage(
        ASSIGN,
        "if way < nearest or (way == nearest and holder[member] < 0):",
        "if way <= nearest:",
        "the last of equals",
    ),
    Sabotage(
        ASSIGN,
        "remaining = list(range(t - 1, -1, -1))",
        "remaining = list(range(t))",
        "members remaining in another order",
    ),
    Sabotage(
        ASSIGN,
        "            remaining[at] = remaining[-1]\n            remaining.pop()\n",
        "            remaining.pop(at)\n",
        "the gap is closed instead of filled by the last",
    ),
    Sabotage(
        ASSIGN,
        "through = nearest + c[searcher, here] - u[searcher] - v[here]",
        "through = c[searcher, here] - u[searcher] - v[here]",
        "a way's earlier legs cost nothing",
    ),
    Sabotage(
        ASSIGN,
        "        u[others] += nearest - way_cost[partner[others]]\n",
        "        u[others] += nearest\n",
        "prices of the tree rise too far",
    ),
    Sabotage(
        ASSIGN,
        "        v[taken] -= nearest - way_cost[taken]\n",
        "        v[taken] -= way_cost[taken]\n",
        "prices of the other side fall by the way",
    ),
    Sabotage(
        ASSIGN,
        "        u[root] += nearest\n",
        "        u[root] = c[root].min()\n",
        "the root's price is its cheapest cost",
    ),
    Sabotage(ASSIGN, "        others[root] = False\n", "", "the root's price moves twice"),
    Sabotage(
        ASSIGN,
        "            if searcher == root:\n                break\n            removed",
        "            if searcher == root:\n                break\n            added",
        "dissolved pairs are told as new",
    ),
    Sabotage(
        ASSIGN,
        "            holder[member], partner[searcher] = searcher, member\n",
        "            partner[searcher] = member\n",
        "pairs are forgotten by the other side",
    ),
    Sabotage(
        ASSIGN,
        "    by_columns = cost.shape[1] < cost.shape[0]",
        "    by_columns = cost.shape[1] <= cost.shape[0]",
        "columns search in square matrices",
    ),
    Sabotage(
        ASSIGN,
        "            np.array(v if by_columns else price),\n            np.array(price if by_columns else v),\n",
        "            np.array(price if by_columns else v),\n            np.array(v if by_columns else price),\n",
        "prices change sides",
    ),
    Sabotage(
        ASSIGN,
        "            np.array(taken if by_columns else in_tree),\n            np.array(in_tree if by_columns else taken),\n",
        "            np.array(in_tree if by_columns else taken),\n            np.array(taken if by_columns else in_tree),\n",
        "trees change sides",
    ),
    Sabotage(
        ASSIGN, "            np.array(way_cost),\n", "            way_cost,\n", "a step changes after it was made"
    ),
    Sabotage(
        ASSIGN,
        "        price = np.where(entered, u, np.nan)\n",
        "        price = u\n",
        "those outside have a price of 0",
    ),
    Sabotage(
        ASSIGN,
        "    matrix = np.array(as_cost(cost))\n    matrix.setflags(write=False)\n",
        "    matrix = as_cost(cost)\n",
        "a step's cost is the caller's array",
    ),
    Sabotage(
        ASSIGN,
        "        return self.assigned_cost - self.dual_value",
        "        return abs(self.assigned_cost) - self.dual_value",
        "the gap of the cost's amount",
    ),
    Sabotage(
        ASSIGN,
        'np.argsort(matrix, axis=None, kind="stable").tolist():',
        'np.argsort(-matrix, axis=None, kind="stable").tolist():',
        "greedy takes the dearest",
    ),
    Sabotage(
        ASSIGN,
        "            row_free[row] = col_free[column] = False\n",
        "            row_free[row] = False\n",
        "greedy uses a column twice",
    ),
    Sabotage(ASSIGN, "and matrix[row, column] < np.inf:", "and True:", "greedy takes forbidden pairs"),
    Sabotage(
        ASSIGN, "rows = matrix.argmin(axis=0)", "rows = matrix.argmax(axis=0)", "each column takes its dearest row"
    ),
    Sabotage(
        ASSIGN,
        "whole = not (missing or matching.shared_rows or matching.shared_cols)",
        "whole = not missing",
        "pairs that share a row are scored",
    ),
    Sabotage(
        ASSIGN,
        "missing = max(0, min(matrix.shape) - len(pairs))",
        "missing = max(0, matrix.shape[0] - len(pairs))",
        "a puzzle is whole when all rows have a partner",
    ),
    Sabotage(
        ASSIGN,
        "    wrong = np.isnan(matrix) | (matrix == -np.inf)\n",
        "    wrong = np.isnan(matrix)\n",
        "−inf is accepted",
    ),
    Sabotage(
        MATCH, "        class_cost = -p\n", "        class_cost = -np.log(p)\n", "the matching takes the logarithm"
    ),
    Sabotage(MATCH, "    giou_cost = -overlap.giou\n", "    giou_cost = 1 - overlap.iou\n", "IoU in place of GIoU"),
    Sabotage(
        MATCH,
        "box_overlap(cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(goals))",
        "box_overlap(np.sort(boxes), np.sort(goals))",
        "cxcywh taken for corners",
    ),
    Sabotage(
        MATCH,
        "weights[1] * bbox_cost + weights[2] * giou_cost",
        "weights[2] * bbox_cost + weights[1] * giou_cost",
        "weights of the box costs exchanged",
    ),
    Sabotage(
        MATCH,
        "        positive = alpha * (1 - p) ** gamma * -np.log(p + TINY)\n",
        "        positive = (1 - alpha) * (1 - p) ** gamma * -np.log(p + TINY)\n",
        "alpha on the wrong side",
    ),
    Sabotage(
        MATCH,
        "(1 - alpha) * p**gamma * -np.log(1 - p + TINY)",
        "(1 - alpha) * p * -np.log(1 - p + TINY)",
        "gamma is forgotten for the negative part",
    ),
    Sabotage(
        MATCH,
        "        class_cost = positive - negative\n",
        "        class_cost = positive + negative\n",
        "the negative part is added",
    ),
    Sabotage(
        MATCH,
        'num_classes = logits.shape[1] - (kind == "softmax")',
        "num_classes = logits.shape[1]",
        "a target may be ∅",
    ),
    Sabotage(MATCH, "        p = _softmax(logits)[:, :-1]\n", "        p = _softmax(logits)\n", "∅ is detected"),
    Sabotage(MATCH, "np.exp(logits - logits.max(axis=1, keepdims=True))", "np.exp(logits)", "large logits overflow"),
    Sabotage(
        MATCH,
        "    return np.where(logits >= 0, positive, 1 - positive)\n",
        "    return positive\n",
        "sigmoid of the amount",
    ),
    Sabotage(
        MATCH,
        "queries, labels = np.divmod(np.arange(p.size), p.shape[1])",
        "labels, queries = np.divmod(np.arange(p.size), len(p))",
        "query and class of a pair exchanged",
    ),
    Sabotage(
        MATCH,
        "np.array([width, height, width, height])",
        "np.array([height, width, height, width])",
        "height and width of the image exchanged",
    ),
    Sabotage(
        MATCH,
        'order = np.argsort(-scores, kind="stable")\n    else:',
        "order = np.arange(len(scores))\n    else:",
        "detections are not sorted",
    ),
    Sabotage(
        MATCH,
        "        rest = np.delete(logits, c, axis=1)\n",
        "        rest = logits\n",
        "the class itself counts among the others",
    ),
    Sabotage(
        MATCH,
        "    return logits[:, :-1] - others\n",
        "    return logits[:, :-1] - logits[:, -1:]\n",
        "log-odds against ∅ alone",
    ),
    Sabotage(
        MATCH,
        "    changed = before != after\n",
        "    changed = (before != after) & (after >= 0)\n",
        "a query that loses its target is not counted",
    ),
    Sabotage(
        MATCH,
        "    out = np.full(length, -1, np.int64)\n",
        "    out = np.zeros(length, np.int64)\n",
        "unmatched queries have target 0",
    ),
    Sabotage(
        SETLOSS,
        "    normalizer = weight.sum()\n",
        "    normalizer = torch.full_like(weight.sum(), num_boxes)\n",
        "class loss over the boxes",
    ),
    Sabotage(
        SETLOSS,
        "torch.where(wanted == empty, eos_coefficient, 1.0)",
        "torch.where(wanted == empty, 1.0, eos_coefficient)",
        "the weight of ∅ on the objects",
    ),
    Sabotage(
        SETLOSS,
        "normalizer = torch.full_like(query_class.sum(), num_boxes)",
        "normalizer = weight.sum()",
        "focal loss over the queries",
    ),
    Sabotage(
        SETLOSS,
        "float(max(1, sum(m.target_labels.size for m in matches)))",
        "float(max(1, query_idx.numel()))",
        "box losses over the pairs",
    ),
    Sabotage(
        SETLOSS,
        "float(max(1, sum(m.target_labels.size for m in matches)))",
        "float(sum(m.target_labels.size for m in matches))",
        "no objects: 0/0",
    ),
    Sabotage(
        SETLOSS,
        "        for logits, boxes in zip(pred_logits, pred_boxes, strict=True)\n    )\n    return SetLoss",
        "        for logits, boxes in zip(pred_logits, pred_boxes[-1:].expand_as(pred_boxes), strict=True)\n    )\n    return SetLoss",
        "auxiliary losses with the last layer's boxes",
    ),
    Sabotage(
        SETLOSS,
        "            cost_bbox=costs[1],\n            cost_giou=costs[2],\n",
        "            cost_bbox=costs[2],\n            cost_giou=costs[1],\n",
        "the matching's weights exchanged",
    ),
    Sabotage(
        SETLOSS,
        "    pair_giou = 1 - _paired_giou(mine, goals)\n",
        "    pair_giou = 1 - _paired_giou(mine, goals).detach()\n",
        "no gradient through GIoU",
    ),
    Sabotage(SETLOSS, "(mine - goals).abs().sum(-1)", "(mine - goals).abs().mean(-1)", "L1 as the mean of four"),
    Sabotage(
        SETLOSS,
        "    return _ratio(inner, union) - _ratio(hull - union, hull)\n",
        "    return _ratio(inner, union)\n",
        "loss of IoU",
    ),
    Sabotage(
        SETLOSS,
        "    missing = wanted * (1 - p) + (1 - wanted) * p\n",
        "    missing = wanted * p + (1 - wanted) * (1 - p)\n",
        "focal loss rises with ease",
    ),
    Sabotage(
        SETLOSS,
        "    return torch.where(there, part / torch.where(there, whole, 1.0), 0.0)\n",
        "    return torch.where(there, part / whole, 0.0)\n",
        "NaN gradients of boxes without area",
    ),
    Sabotage(SETLOSS, "float((~right).double().mean())", "float(right.double().mean())", "accuracy told as error"),
    Sabotage(
        SETLOSS,
        "says_object = logits.argmax(-1) != empty\n    else",
        "says_object = logits.argmax(-1) == empty\n    else",
        "queries of ∅ are counted",
    ),
    Sabotage(
        SETLOSS,
        "says_object = logits.amax(-1) > 0  # p > 1/2",
        "says_object = logits.amax(-1) > 0.5  # p > 1/2",
        "a logit taken for a probability",
    ),
    Sabotage(
        SETLOSS,
        "        empty = self.target_of_query < 0\n",
        "        empty = self.target_of_query <= 0\n",
        "target 0 counts as ∅",
    ),
    Sabotage(
        SETLOSS,
        "torch.stack([layer.total for layer in layers]).sum()",
        "torch.stack([layer.total for layer in layers]).mean()",
        "mean over the layers",
    ),
    Sabotage(
        ANCHORS,
        "best >= foreground_iou, nearest, np.where(best < background_iou",
        "best > foreground_iou, nearest, np.where(best < background_iou",
        "an overlap of exactly the threshold is not foreground",
    ),
    Sabotage(
        ANCHORS,
        "np.where(best < background_iou, BACKGROUND, BETWEEN)",
        "np.where(best <= background_iou, BACKGROUND, BETWEEN)",
        "an overlap of exactly the lower threshold is background",
    ),
    Sabotage(
        ANCHORS,
        "((iou == of_target) & (of_target > 0))",
        "(iou == of_target)",
        "targets that nothing touches rescue everybody",
    ),
    Sabotage(
        ANCHORS,
        "        target_idx = np.where(rescued, nearest, target_idx)\n",
        "        target_idx = np.where(rescued, iou.argmax(axis=0)[0], target_idx)\n",
        "the rescued go elsewhere",
    ),
    Sabotage(
        ANCHORS,
        "np.bincount(target_idx[target_idx >= 0], minlength=goals)",
        "np.bincount(nearest, minlength=goals)",
        "background boxes count as positives",
    ),
    Sabotage(
        ANCHORS,
        "over = np.flatnonzero(overlaps > threshold)",
        "over = np.flatnonzero(overlaps >= threshold)",
        "an overlap of exactly the threshold suppresses",
    ),
    Sabotage(
        ANCHORS,
        "np.where(classes[:, None] == classes[None], box_iou(boxes, boxes), 0.0)",
        "box_iou(boxes, boxes)",
        "classes suppress each other",
    ),
    Sabotage(
        ANCHORS,
        '    order = np.argsort(-points, kind="stable")\n',
        '    order = np.argsort(points, kind="stable")\n',
        "the worst box is kept",
    ),
    Sabotage(
        ANCHORS,
        "order[points[order] > score_threshold]",
        "order[points[order] >= score_threshold]",
        "a score of exactly the threshold has its turn",
    ),
    Sabotage(
        ANCHORS,
        "        if keeper < 0:\n            kept.append(box)\n",
        "        kept.append(box)\n        if keeper < 0:\n            pass\n",
        "suppressed boxes suppress",
    ),
    Sabotage(
        ANCHORS, "np.array(suppressed_by), np.array(seen)", "suppressed_by, seen", "a step changes after it was made"
    ),
    Sabotage(
        NOISE,
        "np.concatenate([source[:, 2:] / 2, source[:, 2:]], axis=1)",
        "np.concatenate([source[:, 2:], source[:, 2:]], axis=1)",
        "centres move by the whole size",
    ),
    Sabotage(
        NOISE,
        "    where[:n] = _cut(source + box_noise * shift)\n",
        "    where[:n] = source + box_noise * shift\n",
        "boxes leave the image",
    ),
    Sabotage(
        NOISE,
        "np.maximum(confidence - 0.02 * rank, 0.05)",
        "np.full(n, confidence)",
        "duplicates are as sure as the first",
    ),
    Sabotage(
        NOISE,
        "((1 - sure) / num_classes)[:, None]",
        "((1 - sure) / (num_classes + 1))[:, None]",
        "probabilities do not sum to 1",
    ),
    Sabotage(NOISE, "flips[:n] < label_flips", "flips[:n] > label_flips", "labels flip the more, the less they should"),
    Sabotage(
        NOISE,
        "    missed = np.sort(drop[:misses])\n",
        "    missed = np.arange(misses)\n",
        "the first targets are missed",
    ),
    Sabotage(
        NOISE,
        "    lost = np.setdiff1d(np.arange(len(boxes)), origin)\n",
        "    lost = missed\n",
        "targets cut for want of queries are not told",
    ),
    Sabotage(
        NOISE, "where[order], from_target[order]", "where[order], from_target", "origins in another order than boxes"
    ),
    Sabotage(
        NOISE,
        "    moves = rng.uniform(-1, 1, (num_queries, 4))\n",
        "    moves = rng.uniform(-1, 1, (num_queries, 4)) if box_noise > 0.3 else rng.uniform(-1, 1, (num_queries + 1, 4))[1:]\n",
        "the scene changes with the slider",
    ),
    Sabotage(NOISE, "again = deal[np.isin(deal, kept)]", "again = deal", "a missed target gets duplicates"),
    Sabotage(
        RANKING,
        "if best >= 0 and iou[d, best] >= threshold:",
        "if best >= 0 and iou[d, best] > threshold:",
        "an overlap of exactly the threshold is false",
    ),
    Sabotage(
        RANKING,
        "            hit[d], free[best] = True, False\n",
        "            hit[d] = True\n",
        "a target is found twice",
    ),
    Sabotage(
        RANKING,
        "        mine = found.labels == c\n",
        "        mine = found.labels >= c\n",
        "detections of other classes count",
    ),
    Sabotage(
        RANKING,
        '    for d in np.argsort(-scores, kind="stable").tolist():',
        "    for d in range(len(scores)):",
        "detections choose in the order given",
    ),
    Sabotage(RANKING, "np.maximum.accumulate(precision[::-1])[::-1]", "precision", "precision is not interpolated"),
    Sabotage(RANKING, "np.linspace(0, 1, 101)", "np.linspace(0, 1, 11)", "eleven recalls, as in VOC 2007"),
    Sabotage(
        RANKING,
        'np.linspace(0, 1, 101), side="left")',
        'np.linspace(0, 1, 101), side="right")',
        "the precision after the recall",
    ),
    Sabotage(
        RANKING,
        "    present = [c.ap for c in classes if c.targets]\n",
        "    present = [c.ap if c.targets else 0.0 for c in classes]\n",
        "absent classes count as 0",
    ),
    Sabotage(
        RANKING,
        "np.argmax(np.where(free, iou[d], -1))",
        "np.argmax(iou[d])",
        "a detection cannot take its second nearest target",
    ),
    Sabotage(SCENES, "corners).max() > 0.3:", "corners).max() > 0.9:", "objects hide each other"),
    Sabotage(
        SCENES,
        "> 0.9 * max(shape.radius, other.radius)",
        "> 0.1 * max(shape.radius, other.radius)",
        "an object may hide another's middle",
    ),
    Sabotage(
        SCENES,
        "x - shape.radius, y - shape.radius, x + shape.radius, y + shape.radius",
        "y - shape.radius, x - shape.radius, y + shape.radius, x + shape.radius",
        "x and y of a disc exchanged",
    ),
    Sabotage(
        SCENES,
        "    number = 4 if shape.label == 1 else 3\n",
        "    number = 4 if shape.label == 2 else 3\n",
        "squares and triangles exchanged",
    ),
    Sabotage(SCENES, "shape.angle + 2 * np.pi", "2 * np.pi", "boxes of shapes that are not turned"),
    Sabotage(SCENES, "rng.integers(1, MOST + 1)", "rng.integers(0, MOST)", "empty scenes"),
    Sabotage(
        SCENES,
        "rng.uniform(0.02 + radius, 0.98 - radius, 2)",
        "rng.uniform(0.02, 0.98, 2)",
        "objects leave the picture",
    ),
    Sabotage(
        SCENES,
        "    for shape in shapes:\n        shift",
        "    for shape in reversed(shapes):\n        shift",
        "earlier objects lie on top",
    ),
    Sabotage(
        DETR,
        "math.sqrt(q.shape[-1])).softmax(-1)",
        "math.sqrt(self.heads * q.shape[-1])).softmax(-1)",
        "scores over √d instead of √(d/h)",
    ),
    Sabotage(
        DETR,
        "self.attention(x + position, x + position, x)",
        "self.attention(x + position, x + position, x + position)",
        "positions in the encoder's values",
    ),
    Sabotage(
        DETR,
        "self.cross_attention(x + query, memory + position, memory)",
        "self.cross_attention(x + query, memory, memory)",
        "no positions in the decoder's keys",
    ),
    Sabotage(
        DETR,
        "self.self_attention(x + query, x + query, x)",
        "self.self_attention(x, x, x)",
        "queries do not know who they are",
    ),
    Sabotage(
        DETR,
        "            states.append(self.decoder_norm(x))\n",
        "            states.append(x)\n",
        "the decoder's last norm is left out",
    ),
    Sabotage(
        DETR,
        "        x = self.norm1(x + mixed)\n        return",
        "        x = x + self.norm1(mixed)\n        return",
        "norm before the sum",
    ),
    Sabotage(
        DETR,
        "            self.box_head(state).sigmoid(),\n",
        "            self.box_head(state),\n",
        "boxes without a sigmoid",
    ),
    Sabotage(
        DETR,
        "    return torch.cat([y, x], dim=2).flatten(0, 1)\n",
        "    return torch.cat([x, y], dim=2).flatten(0, 1)\n",
        "x before y in the positions",
    ),
    Sabotage(
        DETR,
        "torch.arange(1, count + 1, dtype=torch.float64)",
        "torch.arange(count, dtype=torch.float64)",
        "places counted from 0",
    ),
    Sabotage(DETR, "/ 127.5 - 1\n\n\ndef load", "/ 255\n\n\ndef load", "pictures in 0…1"),
    Sabotage(
        DETR, "method = cv2.INTER_AREA if", "method = cv2.INTER_NEAREST if", "pixels are picked instead of averaged"
    ),
    Sabotage(
        DETR,
        "np.reshape(mean[place], size), np.reshape(mean[:, place], size)",
        "np.reshape(mean[:, place], size), np.reshape(mean[place], size)",
        "row and column of attention exchanged",
    ),
    Sabotage(
        DETR, "    place = row * width + column\n", "    place = column * height + row\n", "places counted by columns"
    ),
    Sabotage(
        DETR,
        "    return model.eval().requires_grad_(False)\n",
        "    return model\n",
        "the loaded network wants gradients",
    ),
    Sabotage(
        DETR,
        "(heads.mean(0) if heads.ndim == 3 else heads)",
        "(heads[0] if heads.ndim == 3 else heads)",
        "the first head alone",
    ),
    Sabotage(ANNOTATED, "columns[-1] + 1, rows[0]", "columns[-1], rows[0]", "the last column of pixels is cut off"),
    Sabotage(ANNOTATED, "(label_map == value).any(1)", "(label_map == value).all(1)", "only full rows belong to a box"),
    Sabotage(ANNOTATED, "labels.append(label)", "labels.append(value)", "a mask's value is taken for the class"),
    Sabotage(
        ANNOTATED,
        "np.log((1 - p) / num_classes)",
        "np.log((1 - p) / (num_classes + 1))",
        "probabilities sum to less than 1",
    ),
    Sabotage(ANNOTATED, "wanted <= num_classes", "wanted < num_classes", "∅ cannot be said"),
    Sabotage(LOOKS, "values.mean(axis=0)", "values[0]", "one head speaks for all"),
    Sabotage(LOOKS, "values.mean(axis=0)", "values.max(axis=0)", "the maximum of the heads"),
    Sabotage(LOOKS, "reshape(-1, *size)", "reshape(-1, *size[::-1]).swapaxes(1, 2)", "rows and columns exchanged"),
    Sabotage(SEEN, "if height <= width else", "if height >= width else", "portrait and landscape exchanged"),
    Sabotage(SEEN, ".float() / 255", ".float()", "bytes are not scaled to 0…1"),
    Sabotage(SEEN, "max(1, round(longest * low / high))", "round(longest * low / high)", "a line of pixels vanishes"),
    Sabotage(SEEN, ".permute(2, 0, 1)", ".permute(2, 1, 0)", "the picture lies on its side"),
    Sabotage(SEEN, "(planes - mean) / deviation", "(planes - mean) * deviation", "multiplied by the deviation"),
    Sabotage(LOOKS, "values.mean(axis=0)", "values.sum(axis=0)", "heads are added up"),
    Sabotage(LOOKS, "values.shape[2] != size[0] * size[1]", "False", "wrong sizes are reshaped"),
    Sabotage(HEATMAPS, "np.maximum(mu + 0.5, -1e9)", "np.maximum(mu, -1e9)", "the peak's cell is cut, not rounded"),
    Sabotage(HEATMAPS, "mu = np.trunc(", "mu = np.floor(", "floor instead of C's cut: differs left of the map"),
    Sabotage(
        HEATMAPS, "(mu + radius + 1 < 0)", "(mu + radius + 1 <= 0)", "a patch right before the map loses its weight"
    ),
    Sabotage(
        HEATMAPS, "np.minimum(mu + radius + 1, high)", "np.minimum(mu + radius, high)", "the patch lacks its last cells"
    ),
    Sabotage(HEATMAPS, "/ (2 * sigma**2))\n\n\ndef _quarter", "/ sigma**2)\n\n\ndef _quarter", "no 2 in the Gaussian"),
    Sabotage(HEATMAPS, "along_y[:, None] * along_x", "along_x[:, None] * along_y", "the bump is transposed"),
    Sabotage(
        HEATMAPS,
        "np.array([width / columns, height / rows])",
        "np.array([height / rows, width / columns])",
        "strides of x and y swapped",
    ),
    Sabotage(
        HEATMAPS, "(points[k] < (width, height))", "(points[k] <= (width, height))", "the right edge counts as inside"
    ),
    Sabotage(
        HEATMAPS, "    found = scores > 0\n", "    found = scores >= 0\n", "an empty map has a joint at its corner"
    ),
    Sabotage(HEATMAPS, "return 0.25 * np.sign", "return 0.5 * np.sign", "half a cell instead of a quarter"),
    Sabotage(HEATMAPS, "np.sign([dx, dy])", "np.sign([-dx, dy])", "x moves towards the lower neighbour"),
    Sabotage(
        HEATMAPS,
        "inside_x, inside_y = 1 < x < columns - 1, 1 < y < rows - 1",
        "inside_x, inside_y = 0 < x < columns - 1, 0 < y < rows - 1",
        "the second cell moves too",
    ),
    Sabotage(HEATMAPS, "inside_x = inside_y = inside_x and inside_y", "pass", "HRNet's rule asks each axis alone"),
    Sabotage(
        HEATMAPS,
        "inside_x, inside_y = inside_x and y > 0, inside_y and x > 0",
        "pass",
        "MMPose's rule forgets the other axis",
    ),
    Sabotage(HEATMAPS, "1 < x < columns - 2 and 1 < y", "1 < x < columns - 2 and 2 < y", "DARK's interior is smaller"),
    Sabotage(
        HEATMAPS,
        "xx = (log[y, x + 2] - 2 * log[y, x] + log[y, x - 2]) / 4",
        "xx = log[y, x + 1] - 2 * log[y, x] + log[y, x - 1]",
        "second differences one cell wide",
    ),
    Sabotage(
        HEATMAPS,
        "[yy * gx - xy * gy, xx * gy - xy * gx]",
        "[yy * gx + xy * gy, xx * gy + xy * gx]",
        "sign of the mixed derivative",
    ),
    Sabotage(HEATMAPS, "* (h.max() / (soft.max() + 1e-12))", "* 1e9", "the blurred map is not scaled back"),
    Sabotage(
        HEATMAPS,
        "borderType=cv2.BORDER_CONSTANT",
        "borderType=cv2.BORDER_REPLICATE",
        "the map goes on beyond its border",
    ),
    Sabotage(HEATMAPS, "kernel - 1) * 0.5 - 1) + 0.8", "kernel - 1) * 0.5 - 1) + 0.9", "another width of the blur"),
    Sabotage(HEATMAPS, "np.exp(beta * (maps - top))", "np.exp(maps - top)", "β is forgotten"),
    Sabotage(
        HEATMAPS, "weight.sum(axis=(1, 2), keepdims=True)", "weight.sum(axis=2, keepdims=True)", "a softmax a row"
    ),
    Sabotage(
        SIMCC,
        "axis = np.full((len(points), n), smoothing / (n - 1))",
        "axis = np.full((len(points), n), smoothing / n)",
        "ε is shared by all bins",
    ),
    Sabotage(SIMCC, "np.asarray(np.around(mu), np.float64)", "np.floor(mu + 0.5)", "halves are rounded up"),
    Sabotage(
        SIMCC,
        'if sigma is None or center == "rounded":',
        'if center == "rounded":',
        "label smoothing on a bin that is cut",
    ),
    Sabotage(SIMCC, "(mu - reach < counts)", "(mu - reach <= counts)", "a bin right behind the last counts"),
    Sabotage(SIMCC, "(mu + reach + beyond >= 0)", "(mu + reach >= 0)", "3σ without the bin itself"),
    Sabotage(SIMCC, "(points < input_size)", "(points <= input_size)", "the right edge counts as inside"),
    Sabotage(
        SIMCC,
        "axis /= s * np.sqrt(2 * np.pi) if normalize",
        "axis /= s * np.sqrt(np.pi) if normalize",
        "norm of the Gaussian",
    ),
    Sabotage(SIMCC, "        axis[~counted] = 0\n", "", "a joint without weight has a label"),
    Sabotage(SIMCC, "scores = np.minimum(", "scores = np.maximum(", "the score is the surer axis"),
    Sabotage(SIMCC, "    found = scores > 0\n", "    found = scores >= 0\n", "nothing above 0 is the first bin"),
    Sabotage(SIMCC, "(bins + offsets) / split_ratio", "(bins + offsets + 0.5) / split_ratio", "half a bin too far"),
    Sabotage(
        SIMCC,
        "bend = (log[at + 1] - log[at - 1]) / 2, 1e-9 + (log[at + 2] - 2 * log[at] + log[at - 2]) / 4",
        "bend = (log[at + 1] - log[at - 1]) / 2, 1e-9 + (log[at + 1] - 2 * log[at] + log[at - 1])",
        "second difference one bin wide",
    ),
    Sabotage(SIMCC, "soft *= row.max()", "soft *= 1e3", "the blurred row is not scaled back"),
    Sabotage(SIMCC, "torch.log_softmax(beta * pred, dim=2)", "torch.log_softmax(pred, dim=2)", "β is forgotten"),
    Sabotage(
        SIMCC,
        "(each * weights).sum() / weights.shape[1]",
        "each.sum() / weights.shape[1]",
        "joints that do not count are learned",
    ),
    Sabotage(
        SIMCC,
        'if reduction == "mmpose" else total / len(pred_x)',
        'if reduction == "official" else total / len(pred_x)',
        "who divides by N",
    ),
    Sabotage(
        SIMCC,
        'if reduction == "kl" else terms.mean',
        'if reduction != "kl" else terms.mean',
        "who averages over the bins",
    ),
    Sabotage(JOINTS, "(2 * spread) ** 2 * (area + EPSILON) * 2", "spread**2 * (area + EPSILON) * 2", "σ instead of 2σ"),
    Sabotage(JOINTS, "(area + EPSILON) * 2)", "(area + EPSILON))", "the 2 under the exponent"),
    Sabotage(
        JOINTS,
        "np.maximum(0, corner - side - points)",
        "np.maximum(0, corner - points)",
        "the box is not doubled to the left",
    ),
    Sabotage(JOINTS, "similarity[counted].mean()", "similarity.mean()", "joints without label count"),
    Sabotage(
        JOINTS, "near = distances < threshold if rule", "near = distances <= threshold if rule", "at the threshold"
    ),
    Sabotage(JOINTS, "correct[labelled].mean()", "correct.mean()", "joints without label are wrong"),
    Sabotage(JOINTS, "by_joint: Floats = mean**2", "by_joint: Floats = mean", "one axis only"),
    Sabotage(
        JOINTS,
        "scales = 2 * spread * np.sqrt(area)",
        "scales = spread * np.sqrt(area)",
        "σ instead of 2σ in the expectation",
    ),
    Sabotage(JOINTS, "min(height, width / aspect)", "height", "a narrow input is forgotten"),
    Sabotage(QUANTA, "width / 4, width * MEAN", "width / 2, width * MEAN", "w/2 on average"),
    Sabotage(
        QUANTA, "(math.sqrt(2) + math.asinh(1)) / 6", "(math.sqrt(2) + math.asinh(1)) / 3", "mean distance of a corner"
    ),
    Sabotage(QUANTA, "errors: Floats = answers - goals", "errors: Floats = goals - answers", "the sign of the error"),
    Sabotage(
        QUANTA, "count = np.cumsum(there)", "count = np.cumsum(np.ones_like(there))", "missing answers are counted"
    ),
    Sabotage(QUANTA, "    which[numbers == cuts[-1]] = len(cuts) - 2\n", "", "the last edge is lost"),
    Sabotage(QUANTA, 'side="right") - 1', 'side="left") - 1', "a bin holds its right edge"),
    Sabotage(
        RLE, "log_det = log_det - s.sum(dim=1)", "log_det = log_det + s.sum(dim=1)", "sign of the log-determinant"
    ),
    Sabotage(
        RLE,
        "z = kept + (1 - self.masks[coupling]) * (z - t) * torch.exp(-s)",
        "z = kept + (1 - self.masks[coupling]) * (z * torch.exp(-s) - t)",
        "shift after scale",
    ),
    Sabotage(
        RLE,
        "for coupling in reversed(range(len(MASKS))):",
        "for coupling in range(len(MASKS)):",
        "couplings from the first to the last",
    ),
    Sabotage(RLE, "return torch.tanh(x[0]) * free", "return x[0] * free", "no tanh"),
    Sabotage(
        RLE,
        "- 0.5 * (z**2).sum(dim=1) - math.log(2 * math.pi)\n\n\ndef",
        "- 0.5 * (z**2).sum(dim=1) - 0.5 * math.log(2 * math.pi)\n\n\ndef",
        "norm of one axis",
    ),
    Sabotage(
        RLE,
        'residual = (target - pred if variant == "paper" else pred - target) / sigma',
        "residual = (target - pred) / sigma",
        "the flipped residual is forgotten",
    ),
    Sabotage(RLE, 'times = 1 if variant == "paper" else 2', "times = 1", "log φ and log σ once in all variants"),
    Sabotage(RLE, "sigma_part = times * sigma.log()", "sigma_part = sigma.log()", "log σ once"),
    Sabotage(
        RLE,
        "math.log(2 * math.pi) + size / math.sqrt(2) if variant",
        "math.log(2 * math.pi) + size if variant",
        "the official exponent",
    ),
    Sabotage(
        RLE,
        '"official": (1 / math.sqrt(2) + math.sqrt(16.5)) / 4',
        '"official": (1 / math.sqrt(2) + math.sqrt(17)) / 4',
        "σ* of the official code",
    ),
    Sabotage(
        RLE,
        "laplace = -residuals.abs().sum(dim=1) - 2 * math.log(2)",
        "laplace = -residuals.abs().sum(dim=1) - math.log(2)",
        "norm of one axis of Laplace",
    ),
    Sabotage(
        RLE, "if step == steps or step in record else flow", "if False else flow", "the trace changes after it was told"
    ),
    Sabotage(RLE, 'group["lr"] = rate', 'group["lr"] = -rate', "uphill"),
    Sabotage(
        RLE,
        "centre, reach = logs[int(loss.argmin())], reach / 5",
        "centre, reach = logs[int(loss.argmax())], reach / 5",
        "the worst spread",
    ),
    Sabotage(
        RLE,
        "return flow.from_normal(points.to(weight)).std(dim=0)",
        "return flow.to_normal(points.to(weight))[0].std(dim=0)",
        "the spread of the other side",
    ),
    Sabotage(READINGS, "mine *= 1 - share", "mine *= 1", "the first place is believed as before"),
    Sabotage(READINGS, "label[t] += noise * height[t]", "label[t] += noise", "noise of another size on SimCC's axes"),
    Sabotage(
        READINGS, "rng = np.random.default_rng([seed,", "rng = np.random.default_rng([0,", "the seed is forgotten"
    ),
    Sabotage(
        READINGS,
        "(1 - share) * points + share * other",
        "share * points + (1 - share) * other",
        "regression leans to the less believed place",
    ),
    Sabotage(
        READINGS, "beta=codec.beta).keypoints * stride", "beta=codec.beta).keypoints", "soft-argmax answers in cells"
    ),
    Sabotage(READINGS, "stride / 2 if exact else stride", "stride / 2", "the shift halves rounded bins too"),
    Sabotage(READINGS, "0.0 if exact else stride, None", "0.0, None", "DARK finds what was rounded"),
    Sabotage(READINGS, "0.0 if free else 1 / codec.split_ratio", "1 / codec.split_ratio", "SimCC* has bins"),
    Sabotage(READINGS, "expected_oks(width / 2,", "expected_oks(width,", "a whole bin for a half"),
    Sabotage(
        READINGS,
        "return LabelMemory(joints * columns * rows",
        "return LabelMemory(columns * rows",
        "one joint's memory",
    ),
    Sabotage(
        READINGS,
        "np.minimum(points, np.array(codec.input_size) - 1 / codec.split_ratio)",
        "points",
        "the last bin's truths are lost",
    ),
    Sabotage(READINGS, "* (2 / np.pi)", "* (1 / np.pi)", "the way reaches half as far"),
    Sabotage(CROP, "+ 0.5 - np.array(self.corner)", "- np.array(self.corner)", "half a pixel is forgotten"),
    Sabotage(
        CROP,
        "max(width / wide, height / tall)",
        "min(width / wide, height / tall)",
        "the cut reaches beyond the picture",
    ),
    Sabotage(CROP, "(0.5 / scale + corner[0]) * own_x - 0.5", "corner[0] * own_x", "the cut is half a pixel off"),
    Sabotage(
        CROP,
        "interpolation=cv2.INTER_AREA), np.uint8)",
        "interpolation=cv2.INTER_NEAREST), np.uint8)",
        "every n-th pixel instead of a mean",
    ),
    Sabotage(CLOUDS, "rng.random(count) < SWAP[0]", "rng.random(count) < 0.5", "half of all answers swap"),
    Sabotage(CLOUDS, "tail - LEAN, 0.4", "tail, 0.4", "the skewed cloud is off centre"),
    Sabotage(FIGURES, "((points + 0.5) * fine - 0.5)", "(points * fine)", "joints lie half a pixel off what is drawn"),
    Sabotage(FIGURES, "(joints + 0.5) * zoom - 0.5, None", "joints * zoom, None", "joints of a larger figure are off"),
    Sabotage(FIGURES, ".all(axis=1)] = 1", ".any(axis=1)] = 1", "a joint beside the box is hidden"),
    Sabotage(
        FIGURES, "np.array(SIZE) - 1)).all(axis=1)] = 0", "np.array(SIZE) - 1)).all(axis=1)] = 1", "outside is hidden"
    ),
    Sabotage(
        POSE,
        "for name, value in weights.items()}, assign=True",
        "for name, value in weights.items()}, assign=True, strict=False",
        "any weights are taken",
    ),
    Sabotage(
        POSE,
        "self.point(flat).unflatten(1, (len(JOINTS), 2)) + 0.5",
        "self.point(flat).unflatten(1, (len(JOINTS), 2))",
        "regression counts from the corner",
    ),
    Sabotage(POSE, ".float() / 127.5 - 1", ".float() / 255", "the input's range"),
    Sabotage(POSE, "torch.sigmoid(spread[..., 2:])", "spread[..., 2:].exp()", "another link for the spread"),
    Sabotage(CROP, "(tall - height / scale) / 2", "tall - height / scale", "the cut is at the picture's foot"),
    Sabotage(
        CLOUDS,
        "return rng.laplace(size=(count, 2))",
        "return 0.7 * rng.laplace(size=(count, 2))",
        "Laplace with variance 1",
    ),
    Sabotage(
        CLOUDS, "return rng.standard_normal((count, 2))", "return 1.2 * rng.standard_normal((count, 2))", "a wider bell"
    ),
    Sabotage(CLOUDS, "return 0.55 * bell +", "return bell +", "the narrow bell is wide"),
    Sabotage(
        FIGURES,
        "if not (hides if occluded is None else occluded):",
        "if not hides:",
        "the wish for an occluder is ignored",
    ),
    Sabotage(
        POSE,
        "low = stages[2] + F.interpolate(self.lift16(stages[3])",
        "low = stages[2] - F.interpolate(self.lift16(stages[3])",
        "the coarsest stage is taken away",
    ),
)
