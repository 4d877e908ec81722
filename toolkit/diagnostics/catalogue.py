"""Every check by name: its question, null hypothesis, unit of the effect, thresholds and where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit.diagnostics.catalogue_innovations import INNOVATIONS
from toolkit.diagnostics.check import Check
from toolkit.diagnostics.thresholds import COHEN_F2, COHEN_R, R2_NOTICE, R2_POOR

__all__ = ["CATALOGUE", "Entry", "judge"]

# A verdict needs an effect that matters *and* evidence that it is not chance, so that 50,000 rows do not make
# everything poor. "poor" takes the level of Benjamin et al. (2018, Nature Human Behaviour 2, 6-10), "notice" the usual
# one. A large effect in few rows is said at 10 %, so that a small sample does not hide it.
ALPHA_POOR, ALPHA_NOTICE, ALPHA_HIDDEN = 0.005, 0.05, 0.10


@dataclass(frozen=True)
class Entry:
    """What is asked, in words, and from which effect size on the answer is worse than good."""

    check: str
    title: str
    group: str  # assumptions, residuals, generalization
    null: str
    unit: str  # of the effect
    notice: float
    poor: float
    test_source: str
    threshold_source: str
    advice: str

    @property
    def reference(self) -> str:
        return f"{self.test_source}; threshold: {self.threshold_source}"

    def answer(
        self,
        arm: str,
        found: str,
        *,
        effect: float,
        statistic: float | None = None,
        p_value: float | None = None,
        at_most: str = "poor",
        advice: str | None = None,
        details: dict[str, Any] | None = None,
    ) -> Check:
        """The check as a record. `found` says in plain words what was seen; `at_most` caps the verdict."""
        if not np.isfinite(effect):
            return self.not_applicable(arm, "the effect size is not a finite number on these rows")
        verdict = judge(effect, p_value, self.notice, self.poor)
        if verdict == "poor" and at_most == "notice":
            verdict = "notice"
        if verdict != "good":
            found = f"{found}; {advice or self.advice}"
        elif effect >= self.notice:
            found = f"{found}, as chance alone may do"
        return Check(
            self.check, arm, self.group, self.null, _number(statistic), _number(p_value), float(effect), verdict, found,
            self.unit, self.notice, self.reference, {"title": self.title, "poor_from": self.poor, **(details or {})},
        )  # fmt: skip

    def not_applicable(self, arm: str, why: str) -> Check:
        return Check(
            self.check, arm, self.group, self.null, None, None, None, "not applicable", why, self.unit, self.notice,
            self.reference, {"title": self.title, "poor_from": self.poor},
        )  # fmt: skip


def judge(effect: float, p_value: float | None, notice: float, poor: float) -> str:
    """Verdict from the size of the effect and, where there is a test, its p-value."""
    if p_value is None:
        return "poor" if effect >= poor else "notice" if effect >= notice else "good"
    if effect >= poor and p_value < ALPHA_POOR:
        return "poor"
    if (effect >= notice and p_value < ALPHA_NOTICE) or (effect >= poor and p_value < ALPHA_HIDDEN):
        return "notice"
    return "good"


def _number(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


FOX = "Fox (2016), Applied Regression Analysis, 12.2: largest variance 4 (careful) or 10 times the smallest"
# A log variance that is normal over the rows has the fifths at +-1.40 sd: Fox's ratios of 4 and 10 mean an sd of
# log(4)/2.8 and log(10)/2.8; beside it log chi2(1) has the variance pi^2 / 2.
LOG_NOTICE = (np.log(4) / 2.8) ** 2 / ((np.log(4) / 2.8) ** 2 + np.pi**2 / 2)
LOG_POOR = (np.log(10) / 2.8) ** 2 / ((np.log(10) / 2.8) ** 2 + np.pi**2 / 2)
SHARE = "share of residual variance"

_A, _R, _G = "assumptions", "residuals", "generalization"
_ENTRIES = (
    # ---- assumptions
    Entry("usable_residuals", "Usable predictions", _R, "every judging row has a finite prediction",
          "share of rows without a finite residual", 1e-12, 1e-12, "toolkit",
          "house rule: one such row spoils every mean", "mend the arm or its data before reading its scores"),
    Entry("reset", "Functional form (RESET)", _A, "powers of the fitted value explain none of the residual", SHARE,
          R2_NOTICE, R2_POOR, "Ramsey (1969), heteroskedasticity-robust (HC3)", COHEN_F2,
          "add bends (splines) or transform the target"),
    Entry("rainbow", "Functional form (rainbow)", _A, "the fit is as good away from the centre as in it",
          "relative excess of error variance away from the centre", 0.25, 1.0, "Utts (1982)",
          "house rule: error variance a quarter larger, or doubled, once the outer half joins",
          "look at bends in the outer ranges and at unequal variance"),
    Entry("learnability", "Residual learnability", _A, "the features explain none of the residual", SHARE, R2_NOTICE,
          R2_POOR, "cross-fitted boosted trees, t divided by sqrt(2); after Shah and Buhlmann (2018)", COHEN_F2,
          "a bend or an interaction is missing: respecify"),
    Entry("breusch_pagan", "Constant variance (Breusch-Pagan)", _A,
          "residual variance does not move with the features", "residual variance, highest fifth over lowest fifth",
          4.0, 10.0, "Breusch and Pagan (1979), Koenker (1981)", FOX,
          "use robust (HC3) standard errors; consider weights or a log target"),
    Entry("white", "Constant variance (White)", _A, "residual variance does not move with features and their squares",
          "residual variance, highest fifth over lowest fifth", 4.0, 10.0, "White (1980), without cross products",
          FOX, "use robust (HC3) standard errors; consider weights or a log target"),
    Entry("log_variance", "Predictable spread", _A, "log e2 cannot be predicted",
          "share of log e2 that can be predicted", LOG_NOTICE, LOG_POOR, "Harvey (1976), cross-fitted",
          FOX + ", turned into a share of log e2", "weights by the predicted spread would sharpen the estimates"),
    Entry("durbin_watson", "Independence (Durbin-Watson)", _A, "neighbouring residuals are uncorrelated",
          "lag-1 autocorrelation, absolute", 0.1, 0.3, "Durbin and Watson (1950)", COHEN_R,
          "use Newey-West standard errors or add lags"),
    Entry("breusch_godfrey", "Independence (Breusch-Godfrey)", _A, "past residuals explain none of the residual",
          SHARE, R2_NOTICE, R2_POOR, "Breusch (1978), Godfrey (1978)", COHEN_F2,
          "use Newey-West standard errors or add lags"),
    Entry("cluster_correlation", "Independence within groups", _A, "residuals of one group are uncorrelated",
          "design effect: variance of a mean over its value under independence", 1.25, 2.0,
          "one-way analysis of variance",
          "Muthen and Satorra (1995): 2; house rule: 1.25 (standard errors 12 % too small)",
          "use clustered standard errors and split by group"),
    Entry("jarque_bera", "Normality (Jarque-Bera)", _A, "residuals have the skewness and kurtosis of a normal",
          "times the limit (skewness 2, excess kurtosis 7)", 0.5, 1.0, "Jarque and Bera (1987)",
          "West, Finch and Curran (1995); half of it is Bulmer's (1979) 'highly skewed'",
          "transform the target or use another family if intervals matter"),
    Entry("anderson_darling", "Normality (Anderson-Darling)", _A, "residuals are normal",
          "percentage points by which the two tails of a nominal 95 % interval are off", 2.5, 5.0,
          "Anderson and Darling (1954), Stephens (1986)", "Bradley (1978): level within half of its nominal value",
          "use conformal or bootstrap intervals instead of normal ones"),
    Entry("collinearity", "Collinearity (VIF)", _A, "no feature is a linear function of the others",
          "largest variance inflation factor", 5.0, 10.0, "Fox and Monette (1992) for factors",
          "Marquardt (1970): 10; James et al. (2021): 5",
          "drop or combine one of the named columns, or use a penalty"),
    Entry("condition_index", "Collinearity (condition index)", _A, "no near dependency among the columns",
          "largest condition index with two variance proportions above 0.5", 10.0, 30.0,
          "Belsley, Kuh and Welsch (1980)", "Belsley, Kuh and Welsch (1980): 10 and 30",
          "drop or combine one of the named columns, or use a penalty"),
    Entry("leverage", "Influence (leverage)", _A, "no row fixes its own fitted value", "largest hat value", 0.2, 0.5,
          "Hoaglin and Welsch (1978)", "Huber (1981): 0.2 risky, 0.5 to be avoided",
          "check the named rows; refit without them"),
    Entry("cooks_distance", "Influence (Cook)", _A, "no single row moves the coefficients", "largest Cook's distance",
          0.5, 1.0, "Cook (1977)", "Cook and Weisberg (1982): 0.5 and 1", "check the named rows; refit without them"),
    Entry("dffits", "Influence (DFFITS)", _A, "no single row moves its own fitted value",
          "largest shift of a fitted value, in its standard errors", 1.0, 2.0, "Belsley, Kuh and Welsch (1980)",
          "Kutner et al. (2005): 1; house rule: 2", "check the named rows; refit without them"),
    Entry("outliers", "Outliers (studentised)", _A, "the largest studentised residual is what chance gives",
          "largest studentised residual, absolute", 3.5, 5.0, "Bonferroni t test, Cook and Weisberg (1982)",
          "Iglewicz and Hoaglin (1993): 3.5; house rule: 5",
          "check the named rows for mistakes; consider a robust fit"),
    Entry("dispersion", "Dispersion of counts", _A, "the variance of the counts is that of the family",
          "variance over its expected value, or the inverse if smaller", 1.25, 2.0, "Cameron and Trivedi (1990)",
          "Hilbe (2011): 1.25; house rule: 2", "use a negative binomial family or robust standard errors"),
    Entry("zero_inflation", "Zeros of counts", _A, "as many zeros as the family expects",
          "observed over expected number of zeros, or the inverse", 1.05, 1.25, "van den Broek (1995)",
          "performance::check_zeroinflation: tolerance 0.05; house rule: 1.25",
          "use a negative binomial or zero-inflated family"),
    Entry("separation", "Separation", _A, "no column splits the two classes by itself",
          "columns that split the classes", 1.0, 1.0, "Albert and Anderson (1984)",
          "house rule: one such column makes a maximum likelihood estimate infinite",
          "use a penalty (Firth or ridge), or drop or merge the named column"),
    Entry("cusum", "Stability (CUSUM)", _A, "the mean residual does not drift",
          "shift of the mean residual, in standard deviations", 0.2, 0.5, "Ploberger and Kramer (1992)",
          "Cohen (1988): d of 0.2 small, 0.5 medium", "add a trend, a level shift or a shorter training window"),
    Entry("sup_f", "Stability (sup-F)", _A, "one set of coefficients holds for all times", SHARE, R2_NOTICE, R2_POOR,
          "Andrews (1993)", COHEN_F2, "let coefficients change at the named time, or train on later rows only"),
    Entry("multivariate_normality", "Normality of several targets", _A, "residuals of the targets are jointly normal",
          "Mardia's kurtosis over its normal value, minus one, absolute", 0.2, 0.5, "Mardia (1970)",
          "house rule: tails a fifth, or half, heavier than normal", "joint intervals need a bootstrap"),
    Entry("residual_correlation", "Correlation between targets", _A,
          "residuals of different targets are uncorrelated", "largest correlation, absolute", 0.1, 0.3,
          "Breusch and Pagan (1980)", COHEN_R,
          "estimate the targets jointly; joint intervals are narrower or wider than separate ones"),
    # ---- residuals
    Entry("quantile_uniformity", "Quantile residuals: shape", _R, "the predictive distribution fits",
          "largest gap between promised and seen probability", 0.05, 0.10,
          "Dunn and Smyth (1996), Kolmogorov-Smirnov, as in DHARMa", "house rule: 5 and 10 percentage points",
          "use another family or conformal intervals"),
    Entry("quantile_dispersion", "Quantile residuals: spread", _R, "residuals are as spread as the family promises",
          "variance over its expected value, or the inverse if smaller", 1.25, 2.0, "after DHARMa::testDispersion",
          "Hilbe (2011): 1.25; house rule: 2", "widen or narrow the predictive distribution"),
    Entry("quantile_outliers", "Quantile residuals: tails", _R,
          "1 % of the rows fall in the outer 1 % of the distribution",
          "seen over expected share of rows in the outer 1 %", 2.0, 4.0, "binomial test, after DHARMa::testOutliers",
          "house rule: twice and four times", "heavier tails: robust fit, t or negative binomial family"),
    Entry("residuals_by_fitted", "Residuals over fitted values", _R,
          "the mean residual is zero at every fitted value", SHARE, R2_NOTICE, R2_POOR,
          "F test of a smooth (cubic spline), HC3", COHEN_F2, "the arm is biased there: add a bend"),
    Entry("residuals_by_feature", "Residuals over features", _R, "the mean residual is zero at every feature value",
          SHARE, R2_NOTICE, R2_POOR, "F test of a smooth or of levels per feature, HC3, Holm", COHEN_F2,
          "give the named feature a bend"),
    Entry("worst_slices", "Worst slices", _R, "every slice is predicted as well as the rest",
          "loss in the worst slice over loss in the rest", 1.5, 2.5, "Welch t per slice, Bonferroni",
          "house rule: half as much again, and two and a half times",
          "more data or terms are needed for the named slice"),
    Entry("ljung_box", "Autocorrelation of residuals", _R, "residuals are uncorrelated over time",
          "largest autocorrelation, absolute", 0.1, 0.3, "Ljung and Box (1978)", COHEN_R, "add lags or season terms"),
    Entry("spatial", "Spatial pattern (Moran's I)", _R, "residuals of neighbours are uncorrelated", "Moran's I", 0.1,
          0.3, "Moran (1950), Cliff and Ord (1981); 8 nearest neighbours", COHEN_R,
          "add a surface over longitude and latitude"),
    Entry("shared_residuals", "What neither side explains", _R,
          "a mix of both sides predicts no better than the better side",
          "relative fall of the root mean squared residual by an equal mix", 0.01, 0.05,
          "Harvey, Leybourne and Newbold (1998)", "house rule: 1 % and 5 %",
          "an average of both sides would predict better"),
    # ---- generalization
    Entry("train_test_gap", "Train-test gap", _G, "unseen rows are predicted as well as training rows",
          "judging score worse than training score, relative", 0.10, 0.50, "paired t over folds",
          "house rule: 10 % and 50 %", "overfitting: more penalty, fewer terms or earlier stopping"),
    Entry("fold_spread", "Spread over folds", _G, "all folds are equally hard",
          "standard deviation over mean of the fold scores", 0.10, 0.25,
          "analysis of variance of row losses over folds", "house rule: 10 % and 25 %",
          "scores depend on the fold: use repeats, look for groups or drift"),
    Entry("seed_spread", "Spread over seeds", _G, "members differ by no more than noise",
          "standard deviation over mean of the member scores", 0.02, 0.10, "toolkit", "house rule: 2 % and 10 %",
          "use more members or a calmer learning rate"),
    Entry("calibration_line", "Calibration (Mincer-Zarnowitz)", _G, "observed = 0 + 1 x predicted",
          "distance of the calibration slope from 1", 0.10, 0.20,
          "Mincer and Zarnowitz (1969); Cox (1958) for binary targets",
          "house rule near Steyerberg (2019): slopes of 0.9 and 0.8",
          "recalibrate: predictions are too extreme or too timid"),
    Entry("calibration_bins", "Calibration of probabilities", _G, "of the rows given probability p, a share p is 1",
          "mean gap between promised and seen probability", 0.02, 0.05, "Hosmer and Lemeshow (1980), deciles",
          "house rule: 2 and 5 percentage points", "recalibrate the probabilities (Platt or isotonic)"),
    Entry("interval_coverage", "Coverage of intervals", _G, "intervals hold their promised share of the observations",
          "distance of the coverage from its promise", 0.025, 0.05, "Kupiec (1995), exact binomial",
          "house rule: 2.5 and 5 percentage points", "use conformal intervals, or a family with another spread"),
    Entry("slice_coverage", "Coverage by slice", _G, "intervals hold their promise in every slice",
          "coverage missing in the worst slice", 0.05, 0.10, "binomial test per slice, Bonferroni",
          "house rule: 5 and 10 percentage points", "let the width of the intervals depend on the named slice"),
    Entry("outside_hull", "Rows outside the training data", _G,
          "rows outside the training hull are predicted as well",
          "rise of the mean loss caused by rows outside the hull", 0.05, 0.20,
          "Cook (1979), leverage above the training maximum", "house rule: 5 % and 20 % of the mean loss",
          "do not trust predictions out there; linear tails or more data"),
    Entry("optimism", "Optimism of the fit", _G, "the in-sample score is honest",
          "in-sample loss too small by, relative", 0.20, 0.50,
          "Efron (1983), Harrell (2015): bootstrap of the optimism",
          "Harrell (2015): 10 rows per coefficient; house rule: 50 %",
          "too many coefficients for these rows: use a penalty or fewer terms"),
    Entry("learning_curve", "Learning curve", _G, "more rows would not help",
          "fall of the score expected from twice the rows", 0.05, 0.15, "power law, Cortes et al. (1993)",
          "house rule: 5 % and 15 %", "more rows would still help this arm"),
    Entry("epochs", "Training length", _G, "training stopped by itself",
          "share of members with the best epoch first or last", 0.10, 0.50, "Prechelt (1998)",
          "house rule: a tenth and half of the members",
          "best last: allow more epochs; best first: smaller learning rate"),
    Entry("restarts", "Members restarted", _G, "every member trained at the first attempt",
          "share of members restarted", 0.01, 0.34, "toolkit", "house rule: any, and more than a third",
          "the net trains unsteadily: smaller learning rate"),
)  # fmt: skip
CATALOGUE: dict[str, Entry] = {entry.check: entry for entry in (*_ENTRIES, *(Entry(*row) for row in INNOVATIONS))}
