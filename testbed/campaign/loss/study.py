"""What is left of accuracy when packets are lost, and what thresholds that know of the loss make of it.

Needs no lab: stored labelled images go through the encoder, packets, losses, decoder and concealment that boards use,
and the real models answer. Losses are drawn from the seed. What loss does to response times is played beside it, live,
where the campaign file asks for it and the machine can (`testbed.campaign.loss.live`).
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from msgspec import Struct

from testbed.campaign.loss.escalated import EscalatedRow, escalated_figures, escalated_rows
from testbed.campaign.loss.live import play_live
from testbed.campaign.loss.operating import OperatingRow, operating_figures, operating_rows
from testbed.campaign.loss.pictures import Sent, arrived, losses, mean_of, send, whole, worst_of
from testbed.campaign.loss.response import (
    LeftOutRow,
    RatioRow,
    ResponseRow,
    response_figures,
    response_rows,
)
from testbed.campaign.loss.sets import PictureSet, folder_set, shipped_set
from testbed.campaign.loss.spec import KIND, LossStudy, read_loss_study
from testbed.campaign.loss.thresholds import Answers, Bucket, Case, ThresholdRow, threshold_rows
from testbed.measure.stats import wilson
from testbed.resources import CAMPAIGN_FILE, root
from testbed.store.study import Study, write_study

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from testbed.campaign.loss.sets import Model
    from testbed.campaign.progress import Progress

NONE = "none"


class AnswerRow(Struct, frozen=True, kw_only=True):
    """One model's answers to all images after one kind of loss.

    Attributes:
        pattern, fill: ``none`` where nothing was lost. loss: share of packets, as asked. delivered_loss: as it came.
        hit: pictures that lost something. lost_frac: mean share of a picture that was lost.
        low, high: 95 % Wilson interval of the accuracy. agreement: share answered as without loss.
    """

    what: str = "answers"
    model: str
    pattern: str
    loss: float
    fill: str
    n: int
    correct: int
    accuracy: float
    low: float
    high: float
    agreement: float
    delivered_loss: float
    hit: int
    lost_frac: float


class Result(Struct, frozen=True):
    """Rows of each kind, and what the pictures were like."""

    answers: list[AnswerRow]
    thresholds: list[ThresholdRow]
    operating: list[OperatingRow]
    pictures: dict[str, float]


def run_loss(folder: Path, out: Path, *, seed: int | None, progress: Progress) -> Path:
    """Play the study and write its result.

    Raises:
        ConfigError: the file, a model or the images are wrong. LocalWireError: a segment does not fit a packet.
        StoreError: the folder cannot be written.
    """
    study = read_loss_study(folder, seed=seed)
    models = list(dict.fromkeys((*study.frontends, study.backend, *study.ladder)))
    given = folder_set(folder / study.folder, models) if study.folder else shipped_set(study.task, models)
    result = loss_rows(study, given, progress)
    found = figures(study, result)
    live: list[ResponseRow | RatioRow | EscalatedRow | LeftOutRow] = []
    if study.live is not None:
        played, why_not = play_live(study, study.live, given.pictures, folder / CAMPAIGN_FILE, progress)
        responses = response_rows(study.live, played, study.seed)
        found |= response_figures(responses, study.loss)
        escalated = escalated_rows(study.live, played, result.operating, study.seed)
        found |= escalated_figures(escalated)
        live = [*responses, *escalated]
        if why_not:
            progress.note(f"response times are left out: {why_not}")
            live.append(LeftOutRow(reason=why_not))
    write_study(
        out,
        Study(
            kind=KIND,
            name=study.name,
            question=study.question,
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            seed=study.seed,
            spec=msgspec.to_builtins(study),
            models={name: [model.sha256] for name, model in given.models.items()},
            rows=[
                msgspec.to_builtins(row)
                for row in (*result.answers, *result.thresholds, *result.operating, *live)
            ],
            figures=found,
        ),
        source=root(),
    )
    return out


def loss_rows(study: LossStudy, given: PictureSet, progress: Progress) -> Result:
    """All rows: answers by model, pattern, loss and fill, then thresholds.

    Raises:
        LocalWireError: an image is no picture, or a segment does not fit a packet.
    """
    picked = _picked(study, len(given.labels))
    labels = given.labels[picked]
    sent = [send(given.pictures[index], study.packets) for index in picked]
    clean = [whole(one) for one in sent]
    mean = mean_of(clean)
    cells = [(pattern, loss) for pattern in study.patterns for loss in study.losses]
    progress.start("conditions", len(given.models) + len(cells) + len(study.buckets))
    scores = {}
    for name, model in given.models.items():
        scores[name] = model.scores(clean)
        progress.advance()
    answers = [
        _row(
            name, NONE, 0.0, NONE, labels, found.argmax(axis=1), found.argmax(axis=1), [[]] * len(sent), sent
        )
        for name, found in scores.items()
    ]
    cases: dict[str, list[Case]] = {name: [] for name in study.frontends}
    for pattern, loss in cells:
        gone = losses(study, sent, pattern, loss)
        answered = _answered(study, given, study.fills, sent, gone, mean, scores)
        for (name, fill), found in answered.items():
            same = scores[name].argmax(axis=1)
            answers.append(_row(name, pattern, loss, fill, labels, found.argmax(axis=1), same, gone, sent))
            if fill == study.fill:
                shares = np.array([one.share(lost) for one, lost in zip(sent, gone, strict=True)])
                cases[name].append(
                    Case(pattern, loss, Answers(found.max(axis=1), found.argmax(axis=1) == labels), shares)
                )
        progress.advance()
    buckets: dict[str, list[Bucket]] = {name: [Bucket(0.0, scores[name])] for name in study.frontends}
    for bucket in sorted(study.buckets):
        gone = [worst_of(one, bucket, (study.seed, 2, index)) for index, one in enumerate(sent)]
        found_in = _answered(study, given, (study.fill,), sent, gone, mean, scores)
        for (name, _), found in found_in.items():
            buckets[name].append(Bucket(bucket, found))
        progress.advance()
    progress.done()
    thresholds = threshold_rows(study, labels, scores[study.backend], buckets, cases)
    operating = operating_rows(study, labels, scores[study.backend], buckets, cases)
    packets = [len(one.packets) for one in sent]
    return Result(
        answers,
        thresholds,
        operating,
        {
            "pictures": float(len(sent)),
            "packets_per_picture": float(np.mean(packets)),
            "packets_min": float(min(packets)),
            "bytes_per_picture": float(np.mean([one.sent_bytes for one in sent])),
        },
    )


def figures(study: LossStudy, result: Result) -> dict[str, float]:
    """Headline at ``study.loss``: the worst mean drop over frontends, targets and patterns, and what it cost.

    ``edge_drop_pt_*``: of the first frontend alone, by pattern and fill.
    """
    found = dict(result.pictures) | operating_figures(result.operating)
    mine = [row for row in result.thresholds if row.loss == study.loss and row.promised]
    for name, aware in (("lossy_accuracy_drop_pt", True), ("lossy_accuracy_drop_blind_pt", False)):
        drops = [row.drop_pt for row in mine if row.aware is aware and row.drop_pt is not None]
        if drops:
            found[name] = max(drops)
    for name, aware in (("lossy_offload_frac", True), ("lossy_offload_blind_frac", False)):
        shares = [row.offload_frac for row in mine if row.aware is aware and row.offload_frac is not None]
        if shares:
            found[name] = float(np.mean(shares))
    intact = next(row for row in result.answers if row.model == study.frontends[0] and row.pattern == NONE)
    for row in result.answers:
        if (row.model, row.loss) == (study.frontends[0], study.loss):
            found[f"edge_drop_pt_{row.pattern}_{row.fill}"] = 100 * (intact.accuracy - row.accuracy)
    return found


def _picked(study: LossStudy, n: int) -> list[int]:
    count = min(study.samples, n) if study.samples else n
    picked: list[int] = np.random.default_rng([study.seed, 3]).permutation(n)[:count].tolist()
    return sorted(picked)


def _answered(
    study: LossStudy,
    given: PictureSet,
    fills: Sequence[str],
    sent: Sequence[Sent],
    gone: Sequence[Sequence[int]],
    mean: Sequence[int],
    scores: dict[str, NDArray[np.float32]],
) -> dict[tuple[str, str], NDArray[np.float32]]:
    """Frontends' probabilities by model and fill; pictures that lost nothing are not answered again."""
    hit = [index for index, lost in enumerate(gone) if lost]
    found = {(name, fill): scores[name].copy() for name in study.frontends for fill in fills}
    if hit:
        pictures = [arrived(sent[index], gone[index], fills, mean) for index in hit]
        for (name, fill), answers in found.items():
            model: Model = given.models[name]
            answers[hit] = model.scores([picture[fill] for picture in pictures])
    return found


def _row(
    model: str,
    pattern: str,
    loss: float,
    fill: str,
    labels: NDArray[np.int64],
    answers: NDArray[np.intp],
    same: NDArray[np.intp],
    gone: Sequence[Sequence[int]],
    sent: Sequence[Sent],
) -> AnswerRow:
    correct, n = int((answers == labels).sum()), len(labels)
    low, high = wilson(correct, n).interval or (0.0, 1.0)
    return AnswerRow(
        model=model,
        pattern=pattern,
        loss=loss,
        fill=fill,
        n=n,
        correct=correct,
        accuracy=correct / n,
        low=low,
        high=high,
        agreement=float((answers == same).mean()),
        delivered_loss=sum(map(len, gone)) / sum(len(one.packets) for one in sent),
        hit=sum(map(bool, gone)),
        lost_frac=float(np.mean([one.share(lost) for one, lost in zip(sent, gone, strict=True)])),
    )
