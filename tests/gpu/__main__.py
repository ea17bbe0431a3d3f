"""`python -m tests.gpu`: what needs a CUDA device is tested on it and measured into assets/recordings/; without one it says so."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch


def main() -> int:
    if not torch.cuda.is_available():
        print("No CUDA device here: nothing was run, and nothing was recorded.")
        return 0
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    return pytest.main([str(Path(__file__).parent), "-o", "norecursedirs=.*", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
