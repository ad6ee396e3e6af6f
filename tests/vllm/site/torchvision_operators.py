"""Lets a torchvision that was built for CUDA be imported beside a torch for CPUs: its __init__ registers fake versions
of two operators that its compiled library would have defined. They are declared here just before; calling them fails.

Python runs this at its start, by way of torchvision_operators.pth.
"""

import sys
from typing import Any

KEPT: list[Any] = []  # operators live as long as the object that declared them


class DeclareOperators:
    """A finder that finds nothing: it only notices that torchvision is about to be imported."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name != "torchvision":
            return
        sys.meta_path.remove(self)  # type: ignore[arg-type]
        import torch

        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        KEPT.append(library)


sys.meta_path.insert(0, DeclareOperators())  # type: ignore[arg-type]
