# Writes r_diagnostics.json: what R's packages say about small data sets. Run once by hand, never in CI:
#   Rscript tests/reference/make_r.R tests/reference/r_diagnostics.json
# Data sets come with R or are made here from closed forms (no random numbers), and are written into the file.
suppressPackageStartupMessages({
  library(lmtest); library(sandwich); library(car); library(strucchange); library(tseries); library(nortest)
  library(spdep); library(AER); library(jsonlite)
})
answers <- list(versions = lapply(
  list(R = "base", lmtest = "lmtest", sandwich = "sandwich", car = "car", strucchange = "strucchange",
       tseries = "tseries", nortest = "nortest", spdep = "spdep", AER = "AER"),
  function(p) as.character(packageVersion(p))))
htest <- function(t) list(statistic = unname(t$statistic), p_value = unname(t$p.value))

# ---- stackloss: 21 rows, influence and every covariance
fit <- lm(stack.loss ~ Air.Flow + Water.Temp + Acid.Conc., stackloss)
answers$stackloss <- list(
  data = as.list(stackloss), coefficients = unname(coef(fit)),
  leverage = unname(hatvalues(fit)), cook = unname(cooks.distance(fit)), dffits = unname(dffits(fit)),
  studentised = unname(rstudent(fit)), vif = unname(vif(fit)),
  hc = lapply(c(HC0 = "HC0", HC1 = "HC1", HC2 = "HC2", HC3 = "HC3"), function(k) unname(vcovHC(fit, type = k))),
  newey_west = unname(NeweyWest(fit, lag = 2, prewhite = FALSE, adjust = FALSE)),
  clustered = unname(vcovCL(fit, cluster = rep(1:7, 3), type = "HC1")),
  clusters = rep(1:7, 3),
  breusch_pagan = htest(bptest(fit)), breusch_pagan_plain = htest(bptest(fit, studentize = FALSE)),
  white = htest(bptest(fit, ~ Air.Flow + Water.Temp + Acid.Conc. + I(Air.Flow^2) + I(Water.Temp^2) + I(Acid.Conc.^2),
                       data = stackloss)),
  reset = htest(resettest(fit, power = 2:3, type = "fitted")),
  rainbow = htest(raintest(fit, order.by = "mahalanobis")),
  durbin_watson = htest(dwtest(fit, alternative = "two.sided", exact = FALSE)),
  breusch_godfrey = lapply(c(1, 2, 3), function(k) htest(bgtest(fit, order = k))),
  ljung_box = htest(Box.test(residuals(fit), lag = 4, type = "Ljung-Box")),
  jarque_bera = htest(jarque.bera.test(residuals(fit))),
  anderson_darling = htest(ad.test(residuals(fit))),
  cusum = htest(sctest(efp(stack.loss ~ Air.Flow + Water.Temp + Acid.Conc., data = stackloss, type = "OLS-CUSUM")))
)

# ---- longley: collinearity
fit <- lm(Employed ~ ., longley)
x <- model.matrix(fit)
unit <- sweep(x, 2, sqrt(colSums(x^2)), "/")
d <- svd(unit)
phi <- t((d$v %*% diag(1 / d$d))^2)
answers$longley <- list(data = as.list(longley), vif = unname(vif(fit)), condition_index = d$d[1] / d$d,
                        proportions = sweep(phi, 2, colSums(phi), "/"))

# ---- warpbreaks with factors: generalised VIF
fit <- lm(breaks ~ wool + tension + I(seq_along(breaks) + 5 * (tension == "M")), warpbreaks)
g <- vif(fit)
answers$warpbreaks <- list(data = list(breaks = warpbreaks$breaks, wool = as.character(warpbreaks$wool),
                                       tension = as.character(warpbreaks$tension)),
                           design = unname(model.matrix(fit)[, -1]), terms = c("wool", "tension", "tension", "order"),
                           gvif = unname(g[, 1]), df = unname(g[, 2]))

# ---- Nile: one break in 1898
answers$nile <- list(data = as.numeric(Nile))
fs <- Fstats(Nile ~ 1, from = 0.15)
answers$nile$sup_f <- htest(sctest(fs, type = "supF"))
answers$nile$breakpoint <- fs$breakpoint
answers$nile$cusum <- htest(sctest(efp(Nile ~ 1, type = "OLS-CUSUM")))

