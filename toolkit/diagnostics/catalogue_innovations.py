"""What is asked of the one-step innovations of forecasters, in the order of the fields of `catalogue.Entry`."""

from __future__ import annotations

from toolkit.diagnostics.thresholds import COHEN_F2, COHEN_R, R2_NOTICE, R2_POOR

__all__ = ["INNOVATIONS"]

_A = "assumptions"
INNOVATIONS = (
    ("innovation_ljung_box", "Innovations: autocorrelation", _A, "one-step innovations are uncorrelated",
     "largest autocorrelation, absolute", 0.1, 0.3,
     "Ljung and Box (1978), less the model's degrees of freedom; lags as in FPP3, 5.4",
     COHEN_R, "add lags, an error process or season terms: the next value can be predicted better"),
    ("innovation_arch", "Innovations: changing variance (ARCH)", _A,
     "the size of an innovation cannot be told from those before it", "share of the variance of squared innovations",
     R2_NOTICE, R2_POOR, "Engle (1982), LM test", COHEN_F2,
     "intervals of constant width are too narrow in rough times: model the variance or use conformal intervals"),
    ("innovation_normality", "Innovations: normality", _A, "innovations have the skewness and kurtosis of a normal",
     "times the limit (skewness 2, excess kurtosis 7)", 0.5, 1.0, "Jarque and Bera (1987)",
     "West, Finch and Curran (1995); half of it is Bulmer's (1979) 'highly skewed'",
     "normal intervals are off: use conformal ones, or transform the target"),
    ("innovation_cusum", "Innovations: drift (CUSUM)", _A, "the mean innovation does not drift",
     "shift of the mean innovation, in standard deviations", 0.2, 0.5, "Ploberger and Kramer (1992)",
     "Cohen (1988): d of 0.2 small, 0.5 medium", "add a level shift or a trend, or fit anew more often"),
    ("innovation_season", "Innovations: remaining season", _A, "innovations have no seasonal pattern",
     "share of the variance of the innovations", R2_NOTICE, R2_POOR,
     "F test of seasonal Fourier terms (FPP3, 7.4)", COHEN_F2, "add Fourier terms or dummies of the named season"),
    ("innovation_unit_root", "Innovations: unit root", _A, "innovations are stationary",
     "sum of the autoregressive coefficients (1 is a unit root)", 0.7, 0.9,
     "Kwiatkowski, Phillips, Schmidt and Shin (1992); root: augmented Dickey and Fuller (1979)",
     "house rule: a shock is halved after two (0.7) and after six or seven steps (0.9)",
     "the model leaves a stochastic trend: difference the target, or look for a spurious regression"),
    ("origin_stability", "Stability over origins", _A, "the coefficients of the first origin serve as well as the last",
     "change of one-step forecasts, in standard deviations of the innovations", 0.2, 0.5,
     "paired test of squared errors (Diebold and Mariano 1995; Harvey, Leybourne and Newbold 1997)",
     "house rule: an error of 0.2 (0.5) standard deviations adds 4 % (25 %) to the squared error",
     "fit anew at every origin, or shorten the training window"),
)  # fmt: skip
