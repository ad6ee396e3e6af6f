"""Is the process alive, and can the whole answer a question? For load balancers and for the supervisor."""

from typing import Any

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from kombu.exceptions import OperationalError

from assistant.celery import app

QUEUES = ("agent", "vision", "decode", "expert", "corpus", "library", "models.main")


@require_safe
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """Touches nothing: the process answers."""
    return HttpResponse("ok", content_type="text/plain")


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when database, Valkey and a worker for every queue answer; 503 with what is missing."""
    checks: dict[str, Any] = {"database": _database(), "valkey": _valkey()}
    checks["queues"] = _queues() if checks["valkey"] == "ok" else "not asked"
    ready = all(state == "ok" for state in checks.values())
    return JsonResponse({"ready": ready, **checks}, status=200 if ready else 503)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "does not answer"
    return "ok"


def _valkey() -> str:
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2) as client:
            client.ping()
    except redis.RedisError:
        return "does not answer"
    return "ok"


def _queues() -> str:
    """Asks the workers what they consume; takes about half a second, as there may always be one more to answer."""
    try:
        found = app.control.inspect(timeout=0.5).active_queues() or {}
    except (OperationalError, redis.RedisError, OSError):
        return "do not answer"
    served = {queue["name"] for queues in found.values() for queue in queues}
    missing = [queue for queue in QUEUES if queue not in served]
    return f"no worker for {', '.join(missing)}" if missing else "ok"
