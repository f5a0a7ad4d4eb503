"""The linear programme of an allocation, solved by HiGHS: how much of each group goes to which channel, and what the limits
are worth. Its numbers are floating and guide only: whatever comes of them is checked in integers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from airback.domain.money import PPM
from airback.market.arcs import Arcs, Whole

#: A solver that needs longer is left alone; the online way stands.
PATIENCE_S: Final = 2

#: HiGHS's primal simplex: with far more arcs than limits it is ten times as quick as the dual one it would choose.
_PRIMAL: Final = 4

#: Shares below one part in so many are the solver's noise.
_NOISE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """Arcs that are used (same length): the group, the channel, and the face that goes along. `face_ppm`, `fill_fen` (M): the
    dual prices of the channels' limits. `worth_fen`: the programme's value, rounded up. `duals`: of groups, and of amounts,
    payments and fills by channel, as the solver has them."""

    groups: list[int]
    channels: list[int]
    quota_fen: list[int]
    face_ppm: list[int]
    fill_fen: list[int]
    worth_fen: int
    duals: tuple[Any, Any, Any, Any]


def solve(
    arcs: Arcs,
    members: Sequence[Whole],
    *,
    fits: NDArray[np.bool_] | None = None,
    whole: bool = False,
    patience_s: int | None = PATIENCE_S,
) -> Plan | None:
    """Solve for groups of orders (each a list of their indices). None when the solver is missing, fails or is too slow.

    `fits` (N × M): the arcs to look at, all that fit by default. `whole`: no group is cut. Exact for single orders, with no prices, and only for few of them quick enough."""
    try:
        import highspy
    except ImportError:
        return None
    count, channels = len(members), len(arcs.channels)
    firsts = np.concatenate([[0], np.cumsum([len(one) for one in members])[:-1]])
    flat = np.concatenate(list(members))
    fits = np.logical_and.reduceat((arcs.fits if fits is None else fits)[flat], firsts, axis=0)
    face = np.add.reduceat(arcs.face_fen[flat], firsts)
    sizes = np.array([len(one) for one in members], np.int64)
    group, channel = np.nonzero(fits)
    if len(group) == 0:
        return None
    net = np.add.reduceat(arcs.net_fen[flat], firsts, axis=0)[group, channel]
    pays = np.add.reduceat(arcs.pays_fen[flat], firsts, axis=0)[group, channel]
    # Rows: a group goes out at most once; of each channel the face, the payments and the fills. Amounts in 2^k fen near 1,
    # which changes no value and spares the solver sums of very different sizes.
    shift = int(face.max()).bit_length()
    rows = np.stack(
        [group, count + channel, count + channels + channel, count + 2 * channels + channel], axis=1
    )
    values = np.stack(
        [
            np.ones(len(group)),
            np.ldexp(face[group].astype(np.float64), -shift),
            np.ldexp(pays.astype(np.float64), -shift),
            sizes[group].astype(np.float64),
        ],
        axis=1,
    )
    upper = np.concatenate(
        [
            np.ones(count),
            np.ldexp(arcs.amount_fen.astype(np.float64), -shift),
            np.ldexp(arcs.deposit_fen.astype(np.float64), -shift),
            arcs.fills.astype(np.float64),
        ]
    )
    lp: Any = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(group), len(upper)
    lp.sense_ = highspy.ObjSense.kMaximize
    lp.col_cost_ = np.ldexp(net.astype(np.float64), -shift)
    lp.col_lower_ = np.zeros(len(group))
    lp.col_upper_ = np.full(len(group), highspy.kHighsInf)
    lp.row_lower_ = np.full(len(upper), -highspy.kHighsInf)
    lp.row_upper_ = upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = np.arange(len(group) + 1, dtype=np.int32) * 4
    lp.a_matrix_.index_ = rows.astype(np.int32).ravel()
    lp.a_matrix_.value_ = values.ravel()
    if whole:
        lp.integrality_ = [highspy.HighsVarType.kInteger] * len(group)
    solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.silent()
    solver.setOptionValue("simplex_strategy", _PRIMAL)
    if patience_s is not None:
        solver.setOptionValue("time_limit", np.float64(patience_s).item())
    solver.passModel(lp)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    solution = solver.getSolution()
    share = np.array(solution.col_value)
    used = np.flatnonzero(share * _NOISE > 1)
    quota = np.rint(share[used] * face[group[used]]).astype(np.int64)
    dual = np.abs(np.array(solution.row_dual)) if solution.dual_valid else np.zeros(len(upper))
    of_face, of_pays, of_fills = (dual[count + n * channels : count + (n + 1) * channels] for n in range(3))
    prices = np.array([one.price_ppm or 0 for one in arcs.channels], np.int64)
    worth = np.ldexp(np.float64(solver.getInfo().objective_function_value), shift)
    return Plan(
        group[used].tolist(),
        channel[used].tolist(),
        quota.tolist(),
        # a fen of face uses a fen of the amount, and its price of the deposit
        np.rint(of_face * PPM + of_pays * prices).astype(np.int64).tolist(),
        np.rint(np.ldexp(of_fills, shift)).astype(np.int64).tolist(),
        int(np.ceil(worth)),
        (np.ldexp(dual[:count], shift), of_face, of_pays, np.ldexp(of_fills, shift)),
    )


def bound_fen(arcs: Arcs, plan: Plan) -> int | None:
    """What no allocation can be worth more than, in fen: the linear programme of every single order and every arc.

    It is solved over the arcs that `plan`'s prices make attractive, then over those too that its own prices do, until they
    make no other attractive: then its optimum is that of all arcs. Takes seconds for ten thousand orders, and is no part of
    an allocation.
    """
    every = [np.array([order]) for order in range(len(arcs.orders))]
    face = arcs.face_fen[:, None]

    def profit(of: Plan) -> Any:
        _, amounts, payments, fills = of.duals
        return np.where(arcs.fits, arcs.net_fen - face * amounts - arcs.pays_fen * payments - fills, -np.inf)

    gain = profit(plan)
    best = np.maximum(gain.max(axis=1, keepdims=True), 0)
    # within a five-hundredth of face of the best
    looked_at = arcs.fits & (gain * 500 >= best * 500 - face)
    while True:
        found = solve(arcs, every, fits=looked_at, patience_s=None)
        if found is None:
            return None
        # by less than a fen an arc is not attractive: all orders together could gain less than a fen each
        missed = arcs.fits & ~looked_at & (profit(found) > found.duals[0][:, None] + 1)
        if not missed.any():
            return found.worth_fen
        looked_at |= missed
