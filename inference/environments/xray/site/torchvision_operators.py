"""Lets torchvision be imported beside a torch that has none of its compiled operators (the CPU build of torch).

torchvision registers shapes for two operators of its own library when it is imported, and fails where they do not
exist. They are declared here, without code, just before that import. Calling them fails; nothing here calls them.
`torchvision_operators.pth` beside this file imports it when the interpreter starts.
"""

import sys


class DeclaresOperators:
    """A finder of modules that finds none: it acts once, when torchvision is looked for, and then leaves."""

    library = None  # kept: what is declared goes away with it

    def find_spec(self, name, path=None, target=None):  # type: ignore[no-untyped-def]
        if name == "torchvision":
            sys.meta_path.remove(self)
            from torch.library import Library

            DeclaresOperators.library = Library("torchvision", "DEF")
            for operator in ("nms", "qnms"):
                DeclaresOperators.library.define(
                    f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
                )


sys.meta_path.insert(0, DeclaresOperators())
