"""The stand-in's routes: Chat v2, Conversations v1 and Monitor v1 in one aiohttp application."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.typedefs import Middleware

from migrate.model.clock import SIMULATED
from migrate.model.push_config import FIELDS, Field, Value
from migrate.standin import views
from migrate.standin.answers import Handler, error_answer, not_found, origin_of, page_answer
from migrate.standin.control import control
from migrate.standin.credentials import TYPES, new_credential, update
from migrate.standin.deliveries import lost_with
from migrate.standin.fault_middleware import Mishaps
from migrate.standin.faults import Faults
from migrate.standin.monitor import Monitor, is_alerts
from migrate.standin.paging import Numbered, PageSizes, ProblemError
from migrate.standin.prerendered import Prerendered
from migrate.standin.world import Binding, Credential, Service, World, user_sid

_WORDS = {"true": True, "false": False}


@dataclass(frozen=True)
class Parts:
    """What an account's application is made of: the middlewares, the outermost first, and the routes."""

    middlewares: Sequence[Middleware]
    routes: Sequence[web.RouteDef]


def make_app(world: World, sizes: PageSizes, faults: Faults, prerendered: bool) -> web.Application:
    """The application that serves a world, with faults; `prerendered` is for measuring (see `Prerendered`)."""
    made = parts(world, sizes, faults, prerendered)
    app = web.Application(middlewares=made.middlewares)
    app.add_routes(made.routes)
    return app


def parts(world: World, sizes: PageSizes, faults: Faults, prerendered: bool) -> Parts:
    """The parts of the application that serves a world."""
    kept = Prerendered() if prerendered else None
    mishaps = Mishaps(world, faults) if faults.active else None
    standin = _StandIn(world, sizes)
    middlewares = [mishaps.deliver, standin.answer, mishaps.refuse] if mishaps else [standin.answer]
    outermost = control(world, standin.authenticate)
    chat, conversations = views.CHAT, views.CONVERSATIONS
    service, binding = "/Services/{service}", "/Services/{service}/Bindings/{binding}"
    return Parts(
        [outermost, *middlewares, *([kept.serve] if kept else [])],
        [
            web.get(f"{chat}/Services", standin.services),
            web.get(f"{chat}{service}", standin.service),
            web.get(f"{chat}{service}/Bindings", standin.bindings),
            web.get(f"{chat}{binding}", standin.binding),
            web.delete(f"{chat}{binding}", standin.delete_binding),
            web.get(f"{chat}{service}/Users/{{user}}/Bindings", standin.user_bindings),
            web.get(f"{chat}/Credentials", standin.credentials),
            web.get(f"{chat}/Credentials/{{credential}}", standin.credential),
            web.get(f"{conversations}/Services", standin.services),
            web.get(f"{conversations}{service}", standin.service),
            web.get(f"{conversations}{service}/Bindings", standin.bindings),
            web.get(f"{conversations}{binding}", standin.binding),
            web.delete(f"{conversations}{binding}", standin.delete_binding),
            web.get(f"{conversations}{service}/Configuration/Notifications", standin.notifications),
            web.post(f"{conversations}{service}/Configuration/Notifications", standin.update_notifications),
            web.get(f"{conversations}/Credentials", standin.credentials),
            web.post(f"{conversations}/Credentials", standin.make_credential),
            web.get(f"{conversations}/Credentials/{{credential}}", standin.credential),
            web.post(f"{conversations}/Credentials/{{credential}}", standin.update_credential),
            *Monitor(world, sizes).routes(),
        ],
    )


def credentials_of(request: web.Request) -> tuple[str, str]:
    """The user and the password that a request is signed with; empty where it is not."""
    kind, _, encoded = request.headers.get("Authorization", "").partition(" ")
    try:
        given = base64.b64decode(encoded, validate=True).decode() if kind == "Basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        given = ""
    user, _, password = given.partition(":")
    return user, password


