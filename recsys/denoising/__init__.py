"""Denoising without a language model: detectors of items that do not belong, planted noise, robust training."""
