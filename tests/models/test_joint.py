"""Terms of several columns are tested as one, by Wald and, of all of them, by the ratio of likelihoods; clusters limit how many columns."""

from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm

from protocols.models.glm import Clustered, Glm
from protocols.models.newton import Limits
from tests.models.data import Frame, germancredit
from tests.models.federation import conversation, divided, planned

TERMS = ("v0", "v4", "v8")  # codes, a number, codes


def told(frame: Frame, question: Glm, cities: int = 6) -> dict[str, Any]:
    parts = divided(frame, np.arange(frame.rows) % cities)
    model = planned(frame, question, parts, Limits(column_rows=1, column_cities=1, events_per_column=1))
    _, log = conversation(model, parts)
    found = model.result(log.states[-1]).tests
    return {str(each.values.get("term", each.name)): each.values for each in found}


@pytest.mark.parametrize("errors", ["model", "hc0", "v11"])
def test_the_joint_test_of_a_term_is_that_of_the_pooled_fit(errors: str) -> None:
    frame = germancredit()
    clustered = Clustered(cluster="v12") if errors == "v11" else errors  # some fifty ages
    found = told(frame, Glm(family="binomial", outcome="bad", terms=TERMS, errors=clustered))  # type: ignore[arg-type]  # one of both
    x = frame.matrix(TERMS)
    how: dict[str, Any] = {"cov_type": "nonrobust"} if errors == "model" else {"cov_type": "HC0"}
    if errors == "v11":
        groups = frame.values("v12").astype(int)
        how = {
            "cov_type": "cluster",
            "cov_kwds": {
                "groups": groups + 1000 * (np.arange(frame.rows) % 6),
                "use_correction": True,
                "df_correction": True,
            },
        }
    reference = sm.GLM(frame.values("bad"), x, family=sm.families.Binomial()).fit(tol=1e-13, **how)
    first = len(frame.dictionary.codes("v0")) - 1
    for term, places in (("v0", range(1, 1 + first)), ("v8", range(2 + first, x.shape[1]))):
        said = reference.wald_test(np.eye(x.shape[1])[list(places)], use_f=errors == "v11", scalar=True)
        assert found[term]["df"] == len(places)
        assert found[term]["statistic"] == pytest.approx(float(said.statistic), rel=1e-7)
        assert ("df_residual" in found[term]) == (errors == "v11")
    assert "v4" not in found, "a term of one column has the test of its coefficient"
    if errors == "model":
        ratio = found["likelihood_ratio"]
        assert ratio["statistic"] == pytest.approx(reference.null_deviance - reference.deviance, rel=1e-10)
        assert ratio["df"] == x.shape[1] - 1
    else:
        assert "likelihood_ratio" not in found


def test_few_clusters_cannot_test_a_term_of_many_columns() -> None:
    frame = germancredit()
    found = told(frame, Glm(family="binomial", outcome="bad", terms=("v3", "v0"), errors=Clustered(cluster="city")))
    assert (found["v3"]["statistic"], found["v3"]["obs_status"]) == (None, "x")
    assert found["v0"]["statistic"] > 0
