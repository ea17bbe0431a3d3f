"""Draws the ground truth of the two bundled photographs: outlines read off the pictures by hand, filled in order of depth.

Run `python -m training.make_example_masks`; it rewrites assets/masks/*.png, which are indexed PNGs (the index is the class).
"""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from demos.kit.theme import class_colors

MASKS = Path(__file__).parents[1] / "assets" / "masks"

SAUCER = [(77, 208), (84, 165), (110, 120), (146, 90), (184, 69), (440, 131), (468, 178), (479, 225), (470, 268), (440, 322), (392, 362), (335, 382), (278, 386), (214, 376), (150, 345), (106, 300), (84, 255)]  # fmt: skip
CUP_RIM = [(173, 108), (177, 75), (195, 47), (225, 27), (262, 19), (300, 20), (340, 31), (375, 54), (398, 85), (407, 120), (402, 158), (384, 183), (350, 201), (310, 208), (268, 203), (228, 185), (196, 160), (178, 135)]  # fmt: skip
CUP_BODY = [(173, 120), (180, 170), (190, 200), (206, 228), (222, 232), (245, 236), (262, 262), (282, 283), (312, 284), (334, 272), (352, 252), (374, 222), (392, 192), (405, 150), (300, 150)]  # fmt: skip
HANDLE = [
    (222, 231),
    (206, 254),
    (196, 280),
    (198, 298),
    (210, 307),
    (224, 306),
    (238, 292),
    (256, 268),
    (258, 245),
    (245, 233),
]
COFFEE = [(204, 138), (208, 122), (222, 108), (250, 98), (282, 95), (318, 102), (346, 117), (364, 138), (370, 157), (362, 174), (340, 186), (310, 193), (275, 191), (240, 180), (215, 161)]  # fmt: skip
SPOON_BOWL = [(326, 287), (330, 266), (344, 250), (366, 243), (388, 248), (402, 263), (406, 283), (398, 305), (382, 320), (362, 326), (342, 320), (330, 305)]  # fmt: skip
SPOON_HANDLE = [(397, 72), (404, 67), (418, 68), (424, 76), (418, 104), (409, 126), (407, 150), (396, 188), (386, 218), (383, 246), (370, 246), (376, 224), (390, 196), (403, 158), (408, 120), (404, 96)]  # fmt: skip

ROCKET = [(322, 126), (329, 135), (333, 148), (334, 178), (331, 182), (331, 404), (313, 404), (313, 182), (310, 178), (310, 148), (314, 135)]  # fmt: skip


def drawn(size: tuple[int, int], shapes: list[tuple[list[tuple[int, int]], int, bool]]) -> np.ndarray:
    """(H, W) uint8; `smooth` outlines are fitted by an ellipse first."""
    mask = np.zeros(size, np.uint8)
    for outline, label, smooth in shapes:
        points = np.array(outline, np.int32)
        if smooth:
            cv2.ellipse(mask, cv2.fitEllipse(points.astype(np.float32)), label, cv2.FILLED)
        else:
            cv2.fillPoly(mask, [points], label)
    return mask


def save(name: str, mask: np.ndarray, classes: int) -> None:
    image = Image.fromarray(mask, mode="P")
    image.putpalette(class_colors(classes).ravel().tolist())
    image.save(MASKS / f"{name}.png", optimize=True)


def main() -> None:
    save("coffee", drawn((400, 600), [(SAUCER, 1, True), (SPOON_HANDLE, 4, False), (CUP_BODY, 2, False), (HANDLE, 2, False), (CUP_RIM, 2, True), (COFFEE, 3, True), (SPOON_BOWL, 4, True)]), 5)  # fmt: skip
    save("rocket", drawn((427, 640), [(ROCKET, 1, False)]), 2)


if __name__ == "__main__":
    main()
