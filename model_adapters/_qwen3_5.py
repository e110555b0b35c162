"""What the models of Qwen from 3.5 on share."""

from microg_bench.adapters.base import Adapter
from microg_bench.records import Thinking, template_switches


class LinearQwen(Adapter):
    """Qwen with linear attention in most layers; it is told the time of each pair of frames."""

    frames = 16
    processor_args = {
        "images.size": {"shortest_edge": 65536, "longest_edge": 16777216},
        "videos.size": {"shortest_edge": 4096, "longest_edge": 25165824},  # of all frames together
        "videos.cap_pixels_per_frame": False,
    }
    engines = ("vllm", "transformers", "server")
    thinking = Thinking(default="off", switches=template_switches())
    licence = "Apache-2.0"
