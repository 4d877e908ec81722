"""The command `toolkit judge`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.app import Json, Out, Uri, app, show_result
from toolkit.cli.terminal import Terminal

__all__ = ["judge"]


@app.command()
def judge(
    predictions: Annotated[Path, typer.Argument(metavar="PREDICTIONS", help="A file with forecasts made anywhere.")],
    target: Annotated[str, typer.Option("--target", "-y", help="Column with what was observed.")],
    models: Annotated[
        str,
        typer.Option(
            help="Columns of the models, lear,dnn, or means of columns, lear=a+b: the first plays the regression. In a "
            "long file: values of the model column, all of them when left out."
        ),
    ] = "",
    time: Annotated[str | None, typer.Option(help="Time column.")] = None,
    series: Annotated[str | None, typer.Option(help="Series column.")] = None,
    group: Annotated[str | None, typer.Option(help="Column of groups that depend on each other.")] = None,
    fold: Annotated[str | None, typer.Option(help="Fold column.")] = None,
    origin: Annotated[str | None, typer.Option(help="Column with the time that a forecast was made.")] = None,
    horizon: Annotated[
        str | None, typer.Option(help="Steps forecast from one origin, such as 24, or the column of steps ahead.")
    ] = None,
    model_column: Annotated[str | None, typer.Option(help="Long file: the column that names the model.")] = None,
    prediction_column: Annotated[str | None, typer.Option(help="Long file: the column of the forecasts.")] = None,
    nested: Annotated[bool, typer.Option(help="The second model contains the first: Clark-West beside it.")] = False,
    metric: Annotated[str, typer.Option(help="Metric of the verdict.")] = "mae",
    margin: Annotated[str, typer.Option(help="Smallest difference that matters.")] = "1%",
    out: Out = None,
    tracking_uri: Uri = None,
    as_json: Json = False,
) -> None:
    """Tests and verdict for forecasts made anywhere: R, AutoGluon, a spreadsheet."""
    from toolkit.judging import judge as judge_file

    reporter = Terminal()
    steps = int(horizon) if horizon is not None and horizon.lstrip("-").isdigit() else horizon
    roles = {"time": time, "series": series, "group": group, "fold": fold, "origin": origin, "horizon": steps}
    roles |= {"model_column": model_column, "prediction_column": prediction_column}
    folder = out or Path("reports") / predictions.name.split(".")[0]
    analysis = judge_file(
        predictions,
        target=target,
        models=[name.strip() for name in models.split(",") if name.strip()],
        metric=metric,
        margin=margin,
        out=folder,
        tracking_uri=tracking_uri,
        reporter=reporter,
        nested=nested,
        **{key: value for key, value in roles.items() if value is not None},
    )
    show_result(analysis, folder, reporter, as_json)
