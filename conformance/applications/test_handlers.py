"""Handlers with the packages that people's handlers have, from the public registries.

The one for Rust is `examples/hello-rust`, which the command line's tests build, deploy and call.
"""

from project import PROJECTS, PYTHON, node, wheels
from test_web import needs_go, needs_npm


@needs_npm
def test_a_node_handler_with_usual_dependencies(projects):
    name = projects.deploy("node", "--runtime", node())
    orders = [{"client": "a", "amount": 2}, {"client": "b", "amount": 5}, {"client": "a", "amount": 1.5}]
    answer, failed = projects.timed(name, lambda: projects.invoke(name, {"date": "2024-02-03", "orders": orders}))
    assert (answer, failed) == ({"due": "2024-02-29", "totals": {"a": 3.5, "b": 5}}, False)
    error, failed = projects.invoke(name, {"date": "soon", "orders": []})
    assert failed and error["errorType"] == "ZodError" and "invalid_string" in error["errorMessage"]


@needs_go
def test_a_go_handler_with_the_official_library(projects):
    name = projects.deploy("go-handler")
    answer, failed = projects.timed(name, lambda: projects.invoke(name, {"item": "tea", "quantity": 2}))
    assert (answer["total"], failed, len(answer["request"])) == (6, False, 36)
    error, failed = projects.invoke(name, {"item": "tea"})
    assert failed and error == {"errorMessage": "a quantity, please", "errorType": "errorString"}


def test_numpy_and_pandas_from_a_layer(projects):
    layer = wheels("science", PROJECTS / "pandas/requirements.txt")
    projects.flint("layer", "publish", "science", layer, "--runtime", PYTHON)
    name = projects.deploy("pandas", "--runtime", PYTHON)
    rows = ["day,amount", "2024-01-31,2", "2024-02-01,3", "2024-02-29,4.5"]
    answer, failed = projects.timed(name, lambda: projects.invoke(name, {"csv": "\n".join(rows)}))
    assert not failed, answer
    assert (answer["sum"], answer["median"]) == ({"2024-01": 2, "2024-02": 7.5}, 3)
    assert (answer["numpy"], answer["pandas"]) == ("2.3.3", "2.3.3")
    assert answer["from"].startswith("/opt/python/pandas/")
