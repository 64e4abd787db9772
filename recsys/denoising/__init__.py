"""Denoising without a language model: detectors of what does not belong, robust training, and how both are judged."""
