"""Which images are copies, within and across subsets: candidate pairs, verification, clusters, calibration."""
