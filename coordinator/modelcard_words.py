"""The sentences of a model card, in both languages. What sums cannot defend against is said in plain words."""

from typing import Final, TypeAlias

Pair: TypeAlias = dict[str, str]

USES: Final = ("use_support", "use_recalibrate", "use_expiry")
LIMITS: Final = ("limit_wrong_sums", "limit_bad_model", "limit_median", "limit_few")  # and one of the mode
SIGNERS: Final = ("sign_owner", "sign_validator", "sign_risk", "sign_compliance")

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "parent": ("由模型 {parent} 重新校准而来", "recalibrated from the model {parent}"),
    "no_parent": ("首个版本，没有上一版", "the first version; it has no parent"),
    "window": ("{first} 至 {last}", "{first} to {last}"),
    "state": ("{day} 当日的状态", "the state on {day}"),
    "cohort": ("{zh_first}；其中：{zh_then}", "{en_first}; of these: {en_then}"),
    "rows": ("{low} 至不足 {high} 行", "{low} to under {high} rows"),
    "budget_dp": (
        "加噪声；以上 epsilon、delta 为整个研究在每座城市的花费",
        "with noise; epsilon and delta are what the whole study costs in each city",
    ),
    "budget_exact": (
        "精确模式：不加噪声，不消耗预算；对推断没有数学上的界",
        "mode exact: no noise and no budget spent, and no mathematical bound on what can be inferred",
    ),
    "synthetic": (
        "合成数据：用于演练，不得用于决定",
        "synthetic data: for rehearsal, not for decisions",
    ),
    "open_data": ("公开的微观数据", "public microdata"),
    "real": ("各中心自己的记录，未离开各中心", "the centres' own records, which did not leave them"),
    "certificate": (
        "与把各市数据放在一起拟合的结果相差不超过所列的界",
        "it differs from the fit of all cities' rows together by no more than the bound",
    ),
    "certificate_sums": (
        "由按所列位数取整后求和的数得出；这一类模型没有系数误差的证书",
        "made of sums rounded to that many digits; models of this kind have no certificate of coefficients",
    ),
    "certificate_whole": (
        "全部由整数之和得出，没有取整误差",
        "made of sums of whole numbers, with no rounding",
    ),
    "certificate_dp": (
        "整数加噪声后求和，没有取整误差；噪声的影响包含在标准误中",
        "sums of whole numbers with noise, without rounding; what noise costs is in the standard errors",
    ),
    "terms": ("系数与 results.json 相同", "coefficients are those of results.json"),
    "terms_gbdt": ("提升树没有系数；各特征的增益见 results.json", "trees have no coefficients; results.json has each feature's gain"),
    "terms_scorecard": ("没有系数；各箱分值见 results.json", "no coefficients; results.json has the points of each bin"),
    "terms_recalibrated": (
        "对数优势为上一版的线性变换（截距、斜率见 results.json），排序不变",
        "its log odds are those of its parent times a slope plus a constant, which results.json has; the ranking is the same",
    ),
    "terms_glm": ("没有系数", "no coefficients"),
    "terms_hazard": ("没有系数", "no coefficients"),
    "reads": ("评分时每行须有这些变量", "a row that is scored must bring these variables"),
    "reads_none": ("只有常数项，不读任何变量", "of the constant alone; it reads no variable"),
    "fairness": (
        "只用于公平性检验，不参与评分",
        "kept to check fairness alone; no score depends on them",
    ),
    "fairness_none": (
        "没有只用于公平性检验的变量",
        "no variable is kept to check fairness alone",
    ),
    "metrics": (
        "与 results.json 相同；“界”为分箱所能造成的最大误差，必然成立",
        "as in results.json; a bound is the most that bins can hide, and is certain",
    ),
    "metrics_none": (
        "本研究没有检验这个模型的问题（kind: evaluate）",
        "no question of this study evaluates this model (kind: evaluate)",
    ),
    "in_sample": (
        "检验所用即训练所用的行：对新数据的表现会差一些",
        "it was evaluated on the rows that it was fitted on: on new rows it will do less well",
    ),
    "unevaluated": (
        "尚未检验：使用前请用 kind: evaluate 检验",
        "it has not been evaluated: do so (kind: evaluate) before it is used",
    ),
    "doubtful": (
        "可靠性低（u）：误差界偏大、缺失超过三成，或截断改变了估计的对象",
        "of low reliability (u): a wide bound, more than 30 % of rows left out, or clipping that changes what is estimated",
    ),
    "dropped": ("因人数太少未进入模型：{names}", "left out because too few holders have them: {names}"),
    "collinear": ("因与其他列线性相关未进入模型：{names}", "left out because other columns determine them: {names}"),
    "left_out": ("因缺失未使用的行：{count}", "rows not used because a value is missing: {count}"),
    "no_doubts": ("没有其他保留意见", "nothing else is held against it"),
    "use_support": (
        "评分用于辅助决定，不是征信；不得作为拒绝服务的唯一理由",
        "scores support decisions and are not credit reporting; they are never the only reason to refuse a service",
    ),
    "use_recalibrate": (
        "在新的城市或时间段，实际与预测之比偏离 1 时应重新校准；排序通常不必改",
        "in another city or period, recalibrate when observed over expected leaves 1; the ranking seldom needs to change",
    ),
    "use_expiry": (
        "过了有效期，节点拒绝用它评分",
        "past its last day a node refuses to score by it",
    ),
    "limit_wrong_sums": (
        "某市可以报错误的和。我们检查范围，该市自己的检查员可以打开它的承诺（keep_openings）；六座城市时，会随机应变的说谎者仍无法发现，"
        "影响力也由各市自报",
        "a city can send wrong sums. Ranges are checked, and its own inspector can open what it committed to (keep_openings); among six "
        "cities an adaptive liar still cannot be found, and influence is told by each city about itself",
    ),
    "limit_bad_model": (
        "不好的模型也可能被采用：应由其他各市在本地验证新模型（AUC、实际与预测之比），多数同意方可签署；串通的多数仍可通过",
        "a bad model can be accepted: every other city should validate it at home (AUC, observed over expected), a majority being "
        "needed to sign; a colluding majority still passes it",
    ),
    "limit_median": (
        "在安全求和之下，不能对各市取中位数或截尾平均来抵御个别城市",
        "under secure sums no median or trimmed mean of cities can guard against one of them",
    ),
    "limit_few": (
        "少于三座城市不予计算；若除一市外的其余各市全部串通，可以算出该市的和",
        "fewer than three cities are refused; all cities but one together learn the sums of that one",
    ),
    "limit_exact": (
        "精确模式公布的和会透露信息，没有数学上的界；由门槛和审批来限制",
        "exact sums tell something, without a mathematical bound; thresholds and approvals limit it",
    ),
    "limit_dp": (
        "噪声保护每一位持有人；系数因此不如没有噪声时准，标准误已计入",
        "noise protects every holder; coefficients are less exact for it, as their standard errors say",
    ),
    "sign_owner": ("模型负责人", "model owner"),
    "sign_validator": ("独立验证人（其他城市）", "independent validator (of another city)"),
    "sign_risk": ("风险管理负责人", "risk officer"),
    "sign_compliance": ("合规负责人", "compliance officer"),
}  # fmt: skip


def said(key: str, **values: object) -> Pair:
    """A sentence in both languages. Errors: `KeyError`."""
    zh, en = SENTENCES[key]
    return {"zh": zh.format(**values), "en": en.format(**values)}