# ---- a line with a slope that changes slowly: sup-F with two coefficients
n <- 120
t <- 1:n
x <- sin(t / 3) + t %% 7 / 5
y <- 1 + x * (0.5 + 0.5 * (t > 70)) + cos(t * 1.7) + sin(t * 0.9)
fs <- Fstats(y ~ x, from = 0.15)
answers$slope <- list(x = x, y = y, sup_f = htest(sctest(fs, type = "supF")), breakpoint = fs$breakpoint,
                      p_values = lapply(c(8, 10, 12, 15, 20), function(s) {
                        one <- fs; one$Fstats <- one$Fstats / max(one$Fstats) * s
                        sctest(one, type = "supF")$p.value }))

# ---- counts: Poisson fit of warpbreaks
fit <- glm(breaks ~ wool + tension, poisson, warpbreaks, epsilon = 1e-14)
answers$counts <- list(design = unname(model.matrix(fit)), mean = unname(fitted(fit)), y = warpbreaks$breaks,
                       coefficients = unname(coef(fit)), dispersion = htest(dispersiontest(fit, alternative = "two.sided")),
                       leverage = unname(hatvalues(fit)), cook = unname(cooks.distance(fit)))
fit <- glm(vs ~ mpg + am, binomial, mtcars, epsilon = 1e-14)
answers$binary <- list(design = unname(model.matrix(fit)), y = mtcars$vs, coefficients = unname(coef(fit)),
                       mean = unname(fitted(fit)), leverage = unname(hatvalues(fit)), cook = unname(cooks.distance(fit)))
fit <- glm(dist ~ log(speed), Gamma(link = "log"), cars, epsilon = 1e-14)
answers$gamma <- list(design = unname(model.matrix(fit)), y = cars$dist, coefficients = unname(coef(fit)),
                      leverage = unname(hatvalues(fit)), cook = unname(cooks.distance(fit)))

# ---- Moran's I over the four nearest neighbours
n <- 60
place <- cbind(sin(1:n * 1.3) * 3 + 1:n %% 5, cos(1:n * 2.1) * 2 + 1:n %% 7)
z <- place[, 1]^2 / 4 + sin(1:n)
near <- knearneigh(place, k = 4)
m <- moran.test(z, nb2listw(knn2nb(near), style = "W"), randomisation = TRUE)
answers$moran <- list(z = z, neighbours = near$nn - 1, statistic = unname(m$statistic), p_value = m$p.value,
                      i = unname(m$estimate[1]))

# ---- calibration line with HC3, and its joint test
fit <- lm(dist ~ speed, cars)
p <- fitted(lm(dist ~ speed + I(speed^2), cars)) * 0.8 + 5
line <- lm(cars$dist ~ p)
w <- linearHypothesis(line, c("(Intercept) = 0", "p = 1"), vcov. = vcovHC(line, type = "HC3"))
answers$calibration <- list(y = cars$dist, p = unname(p), coefficients = unname(coef(line)),
                            statistic = w$F[2], p_value = w$`Pr(>F)`[2])

# ---- robust RESET: Wald test of the powers with HC3
speed <- cars$speed
small <- lm(dist ~ speed, cars)
f <- fitted(small)
large <- lm(dist ~ speed + I(f^2) + I(f^3), cars)
w <- waldtest(small, large, vcov = vcovHC(large, type = "HC3"))
answers$reset_robust <- list(x = speed, y = cars$dist, statistic = w$F[2], p_value = w$`Pr(>F)`[2])

# ---- Mardia by definition, all pairs
x <- as.matrix(iris[1:50, 1:4])
xc <- scale(x, scale = FALSE)
s <- crossprod(xc) / nrow(x)
dd <- xc %*% solve(s) %*% t(xc)
answers$mardia <- list(data = unname(x), skewness_statistic = sum(dd^3) / nrow(x) / 6, kurtosis = mean(diag(dd)^2))

# ---- one-way analysis of variance
a <- anova(lm(weight ~ group, PlantGrowth))
answers$anova <- list(y = PlantGrowth$weight, group = as.integer(PlantGrowth$group) - 1, statistic = a$`F value`[1],
                      p_value = a$`Pr(>F)`[1])

# ---- randomised quantile residuals at fixed uniforms, and normal-theory probabilities
y <- c(0, 1, 2, 3, 5, 8); mu <- c(0.5, 1, 1.5, 4, 5, 5); u <- c(.1, .3, .5, .7, .9, .2)
answers$quantile <- list(y = y, mu = mu, u = u, poisson = ppois(y - 1, mu) + u * dpois(y, mu),
                         negative_binomial = pnbinom(y - 1, size = 2, mu = mu) + u * dnbinom(y, size = 2, mu = mu))
writeLines(toJSON(answers, digits = 15, auto_unbox = TRUE, matrix = "rowmajor"), commandArgs(TRUE)[1])
