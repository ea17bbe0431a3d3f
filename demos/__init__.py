"""The demos, in teaching order."""

from demos.generative.diffusion_trajectories import DEMO as diffusion_trajectories
from demos.generative.score_langevin import DEMO as score_langevin
from demos.perception.detr_matching import DEMO as detr_matching
from demos.perception.segmentation_metrics import DEMO as segmentation_metrics
from demos.perception.simcc import DEMO as simcc
from demos.perception.spatial_pyramid_pooling import DEMO as spp
from demos.systems.checkpointing import DEMO as checkpointing
from demos.systems.flash_attention import DEMO as flash_attention

GROUPS = {
    "perception": (segmentation_metrics, spp, detr_matching, simcc),
    "generative": (diffusion_trajectories, score_langevin),
    "systems": (flash_attention, checkpointing),
}
