"""What is audited; a new kind of target is a file here and a name in `AnyTarget`."""

from umbrameter.targets.train import TrainedTarget

AnyTarget = TrainedTarget

__all__ = ["AnyTarget", "TrainedTarget"]
