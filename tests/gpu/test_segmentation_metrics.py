"""Labels that live on a GPU give the same counts."""

import numpy as np
import torch

from core.perception.segmentation_metrics import confusion_matrix


def test_cuda_tensors_are_counted_like_arrays() -> None:
    rng = np.random.default_rng(0)
    target, prediction = rng.integers(0, 19, (2, 540, 960))
    on_gpu = [torch.from_numpy(labels).cuda() for labels in (prediction, target)]
    np.testing.assert_array_equal(
        confusion_matrix(*on_gpu, num_classes=19), confusion_matrix(prediction, target, num_classes=19)
    )
