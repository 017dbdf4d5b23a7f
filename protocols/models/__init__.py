"""Statistics that take more than one secure sum. Pure: no file, no clock, no network, and never a row of another city.

A model is a conversation of rounds. In each the coordinator asks with a few public numbers (`Ask`), every city measures its own rows in
float64 and encodes the sums as integers, and the secure sum of those is all that anyone else sees. In exact mode the fit equals that of
the pooled rows up to a bound that is printed beside it (`certificate.py`).

| file | holds |
|---|---|
| `interface.py` | what every kind offers, and the values that travel |
| `fixedpoint.py` | real numbers as integers of the ring, and when that is refused |
| `design.py` | terms, columns, the standardising round |
| `families.py` | link, variance, deviance and likelihood of one row |
| `newton.py` | the state of a fit between two rounds, steps, halving, separation |
| `rows.py` | what is read of a row |
| `glm_keys.py` | the keys of a question, and which go together |
| `glm_city.py` | generalised linear models in a city: layout, sums, the vector |
| `glm.py` | the same at the coordinator: plan, start, ask, tell, finalize |
| `glm_answer.py` | what the sums at the converged point answer |
| `effects.py` | constants of cities: none, fixed, concentrated |
| `pooling.py` | random effects: fits of cities, combined |
| `sparse.py` | lasso and elastic net |
| `hazard.py`, `hazard_question.py` | discrete-time hazards over the months of holders; the question `kind: hazard` |
| `likelihood.py` | regressions that add up log-likelihood, score and information |
| `cox.py`, `classes.py` | of these: Cox, stratified or pooled; ordinal and multinomial |
| `answer.py` | coefficients, errors, tests of several terms |
| `certificate.py` | how far a fit can be from that of the pooled rows |
| `protect.py` | what a city looks at before it answers a round |
| `question.py` | how a study asks for a model |
| `session.py` | the rounds of all models of a study together |
| `regression.py`, `others.py` | the questions `kind: glm`; `cox`, `ordinal`, `multinomial` |
| `private.py`, `private_answer.py` | regressions in mode dp: the rounds, and what is said of errors |
| `card_question.py`, `trees_question.py`, `evaluate_question.py` | the questions `scorecard`, `gbdt`, `evaluate` |
| `kmeans.py` | the question `kind: kmeans`, in both modes; its rounds are blocks of counts and amounts |
| `surrogate.py` | where clusters may lie, from tables of pairs of variables alone |
| `binning.py`, `optimal.py` | bins that all cities share, and the best ones of a scorecard |
| `evidence.py` | weights of evidence of counts, with and without noise, and the card made of them |
| `private_card.py` | scorecards in mode dp |
| `scorecard.py` | bins, weights of evidence, points |
| `gbdt.py`, `xgb.py` | boosted trees, and XGBoost's format of them |
| `evaluate.py`, `discrimination.py` | how well a model tells yes from no, from histograms |
| `modelfile.py`, `saved.py`, `scoring.py` | a fitted model as a file, and a row's score by it |
| `staged.py` | kinds of which a part is another model |
"""

from typing import Final

# The kinds, one line each: to be imported here is to be registered.
from protocols.models.card_question import ScorecardQuestion as ScorecardQuestion
from protocols.models.evaluate_question import EvaluateQuestion as EvaluateQuestion
from protocols.models.hazard_question import HazardQuestion as HazardQuestion
from protocols.models.kmeans import KMeans as KMeans
from protocols.models.others import OfChoices as OfChoices
from protocols.models.others import OfOrder as OfOrder
from protocols.models.others import Survival as Survival
from protocols.models.question import ManyRounds
from protocols.models.regression import Regression as Regression
from protocols.models.trees_question import GbdtQuestion as GbdtQuestion

REGISTER: Final[tuple[type[ManyRounds], ...]] = tuple(ManyRounds.__subclasses__())
KINDS: Final[dict[str, type[ManyRounds]]] = {str(kind.model_fields["kind"].default): kind for kind in REGISTER}
