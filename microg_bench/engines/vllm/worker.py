"""What each worker of vLLM can be asked for while cost is measured; vLLM adds the class to its own worker."""

from typing import Any

WORKER = {"worker_extension_cls": f"{__name__}.MeasuredWorker"}


class MeasuredWorker:
    """Has no state of its own."""

    def told_gpu(self: Any) -> tuple[str, int | None, int | None, int | None]:
        """The fields of a `Gpu`, with the peaks of the process of this worker, in which its weights are."""
        from dataclasses import astuple

        from microg_bench.hardware import torch_gpu

        return astuple(torch_gpu(self.device))
