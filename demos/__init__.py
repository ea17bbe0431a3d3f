"""The demos, in teaching order."""

from demos.perception.segmentation_metrics import DEMO as segmentation_metrics

GROUPS = {
    "perception": (segmentation_metrics,),
}
