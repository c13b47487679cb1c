"""What is on offer for requests of one task and target: frontends that reach it, backends, the best there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, structs

from testbed.errors import ConfigError
from testbed.model.ids import ModelId
from testbed.model.placement import Hosted
from testbed.policy import DC, EDGE, PolicySettings
from testbed.policy.fleet import Fleet
from testbed.policy.runners import Runner, make_runner, unknown_runner
from testbed.policy.teams import Team, by_power, teams_of
from testbed.policy.thresholds import PlanKind, Threshold
from testbed.units import S

if TYPE_CHECKING:
    from testbed.model.ids import BoardId, TaskId
    from testbed.model.request import Request


class Course(Struct, frozen=True):
    """What requests of one task and target have before them.

    Attributes:
        rows: thresholds by frontend. teams: frontends that reach the target, by power. backends: in the
            data centre. spare: frontends to ask when the data centre is down and the target out of reach.
        escalates: whether a frontend may pass requests on.
        feasible: whether the target can be reached at all. direct_ok: whether the backend alone reaches it.
        best: highest accuracy on offer that we vouch for.
    """

    rows: dict[ModelId, Threshold]
    teams: tuple[Team, ...]
    backends: tuple[Team, ...]
    spare: tuple[Team, ...]
    escalates: bool
    feasible: bool
    direct_ok: bool
    best: float | None

    def affordable(self, request: Request) -> tuple[Team, ...]:
        """Frontends that keep the request's energy bound; one whose power nobody knows cannot promise that.

        The bound is on what the edge spends: that is the side that runs on a budget, and the one we know watts of.
        """
        bound = request.max_energy_j
        if bound is None:
            return self.teams
        kept = ((t, tuple(r for r in t.runners if r.watts * r.service / S <= bound)) for t in self.teams)
        return tuple(Team(team.alike, runners) for team, runners in kept if runners)


class Courses:
    """Makes each course once."""

    def __init__(self, settings: PolicySettings) -> None:
        """Needs thresholds.

        Attributes:
            fleet: the boards; it must see each view before a choice is made.

        Raises:
            ConfigError: nobody calibrated.
        """
        if settings.thresholds is None or not settings.thresholds.rows:
            raise ConfigError(
                "edgesight has no calibrated thresholds",
                cure='They take models on edge boards, models on boards with site = "dc", and a need with min_accuracy',
            )
        self.fleet = Fleet.of(settings)
        self._settings = settings
        self._table = settings.thresholds
        self._made: dict[tuple[TaskId, float | None], Course] = {}
        self._lossy: dict[tuple[TaskId, float | None, ModelId, float], Threshold | None] = {}

    def of(self, request: Request) -> Course:
        """The course of a request's task and target."""
        key = (request.task, request.min_accuracy)
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = self._make(*key)
        return found

    def row(self, request: Request, frontend: ModelId, lost_frac: float | None) -> Threshold | None:
        """The threshold for an answer on an input of which so much was lost; ``None`` if none was calibrated for it."""
        if not lost_frac or request.min_accuracy is None:
            return self.of(request).rows.get(frontend)
        key = (request.task, request.min_accuracy, frontend, lost_frac)
        if key not in self._lossy:
            rows = self._table.find(request.task, request.min_accuracy, lost_frac)
            self._lossy[key] = next((row for row in rows if row.frontend == frontend), None)
        return self._lossy[key]

    def hosted(self) -> tuple[Hosted, ...]:
        """Frontends stay resident at the edge and backends in the data centre: nothing is ever swapped."""
        wanted = {EDGE: {r.frontend for r in self._table.rows}, DC: {r.backend for r in self._table.rows}}
        return tuple(
            Hosted(board=board, model=model)
            for site, models in wanted.items()
            for board in self._settings.sites.get(site, ())
            for model in self._settings.models.get(board, ())
            if model in models
        )

    def _make(self, task: TaskId, target: float | None) -> Course:
        rows = {row.frontend: row for row in self._table.find(task, target or 0.0)}
        if target is None:  # nothing promised: whatever the edge says stands
            rows = {name: _always(row) for name, row in rows.items()}
        able = {n: r for n, r in rows.items() if r.plan in (PlanKind.EDGE_ONLY, PlanKind.CASCADE)}
        any_rows = rows or {r.frontend: r for r in self._table.rows if r.task == task}
        backend_accuracy = max((r.backend_accuracy for r in any_rows.values()), default=0.0)
        direct_ok = bool(rows) and backend_accuracy >= (target or 0.0)
        teams = by_power(self._teams(EDGE, able))
        return Course(
            rows=rows,
            teams=teams,
            backends=self._backends({r.backend for r in any_rows.values()}, backend_accuracy),
            spare=self._teams(EDGE, any_rows),
            escalates=any(runner.p_off > 0 for team in teams for runner in team.runners),
            feasible=bool(able) or direct_ok,
            direct_ok=direct_ok,
            best=self._table.best(task),
        )

    def _teams(self, site: str, rows: dict[ModelId, Threshold]) -> tuple[Team, ...]:
        found: dict[BoardId, list[Runner]] = {}
        for board in self._settings.sites.get(site, ()):
            for model in self._settings.models.get(board, ()):
                profile, row = self._settings.profiles.find(board, model), rows.get(model)
                if profile is not None and row is not None:
                    found.setdefault(board, []).append(
                        make_runner(
                            profile,
                            exits=row.exits,
                            exit_frac=row.exit_frac,
                            p_off=row.p_off,
                            accuracy=row.acc_hat,
                        )
                    )
        return teams_of(self.fleet, found)

    def _backends(self, models: set[ModelId], accuracy: float) -> tuple[Team, ...]:
        found: dict[BoardId, list[Runner]] = {}
        for board in self._settings.sites.get(DC, ()):
            for model in self._settings.models.get(board, ()):
                if model in models:
                    profile = self._settings.profiles.find(board, model)
                    found.setdefault(board, []).append(
                        make_runner(profile, accuracy=accuracy)
                        if profile is not None
                        else unknown_runner(model, accuracy)
                    )
        return teams_of(self.fleet, found)


def _always(row: Threshold) -> Threshold:
    return structs.replace(row, plan=PlanKind.EDGE_ONLY, tau=0.0, p_off=0.0)
