"""Training networks: one loop, its batches, losses, validation, resume and tracking."""
