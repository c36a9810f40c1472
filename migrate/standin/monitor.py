"""Monitor v1: the list of alerts, and each by its SID."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from migrate.standin import views
from migrate.standin.alerts import Alert, oldest
from migrate.standin.answers import origin_of, page_answer
from migrate.standin.paging import PageSizes, ProblemError
from migrate.standin.world import World

_PATH = f"{views.MONITOR}/Alerts"
_LEVELS = ("error", "warning", "notice", "debug")


def is_alerts(path: str) -> bool:
    """Whether a path is one of Monitor's."""
    return path == _PATH or path.startswith(_PATH + "/")


class Monitor:
    """The handlers."""

    def __init__(self, world: World, sizes: PageSizes) -> None:
        self._world = world
        self._sizes = sizes

    def routes(self) -> list[web.RouteDef]:
        """Where they answer."""
        return [web.get(_PATH, self._alerts), web.get(f"{_PATH}/{{alert}}", self._alert)]

    async def _alerts(self, request: web.Request) -> web.Response:
        query, now, log = request.query, self._world.now, self._world.alerts
        level = query.get("LogLevel")
        if level not in (None, *_LEVELS):
            raise ProblemError(400, 20001, f"LogLevel must be one of {', '.join(_LEVELS)}")
        first = _first(query["StartDate"], now) if "StartDate" in query else None
        last = _last(query["EndDate"], now) if "EndDate" in query else None
        found = log.find(now, first, last, level)
        origin = origin_of(request)

        def shown(alert: Alert) -> dict[str, Any]:
            if alert.number >= log.most:
                raise ProblemError(400, 20001, f"A query gives at most {log.most} alerts")
            return views.alert(self._world, alert, origin)

        return page_answer(request, self._sizes, "alerts", found, shown)

    async def _alert(self, request: web.Request) -> web.Response:
        found = self._world.alerts.of_sid(request.match_info["alert"], self._world.now)
        if found is None:
            raise web.HTTPNotFound
        return web.json_response(views.whole_alert(self._world, found, origin_of(request)))


def _first(text: str, now: datetime) -> datetime:
    """From when on: from the second, or from the beginning of the day. Raises `ProblemError`."""
    date, length = _date(text, "StartDate")
    if date <= oldest(now) - length:
        raise ProblemError(400, 20001, "StartDate is more than 30 days ago")
    return date


def _last(text: str, now: datetime) -> datetime:
    """Until when: to the end of the second, or of the day. Raises `ProblemError`."""
    date, length = _date(text, "EndDate")
    if date <= oldest(now) - length:
        raise ProblemError(400, 20001, "EndDate is more than 30 days ago")
    return date + (length - timedelta.resolution)


def _date(text: str, name: str) -> tuple[datetime, timedelta]:
    """A day or a second: when it begins, and how long it is. Raises `ProblemError`."""
    for form, length in (("%Y-%m-%d", timedelta(days=1)), ("%Y-%m-%dT%H:%M:%SZ", timedelta(seconds=1))):
        with suppress(ValueError):
            return datetime.strptime(text, form).replace(tzinfo=UTC), length
    raise ProblemError(400, 20001, f"{name} must be YYYY-MM-DD or YYYY-MM-DDThh:mm:ssZ")
