"""Prints the numbers that the tests of workloads/src/blocks/schedule.rs and resize.rs hold, from the formulas of ADM's public code
(openai/guided-diffusion, gaussian_diffusion.py: get_named_beta_schedule, ddim_sample with clip_denoised and eta 0) and of PyTorch's
interpolate (bilinear, align_corners=False). Run with numpy:

    python scripts/golden_ddim.py
"""

import math

import numpy as np

T = 1000


def cosine():
    left = lambda t: math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
    return np.array([min(1 - left((i + 1) / T) / left(i / T), 0.999) for i in range(T)])


def linear():
    return np.linspace(0.0001, 0.02, T, dtype=np.float64)


def steps(betas, timesteps):
    signal = np.cumprod(1.0 - betas)
    # A respaced schedule has the betas that lead from one of its timesteps to the next; their products are those of the whole one.
    x = np.array([0.5, -1.25, 2.0], dtype=np.float32)
    for now, t in enumerate(timesteps):
        previous = signal[timesteps[now + 1]] if now + 1 < len(timesteps) else 1.0
        noise = np.float32(0.9) * x + np.float32(0.05) * np.arange(3, dtype=np.float32) - np.float32(0.02)
        # _predict_xstart_from_eps, then clip_denoised.
        clean = np.sqrt(1.0 / signal[t]) * x - np.sqrt(1.0 / signal[t] - 1) * noise
        clean = clean.clip(-1, 1)
        # _predict_eps_from_xstart, then equation 12 without noise.
        noise = (np.sqrt(1.0 / signal[t]) * x - clean) / np.sqrt(1.0 / signal[t] - 1)
        x = (clean * np.sqrt(previous) + np.sqrt(1 - previous) * noise).astype(np.float32)
        yield x


def enlarge(image, shape):
    """torch.nn.functional.interpolate(image, shape, mode="bilinear", align_corners=False) of one plane."""

    def axis(old, new):
        at = np.maximum((np.arange(new) + 0.5) * old / new - 0.5, 0)
        first = np.floor(at).astype(int)
        return first, np.minimum(first + 1, old - 1), at - first

    (r0, r1, r), (c0, c1, c) = axis(image.shape[0], shape[0]), axis(image.shape[1], shape[1])
    r = r[:, None]
    top = image[np.ix_(r0, c0)] * (1 - c) + image[np.ix_(r0, c1)] * c
    bottom = image[np.ix_(r1, c0)] * (1 - c) + image[np.ix_(r1, c1)] * c
    return top * (1 - r) + bottom * r


timesteps = [999, 666, 333, 0]
print("cosine signal", [f"{v:.11e}" for v in np.cumprod(1.0 - cosine())[timesteps]])
for name, betas in [("cosine", cosine()), ("linear", linear())]:
    print(name, [[round(float(v), 6) for v in x] for x in steps(betas, timesteps)])
print("2x3 to 4x6", enlarge(np.arange(6.0).reshape(2, 3) ** 2, (4, 6)).tolist())
print("1x2 to 2x8", enlarge(np.array([[1.0, 3.0]]), (2, 8)).tolist())
