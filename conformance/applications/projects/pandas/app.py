"""A handler whose libraries are in a layer: groups a table by month."""

import io

import numpy
import pandas


def handler(event, context):
    table = pandas.read_csv(io.StringIO(event["csv"]), parse_dates=["day"])
    months = table.groupby(table["day"].dt.to_period("M"))["amount"]
    return {
        "sum": {str(month): value for month, value in months.sum().items()},
        "median": float(numpy.median(table["amount"].to_numpy())),
        "numpy": numpy.__version__,
        "pandas": pandas.__version__,
        "from": pandas.__file__,
    }
