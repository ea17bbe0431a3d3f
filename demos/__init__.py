"""The demos, in teaching order."""

from demos.perception.detr_matching import DEMO as detr_matching
from demos.perception.segmentation_metrics import DEMO as segmentation_metrics

GROUPS = {
    "perception": (
        segmentation_metrics,
        detr_matching,
    ),
}
