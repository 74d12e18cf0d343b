"""The only place that opens a pickle: tensors alone (weights_only), in a process of its own.

python -m zhixing.checkpoints.unpickle OUT.safetensors PICKLE...
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file


def main(out: Path, pickles: list[Path]) -> None:
    """Read the tensors of some pickles and write them to one safetensors file.

    Raises:
        SystemExit: With a sentence, if there is anything but tensors in them.
    """
    tensors: dict[str, torch.Tensor] = {}
    for path in pickles:
        values = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(values, dict):
            raise SystemExit(f"{path.name} holds a {type(values).__name__}, not named tensors")
        for name, value in values.items():
            if not isinstance(name, str) or not isinstance(value, torch.Tensor):
                raise SystemExit(f"{path.name} holds {name!r}, which is no named tensor")
            # A file keeps each tensor once: those that share memory are parted.
            tensors[name] = value.detach().clone().contiguous()
    save_file(tensors, out, metadata={"format": "pt"})


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
