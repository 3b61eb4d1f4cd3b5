"""CLIP and SigLIP: checkpoints, preprocessing, and the embedders of images and of texts."""
