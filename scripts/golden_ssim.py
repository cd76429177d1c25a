"""Prints the numbers that reports/src/quality/mod.rs is tested against. Needs scikit-image."""

import numpy as np
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

y, x = np.mgrid[0:40, 0:48].astype(np.int64)
reference = np.stack([(x * 7 + y * 3) % 256, (x * x // 5 + y * 2) % 256, (x * 2 + y * y // 3) % 256], -1)
worse = np.minimum(reference * 9 // 10 + ((x * 31 + y * 17) % 23)[..., None], 255)
luma = [image.astype(np.float64) @ [0.299, 0.587, 0.114] for image in (worse, reference)]
print("PSNR", repr(float(peak_signal_noise_ratio(reference, worse, data_range=255))))
print("SSIM", repr(float(structural_similarity(
    *luma, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False))))