class _StandIn:
    """The handlers. Each answers with an object of the world, or raises `ProblemError`."""

    def __init__(self, world: World, sizes: PageSizes) -> None:
        self.world = world
        self.sizes = sizes

    @web.middleware
    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The middleware around every request: authentication, Twilio's errors, the world's clock."""
        self.world.requests += 1
        try:
            self.authenticate(request)
            response = await handler(request)
        except ProblemError as problem:
            response = error_answer(problem.status, problem.code, problem.message)
        except web.HTTPMethodNotAllowed:
            response = error_answer(405, 20004, "Method not allowed")
        except web.HTTPNotFound:
            response = not_found(request)
        response.headers["Date"] = format_datetime(self.world.now, usegmt=True)
        response.headers[SIMULATED] = "any" if self.world.plays_ahead else "past"
        return response

    def authenticate(self, request: web.Request) -> None:
        """Raise `ProblemError` unless a request carries the account's credentials."""
        user, password = credentials_of(request)
        if not self.world.lets_in(user, password):
            raise ProblemError(401, 20003, "Authenticate")
        if is_alerts(request.path) and user in self.world.alerts.closed_to:
            raise ProblemError(403, 20003, "The API key has no permission to read alerts")

    async def services(self, request: web.Request) -> web.Response:
        found = list(self.world.services.values())
        if _is_chat(request):
            return self._list(request, "services", found, views.chat_service)
        found = [service for service in found if service.configuration is not None]
        return self._list(request, "services", found, views.conversations_service)

    async def service(self, request: web.Request) -> web.Response:
        view = views.chat_service if _is_chat(request) else views.conversations_service
        return web.json_response(view(self.world, self._service(request), origin_of(request)))

    async def bindings(self, request: web.Request) -> web.Response:
        service = self._service(request)
        view = views.chat_binding if _is_chat(request) else views.conversations_binding
        origin = origin_of(request)
        return self._bindings(request, service, lambda item: view(self.world, service, item, origin))

    async def user_bindings(self, request: web.Request) -> web.Response:
        service, origin = self._service(request), origin_of(request)
        user = request.match_info["user"]
        return self._bindings(
            request, service, lambda item: views.user_binding(self.world, service, item, origin), user
        )

    async def binding(self, request: web.Request) -> web.Response:
        service = self._service(request)
        view = views.chat_binding if _is_chat(request) else views.conversations_binding
        found = self._binding(request, service)
        return web.json_response(view(self.world, service, found, origin_of(request)))

    async def delete_binding(self, request: web.Request) -> web.Response:
        service = self._service(request)
        found = self._binding(request, service)
        if found in service.bindings:
            self.world.losses[found.sid] = lost_with(self.world, service, found)
        for bindings in (service.bindings, service.conversations_bindings):
            if found in bindings:
                bindings.remove(found)
        self._wrote(request)
        return web.Response(status=204)

    async def credentials(self, request: web.Request) -> web.Response:
        base = f"{origin_of(request)}{request.path}"
        return self._page(
            request,
            "credentials",
            list(self.world.credentials.values()),
            lambda item: views.credential(self.world, item, f"{base}/{item.sid}"),
        )

    async def credential(self, request: web.Request) -> web.Response:
        return self._shown(request, self._credential(request))

    async def make_credential(self, request: web.Request) -> web.Response:
        form = await _form(request)
        if form.get("Type", "").lower() not in TYPES:
            raise ProblemError(400, 20001, "Type must be apn, gcm or fcm")
        made = new_credential(self.world, form["Type"].lower())
        update(made, form, self.world.now)
        self.world.credentials[made.sid] = made
        self._wrote(request)
        return self._shown(request, made, 201)

    async def update_credential(self, request: web.Request) -> web.Response:
        found = self._credential(request)
        update(found, await _form(request), self.world.now)
        self._wrote(request)
        return self._shown(request, found)

    def _credential(self, request: web.Request) -> Credential:
        found = self.world.credentials.get(request.match_info["credential"])
        if found is None:
            raise web.HTTPNotFound
        return found

    def _shown(self, request: web.Request, found: Credential, status: int = 200) -> web.Response:
        url = f"{origin_of(request)}{views.CONVERSATIONS}/Credentials/{found.sid}"
        if _is_chat(request):
            url = f"{origin_of(request)}{request.path}"
        return web.json_response(views.credential(self.world, found, url), status=status)

    async def notifications(self, request: web.Request) -> web.Response:
        service = self._service(request)
        settings = service.configuration or {}
        return web.json_response(views.notifications(self.world, service, settings, origin_of(request)))

    async def update_notifications(self, request: web.Request) -> web.Response:
        service = self._service(request)
        form = await _form(request)
        # All fields are read before one is changed; a name that is not known is ignored, as Twilio does.
        update = {item.path: _form_value(item, form[item.form]) for item in FIELDS if item.form in form}
        settings = {**(service.configuration or {}), **update}
        service.configuration = {path: value for path, value in settings.items() if value != ""}
        self._wrote(request)
        return await self.notifications(request)

    def _service(self, request: web.Request) -> Service:
        service = self.world.services.get(request.match_info["service"])
        if service is None or (service.configuration is None and not _is_chat(request)):
            raise web.HTTPNotFound
        return service

    def _bindings(
        self,
        request: web.Request,
        service: Service,
        render: Callable[[Binding], dict[str, Any]],
        user: str | None = None,
    ) -> web.Response:
        """A page of a service's bindings, or of those of one `user`."""
        visible, wanted = self._visible(request, service), self._wanted(request, service, user)
        return page_answer(request, self.sizes, "bindings", visible, render, wanted)

    def _wanted(self, request: web.Request, service: Service, user: str | None) -> Callable[[Binding], bool]:
        """Which bindings a request asks for, by its filters; the list of a `user` has none by identity."""
        types = frozenset(request.query.getall("BindingType", ()))
        identities = frozenset(request.query.getall("Identity", ())) if user is None else frozenset()
        return lambda binding: (
            (not types or binding.binding_type in types)
            and (not identities or binding.identity in identities)
            and (user is None or user in (binding.identity, user_sid(service.sid, binding.identity or "")))
        )

    def _visible(self, request: web.Request, service: Service) -> list[Binding]:
        """Chat shows its own bindings; Conversations shows its own, and as a rule Chat's."""
        if _is_chat(request) or (service.shows_chat and not service.conversations_bindings):
            return service.bindings
        if not service.shows_chat:
            return service.conversations_bindings
        return sorted(service.bindings + service.conversations_bindings, key=lambda item: item.number)

    def _binding(self, request: web.Request, service: Service) -> Binding:
        sid = request.match_info["binding"]
        for binding in self._visible(request, service):
            if binding.sid == sid:
                return binding
        raise web.HTTPNotFound

    def _wrote(self, request: web.Request) -> None:
        self.world.writes.append(f"{request.method} {request.path}")

    def _list(
        self, request: web.Request, key: str, items: Sequence[Numbered], view: Callable[..., dict[str, Any]]
    ) -> web.Response:
        origin = origin_of(request)
        return self._page(request, key, items, lambda item: view(self.world, item, origin))

    def _page(
        self,
        request: web.Request,
        key: str,
        items: Sequence[Numbered],
        render: Callable[[Any], dict[str, Any]],
    ) -> web.Response:
        return page_answer(request, self.sizes, key, items, render)


async def _form(request: web.Request) -> dict[str, str]:
    return dict(parse_qsl(await request.text(), keep_blank_values=True))


def _is_chat(request: web.Request) -> bool:
    return request.path.startswith(views.CHAT + "/")


def _form_value(item: Field, text: str) -> Value:
    """A form field's value: booleans are words. Raises `ProblemError` for another word."""
    if item.type is str:
        return text
    if text.lower() not in _WORDS:
        raise ProblemError(400, 20001, f"{item.form} must be true or false")
    return _WORDS[text.lower()]
