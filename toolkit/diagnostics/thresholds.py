"""Effect sizes from which a check is worse than good, where several checks share them, with their sources."""

from __future__ import annotations

__all__ = ["COHEN_F2", "COHEN_R", "R2_NOTICE", "R2_POOR"]

COHEN_F2 = "Cohen (1988): f2 of 0.02 small, 0.15 medium, as a share of variance"
COHEN_R = "Cohen (1988): correlation of 0.1 small, 0.3 medium"
R2_NOTICE, R2_POOR = 0.02 / 1.02, 0.15 / 1.15  # Cohen's f2 as R2 = f2 / (1 + f2)
