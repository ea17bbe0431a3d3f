"""The demos, in teaching order."""

from demos.perception.segmentation_metrics import DEMO as segmentation_metrics
from demos.perception.spatial_pyramid_pooling import DEMO as spp

GROUPS = {
    "perception": (segmentation_metrics, spp),
}
